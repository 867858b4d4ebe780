/**
 * The record: one journaled event, the same bytes on disk and on the wire. A fixed header, then
 * the payload, then zeroes up to a multiple of 32 bytes, so that a scan can pass a damaged length.
 *
 *     offset size
 *          0    4  magic "RCRD"
 *          4    1  version, 1
 *          5    1  kind: 1 write, 2 zeroes, 3 mark, 4 open, 5 rebase, 6 seal (7, 8 reserved)
 *          6    2  flags: bit 0 end of a host request, bit 1 zeroes that may free space
 *          8    4  CRC-32 of this header with this field as zero: the record's chain value
 *         12    4  chain: the chain value of the record before this one in the history
 *         16    4  CRC-32 of the payload
 *         20    4  payload length in bytes
 *         24    4  epoch
 *         28    2  volume, its index in set.json (0 where the record has none)
 *         30    2  zero
 *         32    8  sequence number; an unnumbered record has that of the next numbered one
 *         40    8  offset in the volume in bytes
 *         48    8  length in the volume in bytes
 *         56    8  wall-clock milliseconds since 1970, by the primary's clock
 *         64    8  durable number that the writer of this epoch knew when it wrote this
 *         72    4  epoch tag: CRC-32 of the epoch's id where the durable number counts; else 0
 *         76   20  zero
 *         96       payload
 *
 * Little-endian throughout.
 */
import { assert } from '../base/assert.ts';
import { asBuffer, isZero, readUint64, roundUp, writeUint64 } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { idToBytes } from '../base/ids.ts';
import type { EpochId } from '../base/ids.ts';
import { REQUEST_BYTES_MAX } from '../base/limits.ts';

export const RECORD_HEADER_BYTES = 96;
export const RECORD_ALIGNMENT = 32;
export const RECORD_VERSION = 1;
const MAGIC = 0x44524352; // "RCRD"
const FLAG_END_OF_REQUEST = 1;
const FLAG_MAY_FREE = 2;
const KNOWN_FLAGS = FLAG_END_OF_REQUEST | FLAG_MAY_FREE;

/** Kind numbers are part of the format. */
export const RECORD_KINDS = {
  write: 1,
  zeroes: 2,
  mark: 3,
  open: 4,
  rebase: 5,
  seal: 6,
} as const;

export type RecordKind = keyof typeof RECORD_KINDS;

const KIND_NAMES = new Map<number, RecordKind>(
  Object.entries(RECORD_KINDS).map(([name, number]) => [number, name as RecordKind]),
);

/** Everything that a header says. */
export interface RecordHeader {
  readonly kind: RecordKind;
  readonly endOfRequest: boolean;
  readonly mayFree: boolean;
  /** This record's own chain value: the CRC of its header. */
  readonly ownChain: number;
  /** The chain value of the record before it. */
  readonly chain: number;
  readonly payloadChecksum: number;
  readonly payloadLength: number;
  readonly epoch: number;
  readonly volume: number;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
  readonly timeMs: number;
  readonly durableSequence: number;
  /**
   * {@link epochTag} of the epoch, or 0. A search for later headers (R8) goes through payloads too,
   * and hosts may store journals of other sets there: the tag tells those from this epoch's own.
   */
  readonly epochTag: number;
}

/** What an epoch's own records carry of its id. */
export function epochTag(id: EpochId): number {
  return checksum(idToBytes(id));
}

/** Whether records of this kind take a sequence number of their own. */
export function isNumbered(kind: RecordKind): boolean {
  return kind === 'write' || kind === 'zeroes' || kind === 'mark';
}

/** Bytes that a record with this payload takes, padding included. */
export function recordBytes(payloadLength: number): number {
  return roundUp(RECORD_HEADER_BYTES + payloadLength, RECORD_ALIGNMENT);
}

/** What the writer decides; lengths and checksums of the payload come with it. */
export type RecordFields = Omit<RecordHeader, 'ownChain' | 'epochTag'> & {
  readonly epochTag?: number;
};

