/** Pausing a pair, going on with it, and finding its other end again. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { PairEntry, PeerIdentity, SetFile } from '../format/set-file.ts';
import { sealedError } from '../imageset/refusals.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { fallBackToMap, goOn } from '../imageset/lacking.ts';
import { isWithoutJournal } from '../imageset/pair-states.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { PairAnswer } from './answers.ts';
import { isUnderWay, pairAnswer, pairOf } from './pairing.ts';
import type { Peer } from './peers.ts';

/**
 * Nothing is sent any more; what changes is kept in dirty maps. The secondary stays usable as it
 * is. Durable when it resolves, also when the secondary cannot be told.
 */
export async function splitPair(
  set: ImageSet,
  address: string,
  { secondary, stop }: { secondary: (pair: PairEntry) => Peer; stop: () => Promise<void> },
): Promise<PairAnswer> {
  const pair = checkOperator(set);
  if (pair.state === 'split') return { changed: false, pair: pairAnswer(set.file, address) };
  await stop();
  await tell(secondary(pair), 'pair.split', { pairId: pair.id });
  await fallBackToMap(set, { state: 'split', reason: 'an operator split it' });
  return { changed: true, pair: pairAnswer(set.file, address) };
}

/** The secondary's part: it shows that it is split. */
export async function noteSplit(set: ImageSet, pairId: string): Promise<void> {
  if (set.file.role !== 'secondary' || set.file.pair?.id !== pairId) return;
  if (set.file.pair.state !== 'paired') return;
  await set.identity.update((file) => ({
    ...file,
    pair: file.pair && { ...file.pair, state: 'split' },
  }));
  set.changed();
}

/** The pair goes on where it was: with records where the journal has them, else by the maps. */
export async function resyncPair(set: ImageSet, address: string): Promise<PairAnswer> {
  const pair = checkOperator(set);
  if (!isWithoutJournal(pair)) return { changed: false, pair: pairAnswer(set.file, address) };
  await goOn(set);
  return { changed: true, pair: pairAnswer(set.file, address) };
}

/** Where the other end of the pair is now; it has to answer there (R5). */
export async function movePeer(set: ImageSet, address: string, peer: Peer): Promise<PairAnswer> {
  const pair = pairOf(set);
  const { identity } = await peer.call<PartyFacts>('facts', null);
  if (identity.setId !== pair.peer.setId) {
    throw new RcopyError('E_DIFFERENT', `the set at ${peer.address} is not ${pair.peer.name}`, {
      hint: 'see `rcopy inspect` of both: the identity is what counts, not the name',
    });
  }
  const changed = pair.peer.address !== peer.address;
  if (changed) await set.identity.update((file) => moved(file, identity.setId, peer.address));
  set.changed();
  return { changed, pair: pairAnswer(set.file, address) };
}

function moved(file: SetFile, setId: string, address: string): SetFile {
  const there = (peer: PeerIdentity) => (peer.setId === setId ? { ...peer, address } : peer);
  const { pair, migration } = file;
  return {
    ...file,
    pair: pair && { ...pair, peer: there(pair.peer) },
    migration: migration && {
      ...migration,
      source: there(migration.source),
      target: there(migration.target),
      secondary: there(migration.secondary),
    },
  };
}

/** The pair, where an operator may pause it or let it go on: at its primary, and at rest. */
function checkOperator(set: ImageSet): PairEntry {
  const { file } = set;
  const pair = pairOf(set);
  if (file.seal) throw sealedError(file);
  if (file.role !== 'primary') {
    throw new RcopyError('E_ROLE', `${file.name} is no primary but a ${file.role}`, {
      hint: `ask its primary: ${pair.peer.address}`,
    });
  }
  if (pair.state === 'takeover') {
    throw new RcopyError('E_STATE', `${file.name} took over: ${pair.peer.name} follows no more`, {
      hint: `end the old pair: \`rcopy pair delete ${set.folder} --local\`, then make a new one`,
    });
  }
  if (file.migration && isUnderWay(file.migration)) {
    throw new RcopyError('E_STATE', `${file.name} takes part in a migration that is under way`, {
      hint: `finish it with \`rcopy migrate resume ${file.migration.target.address}\``,
    });
  }
  return pair;
}

/** Tells a peer that may be away: it finds out later. */
async function tell(peer: Peer, name: string, parameters: unknown): Promise<void> {
  try {
    await peer.call(name, parameters);
  } catch (error) {
    if (!isRcopyError(error)) throw error;
  }
}
