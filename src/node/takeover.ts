/**
 * The secondary becomes a primary that hosts can use: planned, when the old primary answers (it
 * sends everything and seals its epoch for the secondary), or forced, when it is out of reach.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import type { MigrationId } from '../base/ids.ts';
import { decodeSealRecord } from '../format/control-records.ts';
import { withoutControllers } from '../format/set-file.ts';
import type { PeerIdentity, SetFile } from '../format/set-file.ts';
import { followJournal } from '../imageset/follower.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { sealedError } from '../imageset/refusals.ts';
import { dropMaps } from '../imageset/set-maps.ts';
import { ensureEpoch, seal, withAborted } from '../imageset/succession.ts';
import type { TakeoverAnswer } from './answers.ts';
import type { TakeoverCall } from './calls.ts';
import { isUnderWay, pairOf } from './pairing.ts';
import type { Peer } from './peers.ts';
import { sendingPair } from './replication.ts';
import type { Replication } from './replication.ts';

/** What the old primary is asked for, and answers with. */
export interface TakeoverSeal {
  readonly sealRecord: string;
}

/** Whether this set took over already. */
export function tookOver({ role, pair, seal: sealed }: SetFile): boolean {
  return role === 'primary' && !sealed && pair?.state === 'takeover';
}

/** Throws unless this set may take over: a usable secondary, or, by force, a sealed source. */
export function checkTakeover(set: ImageSet, force: boolean): void {
  const { file } = set;
  if (file.role === 'primary' && file.seal && force) return;
  if (file.role === 'retired' || file.seal) throw sealedError(file);
  if (file.role !== 'secondary') {
    throw new RcopyError('E_ROLE', `${file.name} is no secondary but a ${file.role}`, {
      hint:
        file.role === 'target'
          ? `\`rcopy migrate status ${set.folder}\` says what it waits for`
          : 'hosts can use it already',
    });
  }
  const pair = pairOf(set);
  if (set.usable) return;
  throw new RcopyError('E_STATE', `${file.name} is not usable: its copy is not complete`, {
    hint: `finish the copy: \`rcopy replicate ${pair.peer.address}\``,
  });
}

/**
 * The seal that names this set: it is here already, or the old primary makes it, after it has sent
 * everything. Throws `E_UNREACHABLE` when that cannot be asked.
 */
export async function obtainSeal(set: ImageSet, address: string, primary: Peer): Promise<string> {
  return ownSeal(set) ?? (await askForSeal(set, address, primary)).sealRecord;
}

/** The secondary's part of a planned takeover. The links to it have ended. */
export async function takeOverPlanned(
  set: ImageSet,
  primary: Peer,
  sealRecord: string,
): Promise<TakeoverAnswer> {
  const { record, seal: payload } = decodeSealRecord(Buffer.from(sealRecord, 'hex'));
  await takeAllIn(set);
  const { position } = set.feed;
  const { epoch, sequence } = record.header;
  if (
    position.epoch !== epoch ||
    position.sequence !== sequence - 1 ||
    ownSeal(set) === undefined
  ) {
    throw new RcopyError('E_STATE', `${set.file.name} has not come to the seal of its primary`, {
      hint: `run \`rcopy takeover ${set.folder}\` again`,
    });
  }
  await set.identity.update((file) => ({
    ...withoutControllers(file),
    role: 'primary',
    epoch: epoch + 1,
    parentSeal: sealRecord,
    pair: file.pair && { ...file.pair, state: 'takeover', reason: '' },
  }));
  await ensureEpoch(set);
  set.changed();
  await tellRetired(primary, payload.migration);
  return answer(set, { forced: false, sequence: sequence - 1, from: set.file.pair?.peer });
}

async function askForSeal(set: ImageSet, address: string, primary: Peer): Promise<TakeoverSeal> {
  const { setId, name } = set.file;
  const call: TakeoverCall = {
    id: idFromBytes<'migration'>(set.environment.random.bytes(16)),
    pairId: pairOf(set).id,
    successor: { setId, name, address },
  };
  try {
    return await primary.call<TakeoverSeal>('takeover.seal', call);
  } catch (error) {
    if (!isRcopyError(error, 'E_UNREACHABLE')) throw error;
    throw new RcopyError('E_UNREACHABLE', error.message, {
      cause: error,
      hint: `if it will not come back: \`rcopy takeover ${set.folder} --force\``,
    });
  }
}

