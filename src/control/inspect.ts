/**
 * For eyes: what the files of an image set say, read as they lie there. No lock, nothing written,
 * and what is damaged is said instead of stopping.
 */
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { findingText } from '../base/finding.ts';
import { chooseCursorSlot, CURSOR_SLOT_BYTES } from '../format/cursors.ts';
import type { Cursors } from '../format/cursors.ts';
import { decodeOpen, decodeRebase, decodeSeal } from '../format/control-records.ts';
import type { WholeRecord } from '../format/record.ts';
import { SEGMENT_HEADER_BYTES, decodeSegmentHeader, parseSegmentName } from '../format/segment.ts';
import type { SetFile } from '../format/set-file.ts';
import { setPaths } from '../imageset/set-folder.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import { RecordReader } from '../journal/record-reader.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileSystem } from '../sys/files.ts';

export interface InspectAnswer {
  readonly set: {
    readonly id: string;
    readonly group: string;
    readonly name: string;
    readonly role: string;
    readonly epoch: number;
    readonly path: string;
    /** The folder is the set itself, not a copy of its files. */
    readonly original: boolean;
  };
  readonly volumes: readonly {
    readonly name: string;
    readonly size: number;
    readonly image: string;
    readonly imageBytes: number | null;
  }[];
  readonly journal: {
    readonly segments: number;
    readonly segmentBytes: number;
    readonly capacityBytes: number;
  };
  readonly cursors: Cursors | null;
  /** Whether the raw images alone are the truth, and why not. */
  readonly images: { readonly exact: boolean; readonly reason: string };
  readonly pair: SetFile['pair'];
  readonly seal: { readonly nextSequence: number; readonly successor: string } | null;
  readonly migration: SetFile['migration'];
  /** What is damaged or odd. */
  readonly notices: readonly string[];
}

/** Identity and cursors. Throws only when set.json cannot be read. */
export function inspectSet(environment: Environment, path: string): InspectAnswer {
  const { files } = environment;
  const folder = files.resolve(path);
  const file = readSetFile(files, folder);
  const notices: string[] = [];
  const cursors = attempt(notices, () => cursorsOf(files, folder, notices));
  const home = files.status(setPaths.journal(folder), 'INSPECT:STATUS')?.inode;
  const segments = attempt(notices, () => segmentsOf(files, folder)) ?? [];
  return {
    set: {
      id: file.setId,
      group: file.groupId,
      name: file.name,
      role: file.role,
      epoch: file.epoch,
      path: folder,
      original: home === file.home,
    },
    volumes: file.volumes.map(({ name, sizeBytes }) => {
      const image = setPaths.image(folder, name);
      const status = files.status(image, 'INSPECT:STATUS');
      if (status?.sizeBytes !== sizeBytes) {
        notices.push(`${image}: ${status ? `has ${status.sizeBytes} bytes` : 'is missing'}`);
      }
      return { name, size: sizeBytes, image, imageBytes: status?.sizeBytes ?? null };
    }),
    journal: {
      segments: segments.length,
      segmentBytes: file.journal.segmentBytes,
      capacityBytes: file.journal.segmentBytes * file.journal.segmentsMax,
    },
    cursors: cursors ?? null,
    images: imagesExact(file, cursors),
    pair: file.pair,
    seal: file.seal && {
      nextSequence: file.seal.nextSequence,
      successor: file.seal.successor.address,
    },
    migration: file.migration,
    notices,
  };
}

function imagesExact(
  file: SetFile,
  cursors: Cursors | undefined,
): { exact: boolean; reason: string } {
  if (!cursors) return { exact: false, reason: 'the cursors cannot be read' };
  if (!cursors.clean) {
    return { exact: false, reason: 'the set is open, or was not closed in order: see its journal' };
  }
  if (file.maps.length > 0) {
    return { exact: false, reason: 'some blocks are still at the migration source' };
  }
  if (file.role === 'secondary' && !cursors.usable) {
    return { exact: false, reason: 'the first copy is not complete' };
  }
  const last = cursors.epochs.findLast(({ epoch }) => epoch === cursors.applied.epoch);
  const behind = last && (last.sealedAt ?? last.durable + 1) - 1 - cursors.applied.sequence;
  if (behind !== undefined && behind > 0) {
    return { exact: false, reason: `the images are ${behind} numbers behind the journal` };
  }
  return { exact: true, reason: `the images are the state at number ${cursors.applied.sequence}` };
}

