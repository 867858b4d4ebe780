/**
 * Scanning one run of a journal after a start: which records are there, where durable ends, what
 * is torn, what is damage. Decides by the table in recovery.ts; changes nothing on disk.
 */
import { join } from 'node:path';
import { RcopyError } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import type { SetId } from '../base/ids.ts';
import {
  RECORD_ALIGNMENT,
  decodeRecordHeader,
  epochTag,
  isNumbered,
  recordBytes,
} from '../format/record.ts';
import type { RecordHeader, WholeRecord } from '../format/record.ts';
import { decodeRebase } from '../format/control-records.ts';
import {
  SEGMENT_HEADER_BYTES,
  decodeSegmentHeader,
  segmentName,
  unknownVersion,
} from '../format/segment.ts';
import type { SegmentHeader } from '../format/segment.ts';
import type { FileSystem } from '../sys/files.ts';
import { RecordReader } from './record-reader.ts';
import type { Peek } from './record-reader.ts';
import { recoveryRow } from './recovery.ts';
import type { Found } from './recovery.ts';
import type { KnownRun, RunIdentity } from './types.ts';

/** A place in a run's files. */
export interface Place {
  /** Index into the run's segments. */
  readonly segment: number;
  readonly offset: number;
  /** The number expected there, and the chain value that it must carry. */
  readonly sequence: number;
  readonly chain: number;
}

export interface RunScan {
  readonly begun: true;
  readonly identity: RunIdentity;
  /** Behind the last record of the last whole host request. */
  readonly end: Place;
  /** Behind the last record that is known to be durable. */
  readonly durableEnd: Place;
  /** The highest number known to be durable. */
  readonly durable: number;
  readonly head: WholeRecord | undefined;
  readonly seal: WholeRecord | undefined;
  /** What does not count, where, and why: a torn tail, a header that was never synced. */
  readonly cuts: readonly Finding[];
}

/** Nothing of the run was ever durable. */
export interface NoRun {
  readonly begun: false;
  readonly cuts: readonly Finding[];
}

export interface ScanInput {
  readonly files: FileSystem;
  readonly folder: string;
  readonly epoch: number;
  /** First sequence numbers of the run's segment files, ascending. */
  readonly segments: readonly number[];
  /** Index of the segment to begin with: the one that holds the first unapplied record. */
  readonly from: number;
  /** What the cursors know about the run. */
  readonly known: KnownRun | undefined;
  /** The highest number of the epoch that is in the images; -1 when none is. */
  readonly applied: number;
  /** Durable numbers in record headers count when this set wrote the epoch. */
  readonly ownSet: SetId;
}

/** Reads one run. Throws `E_DAMAGED` when something durable is missing, `E_VERSION`. */
export function scanRun(input: ScanInput): RunScan | NoRun {
  return new RunScanner(input).scan();
}

class RunScanner {
  private readonly input: ScanInput;
  private readonly cuts: Finding[] = [];
  private durable: number;
  private identity: RunIdentity | undefined;
  private head: WholeRecord | undefined;
  private seal: WholeRecord | undefined;
  private place: Place = { segment: 0, offset: 0, sequence: 0, chain: 0 };
  private requestEnd: Place = this.place;
  private durableEnd: Place = this.place;

  constructor(input: ScanInput) {
    this.input = input;
    this.durable = input.known?.durable ?? -1;
  }

  scan(): RunScan | NoRun {
    const { cuts } = this;
    const first = this.firstSegment();
    if (!first || !this.identity) return { begun: false, cuts };
    for (let next: number | undefined = first.index; next !== undefined;) {
      next = this.scanSegment(next);
    }
    const end = this.requestEnd.sequence - (this.seal ? 0 : 1);
    if (this.durable > end) {
      throw this.damage(this.place, `it ends before number ${this.durable}, which was durable`);
    }
    if (this.neverBegan(first)) return { begun: false, cuts };
    return {
      begun: true,
      identity: this.identity,
      end: this.requestEnd,
      durableEnd: this.durableEnd,
      durable: Math.max(this.durable, first.sequence - 1),
      head: this.head,
      seal: this.seal,
      cuts,
    };
  }

