/** What `rcopy status` says (R10): only what was measured, and how old it is. */
import { counted } from '../base/words.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { Secondary } from '../link/secondary.ts';
import type { Lag, SetState, StatusAnswer } from './answers.ts';
import { isUnderWay } from './pairing.ts';
import type { Replication } from './replication.ts';

export interface StatusParts {
  readonly set: ImageSet;
  readonly path: string;
  readonly replication: Replication;
  readonly secondary: Secondary | undefined;
}

export function statusOf(parts: StatusParts): StatusAnswer {
  const { set, path } = parts;
  const { file } = set;
  const state = stateOf(set);
  const answer = {
    set: { id: file.setId, name: file.name, role: file.role, state, epoch: file.epoch, path },
    volumes: file.volumes.map((volume, index) => ({
      name: volume.name,
      size: volume.sizeBytes,
      present: presentShare(set, index),
    })),
    journal: journalStatus(set),
    pair: pairStatus(parts),
    migration: migrationStatus(set),
    seal: file.seal && {
      nextSequence: file.seal.nextSequence,
      successor: file.seal.successor.address,
    },
    hosts: [],
    notices: set.notices,
  };
  return { ...answer, health: healthOf(parts, state) };
}

export function stateOf(set: ImageSet): SetState {
  const { file } = set;
  if (file.role === 'retired') return 'retired';
  if (file.seal) return 'sealed';
  if (file.migration && isUnderWay(file.migration)) return 'migrating';
  return file.pair?.state ?? 'simplex';
}

function presentShare(set: ImageSet, index: number): number {
  const map = set.contents.present(index);
  return map ? map.count / map.blocks : 1;
}

function journalStatus(set: ImageSet): StatusAnswer['journal'] {
  const run = set.ownRun();
  const { journal } = set;
  return {
    nextSequence: run?.next ?? 1,
    durableSequence: run ? Math.min(run.durable, run.next - 1) : 0,
    appliedSequence: set.applied.sequence,
    firstSequence: run?.firstKept ?? 1,
    bytes: journal.bytes,
    capacityBytes: journal.capacityBytes,
  };
}

function pairStatus({ set, replication, secondary }: StatusParts): StatusAnswer['pair'] {
  const { pair, role } = set.file;
  if (!pair) return null;
  const peer = { name: pair.peer.name, setId: pair.peer.setId, address: pair.peer.address };
  if (role === 'secondary') {
    const run = set.ownRun();
    const sessions = [...(secondary?.sessions ?? [])];
    return {
      state: pair.state,
      usable: set.usable,
      link: sessions.length > 0 ? 'up' : 'down',
      reason: pair.reason,
      peer,
      journalCursor: (run?.durable ?? 0) + 1,
      durableSequence: run?.durable ?? 0,
      restoredSequence: set.applied.sequence,
      lag: null,
      lastContact: null,
      sources: sessions.map((session) => ({
        setId: session.peerSetId,
        epoch: session.run.epoch,
        from: set.journal.run(session.run.epoch)?.next ?? session.run.first,
        to: session.run.sealed ? session.run.next - 1 : null,
      })),
    };
  }
  const durable = set.secondary?.durable.sequence ?? 0;
  const { lastContactMs } = replication;
  return {
    state: pair.state,
    usable: pair.state === 'copying' ? false : set.secondary ? true : null,
    link: replication.isUp ? 'up' : 'down',
    reason: pair.reason || (replication.failure?.message ?? ''),
    peer,
    journalCursor: durable + 1,
    durableSequence: durable,
    restoredSequence: set.secondary?.restored.sequence ?? 0,
    lag: lagOf(set),
    lastContact: lastContactMs === undefined ? null : new Date(lastContactMs).toISOString(),
  };
}

/** What the secondary lacks, measured in the journal: entries, bytes, age of the oldest. */
function lagOf(set: ImageSet): Lag | null {
  const run = set.ownRun();
  const { secondary } = set;
  if (!secondary) return null; // it never said what it has
  if (!run) return { entries: 0, bytes: 0, seconds: 0 };
  const from =
    secondary.durable.epoch === run.epoch ? secondary.durable.sequence + 1 : run.identity.first;
  const first = Math.max(from, run.firstKept);
  if (first >= run.next) return { entries: 0, bytes: 0, seconds: 0 };
  const { bytes, oldestMs } = measure(run, first);
  const seconds =
    oldestMs === undefined ? 0 : Math.max(0, set.environment.clock.now() - oldestMs) / 1000;
  return { entries: run.next - first, bytes, seconds };
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

function migrationStatus(set: ImageSet): StatusAnswer['migration'] {
  const { migration, seal } = set.file;
  if (!migration) return null;
  const handover = migration.handover;
  const next = handover?.nextSequence ?? seal?.nextSequence ?? 0;
  const epoch = handover ? handover.epoch + 1 : set.file.epoch;
  return {
    id: migration.id,
    state: migration.state,
    side: migration.side,
    mode: migration.mode,
    copy: migration.copy,
    epoch,
    nextSequence: next,
    remainingBytes: set.contents.absentBytes,
    remainingEntries: remainingEntries(set, next),
  };
}

/** Numbers below N that the secondary had not restored, by its last word. */
export function remainingEntries(set: ImageSet, nextSequence: number): number {
  const { migration } = set.file;
  if (!migration || !isUnderWay(migration) || nextSequence === 0) return 0;
  const restored = set.secondary?.restored;
  const known = restored?.sequence ?? (migration.handover?.journalCursor ?? 1) - 1;
  return Math.max(0, nextSequence - 1 - known);
}

/** The order of the rows is the order of importance. */
function healthOf({ set, replication }: StatusParts, state: SetState): StatusAnswer['health'] {
  const { file, folder } = set;
  const sick = (word: string, reason: string, next: string | null) => ({
    healthy: false,
    word,
    reason,
    next,
  });
  if (set.failure) return sick('stopped', set.failure.message, null);
  if (state === 'retired' || state === 'sealed') {
    const successor = file.seal?.successor;
    const reason = `${successor?.name ?? 'another set'} took over its volumes`;
    return sick(state, reason, successor ? `rcopy status ${successor.address}` : null);
  }
  if (state === 'migrating' && file.migration) {
    const target = file.migration.side === 'target' ? folder : file.migration.target.address;
    const reason = `a migration is ${file.migration.state}`;
    return sick('migrating', reason, `rcopy migrate resume ${target}`);
  }
  if (file.role === 'secondary') {
    if (set.usable) return { healthy: true, word: 'healthy', reason: 'it is usable', next: null };
    const primary = file.pair?.peer.address;
    return sick(
      'not usable',
      'its copy is not complete',
      primary ? `rcopy replicate ${primary}` : null,
    );
  }
  if (!file.pair) return { healthy: true, word: 'healthy', reason: 'it has no pair', next: null };
  if (replication.failure) {
    return sick(state, replication.failure.message, `rcopy replicate ${folder}`);
  }
  if (file.pair.state === 'copying') {
    return sick('copying', 'the first copy is not complete', `rcopy replicate ${folder}`);
  }
  const lag = lagOf(set);
  if (!lag) return sick('behind', 'the secondary was never heard', `rcopy replicate ${folder}`);
  if (lag.entries === 0) {
    return { healthy: true, word: 'healthy', reason: 'the secondary has everything', next: null };
  }
  return sick(
    'behind',
    `the secondary lacks ${counted(lag.entries, 'number')}`,
    `rcopy replicate ${folder}`,
  );
}
