/**
 * What a successor does: takes the group over from a sealed predecessor with the maps that come
 * with it, carries on what that one still owes, and lets maps go when they are not needed any more.
 */
import { allDone } from '../base/all-done.ts';
import { assert } from '../base/assert.ts';
import { RcopyError } from '../base/errors.ts';
import { comparePositions } from '../base/position.ts';
import { decodeSealRecord } from '../format/control-records.ts';
import { decodeRecord } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import { withControllers, withoutControllers } from '../format/set-file.ts';
import type { HandoverEntry, MigrationEntry, PairEntry, SetFile } from '../format/set-file.ts';
import type { Run } from '../journal/run.ts';
import type { BlockMap } from './block-map.ts';
import type { ImageSet } from './image-set.ts';
import { createMaps, dropMaps, forsakeMaps, namesWith } from './set-maps.ts';
import { ensureEpoch } from './succession.ts';

/** The maps that come with a handover, one for each volume. */
export interface HandoverMaps {
  /** What the secondary may lack. */
  readonly owed: readonly BlockMap[];
  /** What changed since it was copied ahead of the switch; null when nothing was. */
  readonly changed: readonly BlockMap[] | null;
}

/**
 * Takes the group over from a sealed predecessor: maps first, then, in one replacement of set.json,
 * role, pair, epoch and the handover; then the epoch is opened. After the replacement this set is
 * the primary, also after a crash.
 */
export async function acceptHandover(
  set: ImageSet,
  migration: MigrationEntry,
  maps: HandoverMaps,
): Promise<void> {
  const { file, contents } = set;
  const { handover, pair } = migration;
  if (!handover || !pair) throw new RcopyError('E_INTERNAL', 'an acceptance needs its handover');
  if (file.role !== 'primary') {
    const { seal: payload, record } = decodeSealRecord(Buffer.from(handover.sealRecord, 'hex'));
    if (payload.successor !== file.setId || payload.migration !== migration.id) {
      throw new RcopyError('E_SPLIT_BRAIN', `the seal names another successor than ${file.name}`);
    }
    const epoch = handover.epoch + 1;
    const stamp = { epoch, sequence: record.header.sequence - 1 };
    set.marks = handover.marks;
    set.secondary = {
      durable: { epoch: handover.cursorEpoch, sequence: handover.journalCursor - 1 },
      restored: { epoch: handover.cursorEpoch, sequence: handover.restoredSequence },
    };
    await allDone([
      stampPresence(set, stamp, maps.changed),
      stampOwed(set, stamp, handover.owesAll ? null : maps.owed),
      set.saveCursors(),
    ]);
    await set.identity.update((current) => {
      const named = { ...withoutControllers(current), maps: namesWith(current, contents.presence) };
      return {
        ...named,
        role: 'primary',
        epoch,
        groupId: payload.group,
        pair: pairOf(migration, handover),
        migration: { ...migration, state: 'copying' },
        parentSeal: handover.sealRecord,
        ...withControllers(handover.controllers),
        maps: contents.dirty.inUse ? namesWith(named, contents.dirty) : named.maps,
      };
    });
  }
  await ensureEpoch(set);
  await ensureRelay(set);
}

/**
 * Makes the files of the maps that a handover needs, before the source stops: then only what comes
 * to them has to be written while hosts wait. The acceptance names them in set.json; a start before
 * that removes them. `owed` is what the maps of the handover come on top of.
 */
export async function prepareMaps(set: ImageSet, owed: readonly BlockMap[]): Promise<void> {
  if (set.file.role === 'primary') return; // it has accepted
  const { presence, dirty } = set.contents;
  await allDone([
    presence.inUse ? undefined : createMaps(set, presence, set.applied),
    createMaps(set, dirty, set.applied, owed),
  ]);
}

/** What C may lack: in files that were prepared, whose maps these are, or in new ones. */
async function stampOwed(
  set: ImageSet,
  stamp: { epoch: number; sequence: number },
  owed: readonly BlockMap[] | null,
): Promise<void> {
  const { dirty } = set.contents;
  if (owed === null) {
    if (dirty.inUse) await forsakeMaps(set, dirty);
  } else if (dirty.all.every((map, volume) => map === owed[volume]) && dirty.inUse) {
    await dirty.takeChanges()(stamp);
  } else {
    await createMaps(set, dirty, stamp, owed);
  }
}

