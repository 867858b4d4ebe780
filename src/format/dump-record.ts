/** The dump of one record: header, first bytes of the payload, and what a control record says. */
import { isZero } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { REQUEST_BYTES_MAX } from '../base/limits.ts';
import { decodeRebase } from './control-records.ts';
import {
  checkChecksum,
  checkMagic,
  checkVersion,
  compareChecksums,
  damage,
  dumpFields,
  hex32,
  lineOf,
  note,
} from './dump.ts';
import type { ByteSource, DumpLine, Field, Remark } from './dump.ts';
import {
  RECORD_HEADER_BYTES,
  RECORD_KINDS,
  RECORD_VERSION,
  decodeRecordHeader,
  invalidRecord,
  isNumbered,
  recordBytes,
} from './record.ts';
import type { RecordHeader } from './record.ts';

const CHUNK_BYTES = 64 * 1024;
/** More of a control record is not decoded. */
const CONTROL_BYTES_MAX = 128 * 1024;
const PARENTS = ['none', 'seal', 'takeover'];

const RECORD_FIELDS: readonly Field[] = [
  [0, 4, 'magic', 'magic'],
  [4, 1, 'version', 'unsigned'],
  [5, 1, 'kind', 'unsigned'],
  [6, 2, 'flags', 'unsigned'],
  [8, 4, 'CRC-32 of this header', 'hex'],
  [12, 4, 'chain', 'hex'],
  [16, 4, 'CRC-32 of the payload', 'hex'],
  [20, 4, 'payload length', 'unsigned'],
  [24, 4, 'epoch', 'unsigned'],
  [28, 2, 'volume', 'unsigned'],
  [30, 2, 'zero', 'zeroes'],
  [32, 8, 'sequence number', 'unsigned'],
  [40, 8, 'offset in the volume', 'unsigned'],
  [48, 8, 'length in the volume', 'unsigned'],
  [56, 8, 'time', 'unsigned'],
  [64, 8, 'durable number', 'unsigned'],
  [72, 4, 'epoch tag', 'hex'],
  [76, 20, 'zero', 'zeroes'],
];

const SEAL_FIELDS: readonly Field[] = [
  [0, 16, 'epoch id', 'id'],
  [16, 16, 'group id', 'id'],
  [32, 16, 'set id', 'id'],
  [48, 16, "successor's set id", 'id'],
  [64, 16, 'migration id', 'id'],
  [80, 2, "length of the successor's address", 'unsigned'],
];

const OPEN_FIELDS: readonly Field[] = [
  [0, 16, 'epoch id', 'id'],
  [16, 16, "writer's set id", 'id'],
  [32, 1, 'parent', 'unsigned'],
];

const REBASE_FIELDS: readonly Field[] = [
  [0, 16, 'epoch id', 'id'],
  [16, 16, "writer's set id", 'id'],
  [32, 8, "epoch's first sequence number", 'unsigned'],
  ...positionFields(40),
];

function positionFields(at: number): Field[] {
  return [
    [at, 4, "base's epoch", 'unsigned'],
    [at + 4, 8, "base's number", 'unsigned'],
    [at + 12, 4, "base's chain value", 'hex'],
  ];
}

/** What the next record of the history has: its number, and the chain value before it. */
export interface Place {
  readonly sequence: number;
  readonly chain: number;
}

/** Whether a header stands at `at` that is as it was written, of whatever version. */
export function soundHeaderAt(source: ByteSource, at: number): boolean {
  const { found } = decodeRecordHeader(source.read(at, RECORD_HEADER_BYTES), 0);
  return found === 'header' || found === 'unknown-version';
}

