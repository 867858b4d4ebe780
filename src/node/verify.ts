/**
 * Reading everything: the journal with its checksums, chain and dense numbers; the images against
 * what the journal says was applied.
 */
import { isRcopyError, messageOf } from '../base/errors.ts';
import { isZero } from '../base/bytes.ts';
import { COPY_RANGE_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { WholeRecord } from '../format/record.ts';
import { ExtentMap } from '../imageset/extent-map.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { Finding, VerifyAnswer } from './answers.ts';

/** Differences beyond this many are counted, not listed. */
const FINDINGS_MAX = 1000;

/** Reads every kept record and compares the images with the newest of them. */
export async function verifySet(set: ImageSet): Promise<VerifyAnswer> {
  await set.drain();
  const findings: Finding[] = [];
  let recordsChecked = 0;
  let bytesChecked = 0;
  const seen = set.file.volumes.map(() => new ExtentMap());
  for (const run of set.journal.runs.toReversed()) {
    try {
      for (const records of segmentsBackwards(run)) {
        recordsChecked += records.length;
        for (const record of records.toReversed()) {
          bytesChecked += record.bytes.length;
          compareRecord(set, record, seen, findings);
        }
      }
    } catch (error) {
      if (!isRcopyError(error)) throw error;
      findings.push({ file: set.folder, offset: 0, problem: messageOf(error) });
    }
  }
  return { ok: findings.length === 0, set: set.file.name, recordsChecked, bytesChecked, findings };
}

/** The records of each segment, the last segment first: one segment in memory at a time. */
function* segmentsBackwards(run: Run): Generator<WholeRecord[]> {
  let end = run.writtenEnd;
  for (const segment of run.segments.toReversed()) {
    const reader = run.readFrom(segment.firstSequence);
    const records: WholeRecord[] = [];
    try {
      for (let record = reader.next(end); record; record = reader.next(end)) records.push(record);
    } finally {
      reader.close();
    }
    yield records;
    end = segment.firstSequence - 1;
  }
}

/** What is newest in a record must be in the image, when it was applied and is present. */
function compareRecord(
  set: ImageSet,
  record: WholeRecord,
  seen: readonly ExtentMap[],
  findings: Finding[],
): void {
  const { header, payload } = record;
  if (header.kind !== 'write' && header.kind !== 'zeroes') return;
  const map = seen[header.volume];
  const image = set.contents.images[header.volume];
  if (!map || !image) return;
  const end = header.offset + header.length;
  const applied = comparePositions(header, set.applied) <= 0;
  for (const [from, to] of applied ? gaps(map, header.offset, end) : []) {
    for (let at = from; at < to; at += COPY_RANGE_BYTES) {
      const length = Math.min(COPY_RANGE_BYTES, to - at);
      const actual = Buffer.alloc(length);
      image.handle.read(actual, at, 'VERIFY:READ');
      const same =
        header.kind === 'zeroes'
          ? isZero(actual)
          : actual.equals(payload.subarray(at - header.offset, at - header.offset + length));
      if (same || findings.length >= FINDINGS_MAX) continue;
      const problem = `the image differs from record ${header.sequence} of epoch ${header.epoch}`;
      findings.push({ file: image.handle.path, offset: at, problem });
    }
  }
  map.insert(header.offset, header.length, undefined, false);
}

/** The parts of a range that the map does not cover. */
function gaps(map: ExtentMap, start: number, end: number): [from: number, to: number][] {
  const found: [number, number][] = [];
  let at = start;
  map.forEachIn(start, end, (extent) => {
    if (extent.start > at) found.push([at, extent.start]);
    at = Math.max(at, extent.end);
  });
  if (at < end) found.push([at, end]);
  return found;
}
