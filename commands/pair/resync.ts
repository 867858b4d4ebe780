/** The command `rcopy pair resync`: a split or suspended pair goes on. */
import * as Flags from '@oclif/core/flags';
import type { ReplicatedPairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairResyncView } from '../../src/cli/pair-views.ts';

export default class PairResync extends SetCommand {
  static override summary = 'Let a split pair go on, with only the blocks that changed.';
  static override description =
    'From here on the pair is one that copies: the secondary is not usable until it has what ' +
    'changed. The copying itself is done by `rcopy replicate`, or here with --wait.';

  static override examples = [
    '<%= config.bin %> pair resync ./tokyo',
    {
      description: 'Return when the secondary is usable and has everything',
      command: '<%= config.bin %> pair resync ./tokyo --wait',
    },
  ];

  static override args = { set: setArg({ description: 'the primary of the pair' }) };

  static override flags = {
    wait: Flags.boolean({ description: 'copy, and return when the secondary is usable' }),
  };

  protected override readonly stoppedHint = '`rcopy replicate` goes on from here';

  async run(): Promise<ReplicatedPairAnswer> {
    const { args, flags } = await this.parse(PairResync);
    const answer = await this.withSite<ReplicatedPairAnswer>(flags['lock-wait'], async (site) => {
      const node = await site.open(args.set);
      const resynced = await node.resyncPair();
      return flags.wait ? this.replicated(node, resynced) : resynced;
    });
    this.print(pairResyncView(answer, args.set, await this.paint()));
    return answer;
  }
}
