/**
 * Reading everything: the journal with its checksums, chain and dense numbers; the images against
 * what the journal says was applied; two sets against each other.
 */
import { createHash } from 'node:crypto';
import { isRcopyError, messageOf } from '../base/errors.ts';
import { RcopyError } from '../base/errors.ts';
import { isZero } from '../base/bytes.ts';
import { COPY_RANGE_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { WholeRecord } from '../format/record.ts';
import { ExtentMap } from '../imageset/extent-map.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { CompareAnswer, Finding, VerifyAnswer } from './answers.ts';
import type { DigestAnswer, DigestCall } from './calls.ts';
import type { Peer } from './peers.ts';

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

/** What a range holds, for the other side of a comparison. */
export async function digest(set: ImageSet, call: DigestCall): Promise<DigestAnswer> {
  const { volume, offset, length } = call;
  const image = set.contents.image(volume);
  if (offset + length > image.sizeBytes) {
    throw new RcopyError(
      'E_RANGE',
      `a digest of ${length} bytes at ${offset} leaves ${image.name}`,
    );
  }
  const hash = createHash('sha256');
  let zero = true;
  let asOf = set.newest;
  for (let at = offset; at < offset + length;) {
    const read = await set.readForPeer(volume, at, offset + length, COPY_RANGE_BYTES);
    asOf = Math.max(asOf, read.asOf);
    at += read.length;
    if (read.data === undefined && zero) continue;
    if (zero) hashZeroes(hash, at - read.length - offset);
    zero = false;
    if (read.data) hash.update(read.data);
    else hashZeroes(hash, read.length);
  }
  return zero ? { asOf } : { sha256: hash.digest('hex'), asOf };
}

const ZEROES = Buffer.alloc(COPY_RANGE_BYTES);

function hashZeroes(hash: { update(data: Uint8Array): unknown }, length: number): void {
  for (let left = length; left > 0; left -= ZEROES.length) {
    hash.update(ZEROES.subarray(0, Math.min(left, ZEROES.length)));
  }
}

/** Compares all volumes of two sets that stand at the same number. */
export async function compareSets(set: ImageSet, other: Peer): Promise<CompareAnswer> {
  const facts = await other.call<PartyFacts & { newest: number }>('facts', null);
  const sequence = set.newest;
  if (facts.newest !== sequence) {
    throw new RcopyError(
      'E_STATE',
      `${set.file.name} stands at number ${sequence}, ${facts.identity.name} at ${facts.newest}`,
      { hint: 'bring them to the same number first: `rcopy replicate` on the primary' },
    );
  }
  const differences: { volume: string; offset: number; length: number }[] = [];
  let bytesCompared = 0;
  for (const [volume, { name, sizeBytes }] of set.file.volumes.entries()) {
    const theirs = facts.volumes[volume];
    if (theirs?.name !== name || theirs.sizeBytes !== sizeBytes) {
      throw new RcopyError('E_DIFFERENT', `${facts.identity.name} has other volumes`);
    }
    for (let offset = 0; offset < sizeBytes;) {
      const { length } = await set.readForPeer(volume, offset, sizeBytes, COPY_RANGE_BYTES);
      const range = { volume, offset, length };
      const [mine, theirsDigest] = await Promise.all([
        digest(set, range),
        other.call<DigestAnswer>('digest', range),
      ]);
      if (mine.asOf !== sequence || theirsDigest.asOf !== sequence) {
        const moved = mine.asOf === sequence ? facts.identity.name : set.file.name;
        throw new RcopyError('E_STATE', `${moved} moved on from number ${sequence} meanwhile`, {
          hint: 'compare again when hosts are quiet',
        });
      }
      if (mine.sha256 !== theirsDigest.sha256) {
        const last = differences.at(-1);
        if (last?.volume === name && last.offset + last.length === offset) {
          last.length += length;
        } else if (differences.length < FINDINGS_MAX) {
          differences.push({ volume: name, offset, length });
        }
      }
      bytesCompared += length;
      offset += length;
    }
  }
  return { equal: differences.length === 0, sequence, bytesCompared, differences };
}
