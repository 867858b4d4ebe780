/**
 * What the secondary lacks (R10): measured in the journal where that has all of it, else told by
 * the dirty maps.
 */
import { isRcopyError } from '../base/errors.ts';
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { isWithoutJournal } from '../imageset/pair-states.ts';
import type { Run } from '../journal/run.ts';
import type { Lag } from './answers.ts';

const NO_LAG: Lag = { entries: 0, bytes: 0, seconds: 0 };

/**
 * The lag of this primary's secondary; null when it never said what it has, or follows no more, or
 * when the journal cannot be read: a set that has stopped can still be asked how it stands.
 */
export function lagOf(set: ImageSet): Lag | null {
  try {
    return measuredLag(set);
  } catch (error) {
    if (isRcopyError(error)) return null;
    throw error;
  }
}

function measuredLag(set: ImageSet): Lag | null {
  const { pair } = set.file;
  if (!set.secondary || !pair || pair.state === 'takeover') return null;
  const from = firstLacking(set);
  const entries = Math.max(0, set.newest + 1 - from);
  const runs = isToldByMaps(set, pair) ? undefined : runsFrom(set, from);
  if (!runs) return lagByMaps(set, pair, entries, from);
  if (entries === 0) return NO_LAG;
  const measured = runs.map((run) => measure(run, Math.max(from, run.identity.first)));
  return {
    entries,
    bytes: measured.reduce((sum, { bytes }) => sum + bytes, 0),
    seconds: ageOf(set, measured.find(({ oldestMs }) => oldestMs !== undefined)?.oldestMs),
  };
}

/** The lowest number that the secondary has not made durable, by its last word. */
export function firstLacking(set: ImageSet): number {
  const { journal, file, secondary } = set;
  if (!secondary) return 1;
  const { epoch, sequence } = secondary.durable;
  const run = journal.run(epoch);
  // What the journal has let go the secondary has, though its word may not have been kept.
  const kept = file.pair?.state === 'paired' ? (run?.firstKept ?? 1) : 1;
  const durable = Math.max(sequence, kept - 1);
  if (epoch >= file.epoch) return durable + 1;
  // Of an epoch before: numbers are dense across epochs, and a seal takes none.
  const isAtSeal = run?.seal !== undefined && durable >= run.seal.header.sequence;
  const first = set.ownRun()?.identity.first ?? durable + 1;
  return Math.min(isAtSeal ? durable : durable + 1, first);
}

/** Whether the journal lets go what the secondary lacks, because dirty maps keep it. */
function isToldByMaps({ contents }: ImageSet, pair: PairEntry): boolean {
  return isWithoutJournal(pair) || (pair.state === 'copying' && contents.dirty.inUse);
}

/**
 * The runs that hold everything from a number on; undefined when something of it is not in this
 * journal: what a migration's source still owes is there.
 */
function runsFrom(set: ImageSet, from: number): Run[] | undefined {
  const { journal, file } = set;
  const runs = journal.runs.filter(({ epoch, next }) => epoch <= file.epoch && next > from);
  const [oldest] = runs;
  const isWhole = runs.every((run, index) => {
    const later = runs[index + 1];
    return later === undefined || later.identity.first === run.next;
  });
  return isWhole && (!oldest || oldest.firstKept <= from) ? runs : undefined;
}

function lagByMaps(set: ImageSet, pair: PairEntry, entries: number, from: number): Lag {
  const bytes = set.contents.dirty.setBytes;
  if (entries === 0 && bytes === 0) return NO_LAG;
  return { entries, bytes, seconds: ageOf(set, pair.behindSinceMs ?? keptSinceMs(set, from)) };
}

/** When the first number that is lacking was written, as long as the journal still has it. */
function keptSinceMs(set: ImageSet, from: number): number | undefined {
  const run = set.ownRun();
  if (!run || from < run.firstKept || from >= run.next) return undefined;
  return measure(run, from).oldestMs;
}

function ageOf({ environment }: ImageSet, sinceMs: number | undefined): number | null {
  return sinceMs === undefined ? null : Math.max(0, environment.clock.now() - sinceMs) / 1000;
}

/** Records only: the head of an epoch is older than what hosts wrote, and no lag. */
function measure(run: Run, first: number): { bytes: number; oldestMs: number | undefined } {
  const measured = run.measureFrom(first);
  const head = first === run.identity.first ? run.head : undefined;
  if (!head) return measured;
  const reader = run.readFrom(first);
  try {
    reader.next(first - 1); // passes the head
    const oldestMs = reader.next(run.writtenEnd)?.header.timeMs;
    return { bytes: Math.max(0, measured.bytes - head.bytes.length), oldestMs };
  } finally {
    reader.close();
  }
}
