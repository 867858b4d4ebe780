/**
 * The secondary's side of a set, and the replay at every start: records from the journal go into
 * the images strictly by number, whoever sent them (R1); copies put ranges under them.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { NAME_PATTERN } from '../base/limits.ts';
import { sameProven } from '../base/position.ts';
import { decodeOpen, decodeRebase, decodeSealRecord } from '../format/control-records.ts';
import { isNumbered } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import type { PeerIdentity } from '../format/set-file.ts';
import type { Run } from '../journal/run.ts';
import type { ImageSet } from './image-set.ts';

/**
 * Takes everything that is durable and in order into the overlay, applying as the budget asks, and
 * crosses into the next epoch where one is complete. Resolves when nothing more can be taken in.
 * Damage stops the set: what was taken in of a request that cannot be read is never applied (R1).
 */
export async function followJournal(set: ImageSet): Promise<void> {
  try {
    await follow(set);
  } catch (error) {
    if (!isRcopyError(error, 'E_UNREACHABLE')) set.fail(error);
    throw error;
  }
}

async function follow(set: ImageSet): Promise<void> {
  const before = set.feed.position;
  for (;;) {
    const pulled = set.feed.pull();
    switch (pulled.state) {
      case 'full':
        await set.applier.write();
        break;
      case 'crossed':
        await cross(set, pulled.next);
        break;
      case 'caught-up':
        if (set.feed.position === before) return;
        set.applier.poke();
        set.changed();
        return;
    }
  }
}

/** The old epoch is complete: its last number is applied, then the next one begins. */
async function cross(set: ImageSet, next: Run): Promise<void> {
  await set.drain();
  await set.applier.stampMaps({ epoch: next.epoch, sequence: next.identity.first - 1 });
  set.feed.enter(next);
  set.applied = set.feed.position;
  await set.saveCursors();
  if (set.file.role !== 'secondary') return;
  await enterEpoch(set);
  set.journal.trim(next.epoch, next.identity.first);
}

/** A secondary says in set.json which epoch it follows, and who writes that. */
export async function enterEpoch(set: ImageSet): Promise<void> {
  const next = set.journal.run(set.applied.epoch);
  // It may have closed this epoch already, and wait for a copy out of the next one.
  if (!next || set.file.epoch >= next.epoch) return;
  const head = next.head?.header.kind === 'open' ? next.head : undefined;
  const parent = head ? decodeOpen(head.payload).parent : undefined;
  const address =
    parent?.kind === 'seal' ? decodeSealRecord(parent.seal).seal.successorAddress : '';
  await set.identity.update((file) => ({
    ...file,
    epoch: next.epoch,
    pair: file.pair && {
      ...file.pair,
      peer:
        file.pair.peer.setId === next.identity.writer
          ? file.pair.peer
          : { setId: next.identity.writer, name: address.split('/').pop() ?? address, address },
    },
  }));
}

/** Why a received record is not the next one of `run`; undefined when it is. */
export function mismatch(run: Run, { header }: WholeRecord): string | undefined {
  if (header.epoch !== run.epoch) return `it is of epoch ${header.epoch}, not ${run.epoch}`;
  if (header.sequence !== run.next) return `it has number ${header.sequence}, not ${run.next}`;
  if (header.chain !== run.chain) return 'it does not follow from the record before it';
  return undefined;
}

/**
 * Appends records that a sender of `run`'s epoch gave, skipping those that are here already. The
 * rest must be exactly the next ones. Throws `E_SPLIT_BRAIN` when history forks, `E_DAMAGED` when
 * numbers are missing. Returns false when there is no room for all of it now (R9): what fits is
 * taken, and the same records may be given again when room was made.
 */
