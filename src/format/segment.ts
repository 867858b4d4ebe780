/**
 * A journal segment: one header, then records back to back up to a header of zeroes or the end of
 * the file. Its name is `<epoch>-<first>.rcj`: epoch with 8 digits, the first sequence number that
 * it can hold with 16.
 *
 *     offset size
 *          0    4  magic "RCSG"
 *          4    2  version, 1
 *          6    2  zero
 *          8    4  CRC-32 of this header with this field as zero
 *         12    4  epoch
 *         16    8  first sequence number
 *         24    4  chain: the chain value of the record before the first one here
 *         28    4  zero
 *         32   16  epoch id
 *         48   16  id of the set that writes (or wrote) this epoch
 *         64    8  the epoch's first sequence number
 *         72   24  zero
 *         96       records
 */
import { asBuffer, readUint64, writeUint64 } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { RcopyError } from '../base/errors.ts';
import { idFromBytes, idToBytes } from '../base/ids.ts';
import type { EpochId, SetId } from '../base/ids.ts';
import { isZero } from '../base/bytes.ts';

export const SEGMENT_HEADER_BYTES = 96;
export const SEGMENT_VERSION = 1;
const MAGIC = 0x47534352; // "RCSG"

export interface SegmentHeader {
  readonly epoch: number;
  readonly firstSequence: number;
  readonly chain: number;
  readonly epochId: EpochId;
  readonly writer: SetId;
  readonly epochFirst: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt16LE(SEGMENT_VERSION, 4);
  bytes.writeUInt32LE(header.epoch, 12);
  writeUint64(bytes, header.firstSequence, 16);
  bytes.writeUInt32LE(header.chain, 24);
  bytes.set(idToBytes(header.epochId), 32);
  bytes.set(idToBytes(header.writer), 48);
  writeUint64(bytes, header.epochFirst, 64);
  bytes.writeUInt32LE(checksum(bytes), 8);
  return bytes;
}

export type SegmentCheck =
  | { readonly found: 'header'; readonly header: SegmentHeader }
  | { readonly found: 'unknown-version'; readonly version: number }
  | { readonly found: 'zeroes' }
  | { readonly found: 'garbage'; readonly reason: string };

/** Reads a segment's header. Never throws. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentCheck {
  const view = asBuffer(bytes);
  if (view.length < SEGMENT_HEADER_BYTES) {
    return isZero(view) ? { found: 'zeroes' } : { found: 'garbage', reason: 'it is cut off' };
  }
  const head = Buffer.from(view.subarray(0, SEGMENT_HEADER_BYTES));
  if (isZero(head)) return { found: 'zeroes' };
  if (head.readUInt32LE(0) !== MAGIC) return { found: 'garbage', reason: 'no segment magic' };
  const expected = head.readUInt32LE(8);
  head.writeUInt32LE(0, 8);
  if (checksum(head) !== expected) {
    return { found: 'garbage', reason: 'the segment header checksum does not match' };
  }
  const version = head.readUInt16LE(4);
  if (version !== SEGMENT_VERSION) return { found: 'unknown-version', version };
  const firstSequence = readUint64(head, 16);
  const epochFirst = readUint64(head, 64);
  if (firstSequence === undefined || epochFirst === undefined) {
    return { found: 'garbage', reason: 'a field is outside its range' };
  }
  return {
    found: 'header',
    header: {
      epoch: head.readUInt32LE(12),
      firstSequence,
      chain: head.readUInt32LE(24),
      epochId: idFromBytes<'epoch'>(head.subarray(32, 48)),
      writer: idFromBytes<'set'>(head.subarray(48, 64)),
      epochFirst,
    },
  };
}

export function segmentName(epoch: number, firstSequence: number): string {
  return `${String(epoch).padStart(8, '0')}-${String(firstSequence).padStart(16, '0')}.rcj`;
}

/** Epoch and first number out of a segment's file name; `undefined` for any other name. */
export function parseSegmentName(
  name: string,
): { epoch: number; firstSequence: number } | undefined {
  const match = /^(\d{8})-(\d{16})\.rcj$/.exec(name);
  if (!match) return undefined;
  return { epoch: Number(match[1]), firstSequence: Number(match[2]) };
}

/** The error for a header of a version that this program does not know. */
export function unknownVersion(what: string, version: number): RcopyError {
  return new RcopyError(
    'E_VERSION',
    `${what} has format version ${version}; this program knows 1`,
    {
      hint: 'use the version of rcopy that wrote it, or a newer one',
    },
  );
}
