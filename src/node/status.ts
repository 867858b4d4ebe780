/** What `rcopy status` says (R10): only what was measured, and how old it is. */
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Secondary } from '../link/secondary.ts';
import type { DaemonStatus, HostStatus, LimitStatus, SentStatus, StatusAnswer } from './answers.ts';
import type { ControllerStatus } from './path-calls.ts';
import { healthOf } from './health.ts';
import { firstLacking, lagOf } from './lag.ts';
import { remainingEntries, sourceNeeded } from './migration-progress.ts';
import type { Replication } from './replication.ts';
import { pairStateOf, stateOf } from './set-state.ts';

export interface StatusParts {
  readonly set: ImageSet;
  readonly replication: Replication;
  readonly secondary: Secondary | undefined;
  /** A daemon has the set, and keeps its link. */
  readonly serving: boolean;
  /** What only who serves the set can tell. */
  readonly served: Served | undefined;
  readonly controllers: readonly ControllerStatus[];
}

/** The part of status that only a daemon knows. */
export interface Served {
  process(): DaemonStatus;
  hosts(): readonly HostStatus[];
  limits(): readonly LimitStatus[];
}

export function statusOf(parts: StatusParts): StatusAnswer {
  const { set } = parts;
  const { file } = set;
  const state = stateOf(set);
  const answer = {
    set: {
      id: file.setId,
      name: file.name,
      role: file.role,
      state,
      epoch: file.epoch,
      path: set.folder,
    },
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
    daemon: parts.served?.process() ?? null,
    hosts: parts.served?.hosts() ?? [],
    controllers: parts.controllers,
    limits: parts.served?.limits() ?? [],
    notices: set.notices,
  };
  return { ...answer, health: healthOf(parts, state) };
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
    whenFull: set.file.journal.whenFull,
  };
}

function pairStatus(parts: StatusParts): StatusAnswer['pair'] {
  const { set, replication, serving } = parts;
  const { pair, role } = set.file;
  if (!pair) return null;
  const { name, setId, address } = pair.peer;
  const both = { peer: { name, setId, address }, kept: serving, ack: pair.ack };
  if (role === 'secondary') return { ...both, ...secondaryStatus(parts, pair) };
  const cursor = firstLacking(set);
  const { isDown } = replication;
  const ackReason = set.remoteAck.whyLocal;
  return {
    ...both,
    state: pairStateOf(set) ?? pair.state,
    usable: secondaryUsable(set, pair),
    link: isDown ? 'down' : 'up',
    reason: pair.reason || (isDown?.reason ?? ''),
    downSince: isDown && serving ? dateOf(isDown.sinceMs) : null,
    ackDegraded: ackReason !== '',
    ackReason,
    journalCursor: cursor,
    durableSequence: cursor - 1,
    restoredSequence: set.secondary?.restored.sequence ?? 0,
    lag: lagOf(set),
    lagAgeSeconds: 0,
    lastContact: dateOf(replication.lastContactMs),
    sent: sentBy(replication),
  };
}

function sentBy({ counts }: Replication): SentStatus {
  const { sentRecords: records, sentBytes: bytes, copiedBytes, copiesBegun: copies } = counts;
  return { records, bytes, copiedBytes, copies };
}

function dateOf(atMs: number): string;
function dateOf(atMs: number | undefined): string | null;
function dateOf(atMs: number | undefined): string | null {
  return atMs === undefined ? null : new Date(atMs).toISOString();
}

type PairStatus = NonNullable<StatusAnswer['pair']>;

function secondaryStatus(
  { set, secondary }: StatusParts,
  pair: PairEntry,
): Omit<PairStatus, 'peer' | 'kept' | 'ack'> {
  const run = set.ownRun();
  const sessions = [...(secondary?.sessions ?? [])];
  const lag = secondary?.lag;
  const nowMs = set.environment.clock.now();
  return {
    state: pair.state,
    usable: set.usable,
    link: sessions.length > 0 ? 'up' : 'down',
    reason: pair.reason,
    downSince: sessions.length > 0 ? null : dateOf(secondary?.downSinceMs),
    ackDegraded: false,
    ackReason: '',
    journalCursor: (run?.durable ?? 0) + 1,
    durableSequence: run?.durable ?? 0,
    restoredSequence: set.applied.sequence,
    lag: lag?.lag ?? null,
    lagAgeSeconds: lag ? Math.max(0, nowMs - lag.heardMs) / 1000 : null,
    lastContact: dateOf(secondary?.lastContactMs),
    sources: sessions.map((session) => ({
      setId: session.peerSetId,
      epoch: session.run.epoch,
      from: set.journal.run(session.run.epoch)?.next ?? session.run.first,
      to: session.run.sealed ? session.run.next - 1 : null,
    })),
  };
}

/** Whether the secondary's data can be used, by its last word; null when that does not say it. */
function secondaryUsable({ secondary, contents, file }: ImageSet, pair: PairEntry): boolean | null {
  // Whoever follows this set may copy to it by now, and nothing of that is heard here.
  if (file.seal) return null;
  switch (pair.state) {
    case 'paired':
      return secondary ? true : null;
    case 'takeover':
      return null;
    case 'copying':
    case 'split':
    case 'suspended': {
      // That a copy begins is durable here before the secondary hears of it.
      const hasBegun = pair.copyBase !== null || pair.formerBases.length > 0;
      return secondary !== null && contents.dirty.inUse && !hasBegun;
    }
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
    source: { name: migration.source.name, address: migration.source.address },
    epoch,
    nextSequence: next,
    remainingBytes: set.contents.absentBytes,
    remainingEntries: remainingEntries(set, next),
    sourceNeeded: sourceNeeded(set),
  };
}