export function appendFromPeer(set: ImageSet, run: Run, records: readonly WholeRecord[]): boolean {
  // What comes while the set closes would stand behind an end that was called clean.
  if (set.isClosed) throw set.stoppedError();
  const fresh = records.filter((record) => !isHere(run, record));
  if (fresh.length === 0) return true;
  const purpose = run.epoch <= set.feed.position.epoch ? 'first-owed' : 'later';
  let bytes = 0;
  try {
    for (const record of fresh) {
      checkTarget(set, record);
      const reason = mismatch(run, record);
      if (reason !== undefined) throw forked(set, run, record, reason);
      if (!set.journal.admits(run, [record.header.payloadLength], purpose)) return false;
      set.journal.queueReceived(run, record);
      bytes += record.bytes.length;
    }
    return true;
  } finally {
    // What was queued before a record that does not fit is in order: it stays.
    if (bytes > 0) set.journal.write(run, bytes);
  }
}

function isHere(run: Run, { header }: WholeRecord): boolean {
  if (header.epoch !== run.epoch) return false;
  if (header.kind === 'open' || header.kind === 'rebase') return true;
  if (header.kind === 'seal')
    return run.seal !== undefined && run.seal.header.ownChain === header.ownChain;
  return header.sequence < run.next;
}

function forked(set: ImageSet, run: Run, record: WholeRecord, reason: string): RcopyError {
  const what = `record ${record.header.sequence} of epoch ${record.header.epoch}`;
  if (record.header.sequence > run.next) {
    return new RcopyError('E_DAMAGED', `${set.file.name} got ${what}: ${reason}`);
  }
  return new RcopyError('E_SPLIT_BRAIN', `${set.file.name} refused ${what}: ${reason}`, {
    hint: 'two sets wrote this place of the history; `rcopy inspect journal` on both shows where',
  });
}

/** What a sender's record says must make sense here, whatever its checksums say. */
function checkTarget(set: ImageSet, { header, payload }: WholeRecord): void {
  if (!isNumbered(header.kind)) return;
  if (header.kind === 'mark') {
    if (NAME_PATTERN.test(payload.toString('utf8'))) return;
    throw new RcopyError('E_PROTOCOL', `record ${header.sequence} is a mark without a name`);
  }
  const volume = set.file.volumes[header.volume];
  if (volume && header.offset + header.length <= volume.sizeBytes) return;
  throw new RcopyError(
    'E_PROTOCOL',
    `record ${header.sequence} leaves volume number ${header.volume} of ${set.file.name}`,
  );
}

/**
 * The first run is complete but for its seal, and the next epoch's open record carries that seal:
 * if it chains, it is appended here, whoever would have sent it (R4). Returns whether it was.
 */
export function completeWithSeal(set: ImageSet): boolean {
  const run = set.journal.run(set.feed.position.epoch);
  const next = set.journal.run(set.feed.position.epoch + 1);
  if (!run || run.seal || next?.head?.header.kind !== 'open') return false;
  const { parent } = decodeOpen(next.head.payload);
  if (parent.kind !== 'seal') return false;
  const { record } = decodeSealRecord(parent.seal);
  if (mismatch(run, record) !== undefined) return false;
  set.journal.appendReceived(run, [record]);
  return true;
}

/**
 * A copy begins: everything held is applied, then one save of the cursors says that the set is not
 * usable and in which copy it is (from then on that proves where its content comes from, R5); then
 * the old runs go and a new one begins with the rebase record. Repeating it with the same record
 * goes on with that copy. `sender` is the primary from now on: what an earlier one may still send
 * is not taken any more (R4).
 */
export async function beginCopy(
  set: ImageSet,
  head: WholeRecord,
  sender: PeerIdentity,
): Promise<void> {
  const { base } = decodeRebase(head.payload);
  const { epoch } = head.header;
  await noteCopying(set, epoch, sender);
  const isIn = set.copy !== null && sameProven(set.copy.base, base);
  if (isIn && set.journal.run(epoch)) return;
  if (!isIn) {
    await followJournal(set);
    await set.drain();
    set.usable = false;
    set.copy = { base, volume: 0, offset: 0, asOf: base.sequence, complete: false };
    await forgetHistory(set);
  }
  const run = set.journal.startRun(head);
  await set.journal.sync();
  set.feed.position = { ...base, epoch: run.epoch };
  set.applied = set.feed.position;
  set.copyReceived = set.copy;
  await set.saveCursors();
}

