/** Making and ending pairs: what the primary asks, what the secondary does. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import type { Ack, PairEntry, SetFile } from '../format/set-file.ts';
import { followJournal } from '../imageset/follower.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { dropMaps } from '../imageset/set-maps.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { PairAnswer } from './answers.ts';
import type { JoinCall } from './calls.ts';
import { notPaired } from './replication.ts';
import type { Peer } from './peers.ts';

/** A pair whose first copy has not begun. */
const NEW_PAIR = {
  state: 'copying',
  reason: '',
  copyBase: null,
  formerBases: [],
  lineage: [],
  behindSinceMs: null,
} satisfies Partial<PairEntry>;

/**
 * The primary's part. Repeated with the same secondary it changes nothing but, where `ack` says so,
 * when FLUSH and FUA are answered.
 */
export async function createPair(
  set: ImageSet,
  address: string,
  { secondary, ack }: { readonly secondary: Peer; readonly ack?: Ack | undefined },
): Promise<PairAnswer> {
  const facts = await secondary.call<PartyFacts>('facts', null);
  const { file } = set;
  if (checkPair(set, facts) === 'exists') {
    return reacknowledge(set, address, { secondary, ack });
  }
  await ensureEpoch(set);
  const pairId = idFromBytes<'pair'>(set.environment.random.bytes(16));
  const call: JoinCall = {
    pairId,
    groupId: file.groupId,
    primary: { setId: file.setId, name: file.name, address },
    ack: ack ?? 'local',
  };
  await secondary.call('pair.join', call);
  const pair: PairEntry = {
    id: pairId,
    peer: { ...facts.identity, address: secondary.address },
    ack: call.ack,
    ...NEW_PAIR,
  };
  set.secondary = null;
  await set.identity.update((current) => ({ ...current, pair }));
  set.changed();
  return { changed: true, pair: pairAnswer(set.file, address) };
}

/** The pair stays, and acknowledges otherwise from now on. */
async function reacknowledge(
  set: ImageSet,
  address: string,
  { secondary, ack }: { readonly secondary: Peer; readonly ack?: Ack | undefined },
): Promise<PairAnswer> {
  const { id, ack: before } = pairOf(set);
  const changed = ack !== undefined && ack !== before;
  if (changed) {
    const { setId, name, groupId } = set.file;
    const call: JoinCall = { pairId: id, groupId, primary: { setId, name, address }, ack };
    await secondary.call('pair.join', call);
    await set.identity.update((file) => ({ ...file, pair: file.pair && { ...file.pair, ack } }));
    set.changed();
  }
  return { changed, pair: pairAnswer(set.file, address) };
}

/** Whether the set and the one that `facts` speak of can become a pair, or are one already. */
export function checkPair({ file, folder }: ImageSet, facts: PartyFacts): 'new' | 'exists' {
  checkPrimary(file);
  if (!file.pair) {
    checkSecondary(file, facts);
    return 'new';
  }
  if (file.pair.peer.setId === facts.identity.setId && facts.pair?.id === file.pair.id) {
    return 'exists';
  }
  const isOver = file.pair.state === 'takeover';
  throw new RcopyError('E_PAIRED', `${file.name} is paired with ${file.pair.peer.name} already`, {
    hint: `end that pair first: \`rcopy pair delete ${folder}${isOver ? ' --local' : ''}\``,
  });
}

function checkPrimary(file: SetFile): void {
  if (file.seal) {
    throw new RcopyError(
      'E_SEALED',
      `${file.name} is sealed: ${file.seal.successor.name} took over`,
      {
        hint: `pair ${file.seal.successor.address} instead`,
      },
    );
  }
  if (file.role === 'primary') return;
  throw new RcopyError('E_ROLE', `${file.name} is no primary but a ${file.role}`, {
    hint: 'the primary comes first: `rcopy pair create PRIMARY SECONDARY`',
  });
}

function checkSecondary(file: SetFile, facts: PartyFacts): void {
  const { name, setId } = facts.identity;
  if (setId === file.setId) {
    throw new RcopyError('E_STATE', `${name} cannot be its own secondary`);
  }
  const waits =
    facts.pair?.peer.setId === file.setId && facts.role === 'secondary' && !facts.usable;
  if (!facts.blank && !waits) {
    throw new RcopyError('E_NOT_EMPTY', `${name} was used before`, {
      hint: '--overwrite loses what it holds; or are the arguments swapped?',
    });
  }
  for (const volume of file.volumes) {
    const other = facts.volumes.find((candidate) => candidate.name === volume.name);
    if (other?.sizeBytes === volume.sizeBytes) continue;
    const has = other ? `has ${other.sizeBytes} bytes for it` : 'has none of that name';
    throw new RcopyError(
      'E_TOO_SMALL',
      `${file.name} has volume ${volume.name} of ${volume.sizeBytes} bytes; ${name} ${has}`,
      { hint: 'the secondary needs the same volumes; --create makes such a set' },
    );
  }
  if (facts.volumes.length !== file.volumes.length) {
    throw new RcopyError('E_TOO_SMALL', `${name} has more volumes than ${file.name}`);
  }
}

