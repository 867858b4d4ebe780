/** The dump of a cursors file: both slots, field by field, and the body spread over lines. */
import { isZero } from '../base/bytes.ts';
import { CURSORS_VERSION, CURSOR_SLOT_BYTES, decodeCursorSlot } from './cursors.ts';
import { checkMagic, checkVersion, checkChecksum, damage, dumpFields } from './dump.ts';
import { lineOf, note, printable } from './dump.ts';
import type { ByteSource, DumpLine, Field, Remark } from './dump.ts';

const HEADER_BYTES = 32;

const CURSOR_FIELDS: readonly Field[] = [
  [0, 4, 'magic', 'magic'],
  [4, 2, 'version', 'unsigned'],
  [6, 2, 'zero', 'zeroes'],
  [8, 4, 'CRC-32 of header and body', 'hex'],
  [12, 4, 'length of the body', 'unsigned'],
  [16, 8, 'generation', 'unsigned'],
  [24, 8, 'zero', 'zeroes'],
];

export function* dumpCursors(source: ByteSource): Generator<DumpLine> {
  const slots = [0, 1].map((slot) => source.read(slot * CURSOR_SLOT_BYTES, CURSOR_SLOT_BYTES));
  const generations = slots.map((bytes) => {
    const check = decodeCursorSlot(bytes);
    return check.found === 'cursors' ? check.generation : -1;
  });
  const newest = Math.max(...generations);
  for (const [slot, bytes] of slots.entries()) {
    const use = generations[slot] === newest ? 'the newest valid slot: it counts' : 'it is older';
    yield* dumpSlot(bytes, slot, generations[slot] === -1 ? 'it is not valid' : use);
  }
  const rest = source.sizeBytes - 2 * CURSOR_SLOT_BYTES;
  if (rest <= 0) return;
  const bytes = source.read(2 * CURSOR_SLOT_BYTES, 16);
  const why = damage('behind the end of the cursors');
  yield lineOf(2 * CURSOR_SLOT_BYTES, bytes, 'bytes', `${rest} bytes`, why, rest);
}

function* dumpSlot(bytes: Buffer, slot: number, use: string): Generator<DumpLine> {
  const at = slot * CURSOR_SLOT_BYTES;
  const prefix = `slot ${slot}: `;
  if (bytes.length === CURSOR_SLOT_BYTES && isZero(bytes)) {
    yield lineOf(at, bytes, `${prefix}zeroes`, `${bytes.length} bytes`, note('never written'));
    return;
  }
  const remarks = remarksOf(bytes, use);
  const known = remarks.get('version')?.damaged !== true || remarks.get(CRC)?.damaged === true;
  const fields = known ? CURSOR_FIELDS : CURSOR_FIELDS.slice(0, 2);
  yield* dumpFields(bytes, at, fields, remarks, prefix);
  if (bytes.length < HEADER_BYTES) return;
  const end = HEADER_BYTES + bytes.readUInt32LE(12);
  if (known && end <= CURSOR_SLOT_BYTES) {
    yield* dumpBody(bytes, at, end, prefix);
    yield* dumpRest(bytes, at, end, prefix);
  } else {
    const start = known ? HEADER_BYTES : 6;
    yield* dumpRest(bytes, at, start, prefix, note('not decoded'));
  }
}

const CRC = 'CRC-32 of header and body';

function remarksOf(bytes: Buffer, use: string): Map<string, Remark> {
  const remarks = new Map([['magic', checkMagic(bytes, 'RCCU')]]);
  if (bytes.length < HEADER_BYTES) return remarks;
  const end = HEADER_BYTES + bytes.readUInt32LE(12);
  const fits = end <= CURSOR_SLOT_BYTES;
  if (!fits) remarks.set('length of the body', damage('longer than the slot'));
  const why = fits ? 'header or body is cut off' : 'the length of the body is wrong';
  return remarks
    .set('version', checkVersion(bytes.readUInt16LE(4), CURSORS_VERSION))
    .set('generation', note(use))
    .set(CRC, end <= bytes.length ? checkChecksum(bytes.subarray(0, end), 8) : damage(why));
}

function* dumpBody(bytes: Buffer, at: number, end: number, prefix: string): Generator<DumpLine> {
  const body = bytes.subarray(HEADER_BYTES, end);
  const text = body.toString('utf8');
  const { lines, remark } = spread(text);
  const check = decodeCursorSlot(bytes);
  const why = check.found === 'garbage' && !remark.damaged ? damage(check.reason) : remark;
  const length = end - HEADER_BYTES;
  yield lineOf(at + HEADER_BYTES, body, `${prefix}body`, `${length} bytes`, why, body.length);
  for (const line of lines) {
    yield lineOf(at + HEADER_BYTES, Buffer.alloc(0), `${prefix}body`, line);
  }
}

/** JSON over several lines; anything else as it is. */
function spread(text: string): { lines: string[]; remark: Remark } {
  try {
    const pretty = JSON.stringify(JSON.parse(text), undefined, 2);
    return { lines: pretty.split('\n').map(printable), remark: note('') };
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    return { lines: [printable(text)], remark: damage(printable(`it is no JSON: ${reason}`)) };
  }
}

function* dumpRest(
  bytes: Buffer,
  at: number,
  start: number,
  prefix: string,
  remark?: Remark,
): Generator<DumpLine> {
  const rest = bytes.subarray(start);
  const cut = bytes.length < CURSOR_SLOT_BYTES ? damage('the slot is cut off') : note('');
  const zero = isZero(rest) ? cut : damage('is not zero');
  yield lineOf(at + start, rest, `${prefix}rest`, `${rest.length} bytes`, remark ?? zero);
}
