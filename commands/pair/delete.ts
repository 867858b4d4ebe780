/** The command `rcopy pair delete`: the end of a pair. */
import type { PairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairEndView } from '../../src/cli/views.ts';

export default class PairDelete extends SetCommand {
  static override summary = 'End a pair: the two sets no longer know each other.';
  static override description =
    'Both keep their contents. A secondary that was usable becomes a group of its own, which ' +
    'hosts can write. Pairing the two again begins with a full copy.';

  static override examples = ['<%= config.bin %> pair delete ./tokyo'];

  static override args = { set: setArg({ description: 'the primary of the pair' }) };

  async run(): Promise<PairAnswer> {
    const { args, flags } = await this.parse(PairDelete);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).deletePair(),
    );
    this.print(pairEndView(answer, args.set, await this.paint()));
    return answer;
  }
}