/** The secondary's part: it takes the group's identity, and waits for the first copy. */
export async function joinPair(set: ImageSet, call: JoinCall): Promise<void> {
  const { file } = set;
  if (file.pair?.id === call.pairId) {
    const { ack } = call;
    await set.identity.update((now) => ({ ...now, pair: now.pair && { ...now.pair, ack } }));
    return;
  }
  const waits = file.pair?.peer.setId === call.primary.setId && !set.usable;
  if (!isBlank(set) && !waits) {
    throw new RcopyError('E_NOT_EMPTY', `${file.name} was used before`);
  }
  set.usable = false;
  set.copy = null;
  set.copyReceived = null;
  await set.saveCursors();
  await set.identity.update((current) => ({
    ...current,
    role: 'secondary',
    groupId: call.groupId,
    pair: {
      id: call.pairId,
      peer: call.primary,
      ack: call.ack,
      ...NEW_PAIR,
    },
  }));
  set.changed();
}

/** Never written, never given a part in anything. */
export function isBlank(set: ImageSet): boolean {
  const { file } = set;
  return (
    file.epoch === 0 &&
    file.pair === null &&
    file.role === 'primary' &&
    set.journal.runs.length === 0
  );
}

export interface PairEnds {
  /** How to reach the secondary; undefined when it is not to be asked. */
  readonly secondary: ((pair: PairEntry) => Peer) | undefined;
  /** Ends the links to it. */
  readonly stop: () => Promise<void>;
}

/**
 * The primary ends the pair; both know it when it resolves. Without `secondary` only this end does,
 * whichever it is.
 */
export async function deletePair(
  set: ImageSet,
  address: string,
  { secondary, stop }: PairEnds,
): Promise<PairAnswer> {
  const { file } = set;
  if (!file.pair) return { changed: false, pair: null };
  if (file.role === 'secondary' && secondary) {
    throw new RcopyError('E_ROLE', `${file.name} is the secondary: its primary ends the pair`, {
      hint: `rcopy pair delete ${file.pair.peer.address}; or --local, if that is gone for good`,
    });
  }
  // A target that serves hosts goes on by itself, if need be: a secondary may be lost at any time.
  const goesOn = !secondary && file.migration?.side === 'target' && !file.seal;
  if (file.migration && isUnderWay(file.migration) && !(goesOn && file.role === 'primary')) {
    const { target } = file.migration;
    throw new RcopyError('E_STATE', `${file.name} takes part in a migration that is under way`, {
      hint:
        `finish it with \`rcopy migrate resume ${target.address}\`; if ${file.pair.peer.name} is ` +
        `gone for good, then \`rcopy pair delete ${target.address} --local\``,
    });
  }
  const before = pairAnswer(file, address);
  const call = { pairId: file.pair.id };
  await stop();
  if (secondary) await askToLeave(address, secondary(file.pair), call);
  await leavePair(set, call.pairId);
  return { changed: true, pair: before };
}

async function askToLeave(
  address: string,
  secondary: Peer,
  call: { pairId: string },
): Promise<void> {
  try {
    await secondary.call('pair.leave', call);
  } catch (error) {
    if (!isRcopyError(error, 'E_UNREACHABLE')) throw error;
    throw new RcopyError('E_UNREACHABLE', error.message, {
      cause: error,
      hint: `if it will not come back: \`rcopy pair delete ${address} --local\``,
    });
  }
}

/** A primary owes nobody anything any more; what it was to pass on for another set is trimmed. */
async function leaveAsPrimary(set: ImageSet): Promise<void> {
  await dropMaps(set, set.contents.dirty, (current) => ({ ...current, pair: null }));
  set.secondary = null;
  await set.saveCursors();
  set.trim();
  set.changed();
}

/**
 * This end's part. A secondary that is usable becomes a group of its own that hosts can write; not
 * usable, it stays what it is, without a pair, until it is overwritten.
 */
export async function leavePair(set: ImageSet, pairId: string): Promise<void> {
  const { file } = set;
  if (file.pair?.id !== pairId) return;
  if (file.role !== 'secondary') return leaveAsPrimary(set);
  // Everything that is here counts: what came last is taken in before the new epoch begins on it.
  await set.journal.sync();
  await followJournal(set);
  await set.drain();
  const { random } = set.environment;
  const { applied } = set;
  await set.identity.update((current) => ({
    ...current,
    pair: null,
    ...(set.usable && {
      role: 'primary' as const,
      groupId: idFromBytes<'group'>(random.bytes(16)),
      epoch: applied.epoch + 1,
      takenOverAt: applied,
    }),
  }));
  if (set.file.role === 'primary') await ensureEpoch(set);
  set.changed();
}

/** Whether a migration has begun and not ended. */
export function isUnderWay(migration: { readonly state: string }): boolean {
  return migration.state !== 'done' && migration.state !== 'aborted';
}

export function pairOf(set: ImageSet): PairEntry {
  const { pair } = set.file;
  if (!pair) throw notPaired(set);
  return pair;
}

/** What is told of the pair that set.json names. */
export function pairAnswer(file: SetFile, address: string): PairAnswer['pair'] {
  if (!file.pair) return null;
  const { id, peer, state, ack } = file.pair;
  const [primary, secondary] =
    file.role === 'secondary' ? [peer.address, address] : [address, peer.address];
  return { id, primary, secondary, state, ack };
}
