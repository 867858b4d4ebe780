/**
 * Two sets against each other, by digests of ranges: what differs is found without sending it.
 *
 * Each range is compared as of one number. Two sets that stand still at the same number are read as
 * they are. A secondary that follows its primary is asked when it has what the primary's digest
 * reflects; if a host changed the range meanwhile, that says nothing, and it is tried again: in
 * smaller pieces, at last with hosts held up for a moment.
 */
import { createHash } from 'node:crypto';
import { RcopyError } from '../base/errors.ts';
import { COPY_RANGE_BYTES, GIB, MAP_BLOCK_BYTES } from '../base/limits.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { comparePositions } from '../base/position.ts';
import type { Position } from '../base/position.ts';
import type { Clock } from '../sys/clock.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { CompareAnswer } from './answers.ts';
import type { DigestAnswer, DigestCall } from './calls.ts';
import type { Peer } from './peers.ts';
import { withTimeout } from './wait.ts';

/** Differing ranges beyond this many are not listed. */
const DIFFERENCES_MAX = 1000;

/** What a range holds, for the other side of a comparison. */
export async function digest(set: ImageSet, call: DigestCall): Promise<DigestAnswer> {
  const { volume, offset, length, behind } = call;
  if (behind) await comesTo(set, behind, behind.waitMs);
  const image = set.contents.image(volume);
  if (offset + length > image.sizeBytes) {
    throw new RcopyError(
      'E_RANGE',
      `a digest of ${length} bytes at ${offset} leaves ${image.name}`,
    );
  }
  const { clock } = set.environment;
  const hash = createHash('sha256');
  let zero = true;
  let asOf = set.newest;
  for (let at = offset; at < offset + length;) {
    const read = await set.readForPeer(volume, at, offset + length);
    asOf = Math.max(asOf, read.asOf);
    at += read.length;
    if (read.data === undefined && zero) continue;
    if (zero) await hashZeroes(hash, at - read.length - offset, clock);
    zero = false;
    if (read.data) hash.update(read.data);
    else await hashZeroes(hash, read.length, clock);
  }
  return zero ? { asOf } : { sha256: hash.digest('hex'), asOf };
}

const ZEROES = Buffer.alloc(COPY_RANGE_BYTES);

/** Of holes, which can be long: others go on in between. */
async function hashZeroes(
  hash: { update(data: Uint8Array): unknown },
  length: number,
  clock: Clock,
): Promise<void> {
  for (let left = length; left > 0; left -= ZEROES.length) {
    hash.update(ZEROES.subarray(0, Math.min(left, ZEROES.length)));
    if (left % (8 * ZEROES.length) < ZEROES.length) {
      await new Promise<void>((resolve) => clock.soon(resolve));
    }
  }
}

/** Resolves once a secondary has taken in what its primary's digest reflects. */
function comesTo(set: ImageSet, behind: Position, timeoutMs: number): Promise<void> {
  const what = `number ${behind.sequence} of epoch ${behind.epoch}`;
  return withTimeout(set, { timeoutMs }, what, () => {
    return comparePositions(set.feed.position, behind) >= 0;
  });
}

/** How long a secondary may take to follow, while its link is up; shorter while hosts wait. */
const FOLLOW_MS = 30_000;
const FOLLOW_HELD_MS = 2_000;
/** A hole is compared in pieces: what differs in it is found by hashing all of a piece. */
const HOLE_BYTES_MAX = 1 * GIB;
/** How often a range is tried that hosts keep changing, before its halves are. */
const TRIES_MAX = 3;

/** How one range is judged. */
type Judge = (range: DigestCall) => Promise<'same' | 'different' | 'changing'>;

export interface CompareParts {
  readonly set: ImageSet;
  readonly other: Peer;
  /** The link to the secondary is up, and stays. */
  readonly isFollowed: boolean;
}

