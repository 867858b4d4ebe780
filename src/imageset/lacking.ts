/**
 * What the secondary may lack, told by blocks instead of records: read out of the journal when that
 * cannot keep the records (a full journal, a split), and for whoever takes the set over. With it
 * comes the lineage: chain values by which the secondary can prove later where it stands (R5).
 */
import { LINEAGE_RECORDS_MAX, MIB } from '../base/limits.ts';
import type { Position } from '../base/position.ts';
import type { LineageRun } from '../format/set-file.ts';
import type { Run } from '../journal/run.ts';
import type { BlockMap } from './block-map.ts';
import type { ImageSet } from './image-set.ts';
import { isWithoutJournal } from './pair-states.ts';
import { sealedError } from './refusals.ts';
import { blankMaps, createMaps, namesWith } from './set-maps.ts';

/** After so many bytes of journal others get their turn. */
const SLICE_BYTES = 4 * MIB;
const CHAIN_DIGITS = 8;
const CHAINS_LENGTH_MAX = LINEAGE_RECORDS_MAX * CHAIN_DIGITS;

export interface Lacking {
  readonly lineage: LineageRun[];
  /** When the oldest record that is lacking was written; null when none is. */
  readonly sinceMs: number | null;
}

/**
 * Reads every record behind `from` that is in the journal and calls `mark` for what it touches.
 * Records that are trimmed already are the dirty map's to tell.
 */
export async function readLacking(
  set: ImageSet,
  from: Position,
  mark: (volume: number, start: number, end: number) => void,
): Promise<Lacking> {
  set.hosts.writeBatch();
  const lineage: LineageRun[] = [];
  let sinceMs: number | null = null;
  const runs = set.journal.runs.filter(
    ({ epoch }) => epoch >= from.epoch && epoch <= set.file.epoch,
  );
  const letTrim = set.holdTrims();
  let chainsMax = LINEAGE_RECORDS_MAX;
  try {
    for (const run of runs) {
      const behind = run.epoch === from.epoch ? from.sequence : run.identity.first - 1;
      const read = await readRun(set, run, { behind, chainsMax, mark });
      chainsMax -= read.lineage.chains.length / CHAIN_DIGITS;
      lineage.push(read.lineage);
      sinceMs ??= read.sinceMs;
    }
  } finally {
    letTrim();
  }
  return { lineage, sinceMs };
}

interface ReadRequest {
  /** The number behind which records are read. */
  readonly behind: number;
  /** How many chain values are kept at most. */
  readonly chainsMax: number;
  readonly mark: (volume: number, start: number, end: number) => void;
}

async function readRun(
  set: ImageSet,
  run: Run,
  { behind, chainsMax, mark }: ReadRequest,
): Promise<{ lineage: LineageRun; sinceMs: number | null }> {
  const end = run.writtenEnd;
  const first = Math.min(Math.max(behind + 1, run.firstKept), run.next);
  const reader = run.readFrom(first);
  try {
    reader.next(first - 1); // passes the head, where the run begins with the first
    const chains = [chainText(reader.chain)];
    let sinceMs: number | null = null;
    let bytes = 0;
    for (let record = reader.next(end); record; record = reader.next(end)) {
      const { kind, volume, offset, length, timeMs } = record.header;
      if (kind === 'write' || kind === 'zeroes') mark(volume, offset, offset + length);
      if (kind !== 'seal' && chains.length < chainsMax) {
        chains.push(chainText(reader.chain));
      }
      sinceMs ??= timeMs;
      bytes += record.bytes.length;
      if (bytes < SLICE_BYTES) continue;
      bytes = 0;
      await new Promise<void>((resolve) => {
        set.environment.clock.soon(resolve);
      });
    }
    const { epoch, identity, seal } = run;
    const lineage = { epoch, id: identity.id, first: first - 1, chains: chains.join('') };
    return { lineage: { ...lineage, sealed: seal !== undefined }, sinceMs };
  } finally {
    reader.close();
  }
}

function chainText(chain: number): string {
  return chain.toString(16).padStart(CHAIN_DIGITS, '0');
}

/** The chain value of record `sequence` as a lineage knows it; undefined when it does not. */
export function chainInLineage(
  { first, chains }: LineageRun,
  sequence: number,
): number | undefined {
  const at = (sequence - first) * CHAIN_DIGITS;
  const text = chains.slice(at, at + CHAIN_DIGITS);
  return at < 0 || text.length < CHAIN_DIGITS ? undefined : Number.parseInt(text, 16);
}

/**
 * What was known before stays, for the secondary may stand anywhere in it; what was found comes to
 * it: where it goes on directly as one run, else as another of the same epoch. Bounded: of what
 * comes last, less is kept.
 */
