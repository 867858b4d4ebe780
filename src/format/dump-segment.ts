/**
 * The dump of a journal segment: its header, then whatever stands behind it. Where a record should
 * be and none is, it goes on at the next place, a multiple of 32 bytes, that has a sound header.
 */
import { isZero } from '../base/bytes.ts';
import {
  checkChecksum,
  checkMagic,
  checkVersion,
  damage,
  dumpFields,
  lineOf,
  note,
} from './dump.ts';
import type { ByteSource, DumpLine, Field, Remark } from './dump.ts';
import { dumpDamagedRecord, dumpRecord, soundHeaderAt } from './dump-record.ts';
import type { Place } from './dump-record.ts';
import { RECORD_ALIGNMENT, RECORD_HEADER_BYTES } from './record.ts';
import { SEGMENT_HEADER_BYTES, SEGMENT_VERSION, decodeSegmentHeader } from './segment.ts';

const CHUNK_BYTES = 64 * 1024;
const RECORD_MAGIC = Buffer.from('RCRD');

const SEGMENT_FIELDS: readonly Field[] = [
  [0, 4, 'magic', 'magic'],
  [4, 2, 'version', 'unsigned'],
  [6, 2, 'zero', 'zeroes'],
  [8, 4, 'CRC-32 of this header', 'hex'],
  [12, 4, 'epoch', 'unsigned'],
  [16, 8, 'first sequence number', 'unsigned'],
  [24, 4, 'chain value before the first record', 'hex'],
  [28, 4, 'zero', 'zeroes'],
  [32, 16, 'epoch id', 'id'],
  [48, 16, "writer's set id", 'id'],
  [64, 8, "epoch's first sequence number", 'unsigned'],
  [72, 24, 'zero', 'zeroes'],
];

export function* dumpSegment(source: ByteSource): Generator<DumpLine> {
  const head = source.read(0, SEGMENT_HEADER_BYTES);
  const check = decodeSegmentHeader(head);
  if (check.found === 'zeroes') {
    yield lineOf(0, head, 'segment header', 'zero', damage('no segment header'));
  } else if (check.found === 'unknown-version') {
    yield* dumpFields(head, 0, SEGMENT_FIELDS.slice(0, 2), segmentRemarks(head));
    const rest = source.sizeBytes - 6;
    yield lineOf(6, head.subarray(6), 'rest', `${rest} bytes`, undefined, rest);
    return;
  } else {
    yield* dumpFields(head, 0, SEGMENT_FIELDS, segmentRemarks(head));
  }
  if (head.length < SEGMENT_HEADER_BYTES) return;
  const first: Place | undefined =
    check.found === 'header'
      ? { sequence: check.header.firstSequence, chain: check.header.chain }
      : undefined;
  yield* dumpRecords(source, SEGMENT_HEADER_BYTES, first);
}

function segmentRemarks(head: Buffer): Map<string, Remark> {
  const remarks = new Map([['magic', checkMagic(head, 'RCSG')]]);
  if (head.length < SEGMENT_HEADER_BYTES) return remarks;
  remarks.set('version', checkVersion(head.readUInt16LE(4), SEGMENT_VERSION));
  return remarks.set('CRC-32 of this header', checkChecksum(head, 8));
}

/** What stands from `start` on; `place` is where in the history the first record should be. */
function* dumpRecords(
  source: ByteSource,
  start: number,
  place: Place | undefined,
): Generator<DumpLine> {
  let at = start;
  let expected = place;
  while (at < source.sizeBytes) {
    const head = source.read(at, RECORD_HEADER_BYTES);
    if (soundHeaderAt(source, at)) {
      const next = yield* dumpRecord(source, at, expected);
      ({ at, expected } = next);
    } else if (isRecordLike(head)) {
      at = yield* dumpDamagedRecord(source, at);
      expected = undefined;
    } else {
      const stretch = stretchAt(source, at);
      const value = `${stretch.end - at} bytes`;
      if (stretch.zeroes) {
        yield lineOf(
          at,
          head.subarray(0, stretch.end - at),
          'zeroes',
          value,
          undefined,
          stretch.end - at,
        );
      } else {
        yield noRecord(at, head, stretch.end, expected !== undefined);
      }
      at = stretch.end;
      expected = undefined;
    }
  }
}

/** Right behind a record stands another one or zeroes; behind zeroes anything may stand. */
function noRecord(at: number, head: Buffer, end: number, isNext: boolean): DumpLine {
  const why = isNext
    ? damage('no record: damaged')
    : note('no record: damaged, or left by an earlier use of the file');
  return lineOf(at, head.subarray(0, end - at), 'bytes', `${end - at} bytes`, why, end - at);
}

/** Whether a record that lost its checksum, or nothing but its magic, seems to stand here. */
function isRecordLike(head: Buffer): boolean {
  if (head.subarray(0, 4).equals(RECORD_MAGIC)) return true;
  if (head.length < RECORD_HEADER_BYTES || isZero(head)) return false;
  const healed = Buffer.concat([RECORD_MAGIC, head.subarray(4)]);
  return !checkChecksum(healed, 8).damaged;
}

/**
 * The bytes from `at` that belong to no record: zeroes up to the first byte that is none, or
 * anything up to the next sound header or to the zeroes at the end of the file.
 */
function stretchAt(source: ByteSource, at: number): { end: number; zeroes: boolean } {
  let zeroes = true;
  let end = at; // behind the last cell that is not all zeroes
  for (let position = at; position < source.sizeBytes; position += CHUNK_BYTES) {
    const chunk = source.read(position, CHUNK_BYTES);
    if (isZero(chunk)) continue;
    for (let cell = 0; cell < chunk.length; cell += RECORD_ALIGNMENT) {
      const bytes = chunk.subarray(cell, cell + RECORD_ALIGNMENT);
      if (isZero(bytes)) continue;
      const here = position + cell;
      if (zeroes && here > at) return { end: here, zeroes };
      zeroes = false;
      const isHeader = bytes.subarray(0, 4).equals(RECORD_MAGIC) && soundHeaderAt(source, here);
      if (isHeader && here > at) return { end: here, zeroes };
      end = here + bytes.length;
    }
  }
  return zeroes ? { end: source.sizeBytes, zeroes } : { end, zeroes };
}
