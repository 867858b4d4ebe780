/**
 * After a start that was not preceded by an orderly close, nobody knows what of a run's tail is
 * only in the page cache: a failed sync may have marked it clean. So what stands beyond the last
 * known durable number is written into fresh segments and synced before anything is served (R2),
 * and what stood behind it is cut off, so that it never comes back as records (R8).
 *
 * The new segments are complete under other names before the first one is renamed; a scan prefers
 * a segment that begins with exactly the expected number and chain, so every state in between reads
 * as the same run.
 */
import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { fileError } from '../base/errors.ts';
import { isNumbered } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import { decodeRebase } from '../format/control-records.ts';
import { SEGMENT_HEADER_BYTES, encodeSegmentHeader, segmentName } from '../format/segment.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';
import { RecordReader } from './record-reader.ts';
import type { Place, RunScan } from './run-scan.ts';

export interface TailRewrite {
  readonly files: FileSystem;
  readonly folder: string;
  readonly segmentBytes: number;
  readonly scan: RunScan;
  /** First sequence numbers of the run's segment files as they are now. */
  readonly segments: readonly number[];
}

export interface RewrittenRun {
  readonly segments: number[];
  readonly endOffset: number;
}

/** The part of a segment name that a crash may leave behind; removed at the next start. */
export const TAIL_SUFFIX = '.tail';

/** Rewrites and cuts one run's tail. When it resolves, all up to the scan's end is durable. */
export async function rewriteTail(input: TailRewrite): Promise<RewrittenRun> {
  const { files, folder, scan, segments } = input;
  const start = tailStart(input);
  const tail = new TailWriter(input, start);
  try {
    copyTail(input, start, tail);
    await tail.finish();
  } catch (error) {
    tail.close();
    throw fileError('rewriting the tail of the journal', folder, error);
  }
  try {
    for (const first of tail.segments) {
      const path = join(folder, segmentName(scan.identity.epoch, first));
      files.rename(path + TAIL_SUFFIX, path, 'JOURNAL:TAIL-RENAME');
    }
    await files.syncFolder(folder, 'JOURNAL:TAIL-FOLDER');
    return await cutOldTail(input, start, tail, segments);
  } catch (error) {
    throw fileError('cutting the tail of the journal', folder, error);
  }
}

/** Behind the durable end; a segment that holds nothing numbered and durable is taken whole. */
function tailStart({ scan, segments }: TailRewrite): Place {
  const { durableEnd } = scan;
  const first = segments[durableEnd.segment];
  if (first !== durableEnd.sequence) return durableEnd;
  return { ...durableEnd, offset: SEGMENT_HEADER_BYTES };
}

function copyTail({ files, folder, scan, segments }: TailRewrite, start: Place, tail: TailWriter) {
  for (let index = start.segment; index <= scan.end.segment; index += 1) {
    const path = join(folder, segmentName(scan.identity.epoch, segments[index] ?? 0));
    const handle = files.open(path, 'read', 'JOURNAL:TAIL-OPEN');
    try {
      const from = index === start.segment ? start.offset : SEGMENT_HEADER_BYTES;
      const reader = new RecordReader(handle, from, 'JOURNAL:TAIL-READ');
      const last = index === scan.end.segment;
      while (!last || reader.offset < scan.end.offset) {
        const next = segments[index + 1];
        if (!last && tail.sequence === next) break;
        const peek = reader.peek();
        assert(peek.found === 'record', 'the tail reads as it was scanned');
        tail.add(peek.record);
        reader.skip(peek.record.bytes.length);
      }
    } finally {
      handle.close();
    }
  }
}

/** Removes what the new segments replace and cuts the one in which they begin. */
async function cutOldTail(
  { files, folder, scan, segments }: TailRewrite,
  start: Place,
  tail: TailWriter,
  old: readonly number[],
): Promise<RewrittenRun> {
  const path = (first: number) => join(folder, segmentName(scan.identity.epoch, first));
  for (const first of old.slice(start.segment + 1)) {
    if (!tail.segments.includes(first)) files.remove(path(first), 'JOURNAL:TAIL-REMOVE');
  }
  const kept = segments.slice(0, start.segment + 1);
  const firstKept = kept.at(-1);
  assert(firstKept !== undefined, 'the tail begins in a segment');
  let endOffset = tail.endOffset;
  if (!tail.segments.includes(firstKept)) {
    const handle = files.open(path(firstKept), 'write', 'JOURNAL:TAIL-OPEN');
    try {
      handle.setSize(start.offset, 'JOURNAL:TAIL-CUT');
      await handle.sync('JOURNAL:TAIL-SYNC');
    } finally {
      handle.close();
    }
    if (tail.segments.length === 0) endOffset = start.offset;
  }
  await files.syncFolder(folder, 'JOURNAL:TAIL-FOLDER');
  return { segments: [...new Set([...kept, ...tail.segments])], endOffset };
}

/** Writes records into new segment files under names that no scan looks at. */
class TailWriter {
  /** First sequence numbers of the new segments. */
  readonly segments: number[] = [];
  endOffset = 0;
  sequence: number;
  private chain: number;
  private readonly input: TailRewrite;
  private handle: FileHandle | undefined;
  private readonly handles: FileHandle[] = [];

  constructor(input: TailRewrite, start: Place) {
    this.input = input;
    this.sequence = start.sequence;
    this.chain = start.chain;
  }

  add(record: WholeRecord): void {
    const { header, bytes } = record;
    // The head's own place in the chain is what comes before it.
    if (this.segments.length === 0) this.chain = header.chain;
    if (!this.handle || this.endOffset + bytes.length > this.input.segmentBytes) this.roll();
    this.handle?.write([bytes], this.endOffset, 'JOURNAL:TAIL-WRITE');
    this.endOffset += bytes.length;
    if (isNumbered(header.kind)) this.sequence += 1;
    this.chain =
      header.kind === 'rebase' ? decodeRebase(record.payload).base.chain : header.ownChain;
  }

  async finish(): Promise<void> {
    for (const handle of this.handles) await handle.sync('JOURNAL:TAIL-SYNC');
    this.close();
  }

  close(): void {
    for (const handle of this.handles) handle.close();
  }

  private roll(): void {
    const { files, folder, scan } = this.input;
    const name = segmentName(scan.identity.epoch, this.sequence) + TAIL_SUFFIX;
    this.handle = files.open(join(folder, name), 'replace', 'JOURNAL:TAIL-CREATE');
    this.handles.push(this.handle);
    const header = encodeSegmentHeader({
      epoch: scan.identity.epoch,
      firstSequence: this.sequence,
      chain: this.chain,
      epochId: scan.identity.id,
      writer: scan.identity.writer,
      epochFirst: scan.identity.first,
    });
    this.handle.write([header], 0, 'JOURNAL:TAIL-WRITE');
    this.segments.push(this.sequence);
    this.endOffset = SEGMENT_HEADER_BYTES;
  }
}
