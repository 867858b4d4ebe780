/**
 * How primaries follow each other (R4): opening an epoch, and ending it with a seal. Each step is
 * durable before the next, and each can be repeated. What a successor does is in acceptance.ts.
 */
import { RcopyError } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import type { MigrationId } from '../base/ids.ts';
import { encodeOpen, decodeSealRecord, encodeSeal } from '../format/control-records.ts';
import type { Parent } from '../format/control-records.ts';
import { decodeRecord, encodeRecord } from '../format/record.ts';
import type { PeerIdentity, SealEntry, SetFile } from '../format/set-file.ts';
import type { Run } from '../journal/run.ts';
import type { ImageSet } from './image-set.ts';

/**
 * Sees to it that the epoch that set.json names has its run, begun with a durable open record, and
 * that the cursors know it. The first host write of a set calls it, and every start of a primary.
 */
export function ensureEpoch(set: ImageSet): Promise<void> {
  let opened = opening.get(set);
  if (!opened) {
    opened = openEpoch(set).finally(() => opening.delete(set));
    opening.set(set, opened);
  }
  return opened;
}

/** Epochs that are being opened: whoever asks meanwhile waits for the same one. */
const opening = new WeakMap<ImageSet, Promise<void>>();

async function openEpoch(set: ImageSet): Promise<void> {
  if (set.file.epoch === 0) await set.identity.update((file) => ({ ...file, epoch: 1 }));
  const { epoch } = set.file;
  await dropForeign(set, epoch);
  const known = set.epochCursor(epoch);
  const existing = set.journal.run(epoch);
  if (set.applied.epoch === epoch && existing) return;
  if (set.applied.epoch === epoch && known) throw journalGone(set, epoch);
  const run = existing ?? set.journal.startRun(openRecord(set, epoch));
  await set.journal.sync();
  const head = run.head;
  if (!head) throw journalGone(set, epoch);
  await set.drain(); // what is left of an earlier epoch of this set is applied before this one
  const position = { epoch, sequence: run.identity.first - 1, chain: head.header.ownChain };
  await set.applier.stampMaps(position);
  set.applied = position;
  set.feed.enter(run);
  // The run has begun durably: a start that finds nothing of it in the cursors enters it again.
  set.hosts.roomChanged();
  set.changed();
  await set.saveCursors();
}

/**
 * What other sets wrote from this epoch on came provisionally, before this one took over: it is
 * history that never was.
 */
async function dropForeign(set: ImageSet, epoch: number): Promise<void> {
  const { setId } = set.file;
  const foreign = set.journal.runs.filter(
    (run) => run.epoch >= epoch && run.identity.writer !== setId,
  );
  if (foreign.length === 0) return;
  set.forgetEpochsFrom(epoch);
  await set.saveCursors();
  for (const run of foreign) set.journal.discard(run);
}

function journalGone(set: ImageSet, epoch: number): RcopyError {
  return new RcopyError('E_DAMAGED', `${set.folder}: the journal of epoch ${epoch} is gone`, {
    hint: 'take the data from the pair of this set, or from a backup',
  });
}

function openRecord(set: ImageSet, epoch: number) {
  const { random, clock } = set.environment;
  const { parent, next, chain } = parentOf(set, epoch);
  const { bytes } = encodeRecord(
    {
      kind: 'open',
      endOfRequest: true,
      mayFree: false,
      chain,
      epoch,
      volume: 0,
      sequence: next,
      offset: 0,
      length: 0,
      timeMs: clock.now(),
      durableSequence: next - 1,
    },
    encodeOpen({ epochId: idFromBytes<'epoch'>(random.bytes(16)), writer: set.file.setId, parent }),
  );
  const check = decodeRecord(bytes, 0);
  if (check.found !== 'record') throw new RcopyError('E_INTERNAL', 'an open record reads back');
  return check.record;
}

/** From where an epoch goes on: nothing, the seal that names this set, or a takeover. */
function parentOf(set: ImageSet, epoch: number): { parent: Parent; next: number; chain: number } {
  const { takenOverAt, parentSeal } = set.file;
  if (epoch === 1) return { parent: { kind: 'none' }, next: 1, chain: 0 };
  if (takenOverAt?.epoch === epoch - 1) {
    const { sequence, chain } = takenOverAt;
    return { parent: { kind: 'takeover', at: takenOverAt }, next: sequence + 1, chain };
  }
  if (parentSeal === null) throw journalGone(set, epoch);
  const record = Buffer.from(parentSeal, 'hex');
  const { header } = decodeSealRecord(record).record;
  if (header.epoch !== epoch - 1) throw journalGone(set, epoch);
  return { parent: { kind: 'seal', seal: record }, next: header.sequence, chain: header.ownChain };
}

/**
 * Ends this set's epoch for good: every request taken so far is answered, then the seal is appended
 * and synced. Asked again under the same migration it answers the same. POINT OF NO RETURN.
 * `allowed` is the last to be asked: nothing comes between its answer and the seal. Throws
 * `E_SEALED` when it was sealed for another one, `E_ROLE` when it is no primary.
 */