/** Writes a header at `at` and returns the record's chain value. */
export function encodeRecordHeader(target: Buffer, at: number, fields: RecordFields): number {
  target.fill(0, at, at + RECORD_HEADER_BYTES);
  target.writeUInt32LE(MAGIC, at);
  target.writeUInt8(RECORD_VERSION, at + 4);
  target.writeUInt8(RECORD_KINDS[fields.kind], at + 5);
  target.writeUInt16LE(
    (fields.endOfRequest ? FLAG_END_OF_REQUEST : 0) | (fields.mayFree ? FLAG_MAY_FREE : 0),
    at + 6,
  );
  target.writeUInt32LE(fields.chain, at + 12);
  target.writeUInt32LE(fields.payloadChecksum, at + 16);
  target.writeUInt32LE(fields.payloadLength, at + 20);
  target.writeUInt32LE(fields.epoch, at + 24);
  target.writeUInt16LE(fields.volume, at + 28);
  writeUint64(target, fields.sequence, at + 32);
  writeUint64(target, fields.offset, at + 40);
  writeUint64(target, fields.length, at + 48);
  writeUint64(target, fields.timeMs, at + 56);
  writeUint64(target, fields.durableSequence, at + 64);
  target.writeUInt32LE(fields.epochTag ?? 0, at + 72);
  const isWhole = at === 0 && target.length === RECORD_HEADER_BYTES;
  const header = isWhole ? target : target.subarray(at, at + RECORD_HEADER_BYTES);
  const chain = checksum(header);
  target.writeUInt32LE(chain, at + 8);
  return chain;
}

/** What stands at a place where a header could be. */
export type HeaderCheck =
  | { readonly found: 'header'; readonly header: RecordHeader }
  /** Nothing was ever written here (or zeroes came back): the clean end of a segment. */
  | { readonly found: 'zeroes' }
  | { readonly found: 'unknown-version'; readonly version: number }
  | { readonly found: 'garbage'; readonly reason: string };

const ZERO_HEADER = Buffer.alloc(RECORD_HEADER_BYTES);
const CHECK = Buffer.alloc(RECORD_HEADER_BYTES);

/** Reads the header at `at`. Never throws: whatever the bytes are, it says what they are. */
export function decodeRecordHeader(bytes: Uint8Array, at: number): HeaderCheck {
  const view = asBuffer(bytes);
  if (at + RECORD_HEADER_BYTES > view.length) {
    return { found: 'garbage', reason: 'the header is cut off' };
  }
  if (ZERO_HEADER.equals(view.subarray(at, at + RECORD_HEADER_BYTES))) return { found: 'zeroes' };
  if (view.readUInt32LE(at) !== MAGIC) return { found: 'garbage', reason: 'no record magic' };
  const ownChain = view.readUInt32LE(at + 8);
  view.copy(CHECK, 0, at, at + RECORD_HEADER_BYTES);
  CHECK.writeUInt32LE(0, 8);
  if (checksum(CHECK) !== ownChain) {
    return { found: 'garbage', reason: 'the header checksum does not match' };
  }
  const version = view.readUInt8(at + 4);
  if (version !== RECORD_VERSION) return { found: 'unknown-version', version };
  return headerFields(view, at, ownChain);
}

function headerFields(view: Buffer, at: number, ownChain: number): HeaderCheck {
  const kind = KIND_NAMES.get(view.readUInt8(at + 5));
  if (kind === undefined) {
    return { found: 'garbage', reason: `record kind ${view.readUInt8(at + 5)} is unknown` };
  }
  const flags = view.readUInt16LE(at + 6);
  const sequence = readUint64(view, at + 32);
  const offset = readUint64(view, at + 40);
  const length = readUint64(view, at + 48);
  const timeMs = readUint64(view, at + 56);
  const durableSequence = readUint64(view, at + 64);
  if (
    (flags & ~KNOWN_FLAGS) !== 0 ||
    sequence === undefined ||
    offset === undefined ||
    length === undefined ||
    timeMs === undefined ||
    durableSequence === undefined
  ) {
    return { found: 'garbage', reason: 'a field is outside its range' };
  }
  const header: RecordHeader = {
    kind,
    endOfRequest: (flags & FLAG_END_OF_REQUEST) !== 0,
    mayFree: (flags & FLAG_MAY_FREE) !== 0,
    ownChain,
    chain: view.readUInt32LE(at + 12),
    payloadChecksum: view.readUInt32LE(at + 16),
    payloadLength: view.readUInt32LE(at + 20),
    epoch: view.readUInt32LE(at + 24),
    volume: view.readUInt16LE(at + 28),
    sequence,
    offset,
    length,
    timeMs,
    durableSequence,
    epochTag: view.readUInt32LE(at + 72),
  };
  return { found: 'header', header };
}

