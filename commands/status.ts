/** The command `rcopy status`: how sets stand. */
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { StatusAnswer } from '../src/node/answers.ts';
import { SetCommand } from '../src/cli/command.ts';
import { SIGNAL_EXIT_CODES } from '../src/cli/exit-codes.ts';
import { FailedCheck, StoppedBySignal } from '../src/cli/failure.ts';
import { notEmpty } from '../src/cli/flags.ts';
import { redrawn } from '../src/cli/redraw.ts';
import { healthOfAll, statusLines, statusView } from '../src/cli/status-view.ts';
import type { StatusEntry } from '../src/cli/status-view.ts';
import { watchSignals } from '../src/cli/stop-signals.ts';

const WATCH_INTERVAL_MS = 1000;

/** The set itself, or a list where several were asked for. */
type StatusResult = StatusAnswer | { readonly sets: readonly (StatusAnswer | object)[] };

export default class Status extends SetCommand {
  static override summary = 'Show how a set stands: its health, its pair, and what to do next.';
  static override description =
    'One set is shown in full, several in one line each. Whether the data of the secondary can ' +
    'be used and whether the link is up are two separate facts, and are shown separately.';

  static override examples = [
    '<%= config.bin %> status ./tokyo',
    '<%= config.bin %> status ./tokyo ./osaka ./kyoto',
    {
      description: 'In a script: succeed only when the pair is healthy',
      command: '<%= config.bin %> status ./tokyo --check && echo fine',
    },
  ];

  static override args = {
    set: Args.string({
      description: 'image sets to look at',
      required: true,
      multiple: true,
      ignoreStdin: true,
      parse: async (text) => notEmpty(text),
    }),
  };

  static override flags = {
    watch: Flags.boolean({
      description: 'show it again every second, until Ctrl-C',
      exclusive: ['json'],
    }),
    check: Flags.boolean({ description: 'exit with 5 when a set is not healthy' }),
  };

  async run(): Promise<StatusResult> {
    const { args, flags } = await this.parse(Status);
    const sets = [args.set].flat();
    const ask = (): Promise<StatusEntry[]> => this.ask(flags['lock-wait'], sets);
    if (flags.watch) return this.watch(ask);
    const entries = await ask();
    const [only] = entries;
    if (entries.length === 1 && only?.status === undefined) throw only?.error;
    this.print(await this.view(entries));
    const { result, worst, healthy } = healthOfAll(entries);
    if (worst !== undefined) throw new FailedCheck(worst, '', result, { silent: true });
    if (healthy || !flags.check) return result;
    throw new FailedCheck('E_STATE', '', result, { silent: true });
  }

  /** A set that cannot be asked does not hide the others. */
  private ask(lockWaitMs: number, sets: readonly string[]): Promise<StatusEntry[]> {
    return this.withSite(lockWaitMs, async (site) => {
      const ask = async (set: string): Promise<StatusEntry> => {
        try {
          return { set, status: await (await site.open(set)).status() };
        } catch (error) {
          return { set, error };
        }
      };
      return Promise.all(sets.map(ask));
    });
  }

  private async view(entries: readonly StatusEntry[]): Promise<string[]> {
    const { nodeClock } = await import('../src/sys/node-clock.ts');
    const paint = await this.paint();
    const [only] = entries;
    if (entries.length > 1 || only?.status === undefined) return statusLines(entries, paint);
    return statusView(only.status, paint, nodeClock.now());
  }

  private async watch(ask: () => Promise<StatusEntry[]>): Promise<never> {
    const { nodeClock } = await import('../src/sys/node-clock.ts');
    const signals = watchSignals(process);
    try {
      for (let first = true; ; first = false) {
        const lines = await this.view(await ask());
        process.stdout.write(redrawn(lines, first, process.stdout));
        await Promise.race([nodeClock.sleep(WATCH_INTERVAL_MS), signals.stopped]);
      }
    } catch (error) {
      if (!(error instanceof StoppedBySignal)) throw error;
      // The terminal has shown ^C at the start of a line.
      if (process.stdout.isTTY) process.stdout.write('\n');
      return this.exit(SIGNAL_EXIT_CODES[error.signal]);
    } finally {
      signals.release();
    }
  }
}
