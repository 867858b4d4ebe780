/** The command `rcopy pair split`: pauses a pair. */
import type { PairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairSplitView } from '../../src/cli/pair-views.ts';

export default class PairSplit extends SetCommand {
  static override summary = 'Pause a pair: nothing is sent, changed blocks are kept in a map.';
  static override description =
    'The secondary stays usable as it is now. The journal keeps nothing for it any more, so a ' +
    'split may last; `rcopy pair resync` copies only the blocks that changed. A secondary that ' +
    'is away finds out later.';

  static override examples = ['<%= config.bin %> pair split ./tokyo'];

  static override args = { set: setArg({ description: 'the primary of the pair' }) };

  async run(): Promise<PairAnswer> {
    const { args, flags } = await this.parse(PairSplit);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).splitPair(),
    );
    this.print(pairSplitView(answer, args.set, await this.paint()));
    return answer;
  }
}
