/** The command `rcopy path migrate`: a migration that is commanded through the controller alone. */
import type { MigrateAnswer, PrecheckAnswer } from '../../src/node/answers.ts';
import { setArg } from '../../src/cli/flags.ts';
import { migrateView, prechecksView } from '../../src/cli/migrate-view.ts';
import { idsOf, migrateFlags, migrateHow, passed } from '../../src/cli/migrating.ts';
import { PathCommand, controllerArg, exportArg } from '../../src/cli/path-command.ts';

export default class PathMigrate extends PathCommand {
  static override summary = 'Move the set behind an export to another one; its hosts follow.';
  static override description =
    'As `rcopy migrate FROM TO`, where the controller knows FROM: the set that EXPORT leads to. ' +
    'The whole set moves, with all exports that lead to it; hosts feel a pause, and stay ' +
    'connected. TO needs a daemon. When this command is stopped, the migration goes on.';

  static override examples = [
    {
      description: 'Look first at whether it could start',
      command: '<%= config.bin %> path migrate ./gate db rcopy://127.0.0.1:7072 --dry-run',
    },
    {
      description: 'Move; TO is a set that was just made, with its daemon running',
      command: '<%= config.bin %> path migrate ./gate db rcopy://127.0.0.1:7072',
    },
    {
      description: 'Another controller has hosts of the same set',
      command:
        '<%= config.bin %> path migrate ./gate db rcopy://127.0.0.1:7072 --controller ./gate2',
    },
  ];

  static override args = {
    controller: controllerArg,
    export: exportArg,
    to: setArg({ description: 'set that becomes the primary' }),
  };

  static override flags = migrateFlags;

  protected override readonly stoppedHint =
    'the migration goes on: `rcopy migrate status TO` shows how far it is';

  async run(): Promise<MigrateAnswer | PrecheckAnswer> {
    const { args, flags } = await this.parse(PathMigrate);
    const lockWaitMs = flags['lock-wait'];
    const { create, overwrite } = flags;
    const to = this.addressOf(args.to);
    const controllers = await idsOf(flags.controller, lockWaitMs);
    const how = { ...migrateHow(flags), create, overwrite, controllers };
    const request = { ...how, export: args.export, to };
    if (flags['dry-run']) {
      const checks = await this.withController(args.controller, lockWaitMs, (path) =>
        path.checkMigration(request),
      );
      this.print(prechecksView(checks, await this.paint()));
      return passed(checks);
    }
    const answer = await this.withController(args.controller, lockWaitMs, (path) =>
      this.withProgress('preparing', (onProgress) => path.migrate({ ...request, onProgress })),
    );
    this.print(migrateView(answer, args.to, await this.paint()));
    return answer;
  }
}
