/** Draws progress on stderr while something long runs, and takes it away when it ends. */
import type { Ora } from 'ora';
import type { Progress } from '../node/answers.ts';
import type { Clock } from '../sys/clock.ts';
import { plainPaint } from './paint.ts';
import type { Paint } from './paint.ts';
import { RateMeter, progressText } from './progress-text.ts';

/** What is quicker than this needs no progress: a line that flashes up is only noise. */
const SHOW_AFTER_MS = 300;

/** The spinner turns by itself; the words beside it need not change more often than this. */
const TEXT_INTERVAL_MS = 100;

const TERMINAL_COLUMNS_DEFAULT = 80;

/** Room for the spinner and for the cursor behind the line. */
const MARGIN = 4;

/** Something that runs, as long as the one who started it has not stopped it. */
export interface Task {
  report(progress: Progress): void;
  stop(): void;
}

/** Starts drawing `label`, and then whatever is reported. Its owner stops it, in `finally`. */
export function startTask(label: string, clock: Clock, paint: Paint): Task {
  let step = label;
  let meter = new RateMeter();
  let text = label;
  let textAtMs = Number.NEGATIVE_INFINITY;
  let spinner: Ora | undefined;
  let stopped = false;

  const show = async (): Promise<void> => {
    const { default: ora } = await import('ora');
    if (stopped) return;
    // stdin may carry data, and Ctrl-C has to stay the terminal's own.
    spinner = ora({
      text,
      stream: process.stderr,
      isEnabled: true,
      discardStdin: false,
      color: paint === plainPaint ? false : 'cyan',
    }).start();
  };
  // Progress that cannot be drawn is no reason to stop the work.
  const timer = clock.after(SHOW_AFTER_MS, () => void show().catch(() => undefined));

  return {
    report: (progress) => {
      const now = clock.monotonicMs();
      if (progress.step !== step) {
        step = progress.step;
        meter = new RateMeter();
        textAtMs = Number.NEGATIVE_INFINITY;
      }
      if (now - textAtMs < TEXT_INTERVAL_MS) return;
      textAtMs = now;
      meter.add(now, progress.doneBytes);
      const width = (process.stderr.columns ?? TERMINAL_COLUMNS_DEFAULT) - MARGIN;
      text = progressText(progress, meter.bytesPerSecond(), paint, width);
      if (spinner !== undefined) spinner.text = text;
    },
    stop: () => {
      stopped = true;
      timer.cancel();
      spinner?.stop();
    },
  };
}