/** Absent is what was not copied ahead, and what changed since. */
async function stampPresence(
  set: ImageSet,
  stamp: { epoch: number; sequence: number },
  changed: readonly BlockMap[] | null,
): Promise<void> {
  const { presence } = set.contents;
  if (!presence.inUse) {
    await createMaps(set, presence, stamp);
    return;
  }
  for (const [volume, map] of (changed ?? []).entries()) {
    const own = presence.of(volume);
    for (let block = map.next(0, map.blocks, true); own && block < map.blocks;) {
      own.remove(block);
      block = map.next(block + 1, map.blocks, true);
    }
  }
  await presence.takeChanges()(stamp);
}

function pairOf(migration: MigrationEntry, handover: HandoverEntry): PairEntry | null {
  const { pair, secondary, mode } = migration;
  return (
    pair && {
      id: pair.id,
      peer: secondary,
      ack: pair.ack,
      state: mode === 'bitmap' ? 'copying' : 'paired',
      reason: '',
      copyBase: null,
      formerBases: handover.bases,
      lineage: handover.lineage,
      behindSinceMs: handover.behindSinceMs,
    }
  );
}

/**
 * The run of the epoch before, which this set only carries from its predecessor to the secondary:
 * it never comes into overlay or images. Undefined when the secondary has all of it, or gets it
 * otherwise.
 */
export function relayRun(set: ImageSet): Run | undefined {
  const { migration, epoch, setId } = set.file;
  const handover = migration?.side === 'target' ? migration.handover : null;
  if (migration?.mode !== 'handoff' || handover?.epoch !== epoch - 1) return undefined;
  const run = set.journal.run(handover.epoch);
  return run?.identity.writer === setId ? undefined : run;
}

/** Sees to it that there is a run for what is handed over, as long as the secondary lacks it. */
export async function ensureRelay(set: ImageSet): Promise<void> {
  const { migration } = set.file;
  if (migration?.side !== 'target' || migration.state !== 'copying') return;
  if (!set.file.pair) return; // nobody is to get it
  if (migration.mode !== 'handoff' || !migration.handover || relayRun(set)) return;
  const { epoch, nextSequence, relayHead } = migration.handover;
  const durable = set.secondary?.durable;
  if (durable && comparePositions(durable, { epoch, sequence: nextSequence }) >= 0) return;
  // Once it was there, it goes only when the secondary has all of it.
  if (set.epochCursor(epoch)) return;
  const head = wholeRecord(relayHead);
  set.journal.startRun(head);
  await set.journal.sync();
  set.changed();
}

/** A record that came as hexadecimal text. Throws `E_DAMAGED`. */
export function wholeRecord(hex: string): WholeRecord {
  const check = decodeRecord(Buffer.from(hex, 'hex'), 0);
  if (check.found === 'record') return check.record;
  throw new RcopyError('E_DAMAGED', 'a record that was handed over is damaged');
}

/** Every block is here, and the secondary has what was owed: no map is needed any more. */
export async function finishMaps(set: ImageSet): Promise<void> {
  await set.drain();
  assert(set.contents.isComplete, 'presence ends when every block is present');
  await dropMaps(set, set.contents.presence);
  const { pair } = set.file;
  // What a full journal left to the map is still to be copied.
  if (pair?.state === 'paired') {
    await dropMaps(set, set.contents.dirty, (file) => ({
      ...file,
      pair: file.pair && { ...file.pair, lineage: [], formerBases: [], behindSinceMs: null },
    }));
  }
}

/**
 * A target that was given up before the switch is blank again, together with `change` of set.json.
 * Durable when it resolves.
 */
export async function becomeBlank(
  set: ImageSet,
  change: (file: SetFile) => SetFile,
): Promise<void> {
  const { contents } = set;
  if (contents.presence.inUse) {
    await set.drain();
    contents.clear();
    await contents.syncImages();
  }
  await dropMaps(set, contents.presence, change);
  if (contents.dirty.inUse) await dropMaps(set, contents.dirty);
}
