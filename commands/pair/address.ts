/** The command `rcopy pair address`: where the other end of a pair is now. */
import type { PairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairAddressView } from '../../src/cli/pair-views.ts';

export default class PairAddress extends SetCommand {
  static override summary = 'Tell a set where the other end of its pair is now.';
  static override description =
    'Either end can be told. The set at ADDRESS has to answer, and to be the one that the pair ' +
    'names: its identity counts, not its name.';

  static override examples = [
    {
      description: 'The folder of the secondary was moved',
      command: '<%= config.bin %> pair address ./tokyo /mnt/new/osaka',
    },
  ];

  static override args = {
    set: setArg({ description: 'the end of the pair that is told' }),
    address: setArg({ description: 'where the other end is now' }),
  };

  async run(): Promise<PairAnswer> {
    const { args, flags } = await this.parse(PairAddress);
    const address = this.addressOf(args.address);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).movePeer(address),
    );
    this.print(pairAddressView(answer, args, await this.paint()));
    return answer;
  }
}