async function noteCopying(set: ImageSet, epoch: number, sender: PeerIdentity): Promise<void> {
  const { pair } = set.file;
  const known = set.file.epoch === epoch && pair?.state === 'copying';
  if (known && pair.peer.setId === sender.setId) return;
  await set.identity.update((file) => ({
    ...file,
    epoch,
    pair: file.pair && {
      ...file.pair,
      state: 'copying',
      peer: file.pair.peer.setId === sender.setId ? file.pair.peer : sender,
    },
  }));
}

/**
 * Gives up what a secondary knew of the history. Its cursors say so before the journal goes: a
 * crash in between leaves runs that nothing refers to, which {@link dropUnreferenced} removes.
 */
async function forgetHistory(set: ImageSet): Promise<void> {
  set.copyReceived = null;
  set.applied = { epoch: 0, sequence: 0, chain: 0 };
  set.feed.close();
  set.feed.position = set.applied;
  set.forgetEpochs();
  await set.saveCursors();
  for (const run of [...set.journal.runs]) set.journal.discard(run);
}

/**
 * At a start: a secondary that is neither usable nor has begun the run of its copy has no use for
 * any run.
 */
export function dropUnreferenced(set: ImageSet): void {
  if (set.file.role !== 'secondary' || set.usable) return;
  if (set.copy && set.applied.epoch > 0) return;
  for (const run of [...set.journal.runs]) set.journal.discard(run);
  set.forgetEpochs();
}

/** One range of a copy, in the stream's order. In the image at once, durable with the cursor. */
export function putCopyRange(
  set: ImageSet,
  range: {
    volume: number;
    offset: number;
    length: number;
    asOf: number;
    data: Uint8Array | undefined;
  },
): void {
  const copy = set.copyReceived;
  if (!copy || copy.complete) throw new RcopyError('E_PROTOCOL', 'a range came outside of a copy');
  const volume = set.file.volumes[range.volume];
  if (range.data && range.data.length !== range.length) {
    throw new RcopyError('E_PROTOCOL', `a copied range has ${range.data.length} bytes`);
  }
  if (!volume || range.offset + range.length > volume.sizeBytes) {
    throw new RcopyError('E_PROTOCOL', `a copied range leaves volume number ${range.volume}`);
  }
  set.contents.putRange(range.volume, range.offset, range.length, range.data);
  set.copyReceived = {
    ...copy,
    volume: range.volume,
    offset: range.offset + range.length,
    asOf: Math.max(copy.asOf, range.asOf),
  };
}

/** Syncs the images, then makes durable how far the copy has come by now. */
export async function saveCopyProgress(set: ImageSet): Promise<void> {
  const received = set.copyReceived;
  if (!received || received === set.copy) return;
  await set.contents.syncImages();
  if (!set.copyReceived || !sameProven(set.copyReceived.base, received.base)) return;
  set.copy = received;
  await set.saveCursors();
  await becomeUsable(set);
}

/** All ranges have come; the set becomes usable when it has applied `asOf`. */
export function endCopy(set: ImageSet, asOf: number): void {
  const copy = set.copyReceived;
  if (!copy) throw new RcopyError('E_PROTOCOL', 'a copy ended that had not begun');
  set.copyReceived = { ...copy, asOf: Math.max(copy.asOf, asOf), complete: true };
}

/** Becomes usable once everything that the ranges can reflect is applied. Durable when resolved. */
export async function becomeUsable(set: ImageSet): Promise<void> {
  const { copy, applied } = set;
  if (copy?.complete && !set.usable && applied.sequence >= copy.asOf) {
    set.usable = true;
    set.copy = null;
    set.copyReceived = null;
    await set.saveCursors();
  }
  // Cursors come first: a crash in between leaves a set that is usable and called copying.
  if (!set.usable || set.file.pair?.state !== 'copying') return;
  await set.identity.update((file) => ({
    ...file,
    pair: file.pair && { ...file.pair, state: 'paired' },
  }));
  set.changed();
}
