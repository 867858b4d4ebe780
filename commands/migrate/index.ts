/** The command `rcopy migrate`: the primary moves to new storage while its pair goes on. */
import type { MigrateAnswer, PrecheckAnswer } from '../../src/node/answers.ts';
import type { MigrateRequest } from '../../src/node/requests.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { idsOf, migrateFlags, migrateHow, passed } from '../../src/cli/migrating.ts';
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
      description: 'Hosts that come through a path controller follow',
      command: '<%= config.bin %> migrate ./tokyo ./kyoto --controller ./gate',
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

  static override flags = migrateFlags;

  protected override readonly stoppedHint = 'the same command goes on from here';

  async run(): Promise<MigrateAnswer | PrecheckAnswer> {
    const { args, flags } = await this.parse(Migrate);
    const { from, to } = args;
    const { create, overwrite } = flags;
    const lockWaitMs = flags['lock-wait'];
    const how = { ...migrateHow(flags), from: this.addressOf(from) };
    const requestOf = async (): Promise<MigrateRequest> => {
      return { ...how, controllers: await idsOf(flags.controller, lockWaitMs) };
    };
    if (flags['dry-run']) {
      const checks = await this.withSite(lockWaitMs, async (site) =>
        site.checkMigration(to, await requestOf(), { create, overwrite }),
      );
      this.print(prechecksView(checks, await this.paint()));
      return passed(checks);
    }
    const answer = await this.withSite(lockWaitMs, (site) =>
      this.withProgress('preparing', async (onProgress) => {
        const request = { ...(await requestOf()), onProgress };
        return site.migrate(to, request, { create, overwrite });
      }),
    );
    this.print(migrateView(answer, to, await this.paint()));
    return answer;
  }
}
