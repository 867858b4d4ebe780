/** The one word on how a set stands, why, and the next command to run. */
import { counted } from '../base/words.ts';
import type { MigrationEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Health, SetState } from './answers.ts';
import { lagOf } from './lag.ts';
import type { Replication } from './replication.ts';
import { isJournalFull, isReturning } from './set-state.ts';

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

/** The order of the rows is the order of importance. */
export function healthOf(set: ImageSet, replication: Replication, state: SetState): Health {
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
    return sick('journal full', reason, `rcopy replicate ${folder}`);
  }
  if (state === 'migrating' && file.migration) {
    const target = file.migration.side === 'target' ? folder : file.migration.target.address;
    return sick('migrating', migrationText(file.migration), `rcopy migrate resume ${target}`);
  }
  return file.role === 'secondary' ? healthOfSecondary(set) : healthOfPrimary(set, replication);
}

function migrationText({ state, source, target }: MigrationEntry): string {
  if (state !== 'precopying') return `a migration is ${state}`;
  return `a migration copies ahead to ${target.name}; hosts are still at ${source.name}`;
}

function healthOfSecondary({ usable, file }: ImageSet): Health {
  const { pair } = file;
  if (!usable) {
    const next = pair ? `rcopy replicate ${pair.peer.address}` : null;
    return sick('not usable', 'its copy is not complete', next);
  }
  if (pair?.state === 'split') {
    const reason = 'it is usable as it was when the pair was split';
    return sick('split', reason, `rcopy pair resync ${pair.peer.address}`);
  }
  return healthy('it is usable');
}

function healthOfPrimary(set: ImageSet, replication: Replication): Health {
  const { folder } = set;
  const { pair } = set.file;
  if (!pair) return healthy('it has no pair');
  const lag = lagOf(set);
  const lacks =
    lag && lag.entries > 0 ? `the secondary lacks ${counted(lag.entries, 'number')}` : '';
  const next = `rcopy replicate ${folder}`;
  switch (pair.state) {
    case 'takeover': {
      const reason = `it took over: ${pair.peer.name} follows no more, there is no second copy`;
      return sick('takeover', reason, `rcopy pair delete ${folder} --local`);
    }
    case 'split':
      return sick('split', joined(pair.reason, lacks), `rcopy pair resync ${folder}`);
    case 'suspended':
      return sick('suspended', joined(pair.reason, lacks), next);
    case 'copying': {
      const reason = replication.failure?.message;
      return sick('copying', reason ?? copyText(set), next);
    }
    case 'paired':
      if (replication.failure) return sick('paired', replication.failure.message, next);
      if (!lag) return sick('behind', 'the secondary was never heard', next);
      return lacks === '' ? healthy('the secondary has everything') : sick('behind', lacks, next);
  }
}

function copyText({ contents }: ImageSet): string {
  return contents.dirty.inUse
    ? 'the copy of what changed is not complete'
    : 'the first copy is not complete';
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('; ');
}
