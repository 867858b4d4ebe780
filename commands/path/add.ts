/** The command `rcopy path add`: a path controller serves one more volume to hosts. */
import * as Flags from '@oclif/core/flags';
import type { PathChangeAnswer } from '../../src/node/path-service.ts';
import { setArg, volumeFlag } from '../../src/cli/flags.ts';
import { PathCommand, controllerArg, exportArg } from '../../src/cli/path-command.ts';
import { pathAddView } from '../../src/cli/path-views.ts';

export default class PathAdd extends PathCommand {
  static override summary = 'Serve a volume to hosts through a path controller.';
  static override description =
    'Hosts find the volume of SET under the name EXPORT. SET has to be a primary that a daemon ' +
    'serves; all exports that lead to one set move together. The same once more changes nothing.';

  static override examples = [
    {
      description: 'The set has one volume',
      command: '<%= config.bin %> path add ./gate db rcopy://127.0.0.1:7070',
    },
    {
      description: 'One of several',
      command: '<%= config.bin %> path add ./gate mail ./tokyo --volume log',
    },
    {
      description: 'After a takeover: the same hosts, at the set that took over',
      command: '<%= config.bin %> path add ./gate db rcopy://127.0.0.1:7071 --replace',
    },
  ];

  static override args = {
    controller: controllerArg,
    export: exportArg,
    set: setArg({ description: 'primary whose volume hosts are to reach' }),
  };

  static override flags = {
    volume: volumeFlag,
    replace: Flags.boolean({
      default: false,
      summary: 'lead an export that exists to SET',
      description:
        'Hosts that are connected stay. What the set before had not made durable is lost: the ' +
        'next flush of each host fails once.',
    }),
  };

  async run(): Promise<PathChangeAnswer> {
    const { args, flags } = await this.parse(PathAdd);
    const { volume, replace } = flags;
    const request = { export: args.export, set: this.addressOf(args.set), volume, replace };
    const answer = await this.withController(args.controller, flags['lock-wait'], (path) =>
      path.add(request),
    );
    this.print(pathAddView(answer, args.export, await this.paint()));
    return answer;
  }
}