/** Compares all volumes of two sets. Rejects with `E_STATE` when they cannot be compared now. */
export async function compareSets({
  set,
  other,
  isFollowed,
}: CompareParts): Promise<CompareAnswer> {
  const facts = await other.call<PartyFacts & { newest: number }>('facts', null);
  const { name, setId } = facts.identity;
  const follows = isFollowed && set.file.role === 'primary' && set.file.pair?.peer.setId === setId;
  checkUsable(set.file.role, set.file.name, set.usable);
  checkUsable(facts.role, name, facts.usable);
  if (!follows) checkStill(set, name, facts.newest);
  const judge = follows ? judgeFollowing(set, other) : judgeStill(set, other, name);
  const differences: { volume: string; offset: number; length: number }[] = [];
  let bytesCompared = 0;
  for (const [volume, mine] of set.file.volumes.entries()) {
    const theirs = facts.volumes[volume];
    if (theirs?.name !== mine.name || theirs.sizeBytes !== mine.sizeBytes) {
      throw new RcopyError('E_DIFFERENT', `${name} has other volumes`);
    }
    for (let offset = 0; offset < mine.sizeBytes;) {
      const end = Math.min(mine.sizeBytes, offset + HOLE_BYTES_MAX);
      const { length } = await set.readForPeer(volume, offset, end);
      for await (const found of differing(judge, { volume, offset, length })) {
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
  return { equal: differences.length === 0, sequence: set.newest, bytesCompared, differences };
}

function checkUsable(role: PartyFacts['role'], name: string, usable: boolean): void {
  if (role !== 'secondary' || usable) return;
  throw new RcopyError(
    'E_STATE',
    `the copy in ${name} is not complete: there is nothing to compare`,
  );
}

function checkStill(set: ImageSet, name: string, newest: number): void {
  if (newest === set.newest) return;
  throw new RcopyError(
    'E_STATE',
    `${set.file.name} stands at number ${set.newest}, ${name} at ${newest}`,
    { hint: 'bring them to the same number first: `rcopy replicate` on the primary' },
  );
}

/** The differing blocks of a range, found by halving what differs, or does not stand still. */
async function* differing(judge: Judge, range: DigestCall): AsyncGenerator<DigestCall> {
  const judged = await judge(range);
  if (judged === 'same') return;
  const { volume, offset, length } = range;
  if (length <= MAP_BLOCK_BYTES) {
    yield range;
    return;
  }
  const half = Math.ceil(length / 2 / MAP_BLOCK_BYTES) * MAP_BLOCK_BYTES;
  yield* differing(judge, { volume, offset, length: half });
  yield* differing(judge, { volume, offset: offset + half, length: length - half });
}

/** Both stand at one number and stay there, or it is an error. */
function judgeStill(set: ImageSet, other: Peer, otherName: string): Judge {
  const sequence = set.newest;
  return async (range) => {
    const [mine, theirs] = await Promise.all([
      digest(set, range),
      other.call<DigestAnswer>('digest', range),
    ]);
    if (mine.asOf === sequence && theirs.asOf === sequence) {
      return mine.sha256 === theirs.sha256 ? 'same' : 'different';
    }
    const moved = mine.asOf === sequence ? otherName : set.file.name;
    throw new RcopyError('E_STATE', `${moved} moved on from number ${sequence} meanwhile`, {
      hint: 'compare again when hosts are quiet',
    });
  };
}

/** Throws where the other one no longer has to hold what is here: by map, or of another primary. */
function checkFollowed({ file }: ImageSet): void {
  if (file.role === 'primary' && !file.seal && file.pair?.state === 'paired') return;
  const { name } = file;
  throw new RcopyError('E_STATE', `${name} has moved on meanwhile, or its pair was interrupted`, {
    hint: 'compare again when migration or copy are over',
  });
}

/** The other one follows this primary, and is asked when it has what was read here. */
function judgeFollowing(set: ImageSet, secondary: Peer): Judge {
  const once = async (range: DigestCall, waitMs: number) => {
    const watch = set.hosts.watch(range);
    try {
      const mine = await digest(set, range);
      const behind = { epoch: set.file.epoch, sequence: mine.asOf, waitMs };
      const theirs = await secondary.call<DigestAnswer>('digest', { ...range, behind });
      if (mine.sha256 === theirs.sha256) return 'same';
      checkFollowed(set);
      return watch.changed ? 'changing' : 'different';
    } finally {
      watch.end();
    }
  };
  return async (range) => {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const judged = await once(range, FOLLOW_MS);
      if (judged !== 'changing') return judged;
    }
    if (range.length > MAP_BLOCK_BYTES) return 'changing';
    const letGo = set.hosts.hold();
    // Whatever becomes of the answer, hosts do not wait longer than this.
    const limit = set.environment.clock.after(FOLLOW_HELD_MS, letGo);
    try {
      return await once(range, FOLLOW_HELD_MS);
    } finally {
      limit.cancel();
      letGo();
    }
  };
}
