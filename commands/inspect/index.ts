/** The command `rcopy inspect`: who a set is and how far it has come, straight from its files. */
import { RcopyCommand } from '../../src/cli/command.ts';
import { FailedCheck } from '../../src/cli/failure.ts';
import { factsView } from '../../src/cli/facts-view.ts';
import { setArg } from '../../src/cli/flags.ts';

export default class Inspect extends RcopyCommand {
  static override summary = "Show a set's identity and cursors, straight from its files.";
  static override description =
    'Only reads, takes no lock, and shows what it can of a damaged set: what it says may be old ' +
    'by the time you see it when the set is in use.';

  static override examples = ['<%= config.bin %> inspect ./tokyo'];

  static override args = { set: setArg({ description: 'image set to look into' }) };

  async run(): Promise<object> {
    const { args } = await this.parse(Inspect);
    const { inspectSet } = await import('../../src/control/inspect.ts');
    const { nodeEnvironment } = await import('../../src/sys/node-environment.ts');
    const answer = inspectSet(nodeEnvironment, args.set);
    this.print(factsView(answer, await this.paint()));
    if (answer.set) return answer;
    const message = `inspect: ${answer.notices[0] ?? 'set.json cannot be read'}`;
    throw new FailedCheck('E_DAMAGED', message, answer);
  }
}