export async function seal(
  set: ImageSet,
  migrationId: MigrationId,
  successor: PeerIdentity,
  allowed: (set: ImageSet, run: Run) => RcopyError | undefined = () => undefined,
): Promise<SealEntry> {
  if (set.file.role === 'primary' && !set.file.seal) await ensureEpoch(set);
  await set.remoteAck.settled(); // what hosts wait for now they get from here
  await set.identity.settled(); // an abort that is being written comes first
  const { file } = set;
  if (file.seal) return sameSeal(file.seal, migrationId);
  const sealing = set.ownRun()?.seal !== undefined;
  if (!sealing && (file.abortedMigrations.includes(migrationId) || isBuried(set, migrationId))) {
    throw new RcopyError('E_STATE', `migration ${migrationId} was aborted at ${file.name}`, {
      hint: 'start a new one with `rcopy migrate`',
    });
  }
  if (file.role !== 'primary') {
    throw new RcopyError('E_ROLE', `${file.name} is no primary: it has nothing to hand over`);
  }
  const run = set.ownRun();
  if (!run) throw journalGone(set, file.epoch);
  set.hosts.writeBatch();
  const refused = run.seal ? undefined : allowed(set, run);
  if (refused) throw refused;
  if (!run.seal) appendSeal(set, run, migrationId, successor);
  await set.journal.sync();
  // The journal alone keeps it sealed, at each start too: set.json and cursors may come behind.
  await repairSeal(set);
  const entry = set.file.seal;
  if (!entry) throw new RcopyError('E_INTERNAL', 'a durable seal stands in set.json');
  return sameSeal(entry, migrationId);
}

/**
 * Never seals under this id from now on: durable when it resolves. Throws `E_SEALED` when a seal
 * under it is in the journal, durable or not yet: then the switch has happened.
 */
export async function bury(
  set: ImageSet,
  migrationId: MigrationId,
  targetAddress: string,
): Promise<void> {
  if (set.file.abortedMigrations.includes(migrationId)) return;
  const ids = burying.get(set) ?? new Set();
  burying.set(set, ids.add(migrationId));
  try {
    await set.identity.update((current) => {
      if (current.seal?.migrationId === migrationId || isSealing(set, migrationId)) {
        throw new RcopyError('E_SEALED', `${current.name} is sealed: the switch has happened`, {
          hint: `go on with \`rcopy migrate resume ${targetAddress}\``,
        });
      }
      return {
        ...current,
        abortedMigrations: withAborted(current, migrationId),
        migration: current.migration?.id === migrationId ? null : current.migration,
      };
    });
  } finally {
    ids.delete(migrationId);
  }
}

/** The tombstones of a set, and one more. */
export function withAborted({ abortedMigrations }: SetFile, id: MigrationId): MigrationId[] {
  return [...abortedMigrations.filter((known) => known !== id), id].slice(-BURIED_REMEMBERED);
}

/** Tombstones kept; a request under an older id finds no announcement and is refused as well. */
const BURIED_REMEMBERED = 64;

/** Aborts that are being written: a seal must not slip in before them. */
const burying = new WeakMap<ImageSet, Set<MigrationId>>();

function isBuried(set: ImageSet, migrationId: MigrationId): boolean {
  return burying.get(set)?.has(migrationId) ?? false;
}

/** The seal is in the journal, and may be durable any moment. */
function isSealing(set: ImageSet, migrationId: MigrationId): boolean {
  const sealed = set.ownRun()?.seal;
  return sealed !== undefined && decodeSealRecord(sealed.bytes).seal.migration === migrationId;
}

function appendSeal(
  set: ImageSet,
  run: Run,
  migrationId: MigrationId,
  successor: PeerIdentity,
): void {
  const { file } = set;
  const payload = encodeSeal({
    epochId: run.identity.id,
    group: file.groupId,
    set: file.setId,
    successor: successor.setId,
    migration: migrationId,
    successorAddress: successor.address,
  });
  const { bytes } = encodeRecord(
    {
      kind: 'seal',
      endOfRequest: true,
      mayFree: false,
      chain: run.chain,
      epoch: run.epoch,
      volume: 0,
      sequence: run.next,
      offset: 0,
      length: 0,
      timeMs: set.environment.clock.now(),
      durableSequence: run.durable,
    },
    payload,
  );
  const check = decodeRecord(bytes, 0);
  if (check.found !== 'record') throw new RcopyError('E_INTERNAL', 'a seal reads back');
  set.journal.appendReceived(run, [check.record]);
}

function sameSeal(entry: SealEntry, migrationId: MigrationId): SealEntry {
  if (entry.migrationId === migrationId) return entry;
  throw new RcopyError(
    'E_SEALED',
    `it was sealed by migration ${entry.migrationId} for ${entry.successor.name}`,
    { hint: `use ${entry.successor.address} instead` },
  );
}

/**
 * A seal in the journal is repeated in set.json and cursors, and the other way round: any one of
 * the three keeps the set sealed. Called at each start and after sealing.
 */
export async function repairSeal(set: ImageSet): Promise<void> {
  const { file } = set;
  const run = set.journal.last;
  if (file.seal || file.role === 'secondary' || !run?.seal) return;
  // The seal of an epoch that came back to this set is history.
  if (run.identity.writer !== file.setId || run.epoch < file.epoch) return;
  const { record, seal: payload } = decodeSealRecord(run.seal.bytes);
  await set.identity.repeat((current) => ({
    ...current,
    seal: {
      epoch: run.epoch,
      nextSequence: record.header.sequence,
      successor: {
        setId: payload.successor,
        name: nameOf(current, payload.successor) ?? payload.successorAddress,
        address: payload.successorAddress,
      },
      migrationId: payload.migration,
      record: run.seal?.bytes.toString('hex') ?? '',
    },
  }));
  set.hosts.roomChanged(); // whoever waited for the epoch's journal is refused now
  set.changed();
  set.saveCursors().catch(() => undefined); // a failure stops the set
}

/** How a set that this one has dealt with is called. */
function nameOf({ migration, pair }: SetFile, setId: string): string | undefined {
  const known = [migration?.target, migration?.source, migration?.secondary, pair?.peer];
  return known.find((peer) => peer?.setId === setId)?.name;
}
