/** The command `rcopy migrate resume`: goes on with a migration that was stopped. */
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { rateFlag, setArg } from '../../src/cli/flags.ts';
import { migrateView } from '../../src/cli/migrate-view.ts';

export default class MigrateResume extends SetCommand {
  static override summary = 'Go on with a migration that was stopped or detached.';
  static override description =
    'The target keeps the state of its migration durably: whatever ended the last command, this ' +
    'goes on from there. When the migration is done already, nothing changes.';

  static override examples = ['<%= config.bin %> migrate resume ./kyoto'];

  static override args = { to: setArg({ description: 'target of the migration' }) };

  static override flags = {
    'max-rate': rateFlag({ description: 'bytes a second that are copied' }),
  };

  protected override readonly stoppedHint = 'the same command goes on from here';

  async run(): Promise<MigrateAnswer> {
    const { args, flags } = await this.parse(MigrateResume);
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('migrating', async (onProgress) => {
        const node = await site.open(args.to);
        return node.resumeMigration({ maxRate: flags['max-rate'], onProgress });
      }),
    );
    this.print(migrateView(answer, args.to, await this.paint()));
    return answer;
  }
}
