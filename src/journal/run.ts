/**
 * One epoch's dense run of records in segment files: appending at its end, reading from any
 * number that is kept, trimming at its beginning. Durability is the committer's business.
 */
import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { roundUp } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { RcopyError, fileError } from '../base/errors.ts';
import { SEGMENT_BYTES_MAX } from '../base/limits.ts';
import {
  RECORD_HEADER_BYTES,
  encodeRecordHeader,
  epochTag,
  isNumbered,
  recordBytes,
} from '../format/record.ts';
import type { RecordKind, WholeRecord } from '../format/record.ts';
import { decodeRebase } from '../format/control-records.ts';
import { SEGMENT_HEADER_BYTES, encodeSegmentHeader, segmentName } from '../format/segment.ts';
import type { FileHandle } from '../sys/files.ts';
import { RunReader } from './run-reader.ts';
import type { SegmentStore } from './segment-store.ts';
import type { RunIdentity } from './types.ts';

const PADDING = Buffer.alloc(32);
/** Written behind the end, so that what a recycled file held is not taken for a torn tail. */
const TERMINATOR = Buffer.alloc(RECORD_HEADER_BYTES);
/**
 * Where little is synced at a time, a new file is filled ahead by this part of a segment: a sync of
 * a file that grew takes several times as long, since the file system's own journal is synced too.
 */
const FILL_SHARE = 128;
const ZEROES = Buffer.alloc(SEGMENT_BYTES_MAX / FILL_SHARE + RECORD_HEADER_BYTES);

/** One segment of a run. */
export interface RunSegment {
  readonly firstSequence: number;
  /** What it counts for in the journal's capacity. */
  readonly bytes: number;
}

/** What the writer of an epoch appends. */
export interface NewRecord {
  readonly kind: RecordKind;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly payload: readonly Uint8Array[];
  readonly payloadLength: number;
  readonly endOfRequest: boolean;
  readonly mayFree: boolean;
}

export interface RunState {
  readonly identity: RunIdentity;
  readonly segments: RunSegment[];
  /** Where the next record goes in the last segment. */
  readonly endOffset: number;
  readonly next: number;
  readonly chain: number;
  readonly durable: number;
  readonly head: WholeRecord | undefined;
  readonly seal: WholeRecord | undefined;
}

export class Run {
  readonly identity: RunIdentity;
  /** The sequence number that the next numbered record takes. */
  next: number;
  /** The chain value that the next record carries. */
  chain: number;
  /** The highest number that is synced here; N once the seal is. Moves to ends of requests. */
  durable: number;
  /** Highest position at the end of a request that has been written (not yet synced). */
  writtenEnd: number;
  /** The record with which the run began, while it is known. */
  head: WholeRecord | undefined;
  /** The head is synced: only then does the run exist for others (R3). */
  headDurable: boolean;
  /** The record that ended the epoch. */
  seal: WholeRecord | undefined;
  /** Files written since the last sync, oldest first. */
  readonly unsynced: FileHandle[] = [];
  readonly segments: RunSegment[];

  private readonly store: SegmentStore;
  private readonly tag: number;
  private syncing: readonly FileHandle[] = [];
  private isDropped = false;
  private handle: FileHandle | undefined;
  private endOffset: number;
  /** How far the file of the last segment reaches. */
  private fileEnd = 0;
  private bytesSinceSync = 0;
  /** What the last sync covered. */
  private commitBytes = 0;
  private parts: Uint8Array[] = [];
  private partsBytes = 0;
  private readonly headers: Buffer[] = [];
  private headersUsed = 0;
  private partsEnd: number;

  constructor(store: SegmentStore, state: RunState) {
    this.store = store;
    this.identity = state.identity;
    this.segments = state.segments;
    this.endOffset = state.endOffset;
    this.next = state.next;
    this.chain = state.chain;
    this.durable = state.durable;
    this.head = state.head;
    this.headDurable = state.segments.length > 0;
    this.tag = epochTag(state.identity.id);
    this.seal = state.seal;
    this.writtenEnd = Math.max(state.durable, state.seal ? state.next : state.next - 1);
    this.partsEnd = this.writtenEnd;
  }

  get epoch(): number {
    return this.identity.epoch;
  }

  /** The lowest number that is kept. */
  get firstKept(): number {
    return this.segments[0]?.firstSequence ?? this.next;
  }

