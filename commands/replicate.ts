/** The command `rcopy replicate`: the daemonless way to bring a secondary up to date. */
import type { ReplicateAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { durationFlag, rateFlag, setArg } from '../src/cli/flags.ts';
import { replicateView } from '../src/cli/views.ts';

export default class Replicate extends SetCommand {
  static override summary = 'Send what the secondary lacks, and return when it is restored there.';
  static override description =
    'Records go in write order from the journal cursor on; the first time, all contents are ' +
    'copied. Stopped at any moment, the next call goes on from where this one was. A pair that a ' +
    'full journal suspended goes on with the blocks that changed; one that was split waits for ' +
    '`rcopy pair resync`.';

  static override examples = [
    '<%= config.bin %> replicate ./tokyo',
    {
      description: 'At most 20 MiB a second, for at most five minutes',
      command: '<%= config.bin %> replicate ./tokyo --max-rate 20M --timeout 5m',
    },
  ];

  static override args = { set: setArg({ description: 'the primary of the pair' }) };

  static override flags = {
    timeout: durationFlag({ description: 'give up after this time (exit 7); never by default' }),
    'max-rate': rateFlag({ description: 'bytes a second; as fast as it goes by default' }),
  };

  protected override readonly stoppedHint = 'the same command goes on from here';

  async run(): Promise<ReplicateAnswer> {
    const { args, flags } = await this.parse(Replicate);
    const limits = { timeoutMs: flags.timeout, maxRate: flags['max-rate'] };
    const answer = await this.withSite(flags['lock-wait'], (site) =>
      this.withProgress('sending', async (onProgress) => {
        const node = await site.open(args.set);
        return node.replicate({ ...limits, onProgress });
      }),
    );
    this.print(replicateView(answer, await this.paint()));
    return answer;
  }
}