/**
 * The reason why these fields cannot be a record of this program, or `undefined`. Volume sizes are
 * the caller's to check.
 */
export function invalidRecord(header: RecordHeader): string | undefined {
  if (header.payloadLength > REQUEST_BYTES_MAX) return `a payload of ${header.payloadLength} bytes`;
  if (header.kind === 'write' && header.length !== header.payloadLength) {
    return `a write of ${header.length} bytes carries ${header.payloadLength}`;
  }
  if (header.kind === 'write' && header.length === 0) return 'an empty write';
  if (header.kind === 'zeroes' && header.payloadLength !== 0) return 'zeroes with a payload';
  if (header.kind === 'zeroes' && header.length === 0) return 'empty zeroes';
  if (!Number.isSafeInteger(header.offset + header.length)) return 'a range beyond 2^53';
  if (header.durableSequence > header.sequence) {
    return `durable number ${header.durableSequence} is above its own ${header.sequence}`;
  }
  return undefined;
}

/** One whole record from its fields and payload parts, padded. For records off the data path. */
export function encodeRecord(
  fields: Omit<RecordFields, 'payloadLength' | 'payloadChecksum'>,
  payload: Uint8Array,
): { bytes: Buffer; ownChain: number } {
  const bytes = Buffer.alloc(recordBytes(payload.length));
  const ownChain = encodeRecordHeader(bytes, 0, {
    ...fields,
    payloadLength: payload.length,
    payloadChecksum: checksum(payload),
  });
  bytes.set(payload, RECORD_HEADER_BYTES);
  assert(bytes.length % RECORD_ALIGNMENT === 0, 'records are aligned');
  return { bytes, ownChain };
}

/** A record with its payload, both taken out of one piece of memory. */
export interface WholeRecord {
  readonly header: RecordHeader;
  readonly payload: Buffer;
  /** Header, payload and padding, as on disk. */
  readonly bytes: Buffer;
}

/** What stands at a place where a record could be, its payload checked too. */
export type RecordCheck =
  | { readonly found: 'record'; readonly record: WholeRecord }
  | { readonly found: 'bad-payload'; readonly header: RecordHeader; readonly reason: string }
  | Exclude<HeaderCheck, { found: 'header' }>;

/** Reads the record at `at`; a payload that reaches past `bytes` counts as bad. */
export function decodeRecord(bytes: Buffer, at: number): RecordCheck {
  const check = decodeRecordHeader(bytes, at);
  if (check.found !== 'header') return check;
  const invalid = invalidRecord(check.header);
  if (invalid !== undefined) return { found: 'garbage', reason: invalid };
  return decodeBody(bytes, at, check.header);
}

/** The same for a record whose header was read already, and is valid. */
export function decodeBody(bytes: Buffer, at: number, header: RecordHeader): RecordCheck {
  const end = at + recordBytes(header.payloadLength);
  if (end > bytes.length) {
    return { found: 'bad-payload', header, reason: 'the payload is cut off' };
  }
  const payloadStart = at + RECORD_HEADER_BYTES;
  const payload = bytes.subarray(payloadStart, payloadStart + header.payloadLength);
  if (checksum(payload) !== header.payloadChecksum) {
    return { found: 'bad-payload', header, reason: 'the payload checksum does not match' };
  }
  if (!isZero(bytes.subarray(payloadStart + header.payloadLength, end))) {
    return { found: 'bad-payload', header, reason: 'the padding is not zero' };
  }
  return { found: 'record', record: { header, payload, bytes: bytes.subarray(at, end) } };
}
