/** The source's part in a migration: what it does when the target's machine asks. */
import { RcopyError } from '../base/errors.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import { decodeOpen, decodeSealRecord } from '../format/control-records.ts';
import { withControllers } from '../format/set-file.ts';
import type { HandoverEntry, MigrationEntry, PairEntry, SealEntry } from '../format/set-file.ts';
import { wholeRecord } from '../imageset/acceptance.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { fallBackToMap } from '../imageset/lacking.ts';
import { followingAgain } from '../imageset/pair-states.ts';
import {
  createMaps,
  dropMaps,
  forsakeMaps,
  namesWith,
  namesWithout,
} from '../imageset/set-maps.ts';
import { bury, ensureEpoch, seal, withAborted } from '../imageset/succession.ts';
import type { Run } from '../journal/run.ts';
import { chainBefore, rebaseRecord } from '../link/sender-view.ts';
import { admitReader, checkSource } from './block-reads.ts';
import type { MigrationCall, ReturnCall, TrackCall } from './calls.ts';
import { secondaryPlace } from './facts.ts';
import type { OwedMaps } from './owed-maps.ts';
import { isUnderWay, pairOf } from './pairing.ts';

/** Takes note of a migration, and refuses others from then on. */
export async function announce(set: ImageSet, call: MigrationCall): Promise<void> {
  const pair = pairOf(set);
  // Looked at when nothing else is being written: an abort or another migration may come first.
  await set.identity.update((current) => {
    if (current.seal?.migrationId === call.id || current.migration?.id === call.id) {
      return current;
    }
    if (current.abortedMigrations.includes(call.id)) throw wasAborted(set, call);
    if (current.migration && isUnderWay(current.migration)) {
      const { address } = current.migration.target;
      throw new RcopyError('E_STATE', `${current.name} takes part in another migration`, {
        hint: `finish or abort it: \`rcopy migrate status ${address}\``,
      });
    }
    return {
      ...current,
      migration: {
        ...call,
        side: 'source',
        state: 'prepared',
        pair: { id: pair.id, ack: pair.ack },
        handover: null,
        sourceLost: false,
        reason: '',
      },
    };
  });
  set.changed();
}

/**
 * From now on it is noted which blocks change: durable before it resolves, and so before the first
 * block is copied ahead.
 */
export function trackChanges(set: ImageSet, { migration: call, reader }: TrackCall): Promise<void> {
  const { changed } = set.contents;
  return changed.inTurn(async () => {
    if (set.file.migration?.id !== call.id) throw wasAborted(set, call);
    if (!changed.inUse) await noteChanges(set, call);
    admitReader(set, reader);
  });
}

async function noteChanges(set: ImageSet, call: MigrationCall): Promise<void> {
  const { changed } = set.contents;
  await createMaps(set, changed, set.applied);
  await set.applier.checkpoint();
  try {
    await set.identity.update((current) => {
      if (current.migration?.id !== call.id) throw wasAborted(set, call);
      return { ...current, maps: namesWith(current, changed) };
    });
  } catch (error) {
    if (!set.failure) await forsakeMaps(set, changed);
    throw error;
  }
}

/**
 * Seals, and gives the management information (claims 1, 3, 7). What the prechecks found is looked
 * at again here, at the fence.
 */
export async function sealAndHandOver(
  set: ImageSet,
  call: MigrationCall,
  owed: () => Promise<OwedMaps>,
): Promise<HandoverEntry> {
  const { migration } = set.file;
  if (!set.file.seal && migration?.id !== call.id) throw wasAborted(set, call);
  const entry = await seal(set, call.id, call.target, () => notAtTheFence(set, call));
  moveTo(set, 'copying').catch(() => undefined); // it says no more than the seal
  return handover(set, entry, await owed());
}

function notAtTheFence(set: ImageSet, { mode, target }: MigrationCall): RcopyError | undefined {
  const { pair, name, epoch } = set.file;
  if (mode === 'bitmap') return undefined;
  const follows = mode === 'drain' || secondaryPlace(set).epoch >= epoch;
  if (pair?.state === 'paired' && follows) return undefined;
  return new RcopyError('E_STATE', `the pair of ${name} is ${pair?.state ?? 'gone'} meanwhile`, {
    hint: `\`rcopy migrate abort ${target.address}\`, then migrate with --mode bitmap`,
  });
}

function handover(set: ImageSet, entry: SealEntry, owed: OwedMaps): HandoverEntry {
  const { secondary, file } = set;
  const { pair } = file;
  const place = secondaryPlace(set);
  const cursor = Math.min(place.sequence + 1, entry.nextSequence);
  const run = set.ownRun();
  return {
    epoch: entry.epoch,
    nextSequence: entry.nextSequence,
    journalCursor: cursor,
    cursorEpoch: place.epoch,
    marks: [...set.marks],
    restoredSequence: Math.min(secondary?.restored.sequence ?? 0, entry.nextSequence - 1),
    sealRecord: entry.record,
    relayHead: run && place.epoch >= entry.epoch ? relayHead(set, run, cursor) : '',
    lineage: [...owed.lineage],
    bases: [...(pair?.formerBases ?? []), ...(pair?.copyBase ? [pair.copyBase] : [])],
    owesAll: pair?.state !== 'paired' && !set.contents.dirty.inUse,
    behindSinceMs: pair?.behindSinceMs ?? owed.sinceMs,
    ...withControllers(file.controllers),
  };
}

