/**
 * Reads a run's records in order, from a number on, across its segments, checking each one and
 * its place in the chain. Never passes the number that it is told to stop at.
 */
import { RcopyError, fileError } from '../base/errors.ts';
import { isNumbered } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import { decodeRebase } from '../format/control-records.ts';
import { SEGMENT_HEADER_BYTES, decodeSegmentHeader } from '../format/segment.ts';
import type { FileHandle } from '../sys/files.ts';
import { RecordReader } from './record-reader.ts';
import type { Peek } from './record-reader.ts';
import type { SegmentStore } from './segment-store.ts';

/** What a reader needs of the run that it reads. */
export interface ReadableRun {
  readonly epoch: number;
  /** Ascending; trimming takes the first ones away. */
  readonly segments: readonly { readonly firstSequence: number }[];
  /** The record with which the run begins is synced. */
  readonly headDurable: boolean;
  segmentPath(firstSequence: number): string;
}

export class RunReader {
  /** The number that the next numbered record must have. */
  sequence = 0;
  /** The chain value that the next record must carry. */
  chain = 0;
  /** The seal was passed: nothing follows in this run. */
  ended = false;
  private readonly run: ReadableRun;
  private readonly store: SegmentStore;
  private segmentFirst = -1;
  private handle: FileHandle | undefined;
  private records: RecordReader | undefined;

  /** Stands before record `sequence` (before the head, when that is where the run begins). */
  constructor(run: ReadableRun, store: SegmentStore, sequence: number) {
    this.run = run;
    this.store = store;
    const segment = run.segments.findLast((candidate) => candidate.firstSequence <= sequence);
    if (!segment) return;
    try {
      this.enter(segment.firstSequence);
      while (this.sequence < sequence && this.step(sequence - 1)) {
        // Each step passes one record.
      }
    } catch (error) {
      this.close();
      throw this.readError(error);
    }
  }

  /**
   * The next record whose position is at most `limit` (a seal's position is N), or undefined when
   * there is none yet. Throws `E_DAMAGED` with file and offset when a record that should be there
   * is not, `E_STATE` when it was trimmed meanwhile, `E_IO`.
   */
  next(limit: number): WholeRecord | undefined {
    try {
      return this.step(limit);
    } catch (error) {
      throw this.readError(error);
    }
  }

  /** Where the next record stands, as the start of its segment and the offset in it. */
  get place(): { segmentFirst: number; offset: number } | undefined {
    return this.records && { segmentFirst: this.segmentFirst, offset: this.records.offset };
  }

  close(): void {
    this.handle?.close();
    this.handle = undefined;
    this.records = undefined;
  }

  private step(limit: number): WholeRecord | undefined {
    if (this.ended) return undefined;
    for (;;) {
      if (!this.records) {
        const first = this.run.segments[0];
        if (!first) return undefined;
        this.enter(first.firstSequence);
      }
      const following = this.run.segments.find(
        (candidate) => candidate.firstSequence > this.segmentFirst,
      );
      if (following?.firstSequence !== this.sequence) break;
      this.enter(following.firstSequence);
    }
    if (this.sequence > limit) return this.stepHead();
    return this.take();
  }

  /** The head of a run has no number of its own: it is durable before anything in the run. */
  private stepHead(): WholeRecord | undefined {
    if (this.records?.offset !== SEGMENT_HEADER_BYTES || !this.run.headDurable) return undefined;
    const peek = this.records.peek();
    if (!this.isExpected(peek)) return undefined;
    const { kind } = peek.record.header;
    return kind === 'open' || kind === 'rebase' ? this.take() : undefined;
  }

  private take(): WholeRecord | undefined {
    const { records } = this;
    if (!records) return undefined;
    let peek = records.peek();
    if (!this.isExpected(peek)) {
      // What was read ahead may be from before it was written.
      records.reread();
      peek = records.peek();
    }
    if (!this.isExpected(peek)) throw this.missing(peek);
    const { record } = peek;
    const { header } = record;
    records.skip(record.bytes.length);
    this.chain =
      header.kind === 'rebase' ? decodeRebase(record.payload).base.chain : header.ownChain;
    if (isNumbered(header.kind)) this.sequence += 1;
    if (header.kind === 'seal') this.ended = true;
    return record;
  }

  private isExpected(peek: Peek): peek is Extract<Peek, { found: 'record' }> {
    if (peek.found !== 'record') return false;
    const { epoch, sequence, chain } = peek.record.header;
    return epoch === this.run.epoch && sequence === this.sequence && chain === this.chain;
  }

  /** Damage, unless the trimming has overtaken this reader: then its file holds something else. */
  private missing(peek: Peek): RcopyError {
    const { segmentFirst, run, sequence } = this;
    if (run.segments.some(({ firstSequence }) => firstSequence === segmentFirst)) {
      if (peek.found === 'record') return this.damage('another record stands there');
      return this.damage('reason' in peek ? peek.reason : `found ${peek.found}`);
    }
    return new RcopyError(
      'E_STATE',
      `number ${sequence} of epoch ${run.epoch} was trimmed while it was to be read`,
    );
  }

  private readError(error: unknown): RcopyError {
    return fileError('reading the journal', this.run.segmentPath(this.segmentFirst), error);
  }

  private enter(firstSequence: number): void {
    this.close();
    this.segmentFirst = firstSequence;
    const path = this.run.segmentPath(firstSequence);
    const handle = this.store.files.open(path, 'read', 'JOURNAL:READ-OPEN');
    this.handle = handle;
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const got = handle.read(bytes, 0, 'JOURNAL:READ');
    const check = decodeSegmentHeader(bytes.subarray(0, got));
    this.sequence = firstSequence;
    if (check.found !== 'header' || check.header.firstSequence !== firstSequence) {
      throw this.damage('reason' in check ? check.reason : 'its header is another segment’s');
    }
    this.chain = check.header.chain;
    this.records = new RecordReader(handle, SEGMENT_HEADER_BYTES, 'JOURNAL:READ');
  }

  private damage(reason: string): RcopyError {
    const path = this.run.segmentPath(this.segmentFirst);
    const offset = this.records?.offset ?? 0;
    return new RcopyError(
      'E_DAMAGED',
      `${path} at offset ${offset}: record ${this.sequence} of epoch ${this.run.epoch}: ${reason}`,
      { hint: 'run `rcopy verify` on this set, and on its pair: take the data from the good one' },
    );
  }
}
