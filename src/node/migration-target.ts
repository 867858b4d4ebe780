/** The target's part in a migration: its own ports, and the source as it calls it. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { comparePositions } from '../base/position.ts';
import type { HandoverEntry, SetFile } from '../format/set-file.ts';
import {
  acceptHandover,
  becomeBlank,
  ensureRelay,
  finishMaps,
  prepareMaps,
} from '../imageset/acceptance.ts';
import type { BlockMap } from '../imageset/block-map.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { blankMaps, createMaps, forsakeMaps, namesWith } from '../imageset/set-maps.ts';
import { seal } from '../imageset/succession.ts';
import { Pacer } from '../link/pacer.ts';
import type { Migration } from '../migration/machine.ts';
import type {
  ControllerPort,
  PartyFacts,
  Returned,
  SourcePort,
  TargetPort,
} from '../migration/ports.ts';
import { absentSource } from './absent-source.ts';
import type { OnProgress } from './answers.ts';
import type { MapsCall, MigrationCall } from './calls.ts';
import type { Controllers } from './controllers.ts';
import { partyFacts } from './facts.ts';
import { FIRST_PLACE, takePages } from './map-transfer.ts';
import type { MapPlace } from './map-transfer.ts';
import { isAway } from './peers.ts';
import type { Peer } from './peers.ts';
import { pullRelay } from './relay.ts';
import type { Replication } from './replication.ts';

export function migrationCallOf(migration: Migration): MigrationCall {
  const { id, mode, copy, source, target, secondary } = migration;
  return { id, mode, copy, source, target, secondary };
}

/** The source as the target calls it. */
export function sourcePort(source: Peer): SourcePort {
  const call = migrationCallOf;
  return {
    facts: () => source.call<PartyFacts>('facts', null),
    announce: (migration) => source.call('migration.announce', call(migration)),
    seal: (migration) => source.call<HandoverEntry>('migration.seal', call(migration)),
    bury: (migration) => source.call('migration.bury', call(migration)),
    drain: (migration) => source.call<void>('migration.drain', call(migration)),
    takeBack: (migration, returned) =>
      source.call('migration.take-back', { migration: call(migration), returned }),
    // Done is done, whether or not the source answers: it is told when it is next seen.
    retire: (migration) =>
      migration.sourceLost
        ? Promise.resolve()
        : source.call<void>('migration.retire', call(migration)).catch(unlessBug),
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
  /** Whether it is to end where it is: somebody else goes on from there. */
  readonly isHalted?: (() => boolean) | undefined;
}

/** The end of a run that somebody else goes on from. */
export function halted({ file }: ImageSet): RcopyError {
  return new RcopyError('E_STOPPED', `the migration to ${file.name} was stopped where it is`, {
    hint: `go on with \`rcopy migrate resume ${file.migration?.target.address ?? file.name}\``,
  });
}

/** The target's own part. */
export function targetPort(options: TargetOptions): TargetPort {
  const { set, address } = options;
  /** What was owed before the switch, and the number as of which that was told. */
  let before: { readonly asOf: number; readonly maps: readonly BlockMap[] } | undefined;
  return {
    facts: () => partyFacts(set, address),
    save: (migration) => save(set, migration),
    precopy: (migration) => precopy(options, migration),
    async prefetch(migration) {
      before = await gather(options, migration, { which: 'owed', since: null });
      await prepareMaps(set, before.maps);
    },
    async accept(migration) {
      // Before hosts may come: their first request can be to a block that is not here.
      set.contents.source = absentSource(set, migration, options.peer);
      if (set.file.role !== 'primary') {
        const since = before?.asOf ?? null;
        const owed = await gather(options, migration, { which: 'owed', since }, before?.maps);
        const isAhead = migration.copy === 'pre';
        const changed = isAhead
          ? await gather(options, migration, { which: 'changed', since: null })
          : null;
        await acceptHandover(set, migration, { owed: owed.maps, changed: changed?.maps ?? null });
      } else await acceptHandover(set, migration, { owed: [], changed: null });
      set.changed();
    },
    copy: (migration, drain) => copyBehind(options, migration, drain),
    giveBack: (migration) => giveBack(set, migration),
  };
}

async function save(set: ImageSet, migration: Migration): Promise<void> {
  const change = (current: SetFile): SetFile => {
    if (migration.state !== 'aborted') refuseAborted(current, migration);
    const pair = migration.state === 'aborted' ? null : current.pair;
    return { ...current, role: roleIn(migration, current), pair, migration: kept(migration) };
  };
  if (migration.state === 'aborted') await becomeBlank(set, change);
  else await set.identity.update(change);
  set.changed();
}

/** When all is done, what was handed over only to get there is not kept. */
function kept(migration: Migration): Migration {
  const { handover, state } = migration;
  if (state !== 'done' || !handover) return migration;
  return { ...migration, handover: { ...handover, relayHead: '', lineage: [], bases: [] } };
}

/** What was under way when a migration was aborted does not bring it back. */
function refuseAborted({ migration: current, name }: SetFile, { id, source }: Migration): void {
  if (current?.id !== id || current.state !== 'aborted') return;
  throw new RcopyError('E_STATE', `migration ${id} was aborted at ${name}`, {
    hint: `start a new one: \`rcopy migrate ${source.address} …\``,
  });
}

function roleIn(migration: Migration, { role, seal: sealed }: SetFile): SetFile['role'] {
  switch (migration.state) {
    case 'prepared':
    case 'precopying':
    case 'switching':
      return 'target';
    case 'aborted':
      return sealed ? 'retired' : 'primary';
    case 'copying':
    case 'done':
      return role;
  }
}

/** Asks the source for maps until it has given all pages; they come on top of `maps`. */
async function gather(
  { set, peer }: TargetOptions,
  migration: Migration,
  what: Pick<MapsCall, 'which' | 'since'>,
  maps: readonly BlockMap[] = blankMaps(set.file.volumes),
): Promise<{ asOf: number; maps: readonly BlockMap[] }> {
  let asOf = 0;
  for (let from: MapPlace | null = FIRST_PLACE; from;) {
    const call: MapsCall = { ...what, migration: migrationCallOf(migration), from };
    const answered = await peer(migration.source.address).ask('migration.maps', call);
    ({ asOf } = answered.value as { asOf: number });
    from = takePages(maps, answered);
  }
  return { asOf, maps };
}

/** Copies what it can while the source serves its hosts; what changes meanwhile comes later. */
async function precopy(options: TargetOptions, migration: Migration): Promise<void> {
  const { set } = options;
  const { contents } = set;
  const source = options.peer(migration.source.address);
  if (!contents.presence.inUse) {
    await createMaps(set, contents.presence, set.applied);
    try {
      await set.identity.update((file) => {
        refuseAborted(file, migration);
        return { ...file, maps: namesWith(file, contents.presence) };
      });
    } catch (error) {
      if (!set.failure) await forsakeMaps(set, contents.presence);
      throw error;
    }
  }
  const reader = Buffer.from(set.environment.random.bytes(16)).toString('hex');
  await source.call('migration.track', { migration: migrationCallOf(migration), reader });
  contents.source = source.blocks(() => ({ kind: 'serving', migrationId: migration.id, reader }));
  try {
    await fetchAbsent(options, 'copying ahead');
  } finally {
    contents.source = undefined;
  }
}

/** Fetches every absent block, sends to C, and waits until C has what A owed and the seal. */
async function copyBehind(
  options: TargetOptions,
  migration: Migration,
  drain: () => Promise<void>,
): Promise<void> {
  const { set, replication } = options;
  set.contents.source ??= absentSource(set, migration, options.peer);
  await ensureRelay(set);
  // The rate holds back what is fetched, never what hosts write: the second site must follow.
  const letGo = replication.want();
  try {
    let owedFailure: Error | undefined;
    const owed = owedBySource(options, migration, drain).catch((error: Error) => {
      owedFailure = error;
      set.changed();
    });
    const next = migration.handover?.nextSequence ?? 0;
    const epoch = migration.handover?.epoch ?? 0;
    const followed = () =>
      set.until(() => {
        if (options.isHalted?.()) throw halted(set);
        if (!set.file.pair) return true; // an operator said that the secondary is lost
        const { restored, durable } = set.secondary ?? {};
        const isPaired = set.file.pair?.state === 'paired';
        // C goes on to the next epoch only when it holds the seal and has applied all before it.
        if (isPaired && restored && restored.epoch > epoch && restored.sequence >= next - 1) {
          return true;
        }
        // A source that is away matters only when the secondary has spoken and lacks something.
        const hasAll = durable && comparePositions(durable, { epoch, sequence: next }) >= 0;
        const lacks = replication.lacksCarried || (replication.hasHeard && !hasAll);
        const failure = replication.failure ?? (isPaired && lacks ? owedFailure : undefined);
        if (failure) throw failure;
        return false;
      });
    try {
      await fetchAbsent(options, 'copying');
    } catch (error) {
      if (!isAway(error)) throw error;
      await followed(); // then C can give what the source cannot
      await fetchAbsent(options, 'copying');
    }
    // Whatever C does, the source is not needed any more once it has handed over all.
    if (migration.mode === 'handoff') await owed;
    await followed();
    await finishMaps(set);
  } finally {
    await letGo();
  }
}

/** What the source still has to do for the secondary, by mode. */
export async function owedBySource(
  { set, peer, replication, isHalted }: Omit<TargetOptions, 'address'>,
  migration: Migration,
  drain: () => Promise<void>,
): Promise<void> {
  if (migration.sourceLost || !set.file.pair) return;
  switch (migration.mode) {
    case 'drain':
      return drain();
    case 'handoff':
      return pullRelay(
        set,
        (sequence) => {
          if (isHalted?.()) throw halted(set);
          return peer(migration.source.address).ask('migration.records', {
            migration: migrationCallOf(migration),
            sequence,
          });
        },
        () => (isHalted?.() ? halted(set) : replication.failure),
      );
    case 'bitmap':
  }
}

async function fetchAbsent(
  { set, maxRate, onProgress, isHalted }: TargetOptions,
  step: string,
): Promise<void> {
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
      if (isHalted?.()) throw halted(set);
      onProgress?.({ step, doneBytes: totalBytes - contents.absentBytes, totalBytes });
      await pacer.take(
        contents.fetchedBytes - fetchedBytes,
        () => set.failure !== undefined || isHalted?.() === true,
      );
    }
  }
  await set.drain();
}

