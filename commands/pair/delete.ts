/** The command `rcopy pair delete`: the end of a pair. */
import * as Flags from '@oclif/core/flags';
import type { PairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairEndView } from '../../src/cli/pair-views.ts';

export default class PairDelete extends SetCommand {
  static override summary = 'End a pair: the two sets no longer know each other.';
  static override description =
    'Both keep their contents. A secondary that was usable becomes a group of its own, which ' +
    'hosts can write. Pairing the two again begins with a full copy. With --local only SET, ' +
    'either end, leaves the pair: for when the other end is gone for good, or was taken over ' +
    'from. A migration whose target serves hosts already goes on without its secondary then.';

  static override examples = [
    '<%= config.bin %> pair delete ./tokyo',
    {
      description: 'The other end will never come back',
      command: '<%= config.bin %> pair delete ./tokyo --local',
    },
  ];

  static override args = {
    set: setArg({ description: 'the primary of the pair; with --local either end' }),
  };

  static override flags = {
    local: Flags.boolean({ description: 'end it here alone, without telling the other end' }),
  };

  async run(): Promise<PairAnswer> {
    const { args, flags } = await this.parse(PairDelete);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).deletePair(flags),
    );
    const { local } = flags;
    this.print(pairEndView(answer, { set: args.set, local }, await this.paint()));
    return answer;
  }
}
