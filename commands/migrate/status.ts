/** The command `rcopy migrate status`: how far a migration is. */
import type { MigrationStatusAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { migrationView } from '../../src/cli/migrate-view.ts';

export default class MigrateStatus extends SetCommand {
  static override summary = 'Show the migration that a set takes part in.';
  static override description =
    'Both the source and the target can be asked; the target knows most, because it drives.';

  static override examples = ['<%= config.bin %> migrate status ./kyoto'];

  static override args = { set: setArg({ description: 'source or target of the migration' }) };

  async run(): Promise<MigrationStatusAnswer> {
    const { args, flags } = await this.parse(MigrateStatus);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).migrationStatus(),
    );
    this.print(migrationView(answer, await this.paint()));
    return answer;
  }
}