export function joined(before: readonly LineageRun[], found: readonly LineageRun[]): LineageRun[] {
  const sealed = new Set([...before, ...found].flatMap(({ id, sealed: is }) => (is ? [id] : [])));
  const runs: LineageRun[] = [];
  for (const run of [...before, ...found]) {
    const last = runs.at(-1);
    const at = last ? (run.first - last.first) * CHAIN_DIGITS : -1;
    if (last?.id === run.id && at >= 0 && at < last.chains.length) {
      const longer = last.chains.slice(0, at) + run.chains;
      runs[runs.length - 1] =
        longer.length > last.chains.length ? { ...last, chains: longer } : last;
    } else runs.push(run);
  }
  let room = CHAINS_LENGTH_MAX;
  return runs.map(({ epoch, id, first, chains: all }) => {
    const chains = all.slice(0, Math.max(CHAIN_DIGITS, room));
    room -= chains.length;
    return { epoch, id, first, sealed: sealed.has(id), chains };
  });
}

/** Blocks that the secondary may lack, and what goes with them. */
export interface Owed extends Lacking {
  readonly maps: readonly BlockMap[];
  /** The newest number that the maps cover. */
  readonly asOf: number;
}

/**
 * The blocks of the records behind `from`, and those of the dirty map, which knows of what the
 * journal has let go.
 */
export async function collectOwed(set: ImageSet, from: Position): Promise<Owed> {
  const maps = blankMaps(set.file.volumes);
  set.hosts.writeBatch();
  const asOf = set.newest;
  const { lineage, sinceMs } = await readLacking(set, from, (volume, start, end) =>
    maps[volume]?.addBytes(start, end),
  );
  if (set.contents.dirty.inUse) {
    await set.drain(); // what is in the overlay is in the map then
    for (const [volume, map] of set.contents.dirty.all.entries()) maps[volume]?.addAll(map);
  }
  return { maps, asOf, lineage: joined(set.file.pair?.lineage ?? [], lineage), sinceMs };
}

/** In which state a pair goes on without the journal, and why. */
export interface FallBack {
  readonly state: 'split' | 'suspended' | 'copying';
  readonly reason: string;
}

/**
 * From now on the dirty maps say what the secondary lacks, and the journal keeps nothing for it.
 * Durable when it resolves. Throws `E_UNREACHABLE` while there are blocks that cannot be applied,
 * `E_SEALED` when a set is to be split that has sealed meanwhile.
 */
export function fallBackToMap(set: ImageSet, how: FallBack): Promise<void> {
  return set.contents.dirty.inTurn(() => fallBack(set, how));
}

async function fallBack(set: ImageSet, { state, reason }: FallBack): Promise<void> {
  const { pair } = set.file;
  if (!pair) return;
  const { secondary, contents } = set;
  let lacking: Lacking = { lineage: [], sinceMs: null };
  if (secondary && !isWithoutJournal(pair)) {
    const isNew = !contents.dirty.inUse;
    if (isNew) await set.drain(); // what is applied before does not come into the maps
    if (isNew) await createMaps(set, contents.dirty, set.applied);
    // A copy of everything that has not come to its end: what it has done is not known for sure.
    if (isNew && pair.state === 'copying') markAll(set);
    lacking = await readLacking(set, secondary.durable, (volume, start, end) =>
      contents.dirty.mark(volume, start, end),
    );
    await set.applier.checkpoint(); // saves the maps
  }
  await set.identity.update((file) => {
    // What it owes at its seal, it has to send.
    if (state === 'split' && (file.seal ?? set.ownRun()?.seal)) throw sealedError(file);
    return {
      ...file,
      pair: file.pair && {
        ...file.pair,
        state,
        reason,
        lineage: joined(file.pair.lineage, lacking.lineage),
        behindSinceMs: file.pair.behindSinceMs ?? lacking.sinceMs,
      },
      maps: contents.dirty.inUse ? namesWith(file, contents.dirty) : file.maps,
    };
  });
  set.fallBacks += 1;
  set.trim();
  set.changed();
}

/** A pair that was split or suspended is to be copied what it lacks. Durable when it resolves. */
export async function goOn(set: ImageSet): Promise<void> {
  await set.identity.update((file) => ({
    ...file,
    pair: file.pair && { ...file.pair, state: 'copying', reason: '' },
  }));
  set.changed();
}

function markAll(set: ImageSet): void {
  for (const [volume, { sizeBytes }] of set.file.volumes.entries()) {
    set.contents.dirty.mark(volume, 0, sizeBytes);
  }
}
