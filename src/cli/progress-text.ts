/** The one line that shows how far something long has come: a bar where the total is known. */
import type { Progress } from '../node/answers.ts';
import { widthOf } from './columns.ts';
import { formatDuration } from '../base/durations.ts';
import type { Paint } from './paint.ts';
import { formatRate, formatSize } from '../base/sizes.ts';

const BAR_CELLS = 24;

/** The rate is that of the last seconds: an older one says nothing about what is left. */
const RATE_WINDOW_MS = 5000;

/** Less than this says nothing about the rate yet. */
const RATE_SPAN_MS_MIN = 500;

interface Sample {
  readonly atMs: number;
  readonly doneBytes: number;
}

/** Measures the rate of a step from its reports. */
export class RateMeter {
  private samples: Sample[] = [];

  /** Takes a report in; a step that begins anew forgets what was. */
  add(atMs: number, doneBytes: number): void {
    const last = this.samples.at(-1);
    if (last !== undefined && doneBytes < last.doneBytes) this.samples = [];
    this.samples.push({ atMs, doneBytes });
    // The oldest one kept lies just outside the window, so that the window is always full.
    while ((this.samples[1]?.atMs ?? atMs) < atMs - RATE_WINDOW_MS) this.samples.shift();
  }

  /** Bytes a second over the window; undefined while it is too short to tell. */
  bytesPerSecond(): number | undefined {
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const spanMs = last.atMs - first.atMs;
    if (spanMs < RATE_SPAN_MS_MIN) return undefined;
    return ((last.doneBytes - first.doneBytes) * 1000) / spanMs;
  }
}

/** The line for `progress`, within `width` characters. */
export function progressText(
  progress: Progress,
  rate: number | undefined,
  paint: Paint,
  width: number,
): string {
  const { step, doneBytes, totalBytes } = progress;
  const speed = rate === undefined || rate === 0 ? [] : [formatRate(rate)];
  if (totalBytes === undefined || totalBytes === 0) {
    const amount = doneBytes > 0 ? [formatSize(doneBytes)] : [];
    return fitted([step, ...amount, ...speed], width);
  }
  const share = Math.min(1, doneBytes / totalBytes);
  const percent = `${Math.floor(share * 100)}%`.padStart(5);
  const amount = `${formatSize(doneBytes)} of ${formatSize(totalBytes)}`;
  const leftSeconds = Math.ceil(Math.max(1, (totalBytes - doneBytes) / (rate ?? 0)));
  const left = Number.isFinite(leftSeconds) ? [`${formatDuration(leftSeconds * 1000)} left`] : [];
  const words = [`${step} ${bar(share, paint)}${percent}`, amount, ...speed, ...left];
  return fitted(words, width);
}

function bar(share: number, { accent, faint }: Paint): string {
  const full = Math.round(share * BAR_CELLS);
  return accent('━'.repeat(full)) + faint('─'.repeat(BAR_CELLS - full));
}

/** As many of the words, from the first on, as fit; the first one always stays. */
function fitted(words: readonly string[], width: number): string {
  const [first = '', ...rest] = words;
  let line = first;
  for (const word of rest) {
    const longer = `${line}  ${word}`;
    if (widthOf(longer) > width) break;
    line = longer;
  }
  return line;
}