  /**
   * The segment to begin with: the chosen one, or an earlier one when its header never reached the
   * disk. The header says where and with which chain the records begin.
   */
  private firstSegment(): { index: number; sequence: number } | undefined {
    for (let index = this.input.from; index >= 0; index -= 1) {
      const header = this.segmentHeader(index);
      if (header) {
        this.begin(index, header);
        return { index, sequence: header.firstSequence };
      }
      const sequence = this.input.segments[index] ?? 0;
      // Cursors know a run from when its head is durable: then one of its segments has a header.
      if (sequence <= this.durable || (index === 0 && this.input.known)) {
        throw this.damage({ segment: index, offset: 0, sequence, chain: 0 }, 'its header is gone');
      }
      this.cut(index, 0, 'cut, its header was never synced');
    }
    return undefined;
  }

  private begin(segment: number, header: SegmentHeader): void {
    const { epoch, epochId: id, writer, epochFirst: first, firstSequence, chain } = header;
    this.identity = { epoch, id, writer, first };
    // Another epoch under the same number: what the cursors know is not about this one.
    if (this.input.known && this.input.known.id !== id) this.durable = -1;
    this.place = { segment, offset: SEGMENT_HEADER_BYTES, sequence: firstSequence, chain };
    this.requestEnd = this.place;
    this.durableEnd = this.place;
  }

  /**
   * A run begins with its durable head. Where not even that is there, and nothing says that it ever
   * was, the run has not begun. The cursors say so of every run that they know: its first segment
   * holds the head, or a durable record, however much was trimmed.
   */
  private neverBegan(first: { index: number; sequence: number }): boolean {
    const { segment, offset } = this.requestEnd;
    if (segment !== first.index || offset !== SEGMENT_HEADER_BYTES || first.index > 0) return false;
    const known = this.input.known?.id === this.identity?.id;
    if (known || this.input.applied >= first.sequence - 1) {
      const isOwnHead = this.isOwn && this.identity?.first === first.sequence;
      if (!known && !isOwnHead) return false;
      throw this.damage(this.requestEnd, 'the record that begins the run is gone');
    }
    this.cut(0, offset, 'cut, the record that begins its run was never synced');
    return true;
  }

  /** Walks one segment; returns the next one to walk, or undefined at the end of the run. */
  private scanSegment(index: number): number | undefined {
    const handle = this.input.files.open(this.path(index), 'read', 'JOURNAL:SCAN-OPEN');
    try {
      const reader = new RecordReader(handle, SEGMENT_HEADER_BYTES, 'JOURNAL:SCAN');
      this.place = { ...this.place, segment: index, offset: SEGMENT_HEADER_BYTES };
      while (this.seal === undefined) {
        const peek = reader.peek();
        const found = this.classify(peek);
        const continues = this.continuesIn(index + 1);
        if (found !== 'next' && !continues) this.learnFromLaterHeaders(index, reader.offset);
        const owed = this.place.sequence <= this.durable;
        switch (recoveryRow({ found, owed, continues }).verdict) {
          case 'accept':
            if (peek.found === 'record') this.accept(peek.record);
            reader.skip(this.place.offset - reader.offset);
            break;
          case 'next-segment':
            return index + 1;
          case 'end':
            return undefined;
          case 'cut':
            this.cut(
              index,
              reader.offset,
              `a torn tail was cut before number ${this.place.sequence} (${reasonOf(peek)})`,
            );
            return undefined;
          case 'damaged':
            throw this.damage(this.place, reasonOf(peek));
          case 'refuse-version':
            throw unknownVersion(
              `${this.path(index)} at offset ${reader.offset}`,
              peek.found === 'unknown-version' ? peek.version : 0,
            );
        }
      }
      return undefined;
    } finally {
      handle.close();
    }
  }

  private classify(peek: Peek): Found {
    switch (peek.found) {
      case 'record':
        return this.isExpected(peek.record.header) ? 'next' : 'stale';
      case 'bad-payload':
        return this.isExpected(peek.header) ? 'bad-payload' : 'stale';
      case 'zeroes':
      case 'end':
      case 'garbage':
      case 'unknown-version':
        return peek.found;
    }
  }

  private isExpected(header: RecordHeader): boolean {
    return (
      header.epoch === this.input.epoch &&
      header.sequence === this.place.sequence &&
      header.chain === this.place.chain
    );
  }