/** Seals this set's epoch for the source, as long as it holds no record and needs the source. */
async function giveBack(set: ImageSet, migration: Migration): Promise<Returned> {
  if (set.file.migration?.state === 'done') throw isDone(migration);
  const sealed = await seal(set, migration.id, migration.source, (_, run) =>
    run.next === run.identity.first ? undefined : tookRecords(migration),
  );
  const { pair } = set.file;
  const open = set.ownRun()?.head?.bytes.toString('hex') ?? '';
  const bases = [...(pair?.formerBases ?? []), ...(pair?.copyBase ? [pair.copyBase] : [])];
  const durable = set.secondary?.durable ?? { epoch: 0, sequence: 0 };
  return { open, seal: sealed.record, bases, hasClosed: pair?.state !== 'paired', durable };
}

function tookRecords(migration: Migration): RcopyError {
  return new RcopyError('E_STATE', `${migration.target.name} has taken writes since the switch`, {
    hint: `${wayBack(migration)}, once this one is done`,
  });
}

/** The refusal of an abort when nothing is under way any more. */
export function isDone(migration: Migration): RcopyError {
  return new RcopyError('E_STATE', `the migration to ${migration.target.name} is done`, {
    hint: wayBack(migration),
  });
}

function wayBack({ source, target }: Migration): string {
  const command = `rcopy migrate ${target.address} ${source.address} --overwrite`;
  return `the way back is another migration: \`${command}\``;
}

/** The controllers in front of the source, as the target commands them: through the source. */
export function controllerPort(
  source: Peer,
  own: Pick<Controllers, 'opened'>,
  holding: () => void,
): ControllerPort {
  const call = migrationCallOf;
  return {
    async hold(migration) {
      await source.call('migration.prepare-controllers', call(migration));
      holding();
      await source.call('migration.hold', call(migration));
    },
    switched: () => own.opened(),
    // A source that is away lets go by itself.
    release: (migration) => source.call<void>('migration.unhold', call(migration)).catch(unlessBug),
  };
}
