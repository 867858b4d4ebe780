/** Sizes and offsets as people type and read them. Suffixes are binary: 1K is 1024 bytes. */
import { RcopyError } from './errors.ts';
import { GIB, KIB, MIB, TIB } from './limits.ts';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['K', KIB],
  ['M', MIB],
  ['G', GIB],
  ['T', TIB],
]);

const SIZE = /^(\d+)(?:([KMGT])(?:i?B)?)?$/i;

/** Bytes of `512`, `4K`, `10GiB`. Throws `E_USAGE` for anything else. */
export function parseSize(text: string): number {
  const [, digits, letter = ''] = SIZE.exec(text) ?? [];
  const unit = UNITS.get(letter.toUpperCase());
  if (digits === undefined || unit === undefined) throw usage(sizeProblem(text));
  const bytes = Number(digits) * unit;
  if (!Number.isSafeInteger(bytes)) throw usage(`${text} is more than any volume can have`);
  return bytes;
}

/** A place in a file: `4096`, `4K`, `0x1000`. Throws `E_USAGE`. */
export function parseOffset(text: string): number {
  if (!/^0x[0-9a-f]+$/i.test(text)) return parseSize(text);
  const offset = Number(text);
  if (!Number.isSafeInteger(offset)) throw usage(`${text} is more than any file can have`);
  return offset;
}

/** Bytes a second of `10M` or `10M/s`; never 0, which would never end. Throws `E_USAGE`. */
export function parseRate(text: string): number {
  const bytes = parseSize(text.replace(/\/s$/, ''));
  if (bytes === 0) throw usage('a rate of 0 would never end; leave the flag out for full speed');
  return bytes;
}

/** A whole number that counts something, such as a sequence number. Throws `E_USAGE`. */
export function parseCount(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw usage(`'${text}' is not a whole number from 0 on`);
  return count;
}

/** `0 bytes`, `512 bytes`, `1.5 KiB`, `10 GiB`: at most three digits before the unit but KiB's. */
export function formatSize(bytes: number): string {
  if (bytes < KIB) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  const [amount, unit] = scaled(bytes);
  return `${amount} ${unit}`;
}

/** `38.2 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(Math.round(bytesPerSecond))}/s`;
}

/** `1,204`: digits in groups of three. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 record`, `1,204 records`. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : several}`;
}

function scaled(bytes: number): [string, string] {
  const names = ['KiB', 'MiB', 'GiB', 'TiB'];
  let amount = bytes / KIB;
  let index = 0;
  // What would round up to 1024 is 1 of the next unit.
  while (Number(rounded(amount)) >= KIB && index < names.length - 1) {
    amount /= KIB;
    index += 1;
  }
  return [rounded(amount), names[index] ?? ''];
}

/** One digit behind the point below 100, unless it is 0. */
function rounded(amount: number): string {
  return amount < 100 ? amount.toFixed(1).replace(/\.0$/, '') : amount.toFixed(0);
}

function sizeProblem(text: string): string {
  const form = 'write bytes, or a number with K, M, G or T, such as 4096, 64K or 10G';
  if (text === '') return `an empty size: ${form}`;
  if (/^-\d/.test(text)) return `${text} is below 0: ${form}`;
  const unit = /^\d+([a-z]+)$/i.exec(text)?.[1];
  if (unit !== undefined) return `'${text}': unknown unit ${unit}: ${form}`;
  return `'${text}' is not a size: ${form}`;
}

function usage(message: string): RcopyError {
  return new RcopyError('E_USAGE', message);
}
