/** A node's parts in a migration: the source's answers, and the target's ports. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { HandoverEntry, MigrationEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { acceptHandover, bury, finishPresence, seal } from '../imageset/succession.ts';
import { Pacer } from '../link/pacer.ts';
import type { Migration } from '../migration/machine.ts';
import type { ControllerPort, PartyFacts, SourcePort, TargetPort } from '../migration/ports.ts';
import { absentSource } from './absent-source.ts';
import type { OnProgress } from './answers.ts';
import type { MigrationCall } from './calls.ts';
import { isBlank, isUnderWay, pairOf } from './pairing.ts';
import { isAway } from './peers.ts';
import type { Peer } from './peers.ts';
import type { Replication } from './replication.ts';

/** What a set says of itself. */
export function partyFacts(set: ImageSet, address: string): PartyFacts {
  const { file } = set;
  const { pair, migration } = file;
  return {
    identity: { setId: file.setId, name: file.name, address },
    groupId: file.groupId,
    role: file.role,
    state: pair?.state ?? 'simplex',
    sealedFor: file.seal?.successor ?? null,
    migrationId: migration && isUnderWay(migration) ? migration.id : null,
    volumes: file.volumes,
    blank: isBlank(set),
    pair: pair && { id: pair.id, ack: pair.ack, state: pair.state, peer: pair.peer },
    lagEntries: set.secondary ? Math.max(0, set.newest - set.secondary.durable.sequence) : 0,
    usable: set.usable,
  };
}

/** What the source does when the target's machine asks. Each can be asked again. */
export const sourceActions = {
  async announce(set: ImageSet, call: MigrationCall): Promise<void> {
    const pair = pairOf(set);
    // Looked at when nothing else is being written: an abort or another migration may come first.
    await set.identity.update((current) => {
      if (current.seal?.migrationId === call.id || current.migration?.id === call.id) {
        return current;
      }
      if (current.abortedMigrations.includes(call.id)) throw wasAborted(set, call);
      if (current.migration && isUnderWay(current.migration)) {
        const { address } = current.migration.target;
        throw new RcopyError('E_STATE', `${current.name} takes part in another migration`, {
          hint: `finish or abort it: \`rcopy migrate status ${address}\``,
        });
      }
      return {
        ...current,
        migration: {
          ...call,
          side: 'source',
          state: 'prepared',
          pair: { id: pair.id, ack: pair.ack },
          handover: null,
          reason: '',
        },
      };
    });
    set.changed();
  },

  /** Seals, and gives the management information (claims 1, 3, 7). */
  async seal(set: ImageSet, call: MigrationCall): Promise<HandoverEntry> {
    const { migration } = set.file;
    if (!set.file.seal && migration?.id !== call.id) throw wasAborted(set, call);
    const entry = await seal(set, call.id, call.target);
    await moveTo(set, 'copying');
    const { secondary } = set;
    const run = set.ownRun();
    const durable =
      secondary?.durable.epoch === entry.epoch ? secondary.durable.sequence : undefined;
    const owedFrom = durable === undefined ? (run?.identity.first ?? 1) : durable + 1;
    return {
      epoch: entry.epoch,
      nextSequence: entry.nextSequence,
      journalCursor: Math.min(owedFrom, entry.nextSequence),
      marks: [...set.marks],
      restoredSequence: Math.min(secondary?.restored.sequence ?? 0, entry.nextSequence - 1),
      sealRecord: entry.record,
    };
  },

  async retire(set: ImageSet, call: MigrationCall): Promise<void> {
    if (set.file.seal?.migrationId !== call.id) {
      throw new RcopyError('E_STATE', `${set.file.name} was not sealed by migration ${call.id}`);
    }
    await set.identity.update((current) => ({
      ...current,
      role: 'retired',
      pair: null,
      migration: current.migration && { ...current.migration, state: 'done' },
    }));
    set.changed();
  },

  /** Never seals under this id: durable before it answers. */
  async bury(set: ImageSet, call: Pick<MigrationCall, 'id' | 'target'>): Promise<void> {
    await bury(set, call.id, call.target.address);
    set.changed();
  },
} as const;

function wasAborted(set: ImageSet, call: MigrationCall): RcopyError {
  return new RcopyError('E_STATE', `migration ${call.id} was aborted at ${set.file.name}`, {
    hint: `end it there too: \`rcopy migrate abort ${call.target.address}\`, then start anew`,
  });
}

async function moveTo(set: ImageSet, state: MigrationEntry['state']): Promise<void> {
  if (!set.file.migration || set.file.migration.state === state) return;
  await set.identity.update((current) => ({
    ...current,
    migration: current.migration && { ...current.migration, state },
  }));
}

