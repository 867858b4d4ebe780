/** The command `rcopy migrate abort`: ends a migration while its target has written nothing. */
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { migrateView } from '../../src/cli/migrate-view.ts';

export default class MigrateAbort extends SetCommand {
  static override summary = 'End a migration; the primary is FROM again, or still.';
  static override description =
    'Before the switch from either end, at any time. After it, as long as TO has written ' +
    'nothing: TO gives its epoch back to FROM, which has to answer then. Once TO has written, ' +
    'the way back is another migration, from TO to FROM with --overwrite.';

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
