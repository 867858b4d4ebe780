/** How a set stands, in one word: for status, and for the answers that end with a state. */
import { OVERLAY_BYTES } from '../base/limits.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { PairState, SetState } from './answers.ts';
import { isUnderWay } from './pairing.ts';

export function stateOf(set: ImageSet): SetState {
  const { file } = set;
  if (file.role === 'retired') return 'retired';
  if (file.seal) return 'sealed';
  if (file.migration && isUnderWay(file.migration)) return 'migrating';
  return pairStateOf(set) ?? 'simplex';
}

/** The state of the pair, as this end knows it; undefined without a pair. */
export function pairStateOf(set: ImageSet): PairState | undefined {
  return isJournalFull(set) ? 'journal-full' : set.file.pair?.state;
}

/**
 * Whether hosts wait because the journal keeps what the secondary lacks. They also wait while the
 * epoch is being opened, or for the images to follow; those waits end by themselves.
 */
export function isJournalFull(set: ImageSet): boolean {
  const { file, hosts, contents } = set;
  return (
    file.role === 'primary' &&
    file.pair?.state === 'paired' &&
    hosts.waitingRequests > 0 &&
    !hosts.isHeld &&
    set.ownRun() !== undefined &&
    contents.overlay.heldBytes < OVERLAY_BYTES
  );
}

/** A migration's target that has sealed its epoch back to its source, which has yet to take it. */
export function isReturning({ file }: ImageSet): boolean {
  const { migration, seal } = file;
  return migration?.side === 'target' && isUnderWay(migration) && seal !== null;
}
