/** The command `rcopy wait`: returns when the secondary has restored something. */
import * as Flags from '@oclif/core/flags';
import { RcopyError } from '../src/base/errors.ts';
import type { WaitAnswer } from '../src/node/answers.ts';
import type { WaitRequest } from '../src/node/requests.ts';
import { SetCommand } from '../src/cli/command.ts';
import { countFlag, durationFlag, nameFlag, setArg } from '../src/cli/flags.ts';
import { formatCount } from '../src/base/sizes.ts';

export default class Wait extends SetCommand {
  static override summary = 'Wait until the secondary has restored a point in the sequence.';
  static override description =
    '--synced means all that was numbered when the command started. Both sets of a pair can be ' +
    'asked: the secondary goes by its own restored number, and waits for a mark that has not ' +
    'come yet.';

  static override examples = [
    '<%= config.bin %> wait ./tokyo --synced --timeout 30s',
    '<%= config.bin %> wait ./osaka --mark nightly',
  ];

  static override args = { set: setArg({ description: 'a set of the pair' }) };

  static override usage = '<%= command.id %> SET (--synced | --sequence N | --mark NAME)';

  static override flags = {
    synced: Flags.boolean({ description: 'all that is numbered now' }),
    sequence: countFlag({ description: 'this sequence number' }),
    mark: nameFlag({ description: 'the mark of this name' }),
    timeout: durationFlag({ description: 'give up after this time (exit 7); never by default' }),
  };

  async run(): Promise<WaitAnswer> {
    const { args, flags } = await this.parse(Wait);
    const until = untilOf(flags);
    const { timeout: timeoutMs } = flags;
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('waiting', () => site.wait(args.set, { until, timeoutMs })),
    );
    const { good } = await this.paint();
    this.print([
      `${good('✓')} number ${formatCount(answer.sequence)} is restored at the secondary`,
    ]);
    return answer;
  }
}

/** What to wait for: one of the three has to be given, and only one. */
function untilOf(flags: {
  readonly synced: boolean;
  readonly sequence: number | undefined;
  readonly mark: string | undefined;
}): WaitRequest['until'] {
  const asked: WaitRequest['until'][] = [];
  if (flags.synced) asked.push({ kind: 'synced' });
  if (flags.sequence !== undefined) asked.push({ kind: 'sequence', sequence: flags.sequence });
  if (flags.mark !== undefined) asked.push({ kind: 'mark', name: flags.mark });
  const [until] = asked;
  if (until !== undefined && asked.length === 1) return until;
  throw new RcopyError('E_USAGE', 'give exactly one of --synced, --sequence and --mark');
}