/** With what a journal begins that holds this epoch from `cursor` on; empty where it cannot. */
function relayHead(set: ImageSet, run: Run, cursor: number): string {
  if (cursor < run.firstKept) return '';
  if (cursor === run.identity.first) {
    const reader = run.readFrom(cursor);
    try {
      return reader.next(cursor - 1)?.bytes.toString('hex') ?? '';
    } finally {
      reader.close();
    }
  }
  const chain = chainBefore(run, cursor);
  if (chain === undefined) return '';
  return rebaseRecord(set, run, { epoch: run.epoch, sequence: cursor - 1, chain }).toString('hex');
}

/** Its content is history: the set names its successor, and nothing else. */
export async function retire(set: ImageSet, call: Pick<MigrationCall, 'id'>): Promise<void> {
  if (set.file.seal?.migrationId !== call.id) {
    throw new RcopyError('E_STATE', `${set.file.name} was not sealed by migration ${call.id}`);
  }
  await dropMaps(set, set.contents.changed, (current) => ({
    ...current,
    role: 'retired',
    pair: null,
    migration: current.migration && { ...current.migration, state: 'done' },
  }));
  await dropMaps(set, set.contents.dirty);
  set.changed();
}

/** Never seals under this id: durable before it answers. */
export async function buryMigration(
  set: ImageSet,
  call: Pick<MigrationCall, 'id' | 'target'>,
): Promise<void> {
  await bury(set, call.id, call.target.address);
  const isNamed = namesWithout(set.file, set.contents.changed).length < set.file.maps.length;
  if (isNamed && !set.file.migration) await dropMaps(set, set.contents.changed);
  set.changed();
}

/**
 * Takes the group back from a successor that wrote nothing: keeps its epoch, which the secondary
 * has to pass, and opens the next one. Where the secondary may have closed this set's own epoch
 * already, it is copied to by map.
 */
export async function takeBack(set: ImageSet, call: ReturnCall): Promise<void> {
  const { returned, migration } = call;
  if (set.file.parentSeal !== returned.seal) {
    checkSource(set, migration.id);
    await keepEmptyEpoch(set, call);
    const follows = !returned.hasClosed && returned.durable.epoch > set.file.epoch;
    if (returned.hasClosed) await fallBackToMap(set, { state: 'copying', reason: '' });
    if (follows) await noteFollowing(set, returned.durable);
    await dropMaps(set, set.contents.changed, (current) => ({
      ...current,
      seal: null,
      epoch: current.epoch + 2,
      parentSeal: returned.seal,
      migration: null,
      abortedMigrations: withAborted(current, migration.id),
      pair: current.pair && pairAgain(current.pair, follows, returned.bases),
    }));
  }
  if (set.file.pair?.state === 'paired') await dropMaps(set, set.contents.dirty);
  await ensureEpoch(set);
  set.changed();
}

/** The secondary got all of this set's epoch from the successor. */
async function noteFollowing(set: ImageSet, durable: Position): Promise<void> {
  set.noteSecondary({ durable, restored: durable });
  await set.saveCursors();
}

function pairAgain(pair: PairEntry, follows: boolean, bases: readonly ProvenPosition[]): PairEntry {
  if (follows) return followingAgain(pair);
  return { ...pair, formerBases: [...pair.formerBases, ...bases] };
}

async function keepEmptyEpoch(set: ImageSet, { returned }: ReturnCall): Promise<void> {
  const { seal: own, setId, name } = set.file;
  const open = wholeRecord(returned.open);
  const sealed = wholeRecord(returned.seal);
  const { seal: payload } = decodeSealRecord(sealed.bytes);
  const { parent, writer } = decodeOpen(open.payload);
  const follows =
    own !== null &&
    parent.kind === 'seal' &&
    parent.seal.toString('hex') === own.record &&
    writer === own.successor.setId &&
    payload.set === writer &&
    payload.successor === setId &&
    sealed.header.epoch === open.header.epoch &&
    sealed.header.sequence === own.nextSequence &&
    sealed.header.chain === open.header.ownChain;
  if (!follows) {
    throw new RcopyError('E_SPLIT_BRAIN', `what came back to ${name} does not follow its seal`);
  }
  const run = set.journal.run(open.header.epoch) ?? set.journal.startRun(open);
  if (!run.seal) set.journal.appendReceived(run, [sealed]);
  await set.journal.sync();
}

export function wasAborted(set: ImageSet, call: MigrationCall): RcopyError {
  return new RcopyError('E_STATE', `migration ${call.id} was aborted at ${set.file.name}`, {
    hint: `end it there too: \`rcopy migrate abort ${call.target.address}\`, then start anew`,
  });
}

async function moveTo(set: ImageSet, state: MigrationEntry['state']): Promise<void> {
  if (!set.file.migration || set.file.migration.state === state) return;
  await set.identity.update((current) => ({
    ...current,
    migration: current.migration && { ...current.migration, state },
  }));
}
