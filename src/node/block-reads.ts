/**
 * Reads of blocks for the target of a migration: who may answer them, and in which pieces. Whoever
 * else stands at the address refuses (R5).
 */
import * as z from 'zod/mini';
import { RcopyError } from '../base/errors.ts';
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { FetchedRange } from '../imageset/contents.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Answered } from '../link/service.ts';

const whole = z.number().check(z.int(), z.minimum(0));

const readFrom = z.discriminatedUnion('kind', [
  /** The set that this migration sealed. */
  z.strictObject({ kind: z.literal('source'), migrationId: z.string() }),
  /**
   * The set that this migration will seal, while it serves its hosts and notes what changes.
   * `reader` is the run of the target that asked for that.
   */
  z.strictObject({ kind: z.literal('serving'), migrationId: z.string(), reader: z.string() }),
  /**
   * The pair's secondary: for blocks that it was owed once it follows `epoch`, for others as soon
   * as it has the number `behind`.
   */
  z.strictObject({
    kind: z.literal('secondary'),
    pairId: z.string(),
    epoch: whole,
    owed: z.boolean(),
    behind: z.strictObject({ epoch: whole, sequence: whole }),
  }),
]);

/** `read`: the beginning of a range, data or hole, as much as suits the answering set. */
export const readCall = z.strictObject({
  volume: whole,
  offset: whole,
  length: whole,
  from: readFrom,
});

export type ReadFrom = z.infer<typeof readFrom>;
export type ReadCall = z.infer<typeof readCall>;

interface ReadAnswer {
  readonly length: number;
  readonly hole: boolean;
}

export async function answerRead(set: ImageSet, call: ReadCall): Promise<Answered> {
  const { volume, offset, length, from } = call;
  checkReader(set, from);
  const image = set.contents.image(volume);
  if (!(length > 0 && offset + length <= image.sizeBytes)) {
    throw new RcopyError('E_RANGE', `a read of ${length} bytes at ${offset} leaves ${image.name}`);
  }
  // Cleared before it is read: a write that comes in between sets the bit again.
  if (from.kind === 'serving') forgetChanges(set, volume, offset, length);
  const read = await readBlocks(set, volume, offset, offset + length);
  const value: ReadAnswer = { length: read.length, hole: read.data === undefined };
  return read.data ? { value, data: read.data } : { value };
}

/** What an answer to `read` says. */
export function fetchedRange({ value, data }: Answered): FetchedRange {
  const { length, hole } = value as ReadAnswer;
  return { length, data: hole ? undefined : data };
}

function forgetChanges(set: ImageSet, volume: number, offset: number, length: number): void {
  const end = offset + Math.min(length, set.transfers.rangeBytes);
  set.contents.changed
    .of(volume)
    ?.removeRange(Math.floor(offset / MAP_BLOCK_BYTES), Math.ceil(end / MAP_BLOCK_BYTES));
}

function checkReader(set: ImageSet, from: ReadFrom): void {
  switch (from.kind) {
    case 'source':
      checkSource(set, from.migrationId);
      return;
    case 'serving':
      checkServing(set, from);
      return;
    case 'secondary':
      checkHolds(set, from);
  }
}

/**
 * Throws `E_UNREACHABLE` unless this is the set that the migration sealed: another one may stand at
 * the address by now, or an older copy of it, and its blocks are not the volume's (R5).
 */
export function checkSource(set: ImageSet, migrationId: string): void {
  if (set.file.seal?.migrationId === migrationId) return;
  throw new RcopyError(
    'E_UNREACHABLE',
    `${set.folder} is not the set that migration ${migrationId} sealed`,
    { hint: 'bring the source of the migration back to its address' },
  );
}

/**
 * From now on only this run of the target reads ahead: what the network kept of an older one must
 * not make the set forget a change that this one does not hear of (R1).
 */
export function admitReader(set: ImageSet, reader: string): void {
  readers.set(set, reader);
}

const readers = new WeakMap<ImageSet, string>();

function checkServing(
  set: ImageSet,
  { migrationId, reader }: Extract<ReadFrom, { kind: 'serving' }>,
): void {
  const { migration, name } = set.file;
  const notes = set.contents.changed.inUse && readers.get(set) === reader;
  if (notes && migration?.id === migrationId && migration.side === 'source') return;
  throw new RcopyError('E_STATE', `${name} does not note what changes for this read`, {
    hint: migration ? `go on with \`rcopy migrate resume ${migration.target.address}\`` : undefined,
  });
}

/** Throws `E_UNREACHABLE` unless this is the pair's secondary and has these blocks for sure. */
function checkHolds(set: ImageSet, from: Extract<ReadFrom, { kind: 'secondary' }>): void {
  const { role, pair } = set.file;
  const { position } = set.feed;
  const holdsAll = set.usable && position.epoch >= from.epoch;
  const holdsOthers =
    (set.usable && comparePositions(position, from.behind) >= 0) ||
    set.copy?.base.epoch === from.epoch;
  if (role === 'secondary' && pair?.id === from.pairId && (holdsAll || (!from.owed && holdsOthers)))
    return;
  throw new RcopyError(
    'E_UNREACHABLE',
    `${set.folder} does not hold epoch ${from.epoch - 1} whole yet`,
  );
}

/**
 * The beginning of a range in whole blocks: what lies in the overlay, and the file system's own
 * blocks, may begin and end anywhere.
 */
async function readBlocks(
  set: ImageSet,
  volume: number,
  offset: number,
  end: number,
): Promise<{ length: number; data: Buffer | undefined }> {
  const read = await set.readForPeer(volume, offset, end);
  const reached = offset + read.length;
  if (reached === end || reached % MAP_BLOCK_BYTES === 0) return read;
  const length = reached - (reached % MAP_BLOCK_BYTES) - offset;
  if (length > 0) return { length, data: read.data?.subarray(0, length) };
  const block = Buffer.alloc(Math.min(offset + MAP_BLOCK_BYTES, end) - offset);
  for (let at = 0; at < block.length;) {
    const part = await set.readForPeer(volume, offset + at, offset + block.length, block.length);
    part.data?.copy(block, at);
    at += part.length;
  }
  return { length: block.length, data: block };
}
