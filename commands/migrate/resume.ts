/** The command `rcopy migrate resume`: goes on with a migration that was stopped. */
import * as Flags from '@oclif/core/flags';
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { rateFlag, setArg } from '../../src/cli/flags.ts';
import { migrateView } from '../../src/cli/migrate-view.ts';

export default class MigrateResume extends SetCommand {
  static override summary = 'Go on with a migration that was stopped or detached.';
  static override description =
    'The target keeps the state of its migration durably: whatever ended the last command, this ' +
    'goes on from there. When the migration is done already, nothing changes. --source-lost ' +
    'says that FROM will never come back: TO goes on without it if all that FROM still owed is ' +
    'here, or with the secondary; else it is refused, and says what would be lost.';

  static override examples = [
    '<%= config.bin %> migrate resume ./kyoto',
    {
      description: 'The old storage is gone for good',
      command: '<%= config.bin %> migrate resume ./kyoto --source-lost',
    },
  ];

  static override args = { to: setArg({ description: 'target of the migration' }) };

  static override flags = {
    'source-lost': Flags.boolean({ description: 'FROM will never come back: go on without it' }),
    'max-rate': rateFlag({ description: 'bytes a second that are copied' }),
  };

  protected override readonly stoppedHint = 'the same command goes on from here';

  async run(): Promise<MigrateAnswer> {
    const { args, flags } = await this.parse(MigrateResume);
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('migrating', async (onProgress) => {
        const node = await site.open(args.to);
        const { 'source-lost': sourceLost, 'max-rate': maxRate } = flags;
        return node.resumeMigration({ sourceLost, maxRate, onProgress });
      }),
    );
    this.print(migrateView(answer, args.to, await this.paint()));
    return answer;
  }
}