/** The source as the target calls it. */
export function sourcePort(source: Peer): SourcePort {
  const call = (migration: Migration): MigrationCall => ({
    id: migration.id,
    mode: migration.mode,
    copy: migration.copy,
    source: migration.source,
    target: migration.target,
    secondary: migration.secondary,
  });
  return {
    facts: () => source.call<PartyFacts>('facts', null),
    announce: (migration) => source.call('migration.announce', call(migration)),
    seal: (migration) => source.call<HandoverEntry>('migration.seal', call(migration)),
    bury: (migration) => source.call('migration.bury', call(migration)),
    drain: (migration) => source.call<void>('migration.drain', call(migration)),
    // Done is done, whether or not the source answers: it is told when it is next seen.
    retire: (migration) => source.call<void>('migration.retire', call(migration)).catch(unlessBug),
  };
}

function unlessBug(error: unknown): void {
  if (!isRcopyError(error)) throw error;
}

export interface TargetOptions {
  readonly set: ImageSet;
  readonly address: string;
  readonly replication: Replication;
  readonly peer: (address: string) => Peer;
  readonly maxRate?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** The target's own part. */
export function targetPort(options: TargetOptions): TargetPort {
  const { set, address } = options;
  return {
    facts: () => partyFacts(set, address),
    async save(migration) {
      await set.identity.update((current) => ({
        ...current,
        role: roleIn(migration, current.role),
        migration,
      }));
      set.changed();
    },
    async accept(migration) {
      await acceptHandover(set, migration);
      set.contents.source = absentSource(migration, options.peer);
      set.changed();
    },
    copy: (migration, drain) => copyBehind(options, migration, drain),
  };
}

function roleIn(migration: Migration, role: PartyFacts['role']): PartyFacts['role'] {
  switch (migration.state) {
    case 'prepared':
    case 'switching':
      return 'target';
    case 'aborted':
      return 'primary';
    default:
      return role;
  }
}

/** Fetches every absent block, sends to C, and waits until C has what A owed and the seal. */
async function copyBehind(
  options: TargetOptions,
  migration: Migration,
  drain: () => Promise<void>,
): Promise<void> {
  const { set, replication } = options;
  set.contents.source ??= absentSource(migration, options.peer);
  // The rate holds back what is fetched, never what hosts write: the second site must follow.
  const before = set.secondary;
  const letGo = replication.want();
  try {
    let sourceFailure: Error | undefined;
    drain().catch((error: Error) => {
      sourceFailure = error;
      set.changed();
    });
    const next = migration.handover?.nextSequence ?? 0;
    const epoch = migration.handover?.epoch ?? 0;
    const followed = () =>
      set.until(() => {
        const restored = set.secondary?.restored;
        // C goes on to the next epoch only when it holds the seal and has applied all before it.
        if (restored && restored.epoch > epoch && restored.sequence >= next - 1) return true;
        // A source that is away matters only when the secondary has spoken and lacks something.
        const heard = set.secondary !== before;
        const failure = replication.failure ?? (heard ? sourceFailure : undefined);
        if (failure) throw failure;
        return false;
      });
    try {
      await fetchAbsent(options);
    } catch (error) {
      if (!isAway(error)) throw error;
      await followed(); // then C can give what the source cannot
      await fetchAbsent(options);
    }
    await followed();
    await finishPresence(set);
  } finally {
    await letGo();
  }
}

async function fetchAbsent({ set, maxRate, onProgress }: TargetOptions): Promise<void> {
  const { contents } = set;
  const pacer = new Pacer(set.environment.clock, maxRate);
  const totalBytes = contents.images.reduce((sum, image) => sum + image.sizeBytes, 0);
  for (const [volume, image] of contents.images.entries()) {
    for (let at = 0; at < image.sizeBytes;) {
      const absent = contents.absentIn(volume, at, image.sizeBytes);
      if (!absent) break;
      const { fetchedBytes } = contents;
      at = await contents.fetchBase(volume, absent);
      set.applier.poke();
      if (set.failure) throw set.failure;
      onProgress?.({ step: 'copying', doneBytes: totalBytes - contents.absentBytes, totalBytes });
      await pacer.take(contents.fetchedBytes - fetchedBytes, () => set.failure !== undefined);
    }
  }
  await set.drain();
}

/** Hosts that no controller moves: they find the new set by themselves. */
export const noControllers: ControllerPort = {
  hold: () => Promise.resolve(),
  switchTo: () => Promise.resolve(),
  release: () => Promise.resolve(),
};
