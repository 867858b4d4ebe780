/** The command `rcopy migrate`: the primary moves to new storage while its pair goes on. */
import * as Flags from '@oclif/core/flags';
import type { Site } from '../../src/control/site.ts';
import type { MigrateAnswer, PrecheckAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { FailedCheck } from '../../src/cli/failure.ts';
import { rateFlag, setArg } from '../../src/cli/flags.ts';
import { migrateView, prechecksView } from '../../src/cli/migrate-view.ts';

export default class Migrate extends SetCommand {
  static override summary = 'Move the primary from one set to another while its pair goes on.';
  static override description =
    'FROM stops answering hosts, seals its history at N, and hands over the next sequence ' +
    'number and the journal cursor; TO goes on numbering at N and has, or fetches, the ' +
    'contents. The secondary follows throughout, in write order. TO drives, keeps its progress ' +
    'durably, and goes on with `rcopy migrate resume TO` after any stop.';

  static override examples = [
    {
      description: 'Look first at whether it could start',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --dry-run',
    },
    {
      description: 'Move to a new set, which is made on the way',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --create',
    },
    {
      description: 'Return as soon as the new set serves hosts',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --create --detach',
    },
    {
      description: 'FROM is to be needed as short as possible after the switch',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --create --mode handoff --copy pre',
    },
    {
      description: 'The pair is split, suspended or far behind',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --create --mode bitmap',
    },
  ];

  static override args = {
    from: setArg({ description: 'set that is the primary now' }),
    to: setArg({ description: 'set that becomes the primary' }),
  };

  static override flags = {
    mode: Flags.option({ options: ['drain', 'handoff', 'bitmap'] as const })({
      summary: 'how the secondary gets what FROM has not sent yet',
      description:
        'drain: FROM sends it itself, while TO already sends what comes after it.\n' +
        'handoff: FROM passes its unsent records to TO, which sends them all.\n' +
        'bitmap: FROM gives a map of the blocks; TO copies these to the secondary, which is not ' +
        'usable until it has them. The only one for a pair that is not `paired`.',
      default: 'drain',
    }),
    copy: Flags.option({ options: ['post', 'pre'] as const })({
      summary: 'when the contents come to TO',
      description:
        'post: after the switch, behind the hosts; what they read comes first.\n' +
        'pre: before it, while FROM serves them; what changes meanwhile comes after.',
      default: 'post',
    }),
    create: Flags.boolean({ description: 'make TO when there is none' }),
    overwrite: Flags.boolean({
      description: 'give up what TO holds, and give it a fresh identity',
    }),
    'max-rate': rateFlag({ description: 'bytes a second that are copied' }),
    'dry-run': Flags.boolean({
      description: 'only check whether it could start (exit 5 when not)',
    }),
    detach: Flags.boolean({
      default: false,
      description: 'return when TO serves hosts; `migrate resume` does the rest',
    }),
  };

  protected override readonly stoppedHint = 'the same command goes on from here';

  async run(): Promise<MigrateAnswer | PrecheckAnswer> {
    const { args, flags } = await this.parse(Migrate);
    const { from, to } = args;
    const { mode, copy, create, overwrite, detach } = flags;
    const request = {
      from: this.addressOf(from),
      mode,
      copy,
      maxRate: flags['max-rate'],
      detach,
    };
    if (flags['dry-run']) {
      return this.check(flags['lock-wait'], (site) =>
        site.checkMigration(to, request, { create, overwrite }),
      );
    }
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('preparing', async (onProgress) => {
        return site.migrate(to, { ...request, onProgress }, { create, overwrite });
      }),
    );
    this.print(migrateView(answer, to, await this.paint()));
    return answer;
  }

  private async check(
    lockWaitMs: number,
    check: (site: Site) => Promise<PrecheckAnswer>,
  ): Promise<PrecheckAnswer> {
    const answer = await this.withSite(lockWaitMs, check);
    this.print(prechecksView(answer, await this.paint()));
    if (answer.ready) return answer;
    throw new FailedCheck('E_STATE', 'the migration cannot start now', answer);
  }
}
