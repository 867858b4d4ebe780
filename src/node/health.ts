/** The one word on how a set stands, why, and the next command to run. */
import { counted } from '../base/words.ts';
import { LINK_BEAT_MS, LINK_SILENT_BEATS } from '../base/limits.ts';
import type { MigrationEntry, PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Secondary } from '../link/secondary.ts';
import type { Health, SetState } from './answers.ts';
import { passesByItself } from './keeper.ts';
import { lagOf } from './lag.ts';
import type { Replication } from './replication.ts';
import { isJournalFull, isReturning } from './set-state.ts';

/** What is looked at. */
export interface HealthParts {
  readonly set: ImageSet;
  readonly replication: Replication;
  readonly secondary: Secondary | undefined;
  /** A daemon has the set: what can go on by itself does. */
  readonly serving: boolean;
}

const healthy = (reason: string): Health => ({
  healthy: true,
  word: 'healthy',
  reason,
  next: null,
});

const sick = (word: string, reason: string, next: string | null): Health => ({
  healthy: false,
  word,
  reason,
  next,
});

/** A secondary that lacks something and has made nothing durable for so long does not move. */
const STALLED_MS = LINK_BEAT_MS * LINK_SILENT_BEATS;

/** The order of the rows is the order of importance. */
export function healthOf(parts: HealthParts, state: SetState): Health {
  const { set, serving } = parts;
  const { file, folder } = set;
  if (set.failure) return sick('stopped', set.failure.message, null);
  if (isReturning(set)) {
    const { successor } = file.seal ?? {};
    const reason = `it gives the volumes back to ${successor?.name}, which has not taken them yet`;
    return sick('sealed', reason, `rcopy migrate abort ${folder}`);
  }
  if (state === 'retired' || state === 'sealed') {
    const successor = file.seal?.successor;
    const reason = `${successor?.name ?? 'another set'} took over its volumes`;
    return sick(state, reason, successor ? `rcopy status ${successor.address}` : null);
  }
  if (isJournalFull(set)) {
    const reason = 'hosts wait: the journal is full of what the secondary lacks';
    const down = serving ? downText(parts) : '';
    return sick('journal full', joined(reason, down), serving ? null : `rcopy replicate ${folder}`);
  }
  if (state === 'migrating' && file.migration) {
    const target = file.migration.side === 'target' ? folder : file.migration.target.address;
    return sick('migrating', migrationText(file.migration), `rcopy migrate resume ${target}`);
  }
  if (file.role === 'secondary') return healthOfSecondary(parts);
  return file.pair ? healthOfPrimary(parts, file.pair) : healthy('it has no pair');
}

function migrationText({ state, source, target }: MigrationEntry): string {
  if (state !== 'precopying') return `a migration is ${state}`;
  return `a migration copies ahead to ${target.name}; hosts are still at ${source.name}`;
}

function healthOfSecondary({ set, secondary, serving }: HealthParts): Health {
  const { usable, file } = set;
  const { pair } = file;
  if (!usable) {
    const next = pair ? `rcopy replicate ${pair.peer.address}` : null;
    return sick('not usable', 'its copy is not complete', next);
  }
  if (pair?.state === 'split') {
    const reason = 'it is usable as it was when the pair was split';
    return sick('split', reason, `rcopy pair resync ${pair.peer.address}`);
  }
  if (serving && pair && !secondary?.sessions.size) {
    const heard = secondary?.lastContactMs;
    const since = heard === undefined ? 'not yet heard' : `not heard since ${timeText(heard)}`;
    const reason = `it is usable; its primary ${pair.peer.name} was ${since}`;
    return sick('link down', reason, `rcopy status ${pair.peer.address}`);
  }
  return healthy('it is usable');
}

function healthOfPrimary(parts: HealthParts, pair: PairEntry): Health {
  const { set, replication, serving } = parts;
  const { folder } = set;
  const lag = lagOf(set);
  const lacks =
    lag && lag.entries > 0 ? `the secondary lacks ${counted(lag.entries, 'number')}` : '';
  const next = serving ? null : `rcopy replicate ${folder}`;
  const down = serving ? downText(parts) : '';
  switch (pair.state) {
    case 'takeover': {
      const reason = `it took over: ${pair.peer.name} follows no more, there is no second copy`;
      return sick('takeover', reason, `rcopy pair delete ${folder} --local`);
    }
    case 'split':
      return sick('split', joined(pair.reason, lacks), `rcopy pair resync ${folder}`);
    case 'suspended':
      return sick('suspended', joined(pair.reason, lacks, down), next);
    case 'copying': {
      const reason = serving ? joined(copyText(set), down) : replication.failure?.message;
      return sick('copying', reason ?? copyText(set), next);
    }
    case 'paired':
      if (serving) return healthOfKept(parts, pair, lacks);
      if (replication.failure) return sick('paired', replication.failure.message, next);
      if (!lag) return sick('behind', 'the secondary was never heard', next);
      return lacks === '' ? healthy('the secondary has everything') : sick('behind', lacks, next);
  }
}

/** A pair in step whose link a daemon keeps: healthy as long as it is up and the cursor moves. */
function healthOfKept(parts: HealthParts, pair: PairEntry, lacks: string): Health {
  const { set, replication } = parts;
  const there = `rcopy status ${pair.peer.address}`;
  const down = downText(parts);
  if (down !== '') return sick('link down', joined(down, lacks), there);
  if (lacks !== '' && replication.stalledMs > STALLED_MS) {
    const seconds = Math.floor(replication.stalledMs / 1000);
    return sick('behind', `${lacks}, and has taken nothing for ${seconds} s`, there);
  }
  const { whyLocal } = set.remoteAck;
  if (whyLocal !== '')
    return sick('ack local', `flushes wait for this site only: ${whyLocal}`, null);
  return healthy(lacks === '' ? 'the secondary has everything' : `${lacks}, and takes them in`);
}

/** Since when and why a link that is kept is down, and whether it comes back by itself. */
function downText({ replication }: HealthParts): string {
  const { isDown, failure } = replication;
  if (!isDown) return '';
  const why = isDown.reason === '' ? 'it is being dialled' : isDown.reason;
  const refused = failure !== undefined && !passesByItself(failure);
  const then = refused ? 'this needs somebody' : 'it is tried again by itself';
  return `the link is down since ${timeText(isDown.sinceMs)}: ${why}; ${then}`;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

function copyText({ contents }: ImageSet): string {
  return contents.dirty.inUse
    ? 'the copy of what changed is not complete'
    : 'the first copy is not complete';
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('; ');
}