  private accept(record: WholeRecord): void {
    const { header } = record;
    this.place = {
      segment: this.place.segment,
      offset: this.place.offset + recordBytes(header.payloadLength),
      sequence: this.place.sequence + (isNumbered(header.kind) ? 1 : 0),
      chain: header.kind === 'rebase' ? decodeRebase(record.payload).base.chain : header.ownChain,
    };
    if (this.isOwn) this.durable = Math.max(this.durable, header.durableSequence);
    if (header.kind === 'open' || header.kind === 'rebase') this.head = record;
    if (header.kind === 'seal') this.seal = record;
    if (header.endOfRequest) this.requestEnd = this.place;
    const position = header.kind === 'seal' ? header.sequence : this.place.sequence - 1;
    if (position <= this.durable) this.durableEnd = this.place;
  }

  /** Whether segment `index` begins with exactly what is expected now. */
  private continuesIn(index: number): boolean {
    if (this.input.segments[index] !== this.place.sequence) return false;
    const header = this.segmentHeader(index);
    return header !== undefined && header.chain === this.place.chain;
  }

  /**
   * R8: a later record of this epoch, written by this set, may know that the missing one was
   * durable. Looked for only where a scan would end, at every place where a header can stand; in
   * payloads too, where hosts may keep headers of other journals, hence the tag.
   */
  private learnFromLaterHeaders(index: number, offset: number): void {
    if (!this.isOwn || !this.identity) return;
    const tag = epochTag(this.identity.id);
    for (let segment = index; segment < this.input.segments.length; segment += 1) {
      const from = segment === index ? offset : SEGMENT_HEADER_BYTES;
      for (const header of headersIn(this.input.files, this.path(segment), from)) {
        if (header.epoch !== this.input.epoch || header.epochTag !== tag) continue;
        if (header.sequence <= this.place.sequence) continue;
        this.durable = Math.max(this.durable, header.durableSequence);
      }
    }
  }

  private get isOwn(): boolean {
    return this.identity?.writer === this.input.ownSet;
  }

  private segmentHeader(index: number): SegmentHeader | undefined {
    const handle = this.input.files.open(this.path(index), 'read', 'JOURNAL:SCAN-OPEN');
    try {
      const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
      const got = handle.read(bytes, 0, 'JOURNAL:SCAN');
      const check = decodeSegmentHeader(bytes.subarray(0, got));
      if (check.found === 'unknown-version') throw unknownVersion(this.path(index), check.version);
      if (check.found !== 'header') return undefined;
      const named = this.input.segments[index];
      const { epoch, firstSequence } = check.header;
      return epoch === this.input.epoch && firstSequence === named ? check.header : undefined;
    } finally {
      handle.close();
    }
  }

  private cut(segment: number, offset: number, problem: string): void {
    this.cuts.push({ file: this.path(segment), offset, problem });
  }

  private path(index: number): string {
    return join(this.input.folder, segmentName(this.input.epoch, this.input.segments[index] ?? 0));
  }

  private damage(place: Place, reason: string): RcopyError {
    return new RcopyError(
      'E_DAMAGED',
      `${this.path(place.segment)} at offset ${place.offset}: record ${place.sequence} of epoch ` +
        `${this.input.epoch} is at or below durable number ${this.durable}: ${reason}`,
      { hint: 'run `rcopy verify` on this set, and on its pair: take the data from the good one' },
    );
  }
}

function reasonOf(peek: Peek): string {
  switch (peek.found) {
    case 'record':
      return 'an older record stands there';
    case 'zeroes':
      return 'there are only zeroes';
    case 'end':
      return 'the file ends';
    case 'unknown-version':
      return `format version ${peek.version}`;
    case 'garbage':
    case 'bad-payload':
      return peek.reason;
  }
}

const SEARCH_BYTES = 1024 * 1024;

/** Every whole header that stands at an aligned place from `from` on. */
function* headersIn(files: FileSystem, path: string, from: number) {
  const handle = files.open(path, 'read', 'JOURNAL:SCAN-OPEN');
  try {
    const window = Buffer.alloc(SEARCH_BYTES + 128);
    for (let start = from; ; start += SEARCH_BYTES) {
      const got = handle.read(window, start, 'JOURNAL:SCAN');
      const bytes = window.subarray(0, got);
      for (let at = 0; at < Math.min(got, SEARCH_BYTES); at += RECORD_ALIGNMENT) {
        if (bytes[at] !== 0x52) continue; // "R", the first byte of the magic
        const check = decodeRecordHeader(bytes, at);
        if (check.found === 'header') yield check.header;
      }
      if (got < window.length) return;
    }
  } finally {
    handle.close();
  }
}
