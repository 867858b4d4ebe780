/**
 * For eyes: the records of a journal as they lie in its files, one a line. No lock, nothing
 * written; goes on in the next segment behind what is damaged.
 */
import type { EpochCursor } from '../format/cursors.ts';
import { decodeOpen, decodeRebase, decodeSeal } from '../format/control-records.ts';
import { isNumbered } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import { SEGMENT_HEADER_BYTES } from '../format/segment.ts';
import { RecordReader } from '../journal/record-reader.ts';
import type { Environment } from '../sys/environment.ts';
import { refuseAddress } from './addresses.ts';
import type { FileSystem } from '../sys/files.ts';
import { attempt, cursorsOf, readableSetFile, segmentHeader, segmentsOf } from './inspect-parts.ts';
import type { SegmentFile } from './inspect-parts.ts';

/** One record, or what stands where one should be. */
export interface JournalLine {
  readonly epoch: number;
  readonly sequence: number;
  readonly kind: string;
  readonly volume: string | null;
  readonly offset: number;
  readonly length: number;
  /** ISO 8601, by the primary's clock. */
  readonly time: string;
  readonly durable: number;
  readonly chain: string;
  readonly file: string;
  readonly fileOffset: number;
  readonly note: string;
}

/**
 * The records from number `from` on, at most `limit`, in order of epoch and number, and a line for
 * each place where something is damaged or missing. Without a set.json volumes have numbers.
 */
export function* inspectJournal(
  environment: Environment,
  path: string,
  range: { readonly from: number; readonly limit: number },
): Generator<JournalLine> {
  refuseAddress(path);
  const { files } = environment;
  const folder = files.resolve(path);
  const file = readableSetFile(files, folder, []);
  const names = file?.volumes.map(({ name }) => name) ?? [];
  let left = range.limit;
  for (const line of journalLines(files, folder, names, range.from)) {
    if (line.sequence < range.from) continue;
    if (left <= 0) return;
    left -= 1;
    yield line;
  }
}

function* journalLines(
  files: FileSystem,
  folder: string,
  names: readonly string[],
  from: number,
): Generator<JournalLine> {
  // Before the records: what is durable later may be written later.
  const known = attempt([], () => cursorsOf(files, folder, []))?.epochs ?? [];
  const segments = segmentsOf(files, folder);
  /** Where the segment before ends, when that was read. */
  let end: JournalEnd | undefined;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    const following = next?.epoch === segment.epoch ? next.firstSequence : undefined;
    if (following !== undefined && following <= from) continue;
    if (end && end.sequence < segment.firstSequence) {
      const why = `it is missing, and so is all before number ${segment.firstSequence}`;
      yield oddLine(segment, 0, end.sequence, why);
    }
    end = yield* segmentLines(files, segment, names);
    if (following !== undefined) continue;
    yield* missingAtEnd(segment, end, known);
    end = undefined;
  }
}

/** Behind the last record that could be read: the number that should follow, and where. */
interface JournalEnd {
  readonly sequence: number;
  readonly offset: number;
}

/** What the cursors call durable and is not there: behind a cut nothing else would tell. */
function* missingAtEnd(
  segment: SegmentFile,
  { sequence, offset }: JournalEnd,
  known: readonly EpochCursor[],
): Generator<JournalLine> {
  const cursor = known.find(({ epoch }) => epoch === segment.epoch);
  if (!cursor) return;
  // A seal is durable at the number behind the last one.
  const last = cursor.sealedAt === null ? cursor.durable : cursor.sealedAt - 1;
  if (sequence > last) return;
  yield oddLine(segment, offset, sequence, `it is missing; ${last} was the last durable number`);
}

function* segmentLines(
  files: FileSystem,
  segment: SegmentFile,
  names: readonly string[],
): Generator<JournalLine, JournalEnd> {
  const handle = files.open(segment.path, 'read', 'INSPECT:OPEN');
  try {
    const found = segmentHeader(handle, segment);
    if ('problem' in found) {
      yield oddLine(segment, 0, segment.firstSequence, `the segment header: ${found.problem}`);
      return { sequence: segment.firstSequence, offset: 0 };
    }
    const reader = new RecordReader(handle, SEGMENT_HEADER_BYTES, 'INSPECT:READ');
    let { firstSequence: expected, chain } = found.header;
    for (;;) {
      const { offset } = reader;
      const peek = reader.peek();
      if (peek.found === 'zeroes' || peek.found === 'end') break;
      if (peek.found !== 'record') {
        const reason = 'reason' in peek ? peek.reason : `format version ${peek.version}`;
        yield oddLine(segment, offset, expected, reason);
        break;
      }
      const { header } = peek.record;
      const stale = header.sequence !== expected || header.chain !== chain;
      if (stale) break; // what an earlier use of the file left behind its end
      yield recordLine(segment, offset, peek.record, names);
      reader.skip(peek.record.bytes.length);
      if (isNumbered(header.kind)) expected += 1;
      chain =
        header.kind === 'rebase' ? decodeRebase(peek.record.payload).base.chain : header.ownChain;
    }
    return { sequence: expected, offset: reader.offset };
  } finally {
    handle.close();
  }
}

function recordLine(
  segment: SegmentFile,
  fileOffset: number,
  record: WholeRecord,
  names: readonly string[],
): JournalLine {
  const { header } = record;
  const isData = header.kind === 'write' || header.kind === 'zeroes';
  return {
    epoch: header.epoch,
    sequence: header.sequence,
    kind: header.kind,
    volume: isData ? (names[header.volume] ?? `#${header.volume}`) : null,
    offset: header.offset,
    length: header.length,
    time: new Date(header.timeMs).toISOString(),
    durable: header.durableSequence,
    chain: header.ownChain.toString(16).padStart(8, '0'),
    file: segment.path,
    fileOffset,
    note: noteOf(record),
  };
}

function noteOf({ header, payload }: WholeRecord): string {
  switch (header.kind) {
    case 'mark':
      return payload.toString('utf8');
    case 'seal': {
      const seal = decodeSeal(payload);
      return `next number ${header.sequence}, successor ${seal.successorAddress}`;
    }
    case 'open': {
      const { parent } = decodeOpen(payload);
      return parent.kind === 'none' ? 'first epoch' : `after a ${parent.kind}`;
    }
    case 'rebase':
      return `records go on behind number ${decodeRebase(payload).base.sequence}`;
    default:
      return header.endOfRequest ? '' : 'request goes on';
  }
}

function oddLine(
  segment: SegmentFile,
  fileOffset: number,
  sequence: number,
  why: string,
): JournalLine {
  return {
    epoch: segment.epoch,
    sequence,
    kind: 'damaged',
    volume: null,
    offset: 0,
    length: 0,
    time: '',
    durable: 0,
    chain: '',
    file: segment.path,
    fileOffset,
    note: why,
  };
}
