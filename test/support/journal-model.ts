/**
 * What a journal of one run must hold, told by plain lists: its records, which of them are written
 * and promised, and how they lie in segments.
 */
import { SEAL_RESERVE_BYTES } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import type { WholeRecord } from '../../src/format/record.ts';
import { assertSame } from './asserts.ts';

/** Of segments and of records. */
const HEADER_BYTES = 96;

export interface ModelRecord {
  readonly kind: 'write' | 'zeroes' | 'mark';
  readonly payload: Buffer;
  readonly endOfRequest: boolean;
}

interface ModelSegment {
  readonly firstSequence: number;
  /** What it counts for in the journal's capacity. */
  readonly bytes: number;
}

export class JournalModel {
  /** Record number `n` is `records[n - 1]`. */
  readonly records: ModelRecord[] = [];
  /** Up to here records went to the disk. */
  written = 0;
  /** Up to here somebody was told that they are durable. */
  promised = 0;
  /** Below this the caller has allowed the journal to forget. */
  trimPoint = 1;
  segments: ModelSegment[] = [];
  /** How much of the last segment is used. */
  private used = 0;
  private readonly sizes: JournalSizes;
  private readonly headBytes: number;

  /** `headBytes` is how long the record is with which the run begins. */
  constructor(sizes: JournalSizes, headBytes: number) {
    this.sizes = sizes;
    this.headBytes = headBytes;
    this.segments.push({ firstSequence: 1, bytes: sizes.segmentBytes });
    this.used = HEADER_BYTES + headBytes;
  }

  get next(): number {
    return this.records.length + 1;
  }

  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Whether a host request becomes part of the journal now, and leaves room for a seal. */
  admits(payloadLengths: readonly number[]): boolean {
    const { segmentBytes, segmentsMax } = this.sizes;
    let { used } = this;
    let added = 0;
    for (const length of payloadLengths) {
      const fits = used + recordBytes(length) <= segmentBytes;
      if (!fits) added += 1;
      used = (fits ? used : HEADER_BYTES) + recordBytes(length);
    }
    if (used + SEAL_RESERVE_BYTES > segmentBytes) added += 1;
    return this.bytes + added * segmentBytes <= segmentsMax * segmentBytes;
  }

  append(record: ModelRecord): void {
    const bytes = recordBytes(record.payload.length);
    if (this.used + bytes > this.sizes.segmentBytes) {
      // What was queued goes to the segment that it was meant for.
      this.written = this.lastEnd();
      this.segments.push({ firstSequence: this.next, bytes: this.sizes.segmentBytes });
      this.used = HEADER_BYTES;
    }
    this.used += bytes;
    this.records.push(record);
  }

  /** The last number that ends a request. */
  lastEnd(): number {
    return this.records.findLastIndex(({ endOfRequest }) => endOfRequest) + 1;
  }

  endsRequest(sequence: number): boolean {
    return sequence === 0 || this.records[sequence - 1]?.endOfRequest === true;
  }

  /** Segments go when all in them lies below the point, and the next one is durable. */
  trim(sequence: number, durable: number): void {
    this.trimPoint = Math.max(this.trimPoint, sequence);
    while ((this.segments[1]?.firstSequence ?? Infinity) <= Math.min(sequence, durable)) {
      this.segments.shift();
    }
  }

  /** A start found records up to `sequence`, all of them durable now, in these segments. */
  restart(sequence: number, segments: ModelSegment[]): void {
    if (sequence < this.promised) {
      throw new Error(`promised up to ${this.promised}, but it ends at ${sequence}`);
    }
    if (sequence > this.records.length || !this.endsRequest(sequence)) {
      throw new Error(`it ends at ${sequence}, where no request does`);
    }
    this.records.length = sequence;
    this.written = sequence;
    this.promised = sequence;
    this.segments = segments;
    const first = segments.at(-1)?.firstSequence ?? 0;
    this.used = HEADER_BYTES + (first === 1 ? this.headBytes : 0);
    for (const { payload } of this.records.slice(first - 1)) {
      this.used += recordBytes(payload.length);
    }
  }

  /** Throws unless `found` is what was appended as number `sequence`. */
  assertRecord(found: WholeRecord, sequence: number): void {
    const expected = this.records[sequence - 1];
    const { header, payload } = found;
    assertSame(
      [header.sequence, header.kind, header.endOfRequest],
      [sequence, expected?.kind, expected?.endOfRequest],
    );
    if (expected && payload.equals(expected.payload)) return;
    throw new Error(`number ${sequence} has another payload`);
  }
}

/** A record takes whole units of 32 bytes. */
function recordBytes(payloadLength: number): number {
  return 32 * Math.ceil((HEADER_BYTES + payloadLength) / 32);
}
