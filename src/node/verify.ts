/**
 * Reading everything: set.json, the cursors, the maps, the journal with its checksums, chain and
 * dense numbers, and the images against what the journal says was applied. What opening the set
 * found and put right is told as well: nobody would see it later.
 */
import { isRcopyError, messageOf } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { isZero } from '../base/bytes.ts';
import { COPY_RANGE_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { WholeRecord } from '../format/record.ts';
import { ExtentMap } from '../imageset/extent-map.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { RunReader } from '../journal/run-reader.ts';
import type { VerifyAnswer } from './answers.ts';
import { verifyFiles } from './verify-files.ts';

/** Differences beyond this many are counted, not listed. */
const FINDINGS_MAX = 1000;

/** Reads every file and every kept record, and compares the images with the newest of them. */
export async function verifySet(set: ImageSet): Promise<VerifyAnswer> {
  // First of all: to apply is to write the cursors anew.
  const findings = [...set.findings, ...verifyFiles(set)];
  await applyWhatCanBe(set);
  let recordsChecked = 0;
  let bytesChecked = 0;
  let comparable = true;
  const seen = set.file.volumes.map(() => new ExtentMap());
  for (const run of set.journal.runs.toReversed()) {
    if (!run.headDurable) continue; // it is being begun just now
    for (const { records, finding } of segmentsBackwards(run)) {
      recordsChecked += records.length;
      for (const { bytes } of records) bytesChecked += bytes.length;
      if (finding) findings.push(finding);
      // What is older than a record that cannot be read may differ from the image for its sake.
      comparable &&= finding === undefined;
      if (!comparable || isCarried(set, run)) continue;
      for (const record of records.toReversed()) compareRecord(set, record, seen, findings);
    }
  }
  return { ok: findings.length === 0, set: set.file.name, recordsChecked, bytesChecked, findings };
}

/** Records that are only on their way from another set to the secondary never come into images. */
function isCarried({ file }: ImageSet, run: Run): boolean {
  return file.role !== 'secondary' && run.identity.writer !== file.setId;
}

/** A migration target may have to wait for blocks that nobody can give it now. */
async function applyWhatCanBe(set: ImageSet): Promise<void> {
  try {
    await set.drain();
  } catch (error) {
    if (!isRcopyError(error, 'E_UNREACHABLE')) throw error;
  }
}

interface SegmentRead {
  /** Those before the finding, if there is one. */
  readonly records: readonly WholeRecord[];
  readonly finding: Finding | undefined;
}

/** What each segment holds, the last segment first: one segment in memory at a time. */
function* segmentsBackwards(run: Run): Generator<SegmentRead> {
  let end = run.writtenEnd;
  let chain: number | undefined = run.chain;
  for (const { firstSequence } of run.segments.toReversed()) {
    const read = readSegment(run, firstSequence, { end, chain });
    yield read;
    end = firstSequence - 1;
    chain = read.records[0]?.header.chain;
  }
}

/** Where a segment must end: with which number, and with what the next one chains to, if known. */
interface SegmentEnd {
  readonly end: number;
  readonly chain: number | undefined;
}

function readSegment(run: Run, first: number, { end, chain }: SegmentEnd): SegmentRead {
  const records: WholeRecord[] = [];
  let reader: RunReader | undefined;
  const found = (problem: string): SegmentRead => {
    const offset = reader?.place?.offset ?? 0;
    return { records, finding: { file: run.segmentPath(first), offset, problem } };
  };
  try {
    reader = run.readFrom(first);
    do {
      const record = reader.next(end);
      if (!record) break;
      records.push(record);
    } while (reader.sequence <= end && !reader.ended);
    if (!beginsWithHead(run, first, records))
      return found('the record that begins the run is gone');
    if (chain === undefined || chain === reader.chain) return { records, finding: undefined };
    return found('what follows in the next segment does not chain to what stands here');
  } catch (error) {
    if (!isRcopyError(error)) throw error;
    return found(messageOf(error));
  } finally {
    reader?.close();
  }
}

/** The head has no number that would be missed. */
function beginsWithHead({ head, firstKept }: Run, first: number, records: readonly WholeRecord[]) {
  if (!head || first !== firstKept || first !== head.header.sequence) return true;
  return records[0]?.header.ownChain === head.header.ownChain;
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
