/** How far a migration is, and whether its source is still needed (R10). */
import { comparePositions } from '../base/position.ts';
import { relayRun } from '../imageset/acceptance.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { isUnderWay } from './pairing.ts';

/** Numbers below N that the secondary had not restored, by its last word. */
export function remainingEntries(set: ImageSet, nextSequence: number): number {
  const { migration } = set.file;
  if (!migration || !isUnderWay(migration) || nextSequence === 0) return 0;
  if (migration.state === 'copying' && !set.file.pair) return 0;
  // While blocks are copied to it the secondary has restored nothing, but lacks only those.
  const atSwitch = migration.handover?.restoredSequence ?? 0;
  const known = Math.max(atSwitch, set.secondary?.restored.sequence ?? 0);
  return Math.max(0, nextSequence - 1 - known);
}

/**
 * Whether something would be lost with the source. It would not once every block is here, and what
 * the secondary lacks is here too, or has come to it.
 */
export function sourceNeeded(set: ImageSet): boolean {
  const { migration, role } = set.file;
  if (!migration || role === 'retired') return false;
  if (migration.side === 'source') return true;
  switch (migration.state) {
    case 'prepared':
    case 'precopying':
    case 'switching':
    case 'aborted':
      return true;
    case 'copying':
      return set.file.seal !== null || (!migration.sourceLost && mayOwe(set));
    case 'done':
      return false;
  }
}

/** Behind the switch: whether a block, or what the secondary lacks, may be at the source alone. */
function mayOwe(set: ImageSet): boolean {
  const { contents, file, secondary } = set;
  const { migration, pair } = file;
  if (!contents.isComplete || (contents.presence.inUse && contents.hasUnsynced)) return true;
  if (!pair) return false;
  const { epoch, nextSequence } = migration?.handover ?? { epoch: 0, nextSequence: 0 };
  const sealed = { epoch, sequence: nextSequence };
  if (secondary && comparePositions(secondary.durable, sealed) >= 0) return false;
  switch (migration?.mode) {
    case 'bitmap':
      return false;
    case 'handoff': {
      const relay = relayRun(set);
      // Once it was here, it goes only when the secondary has all of it.
      if (!relay) return set.epochCursor(epoch) === undefined;
      return relay.seal === undefined || relay.durable < relay.seal.header.sequence;
    }
    case 'drain':
    case undefined:
      return true;
  }
}
