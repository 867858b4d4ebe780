/** Spans of time as people type and read them. */
import { RcopyError } from './errors.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Nobody means more; it keeps sums of times far from the end of exact numbers. */
const DURATION_MS_MAX = 365 * DAY_MS;

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', SECOND_MS],
  ['m', MINUTE_MS],
  ['h', HOUR_MS],
]);

/** Milliseconds of `500ms`, `10s`, `1.5m`, `2h` or `0`. Throws `E_USAGE` for anything else. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = UNITS.get(unit);
  if (digits === undefined || factor === undefined) throw usage(durationProblem(text));
  const milliseconds = Math.round(Number(digits) * factor);
  if (milliseconds > DURATION_MS_MAX) throw usage(`${text} is more than a year`);
  return milliseconds;
}

/** `0 ms`, `12 ms`, `1.5 s`, `2 min 5 s`, `3 h 10 min`, `4 d 2 h`. */
export function formatDuration(exactMs: number): string {
  const milliseconds = Math.round(exactMs);
  if (milliseconds < SECOND_MS) return `${milliseconds} ms`;
  if (milliseconds < 10 * SECOND_MS) {
    return `${(milliseconds / SECOND_MS).toFixed(1).replace(/\.0$/, '')} s`;
  }
  if (milliseconds < MINUTE_MS) return `${Math.floor(milliseconds / SECOND_MS)} s`;
  if (milliseconds < HOUR_MS) return pairOf(milliseconds, MINUTE_MS, 'min', SECOND_MS, 's');
  if (milliseconds < DAY_MS) return pairOf(milliseconds, HOUR_MS, 'h', MINUTE_MS, 'min');
  return pairOf(milliseconds, DAY_MS, 'd', HOUR_MS, 'h');
}

/** How long ago an ISO time was: `just now`, `12 s ago`; `never` for null. */
export function formatAge(time: string | null, nowMs: number): string {
  if (time === null) return 'never';
  const ageMs = nowMs - Date.parse(time);
  return ageMs < SECOND_MS ? 'just now' : `${formatDuration(ageMs)} ago`;
}

function pairOf(
  milliseconds: number,
  large: number,
  largeName: string,
  small: number,
  smallName: string,
): string {
  const whole = Math.floor(milliseconds / large);
  const rest = Math.floor((milliseconds % large) / small);
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
}

function durationProblem(text: string): string {
  const form = 'write a number with ms, s, m or h, such as 500ms, 10s or 5m';
  if (text === '') return `an empty time: ${form}`;
  if (/^\d+$/.test(text)) return `${text} has no unit: ${form}`;
  if (text.startsWith('-')) return `${text} is below 0: ${form}`;
  return `'${text}' is not a time: ${form}`;
}

function usage(message: string): RcopyError {
  return new RcopyError('E_USAGE', message);
}