/** A record with a sound header; returns what comes behind it. */
export function* dumpRecord(
  source: ByteSource,
  at: number,
  place: Place | undefined,
  prefix = '',
): Generator<DumpLine, { at: number; expected: Place | undefined }> {
  const head = source.read(at, RECORD_HEADER_BYTES);
  const check = decodeRecordHeader(head, 0);
  const remarks = remarksOf(head);
  if (check.found !== 'header') {
    yield* dumpFields(head, at, RECORD_FIELDS.slice(0, 2), remarks, prefix);
    const rest = head.subarray(6);
    yield lineOf(at + 6, rest, `${prefix}rest of the header`, `${rest.length} bytes`);
    return { at: at + RECORD_HEADER_BYTES, expected: undefined };
  }
  const { header } = check;
  const invalid = invalidRecord(header);
  if (invalid !== undefined) remarks.set('kind', damage(`cannot be: ${invalid}`));
  const payload = checkPayload(source, at, header);
  remarks.set('CRC-32 of the payload', payload);
  if (place) comparePlace(header, place, remarks);
  yield* dumpFields(head, at, RECORD_FIELDS, remarks, prefix);
  yield* dumpPayload(source, at, header, prefix);
  const end = at + (invalid === undefined ? recordBytes(header.payloadLength) : head.length);
  return { at: end, expected: payload.damaged ? undefined : placeAfter(source, at, header) };
}

/** A record whose header is not what was written; returns where to go on. */
export function* dumpDamagedRecord(source: ByteSource, at: number): Generator<DumpLine, number> {
  const head = source.read(at, RECORD_HEADER_BYTES);
  yield* dumpFields(head, at, RECORD_FIELDS, remarksOf(head));
  const behind = at + head.length;
  if (head.length < RECORD_HEADER_BYTES) return behind;
  const length = head.readUInt32LE(20);
  const end = at + recordBytes(length);
  const known = length <= REQUEST_BYTES_MAX && isFollowedAt(source, end, head);
  if (!known || end === behind) return behind;
  const why = note('not checked: its header is damaged');
  yield lineOf(behind, source.read(behind, 16), 'payload', `${length} bytes`, why, length);
  return end;
}

/** Whether the record at `end` is the one behind this header, of which some bit is wrong. */
function isFollowedAt(source: ByteSource, end: number, head: Buffer): boolean {
  const check = decodeRecordHeader(source.read(end, RECORD_HEADER_BYTES), 0);
  if (check.found !== 'header') return false;
  const copy = Buffer.from(head);
  copy.writeUInt32LE(0, 8);
  return [head.readUInt32LE(8), checksum(copy)].includes(check.header.chain);
}

function remarksOf(head: Buffer): Map<string, Remark> {
  const remarks = new Map([['magic', checkMagic(head, 'RCRD')]]);
  if (head.length < RECORD_HEADER_BYTES) return remarks;
  const kindNumber = head.readUInt8(5);
  const kind = Object.entries(RECORD_KINDS).find(([, number]) => number === kindNumber)?.[0];
  const flags = head.readUInt16LE(6);
  const unknown = flags > 3 ? ['unknown flags'] : [];
  const names = ['end of a host request', 'may free space'].filter((_, bit) => flags & (1 << bit));
  const timeMs = Number(head.readBigUInt64LE(56));
  const date = new Date(timeMs);
  return remarks
    .set('version', checkVersion(head.readUInt8(4), RECORD_VERSION))
    .set('kind', kind === undefined ? damage('unknown kind') : note(kind))
    .set('flags', { text: [...names, ...unknown].join(', '), damaged: unknown.length > 0 })
    .set('CRC-32 of this header', checkChecksum(head, 8))
    .set('time', note(Number.isNaN(date.getTime()) ? '' : date.toISOString()));
}

function comparePlace(header: RecordHeader, place: Place, remarks: Map<string, Remark>): void {
  const why = 'out of order, or left by an earlier use of the file';
  if (header.sequence !== place.sequence) {
    remarks.set('sequence number', note(`${place.sequence} expected: ${why}`));
  }
  if (header.chain !== place.chain) {
    remarks.set('chain', note(`${hex32(place.chain)} expected: ${why}`));
  }
}