function cursorsOf(files: FileSystem, folder: string, notices: string[]): Cursors {
  const path = setPaths.cursors(folder);
  const handle = files.open(path, 'read', 'INSPECT:OPEN');
  try {
    const bytes = Buffer.alloc(2 * CURSOR_SLOT_BYTES);
    const got = handle.read(bytes, 0, 'INSPECT:READ');
    const first = bytes.subarray(0, Math.min(got, CURSOR_SLOT_BYTES));
    const second = bytes.subarray(Math.min(got, CURSOR_SLOT_BYTES), got);
    const file = chooseCursorSlot(path, first, second);
    if (file.flaw) notices.push(findingText(file.flaw));
    return file.cursors;
  } finally {
    handle.close();
  }
}

function attempt<T>(notices: string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    notices.push(messageOf(error));
    return undefined;
  }
}

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

interface SegmentFile {
  readonly epoch: number;
  readonly firstSequence: number;
  readonly path: string;
}

/** The records from number `from` on, at most `limit`, in order of epoch and number. */
export function* inspectJournal(
  environment: Environment,
  path: string,
  range: { readonly from: number; readonly limit: number },
): Generator<JournalLine> {
  const { files } = environment;
  const folder = files.resolve(path);
  const file = readSetFile(files, folder);
  const names = file.volumes.map(({ name }) => name);
  const segments = segmentsOf(files, folder);
  let left = range.limit;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    const passed = next?.epoch === segment.epoch && next.firstSequence <= range.from;
    if (passed) continue;
    for (const line of segmentLines(files, segment, names)) {
      if (line.sequence < range.from) continue;
      if (left <= 0) return;
      left -= 1;
      yield line;
    }
  }
}

function segmentsOf(files: FileSystem, folder: string): SegmentFile[] {
  const journal = setPaths.journal(folder);
  return files.list(journal, 'INSPECT:LIST').flatMap((name) => {
    const parsed = parseSegmentName(name);
    return parsed ? [{ ...parsed, path: join(journal, name) }] : [];
  });
}

function* segmentLines(
  files: FileSystem,
  segment: SegmentFile,
  names: readonly string[],
): Generator<JournalLine> {
  const handle = files.open(segment.path, 'read', 'INSPECT:OPEN');
  try {
    const head = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const got = handle.read(head, 0, 'INSPECT:READ');
    const check = decodeSegmentHeader(head.subarray(0, got));
    if (check.found !== 'header') {
      const reason = 'reason' in check ? check.reason : check.found;
      yield oddLine(segment, 0, segment.firstSequence, `the segment header: ${reason}`);
      return;
    }
    const reader = new RecordReader(handle, SEGMENT_HEADER_BYTES, 'INSPECT:READ');
    let { firstSequence: expected, chain } = check.header;
    for (;;) {
      const { offset } = reader;
      const peek = reader.peek();
      if (peek.found === 'zeroes' || peek.found === 'end') return;
      if (peek.found !== 'record') {
        const reason = 'reason' in peek ? peek.reason : `version ${peek.version}`;
        yield oddLine(segment, offset, expected, reason);
        return;
      }
      const { header } = peek.record;
      const stale = header.sequence !== expected || header.chain !== chain;
      if (stale) return; // what an earlier use of the file left behind its end
      yield recordLine(segment, offset, peek.record, names);
      reader.skip(peek.record.bytes.length);
      const numbered = ['write', 'zeroes', 'mark'].includes(header.kind);
      if (numbered) expected += 1;
      chain =
        header.kind === 'rebase' ? decodeRebase(peek.record.payload).base.chain : header.ownChain;
    }
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