/** The old primary's part: everything is sent, the epoch is sealed, and the seal is sent too. */
export async function sealForTakeover(
  set: ImageSet,
  replication: Replication,
  call: TakeoverCall,
  catchUp: () => Promise<unknown>,
): Promise<TakeoverSeal> {
  const { file } = set;
  if (file.pair?.id !== call.pairId) {
    throw new RcopyError('E_NOT_PAIRED', `${file.name} belongs to another pair`);
  }
  if (file.migration && isUnderWay(file.migration)) {
    throw new RcopyError('E_STATE', `${file.name} takes part in a migration that is under way`, {
      hint: `finish it with \`rcopy migrate resume ${file.migration.target.address}\``,
    });
  }
  const before = file.seal;
  if (before && before.successor.setId !== call.successor.setId) throw sealedError(file);
  if (!before) {
    sendingPair(set); // a seal that cannot be sent would leave the group without a primary
    await catchUp(); // hosts go on meanwhile: the pause is only for the rest
  }
  // In turn with a split: it comes before, and refuses the seal, or after, and is refused.
  const entry =
    before ??
    (await set.contents.dirty.inTurn(() =>
      seal(set, call.id, call.successor, () => notInStep(set)),
    ));
  await replication.finish();
  return { sealRecord: entry.record };
}

/** Sealed, it has to be able to send what it owes. */
function notInStep({ file, folder }: ImageSet): RcopyError | undefined {
  if (file.pair?.state === 'paired') return undefined;
  return new RcopyError('E_STATE', `the pair of ${file.name} is ${file.pair?.state ?? 'gone'}`, {
    hint: `bring it together first: \`rcopy replicate ${folder}\``,
  });
}

/**
 * Becomes the primary as far as this set has come: what it held provisionally, or what never came,
 * is not part of the history that goes on here. The links to it have ended.
 */
export async function takeOverByForce(set: ImageSet): Promise<TakeoverAnswer> {
  checkTakeover(set, true); // a copy may have begun before its link ended
  if (set.file.role === 'secondary') await takeAllIn(set);
  const { seal: sealed, pair } = set.file;
  const at = sealed
    ? { epoch: sealed.epoch, sequence: sealed.nextSequence - 1, chain: chainOf(sealed.record) }
    : set.applied;
  await dropMaps(set, set.contents.changed, (file) => ({
    // Nobody may write again here what another history has lost: each tells its hosts.
    ...withoutControllers(file),
    role: 'primary',
    epoch: at.epoch + 1,
    seal: null,
    parentSeal: null,
    takenOverAt: at,
    migration: null,
    abortedMigrations: file.migration
      ? withAborted(file, file.migration.id)
      : file.abortedMigrations,
    pair: file.pair && { ...file.pair, state: 'takeover', reason: '' },
  }));
  await ensureEpoch(set);
  set.changed();
  const from = sealed ? sealed.successor : pair?.peer;
  return answer(set, { forced: true, sequence: at.sequence, from });
}

function chainOf(sealRecord: string): number {
  return decodeSealRecord(Buffer.from(sealRecord, 'hex')).record.header.ownChain;
}

/** Everything that is here and in order comes into the images. */
async function takeAllIn(set: ImageSet): Promise<void> {
  await set.journal.sync();
  await followJournal(set);
  await set.drain();
}

/** A seal that names this set, at the end of the epoch that it follows. */
function ownSeal(set: ImageSet): string | undefined {
  const sealed = set.journal.run(set.feed.position.epoch)?.seal;
  if (!sealed || decodeSealRecord(sealed.bytes).seal.successor !== set.file.setId) return undefined;
  return sealed.bytes.toString('hex');
}

/** Told when it is next seen, if it is away now. */
async function tellRetired(primary: Peer, id: MigrationId): Promise<void> {
  try {
    await primary.call('takeover.done', { id });
  } catch (error) {
    if (!isRcopyError(error)) throw error;
  }
}

interface Taken {
  readonly forced: boolean;
  readonly sequence: number;
  /** Whose place it took. */
  readonly from: PeerIdentity | undefined;
}

function answer(set: ImageSet, { forced, sequence, from }: Taken): TakeoverAnswer {
  const { file } = set;
  const mark = set.marks.findLast((candidate) => candidate.sequence <= sequence);
  return {
    changed: true,
    forced,
    epoch: file.epoch,
    sequence,
    nextSequence: set.newest + 1,
    from: { name: from?.name ?? '', address: from?.address ?? '' },
    lastMark: mark ? { name: mark.name, sequence: mark.sequence } : null,
  };
}

/** What is said when there is nothing to do but, perhaps, to tell the former primary. */
export async function alreadyTookOver(
  set: ImageSet,
  primary: (address: string) => Peer,
): Promise<TakeoverAnswer> {
  const { parentSeal, pair } = set.file;
  const sequence = (set.ownRun()?.identity.first ?? set.newest + 1) - 1;
  if (parentSeal !== null && pair) {
    const { seal: payload } = decodeSealRecord(Buffer.from(parentSeal, 'hex'));
    await tellRetired(primary(pair.peer.address), payload.migration);
  }
  const forced = parentSeal === null;
  return { ...answer(set, { forced, sequence, from: pair?.peer }), changed: false };
}