  /** Segments that a request of records with these payloads would add. */
  segmentsFor(payloadLengths: readonly number[], reserveBytes: number): number {
    let room = this.segments.length === 0 ? 0 : this.store.segmentBytes - this.endOffset;
    room -= this.partsBytes;
    let added = 0;
    for (const length of payloadLengths) {
      const bytes = recordBytes(length);
      if (bytes > room) {
        added += 1;
        room = this.store.segmentBytes - SEGMENT_HEADER_BYTES;
      }
      room -= bytes;
    }
    return room < reserveBytes ? added + 1 : added;
  }

  /**
   * Numbers a record and queues it for `write`. Its payload slices must not change until then.
   * Returns its sequence number.
   */
  add(record: NewRecord, timeMs: number): number {
    assert(this.seal === undefined, 'nothing is appended behind a seal');
    assert(isNumbered(record.kind), 'heads and seals are appended whole');
    const bytes = recordBytes(record.payloadLength);
    this.makeRoom(bytes);
    const sequence = this.next;
    const header = this.headerRoom();
    let payloadChecksum = 0;
    for (const part of record.payload) payloadChecksum = checksum(part, payloadChecksum);
    this.chain = encodeRecordHeader(header, 0, {
      kind: record.kind,
      endOfRequest: record.endOfRequest,
      mayFree: record.mayFree,
      chain: this.chain,
      payloadChecksum,
      payloadLength: record.payloadLength,
      epoch: this.epoch,
      volume: record.volume,
      sequence,
      offset: record.offset,
      length: record.length,
      timeMs,
      durableSequence: Math.min(this.durable, sequence),
      epochTag: this.tag,
    });
    this.parts.push(header);
    for (const part of record.payload) this.parts.push(part);
    const padding = bytes - RECORD_HEADER_BYTES - record.payloadLength;
    if (padding > 0) this.parts.push(PADDING.subarray(0, padding));
    this.partsBytes += bytes;
    this.next += 1;
    if (record.endOfRequest) this.partsEnd = sequence;
    return sequence;
  }

  /** Queues a record that another set wrote, as it is. The caller has checked that it is next. */
  addReceived(record: WholeRecord): void {
    assert(this.seal === undefined, 'nothing is appended behind a seal');
    const { header } = record;
    this.makeRoom(record.bytes.length);
    this.parts.push(record.bytes);
    this.partsBytes += record.bytes.length;
    if (isNumbered(header.kind)) this.next += 1;
    this.chain =
      header.kind === 'rebase' ? decodeRebase(record.payload).base.chain : header.ownChain;
    if (header.kind === 'seal') this.seal = record;
    if (header.endOfRequest) {
      this.partsEnd = header.kind === 'seal' ? header.sequence : this.next - 1;
    }
  }

  /** Writes what was queued: one writev. Durable after the committer's next sync. */
  write(): void {
    if (this.partsBytes === 0) return;
    const handle = this.openEnd();
    this.noteUnsynced(handle);
    const end = this.endOffset + this.partsBytes;
    const behind = this.zeroesBehind(end);
    this.parts.push(behind);
    handle.write(this.parts, this.endOffset, 'JOURNAL:APPEND');
    this.endOffset = end;
    this.fileEnd = Math.max(this.fileEnd, end + behind.length);
    this.bytesSinceSync += this.partsBytes;
    this.parts = [];
    this.partsBytes = 0;
    this.headersUsed = 0;
    this.writtenEnd = this.partsEnd;
  }

  /** A reader that begins with `sequence`, at most the next one; `E_STATE` when it is not kept. */
  readFrom(sequence: number): RunReader {
    assert(sequence <= this.next, `number ${sequence} of epoch ${this.epoch} was given`);
    if (sequence < this.firstKept) {
      throw new RcopyError(
        'E_STATE',
        `number ${sequence} of epoch ${this.epoch} is older than what the journal keeps ` +
          `(${this.firstKept})`,
      );
    }
    return new RunReader(this, this.store, sequence);
  }

  /** How many bytes of records there are from `sequence` on, and when the first was written. */
  measureFrom(sequence: number): { bytes: number; oldestMs: number | undefined } {
    const reader = this.readFrom(sequence);
    try {
      const record = reader.next(this.writtenEnd);
      const start = reader.place;
      if (!record || !start) return { bytes: 0, oldestMs: undefined };
      const later = this.segments.filter(
        (segment) => segment.firstSequence > start.segmentFirst,
      ).length;
      const rest = later === 0 ? this.endOffset : this.store.segmentBytes;
      const between = Math.max(0, later - 1) * this.store.segmentBytes;
      const last = later === 0 ? 0 : this.endOffset;
      const bytes = rest - start.offset + record.bytes.length + between + last;
      return { bytes, oldestMs: record.header.timeMs };
    } finally {
      reader.close();
    }
  }

