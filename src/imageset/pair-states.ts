/** What the state of a pair means for its primary. Pure. */
import type { PairEntry } from '../format/set-file.ts';

/** The journal keeps nothing for the secondary: the dirty maps say what it lacks. */
export function isWithoutJournal({ state }: Pick<PairEntry, 'state'>): boolean {
  return state === 'split' || state === 'suspended';
}

/** Whether nothing is sent to the secondary until an operator, or the set itself, changes that. */
export function sendsNothing(pair: Pick<PairEntry, 'state'>): boolean {
  return isWithoutJournal(pair) || pair.state === 'takeover';
}

/**
 * Whether the journal has to keep what the secondary lacks. It has not while dirty maps say it, nor
 * before a copy has begun, nor when the secondary took over.
 */
export function owesRecords({ state, copyBase, lineage }: PairEntry): boolean {
  if (state === 'copying') return copyBase !== null || lineage.length > 0;
  return state === 'paired';
}

/** The pair once the secondary follows the journal again. */
export function followingAgain(pair: PairEntry): PairEntry {
  const gone = { copyBase: null, formerBases: [], lineage: [], behindSinceMs: null };
  return { ...pair, ...gone, state: 'paired', reason: '' };
}
