/** The command `rcopy migrate abort`: ends a migration before the switch. */
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { migrateView } from '../../src/cli/migrate-view.ts';

export default class MigrateAbort extends SetCommand {
  static override summary = 'End a migration before its switch; the primary stays where it is.';
  static override description =
    'From either end. After the switch the way back is another migration: this is refused then.';

  static override examples = ['<%= config.bin %> migrate abort ./kyoto'];

  static override args = { set: setArg({ description: 'source or target of the migration' }) };

  async run(): Promise<MigrateAnswer> {
    const { args, flags } = await this.parse(MigrateAbort);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).abortMigration(),
    );
    this.print(migrateView(answer, args.set, await this.paint()));
    return answer;
  }
}
