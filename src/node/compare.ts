/** Two sets against each other, by digests of ranges: what differs is found without sending it. */
import { createHash } from 'node:crypto';
import { RcopyError } from '../base/errors.ts';
import { COPY_RANGE_BYTES, MAP_BLOCK_BYTES } from '../base/limits.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { CompareAnswer } from './answers.ts';
import type { DigestAnswer, DigestCall } from './calls.ts';
import type { Peer } from './peers.ts';

/** Differing ranges beyond this many are not listed. */
const DIFFERENCES_MAX = 1000;

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

/** Compares all volumes of two sets that stand at the same number, and stay there meanwhile. */
export async function compareSets(set: ImageSet, other: Peer): Promise<CompareAnswer> {
  const facts = await other.call<PartyFacts & { newest: number }>('facts', null);
  const { name } = facts.identity;
  const sequence = set.newest;
  if (facts.newest !== sequence) {
    throw new RcopyError(
      'E_STATE',
      `${set.file.name} stands at number ${sequence}, ${name} at ${facts.newest}`,
      { hint: 'bring them to the same number first: `rcopy replicate` on the primary' },
    );
  }
  const comparison: Comparison = { set, other, otherName: name, sequence };
  const differences: { volume: string; offset: number; length: number }[] = [];
  let bytesCompared = 0;
  for (const [volume, mine] of set.file.volumes.entries()) {
    const theirs = facts.volumes[volume];
    if (theirs?.name !== mine.name || theirs.sizeBytes !== mine.sizeBytes) {
      throw new RcopyError('E_DIFFERENT', `${name} has other volumes`);
    }
    for (let offset = 0; offset < mine.sizeBytes;) {
      const { length } = await set.readForPeer(volume, offset, mine.sizeBytes, COPY_RANGE_BYTES);
      for await (const found of differing(comparison, { volume, offset, length })) {
        const last = differences.at(-1);
        if (last?.volume === mine.name && last.offset + last.length === found.offset) {
          last.length += found.length;
        } else if (differences.length < DIFFERENCES_MAX) {
          differences.push({ volume: mine.name, offset: found.offset, length: found.length });
        } else break;
      }
      bytesCompared += length;
      offset += length;
    }
  }
  return { equal: differences.length === 0, sequence, bytesCompared, differences };
}

interface Comparison {
  readonly set: ImageSet;
  readonly other: Peer;
  readonly otherName: string;
  readonly sequence: number;
}

/** The differing blocks of a range, found by halving what differs. */
async function* differing(comparison: Comparison, range: DigestCall): AsyncGenerator<DigestCall> {
  const { set, other, otherName, sequence } = comparison;
  const [mine, theirs] = await Promise.all([
    digest(set, range),
    other.call<DigestAnswer>('digest', range),
  ]);
  if (mine.asOf !== sequence || theirs.asOf !== sequence) {
    const moved = mine.asOf === sequence ? otherName : set.file.name;
    throw new RcopyError('E_STATE', `${moved} moved on from number ${sequence} meanwhile`, {
      hint: 'compare again when hosts are quiet',
    });
  }
  if (mine.sha256 === theirs.sha256) return;
  const { volume, offset, length } = range;
  if (length <= MAP_BLOCK_BYTES) {
    yield range;
    return;
  }
  const half = Math.ceil(length / 2 / MAP_BLOCK_BYTES) * MAP_BLOCK_BYTES;
  yield* differing(comparison, { volume, offset, length: half });
  yield* differing(comparison, { volume, offset: offset + half, length: length - half });
}
