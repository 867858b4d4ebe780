/** The command `rcopy path status`: how a path controller, its sets and its hosts stand. */
import * as Flags from '@oclif/core/flags';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import { FailedCheck } from '../../src/cli/failure.ts';
import { PathCommand, controllerArg } from '../../src/cli/path-command.ts';
import { pathStatusView } from '../../src/cli/path-views.ts';

export default class PathStatus extends PathCommand {
  static override summary = 'Show how a path controller stands: its sets, who waits, its hosts.';
  static override description =
    'Each set is shown with its state as hosts feel it: `open`; `holding`, during a switch; ' +
    '`replaying`, when it lost what it had not made durable, and gets that again; `away`, when ' +
    'it is out of reach. Requests wait in all states but the first.';

  static override examples = [
    '<%= config.bin %> path status ./gate',
    {
      description: 'In a script: succeed only when all is well',
      command: '<%= config.bin %> path status ./gate --check && echo fine',
    },
  ];

  static override args = { controller: controllerArg };

  static override flags = {
    check: Flags.boolean({ description: 'exit with 5 when it is not healthy' }),
  };

  async run(): Promise<PathStatusAnswer> {
    const { args, flags } = await this.parse(PathStatus);
    const answer = await this.withController(args.controller, flags['lock-wait'], (path) =>
      path.status(),
    );
    const { nodeClock } = await import('../../src/sys/node-clock.ts');
    this.print(pathStatusView(answer, await this.paint(), nodeClock.now()));
    if (answer.health.healthy || !flags.check) return answer;
    throw new FailedCheck('E_STATE', '', answer, { silent: true });
  }
}
