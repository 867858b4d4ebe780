/** The command `rcopy path list`: where the exports of a path controller lead. */
import type { PathListAnswer } from '../../src/node/path-service.ts';
import { PathCommand, controllerArg } from '../../src/cli/path-command.ts';
import { pathListView } from '../../src/cli/path-views.ts';

export default class PathList extends PathCommand {
  static override summary = 'List the exports of a path controller, and where they lead.';

  static override examples = [
    '<%= config.bin %> path list ./gate',
    '<%= config.bin %> path list rcopy://127.0.0.1:7080 --json',
  ];

  static override args = { controller: controllerArg };

  async run(): Promise<PathListAnswer> {
    const { args, flags } = await this.parse(PathList);
    const answer = await this.withController(args.controller, flags['lock-wait'], (path) =>
      path.list(),
    );
    this.print(pathListView(answer, args.controller, await this.paint()));
    return answer;
  }
}
