/** The command `rcopy path remove`: a path controller ends an export. */
import type { PathChangeAnswer } from '../../src/node/path-service.ts';
import { PathCommand, controllerArg, exportArg } from '../../src/cli/path-command.ts';
import { pathRemoveView } from '../../src/cli/path-views.ts';

export default class PathRemove extends PathCommand {
  static override summary = 'End an export of a path controller.';
  static override description =
    'Its hosts get an error. The set keeps everything; `path add` brings the export back.';

  static override examples = ['<%= config.bin %> path remove ./gate db'];

  static override args = { controller: controllerArg, export: exportArg };

  async run(): Promise<PathChangeAnswer> {
    const { args, flags } = await this.parse(PathRemove);
    const answer = await this.withController(args.controller, flags['lock-wait'], (path) =>
      path.remove({ export: args.export }),
    );
    this.print(pathRemoveView(answer, args.export, await this.paint()));
    return answer;
  }
}
