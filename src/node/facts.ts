/** What a set says of itself to others. */
import type { Position } from '../base/position.ts';
import { comparePositions } from '../base/position.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { PartyFacts } from '../migration/ports.ts';
import { isBlank, isUnderWay } from './pairing.ts';

export function partyFacts(set: ImageSet, address: string): PartyFacts {
  const { file } = set;
  const { pair, migration } = file;
  const place = secondaryPlace(set);
  return {
    identity: { setId: file.setId, name: file.name, address },
    groupId: file.groupId,
    role: file.role,
    state: pair?.state ?? 'simplex',
    sealedFor: file.seal?.successor ?? null,
    migrationId: migration && isUnderWay(migration) ? migration.id : null,
    volumes: file.volumes,
    blank: isBlank(set),
    pair: pair && { id: pair.id, ack: pair.ack, state: pair.state, peer: pair.peer },
    epochId: set.ownRun()?.identity.id ?? null,
    knownEpochIds: set.cursors(false).epochs.map(({ id }) => id),
    followsEpoch: place.epoch >= file.epoch,
    lagEntries: set.secondary ? Math.max(0, set.newest - place.sequence) : 0,
    usable: set.usable,
  };
}

/**
 * Up to where the secondary has everything, by its last word. Behind a seal that it has, that is
 * the place before the next epoch's first number.
 */
export function secondaryPlace(set: ImageSet): Position {
  const { journal, file, secondary } = set;
  const own = set.ownRun();
  const before = { epoch: file.epoch, sequence: (own?.identity.first ?? 1) - 1 };
  if (!secondary) return before;
  let { durable } = secondary;
  // What the journal has let go the secondary has, though its word may not have been kept.
  const kept = file.pair?.state === 'paired' ? journal.run(durable.epoch)?.firstKept : undefined;
  if (kept !== undefined && durable.sequence < kept - 1) {
    durable = { epoch: durable.epoch, sequence: kept - 1 };
  }
  for (;;) {
    const run = journal.run(durable.epoch);
    if (durable.epoch >= file.epoch) return durable;
    if (!run) return comparePositions(durable, before) < 0 ? before : durable;
    if (!run.seal || durable.sequence < run.seal.header.sequence) return durable;
    durable = { epoch: durable.epoch + 1, sequence: run.seal.header.sequence - 1 };
  }
}
