/** The command `rcopy pair create`: one set becomes the secondary of another. */
import * as Flags from '@oclif/core/flags';
import type { ReplicatedPairAnswer } from '../../src/node/answers.ts';
import { SetCommand } from '../../src/cli/command.ts';
import { setArg } from '../../src/cli/flags.ts';
import { pairView } from '../../src/cli/pair-views.ts';

export default class PairCreate extends SetCommand {
  static override summary = 'Make one set the secondary copy of another.';
  static override description =
    'The secondary needs volumes of the same names and sizes, and must never have been written. ' +
    'The primary keeps what it holds; the secondary becomes its copy. The copying itself is ' +
    'done by `rcopy replicate`, or here with --wait.';

  static override examples = [
    {
      description: 'Make the secondary as well, and wait until it is a full copy',
      command: '<%= config.bin %> pair create ./tokyo ./osaka --create --wait',
    },
    {
      description: 'Use a set that held something else before',
      command: '<%= config.bin %> pair create ./tokyo ./osaka --overwrite',
    },
  ];

  static override args = {
    primary: setArg({ description: 'set whose volumes hosts write to' }),
    secondary: setArg({ description: 'set that becomes the copy' }),
  };

  static override flags = {
    create: Flags.boolean({ description: 'make the secondary when there is none' }),
    overwrite: Flags.boolean({
      description: 'give up what the secondary holds, and give it a fresh identity',
    }),
    ack: Flags.option({ options: ['local', 'remote'] as const })({
      description:
        'answer FLUSH and FUA when durable at the primary (local, as usual), or at both (remote)',
    }),
    wait: Flags.boolean({ description: 'copy, and return when the secondary is usable' }),
  };

  async run(): Promise<ReplicatedPairAnswer> {
    const { args, flags } = await this.parse(PairCreate);
    const { create, overwrite, ack } = flags;
    const { primary, secondary } = args;
    const answer = await this.withSite<ReplicatedPairAnswer>(flags['lock-wait'], async (site) => {
      const made = await site.createPair(primary, secondary, { create, overwrite, ack });
      return flags.wait ? this.replicated(await site.open(primary), made) : made;
    });
    this.print(pairView(answer, args, await this.paint()));
    return answer;
  }
}
