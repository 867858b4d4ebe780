/**
 * Where the target of a migration gets the blocks that it lacks: from the set that was sealed for
 * it, and from the pair's secondary when that one is away. The secondary may answer once it follows
 * the target's own epoch: it holds all that was written before it then, and no more than what the
 * target has in its journal, to be laid over it. From then on the source's death costs nothing.
 */
import type { AbsentSource } from '../imageset/contents.ts';
import type { Migration } from '../migration/machine.ts';
import { isAway } from './peers.ts';
import type { Peer } from './peers.ts';

export function absentSource(migration: Migration, peer: (address: string) => Peer): AbsentSource {
  const { source, secondary, pair, handover } = migration;
  const first = peer(source.address).blocks({ kind: 'source', migrationId: migration.id });
  if (!pair || !handover) return first;
  const second = peer(secondary.address).blocks({
    kind: 'secondary',
    pairId: pair.id,
    epoch: handover.epoch + 1,
  });
  return {
    async fetch(volume, offset, length) {
      try {
        return await first.fetch(volume, offset, length);
      } catch (error) {
        if (!isAway(error)) throw error;
        // What the secondary cannot give is still the source's to give: its error says more.
        return second.fetch(volume, offset, length).catch(() => Promise.reject(error as Error));
      }
    },
  };
}