  /** The file that holds the segment that begins with `firstSequence`. */
  segmentPath(firstSequence: number): string {
    return join(this.store.folder, segmentName(this.epoch, firstSequence));
  }

  /**
   * Gives up segments whose records are all below `sequence`; never the last one, nor the last one
   * that is durable: a power loss may take what follows it, and the run must still be there.
   */
  trimBelow(sequence: number): void {
    for (;;) {
      const [first, second] = this.segments;
      if (!first || !second || second.firstSequence > Math.min(sequence, this.durable)) return;
      this.segments.shift();
      this.store.retire(this.segmentPath(first.firstSequence), first.bytes);
    }
  }

  /** Gives up all segments; the run is over. */
  drop(): void {
    this.isDropped = true;
    this.close();
    for (const segment of this.segments.splice(0)) {
      this.store.retire(this.segmentPath(segment.firstSequence), segment.bytes);
    }
  }

  /** Closes the files; those that are being synced at the end of that. */
  close(): void {
    const handles = new Set(this.unsynced.splice(0));
    if (this.handle) handles.add(this.handle);
    this.handle = undefined;
    for (const handle of handles) if (!this.syncing.includes(handle)) handle.close();
  }

  /** Called by the committer: the files that its sync has to cover. */
  syncBegins(): readonly FileHandle[] {
    this.syncing = this.unsynced.splice(0);
    this.commitBytes = this.bytesSinceSync;
    this.bytesSinceSync = 0;
    return this.syncing;
  }

  /** Called by the committer, however it went: closes files that are no longer written. */
  syncEnds(): void {
    const handles = this.syncing;
    this.syncing = [];
    for (const handle of handles) {
      if (handle !== this.handle && !this.unsynced.includes(handle)) handle.close();
    }
  }

  private makeRoom(bytes: number): void {
    assert(
      bytes <= this.store.segmentBytes - SEGMENT_HEADER_BYTES,
      'a record fits an empty segment',
    );
    const full = this.endOffset + this.partsBytes + bytes > this.store.segmentBytes;
    if (this.segments.length > 0 && !full) return;
    this.write();
    this.roll();
  }

  /** Begins a new segment with the next number. */
  private roll(): void {
    assert(!this.isDropped, 'nothing is added to a run that was given up');
    const path = this.segmentPath(this.next);
    assert(this.segments.at(-1)?.firstSequence !== this.next, 'a segment holds a numbered record');
    const handle = this.store.provide(path);
    const header = encodeSegmentHeader({
      epoch: this.epoch,
      firstSequence: this.next,
      chain: this.chain,
      epochId: this.identity.id,
      writer: this.identity.writer,
      epochFirst: this.identity.first,
    });
    handle.write([header, TERMINATOR], 0, 'JOURNAL:SEGMENT-HEADER');
    if (this.handle) this.noteUnsynced(this.handle); // closed by the sync that covers it
    this.handle = handle;
    this.noteUnsynced(handle);
    this.segments.push({ firstSequence: this.next, bytes: this.store.segmentBytes });
    this.endOffset = SEGMENT_HEADER_BYTES;
    this.fileEnd = handle.size('JOURNAL:SIZE');
  }

  /** What is written behind the end of the records. */
  private zeroesBehind(end: number): Uint8Array {
    const { segmentBytes } = this.store;
    const fillBytes = segmentBytes / FILL_SHARE;
    const grows = end + TERMINATOR.length > this.fileEnd;
    if (grows && Math.max(this.partsBytes, this.commitBytes) <= fillBytes / 4) {
      const filled = roundUp(end + TERMINATOR.length, fillBytes);
      return ZEROES.subarray(0, Math.min(filled, segmentBytes) - end);
    }
    return TERMINATOR.subarray(0, segmentBytes - end);
  }

  private openEnd(): FileHandle {
    const last = this.segments.at(-1);
    assert(last, 'a run that is written has a segment');
    if (!this.handle) {
      const path = this.segmentPath(last.firstSequence);
      try {
        this.handle = this.store.files.open(path, 'write', 'JOURNAL:OPEN');
        this.fileEnd = this.handle.size('JOURNAL:SIZE');
      } catch (error) {
        throw fileError('opening the journal', path, error);
      }
    }
    return this.handle;
  }

  private noteUnsynced(handle: FileHandle): void {
    if (this.unsynced.at(-1) !== handle) this.unsynced.push(handle);
  }

  /** Room for one more header of this write; what was written needs its own no more. */
  private headerRoom(): Buffer {
    const room = this.headers[this.headersUsed] ?? Buffer.alloc(RECORD_HEADER_BYTES);
    this.headers[this.headersUsed] = room;
    this.headersUsed += 1;
    return room;
  }
}
