/**
 * Where the target of a migration gets the blocks that it lacks: from the set that was sealed for
 * it, and from the pair's secondary when that one is away. The secondary may answer for blocks that
 * it was owed once it follows the target's own epoch: it holds all that was written before it then,
 * and no more than what the target has in its journal, to be laid over it. All other blocks are at
 * the secondary what they were at the source.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import type { AbsentSource } from '../imageset/contents.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Migration } from '../migration/machine.ts';
import type { Peer } from './peers.ts';

export function absentSource(
  set: ImageSet,
  migration: Migration,
  peer: (address: string) => Peer,
): AbsentSource {
  const { source, secondary, pair, handover, sourceLost } = migration;
  const first = peer(source.address).blocks(() => ({ kind: 'source', migrationId: migration.id }));
  if (!pair || !handover) return first;
  const behind = { epoch: handover.cursorEpoch, sequence: handover.journalCursor - 1 };
  const second: AbsentSource = {
    fetch(volume, offset, length) {
      const { owed, end } = owedFrom(set, volume, offset, offset + length);
      const { epoch } = handover;
      const from = { kind: 'secondary', pairId: pair.id, epoch: epoch + 1, owed, behind } as const;
      return peer(secondary.address)
        .blocks(() => from)
        .fetch(volume, offset, end - offset);
    },
  };
  if (sourceLost) return second;
  return {
    async fetch(volume, offset, length) {
      try {
        return await first.fetch(volume, offset, length);
      } catch (error) {
        if (!isRcopyError(error)) throw error;
        // What the secondary cannot give is still the source's to give: its error says more.
        return second.fetch(volume, offset, length).catch(() => Promise.reject(cannotGive(error)));
      }
    },
  };
}

/** Whatever the source suffers from, this set serves its hosts, and asks again. */
function cannotGive(error: RcopyError): RcopyError {
  if (error.code === 'E_UNREACHABLE') return error;
  return new RcopyError('E_UNREACHABLE', `a block cannot be fetched: ${error.message}`, {
    cause: error,
    hint: error.hint,
  });
}

/** Whether the secondary was owed the block at `offset`, and up to where that is so. */
function owedFrom(
  { contents }: ImageSet,
  volume: number,
  offset: number,
  end: number,
): { owed: boolean; end: number } {
  const map = contents.dirty.of(volume);
  if (!map) return { owed: true, end };
  const block = Math.floor(offset / MAP_BLOCK_BYTES);
  const owed = map.has(block);
  const until = map.next(block, Math.ceil(end / MAP_BLOCK_BYTES), !owed) * MAP_BLOCK_BYTES;
  return { owed, end: Math.min(end, until) };
}