function placeAfter(source: ByteSource, at: number, header: RecordHeader): Place | undefined {
  const sequence = header.sequence + (isNumbered(header.kind) ? 1 : 0);
  if (header.kind !== 'rebase') return { sequence, chain: header.ownChain };
  try {
    const length = Math.min(header.payloadLength, CONTROL_BYTES_MAX);
    const payload = source.read(at + RECORD_HEADER_BYTES, length);
    return { sequence, chain: decodeRebase(payload).base.chain };
  } catch {
    return undefined; // its fields say what is wrong with it
  }
}

/** Reads a payload of any length piece by piece, for what its checksum says of it. */
function checkPayload(source: ByteSource, at: number, header: RecordHeader): Remark {
  const start = at + RECORD_HEADER_BYTES;
  const end = start + header.payloadLength;
  if (end > source.sizeBytes) return damage('the payload is cut off');
  let sum = 0;
  for (let position = start; position < end; position += CHUNK_BYTES) {
    sum = checksum(source.read(position, Math.min(CHUNK_BYTES, end - position)), sum);
  }
  return compareChecksums(header.payloadChecksum, sum);
}

function* dumpPayload(
  source: ByteSource,
  at: number,
  header: RecordHeader,
  prefix: string,
): Generator<DumpLine> {
  const { kind, payloadLength } = header;
  const start = at + RECORD_HEADER_BYTES;
  const end = start + payloadLength;
  const there = Math.max(0, Math.min(end, source.sizeBytes) - start);
  const isControl = kind !== 'write' && kind !== 'zeroes';
  if (payloadLength > 0) {
    const cut = there < payloadLength ? damage(`cut off: ${there} bytes are there`) : note('');
    const bytes = source.read(start, Math.min(16, there));
    yield lineOf(start, bytes, `${prefix}payload`, `${payloadLength} bytes`, cut, there);
  }
  if (isControl) {
    const payload = source.read(start, Math.min(there, CONTROL_BYTES_MAX));
    yield* dumpControl(source, start, kind, payload, `${prefix}${kind}: `);
  }
  if (there < payloadLength) return;
  const paddingBytes = recordBytes(payloadLength) - RECORD_HEADER_BYTES - payloadLength;
  if (paddingBytes === 0) return;
  const padding = source.read(end, paddingBytes);
  const cut = padding.length < paddingBytes ? damage('cut off') : note('');
  const remark = isZero(padding) ? cut : damage('is not zero');
  yield lineOf(end, padding, `${prefix}padding`, `${paddingBytes} bytes`, remark);
}

function* dumpControl(
  source: ByteSource,
  at: number,
  kind: 'mark' | 'open' | 'rebase' | 'seal',
  payload: Buffer,
  prefix: string,
): Generator<DumpLine> {
  const none = new Map<string, Remark>();
  switch (kind) {
    case 'mark':
      yield* dumpFields(payload, at, [[0, payload.length, 'name', 'text']], none, prefix);
      return;
    case 'rebase':
      yield* dumpFields(payload, at, REBASE_FIELDS, none, prefix);
      return;
    case 'seal': {
      yield* dumpFields(payload, at, SEAL_FIELDS, none, prefix);
      if (payload.length < 82) return;
      const address: Field = [82, payload.readUInt16LE(80), "successor's address", 'text'];
      yield* dumpFields(payload, at, [address], none, prefix);
      return;
    }
    case 'open': {
      const name = PARENTS[payload[32] ?? -1];
      const remark = name === undefined ? damage('unknown kind of parent') : note(name);
      yield* dumpFields(payload, at, OPEN_FIELDS, new Map([['parent', remark]]), prefix);
      if (name === 'takeover') yield* dumpFields(payload, at, positionFields(33), none, prefix);
      if (name !== 'seal') return;
      yield* dumpFields(payload, at, [[33, 4, "seal's length", 'unsigned']], none, prefix);
      if (soundHeaderAt(source, at + 37)) {
        yield* dumpRecord(source, at + 37, undefined, `${prefix}seal's `);
      } else {
        yield lineOf(at + 37, payload.subarray(37), `${prefix}seal`, '', damage('no sound record'));
      }
    }
  }
}
