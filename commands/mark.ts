/** The command `rcopy mark`: a named point in the sequence. */
import type { MarkAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { nameArg, setArg } from '../src/cli/flags.ts';
import { formatCount } from '../src/base/sizes.ts';

export default class Mark extends SetCommand {
  static override summary = 'Name this moment in the sequence of writes.';
  static override description =
    'Take it when the application is consistent. The mark travels with the records: when the ' +
    'secondary has restored it, its volumes are those of this moment.';

  static override examples = [
    {
      description: 'Mark, and wait until the secondary is there',
      command:
        '<%= config.bin %> mark ./tokyo nightly && <%= config.bin %> wait ./tokyo --mark nightly',
    },
  ];

  static override args = {
    set: setArg({ description: 'the primary' }),
    name: nameArg({ description: 'name of the mark' }),
  };

  async run(): Promise<MarkAnswer> {
    const { args, flags } = await this.parse(Mark);
    const answer = await this.withSite(flags['lock-wait'], async (site) =>
      (await site.open(args.set)).mark(args.name),
    );
    const { good } = await this.paint();
    this.print([`${good('✓')} marked ${answer.name} at number ${formatCount(answer.sequence)}`]);
    return answer;
  }
}
