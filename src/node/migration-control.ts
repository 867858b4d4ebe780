/** The migrations of one node: starting, watching, resuming and aborting them at the target. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import { ensureRelay } from '../imageset/acceptance.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Migration } from '../migration/machine.ts';
import type { PartyFacts } from '../migration/ports.ts';
import { prechecks } from '../migration/prechecks.ts';
import type { Precheck } from '../migration/prechecks.ts';
import { MigrationRunner } from '../migration/runner.ts';
import { absentSource } from './absent-source.ts';
import type {
  MigrateAnswer,
  MigrationStatusAnswer,
  OnProgress,
  PrecheckAnswer,
} from './answers.ts';
import type { Controllers } from './controllers.ts';
import { partyFacts } from './facts.ts';
import { Keeper } from './keeper.ts';
import { remainingEntries, sourceNeeded } from './migration-progress.ts';
import { buryMigration } from './migration-source.ts';
import {
  halted,
  controllerPort,
  owedBySource,
  sourcePort,
  targetPort,
  isDone,
} from './migration-target.ts';
import { isUnderWay } from './pairing.ts';
import type { Peer } from './peers.ts';
import type { Replication } from './replication.ts';
import type { MigrateRequest, MoveRequest, ResumeRequest } from './requests.ts';
import { isReturning } from './set-state.ts';
import { giveUpSource } from './source-lost.ts';

export interface MigrationControlOptions {
  readonly set: ImageSet;
  readonly address: string;
  readonly replication: Replication;
  readonly peer: (address: string) => Peer;
  readonly controllers: Pick<Controllers, 'opened'>;
}

/** One run of the machine. */
interface Drive {
  readonly by: 'command' | 'keeper';
  readonly ended: Promise<MigrateAnswer>;
}

interface GatheredFacts {
  readonly checks: Precheck[];
  readonly source: PartyFacts;
  readonly secondary: PartyFacts | Error | undefined;
}

export class MigrationControl {
  private readonly options: MigrationControlOptions;
  private pauseMs = 0;
  /** Who drives the machine now; one at a time. */
  private driving: Drive | undefined;
  /** Whoever drives is to end. */
  private halting = false;
  private stopped = false;
  private keeper: Keeper | undefined;
  private stopLooking: (() => void) | undefined;
  private readonly listeners = new Set<OnProgress>();
  private fetchedBefore = 0;

  constructor(options: MigrationControlOptions) {
    this.options = options;
  }

  /** A target that has taken over gets its absent blocks from the source, from its start on. */
  async attachSource(): Promise<void> {
    const { set, peer } = this.options;
    const { migration } = set.file;
    if (migration?.side !== 'target' || migration.state !== 'copying') return;
    await ensureRelay(set);
    set.contents.source = absentSource(set, migration, peer);
  }

  async check(request: MigrateRequest): Promise<PrecheckAnswer> {
    const { checks } = await this.gather(request);
    return { ready: checks.every(({ ok }) => ok), checks };
  }

  /**
   * From now on a migration that this set is the target of goes on by itself: at once, and again
   * after what passes by itself; what needs a person is looked at again now and then. To be called
   * once. What it copies is held to `maxRate`, bytes a second.
   */
  keepGoing({ maxRate }: { readonly maxRate?: number | undefined }): void {
    const { set } = this.options;
    const keeper = new Keeper(
      {
        purpose: () => this.purpose(),
        attempt: async () => {
          while (this.driving) await this.driving.ended;
          const { migration } = set.file;
          if (!migration || this.purpose() === undefined) return;
          const request = { maxRate, detach: false };
          await this.alone('keeper', () => this.run(migration, { kind: 'restarted' }, request));
        },
      },
      set.environment,
    );
    this.keeper = keeper;
    let { file } = set;
    this.stopLooking = set.onChange(() => {
      if (set.file === file && set.failure === undefined) return;
      ({ file } = set);
      keeper.look();
    });
    keeper.look();
  }

  /** Ends what `keepGoing` began, and whatever drives the machine now. Nothing is driven again. */
  stopGoing(): void {
    this.stopped = true;
    this.stopLooking?.();
    this.keeper?.stop();
    this.options.set.changed();
  }

  /** Resolves when nobody drives the machine. */
  async atRest(): Promise<void> {
    while (this.driving) await this.driving.ended.catch(() => undefined);
  }

  /** What is to be kept going; undefined while this set is no target, or gives the group back. */
  private purpose(): string | undefined {
    const { file, failure, isClosed } = this.options.set;
    const { migration, seal } = file;
    if (failure || isClosed || seal || migration?.side !== 'target') return undefined;
    if (!isUnderWay(migration)) return undefined;
    const { id, source, secondary, sourceLost } = migration;
    return [id, source.address, secondary.address, sourceLost ? 'lost' : 'there'].join(' ');
  }

  /**
   * Starts a migration, or goes on with the one from the same source; where that is being driven
   * already, waits for it.
   */
  async migrate(request: MigrateRequest): Promise<MigrateAnswer> {
    const { migration } = this.options.set.file;
    const isTheSame =
      migration?.side === 'target' &&
      isUnderWay(migration) &&
      this.driving?.by === 'keeper' &&
      (await this.isFrom(migration, request.from));
    if (isTheSame) {
      const answer = await (request.detach ? this.switched() : this.joined(request.onProgress));
      if (answer) return answer;
    }
    return this.alone('command', () => this.startOrGoOn(request));
  }

  /** Waits until hosts can use this set; undefined when nobody drives any more and they cannot. */
  private async switched(): Promise<MigrateAnswer | undefined> {
    const { set } = this.options;
    const isSwitched = () => set.file.migration?.state === 'copying' || this.driving === undefined;
    await set.until(isSwitched);
    const { migration } = set.file;
    return migration?.state === 'copying' ? this.answer(migration, true) : undefined;
  }

  /**
   * Goes on with the migration that this set is the target of; where it is being driven already,
   * waits for that. Done already: nothing changes.
   */
  async resume(request: ResumeRequest): Promise<MigrateAnswer> {
    const lost = request.sourceLost === true;
    // A source that is lost must not be waited for by whoever drives now.
    if (lost) return this.aside(() => this.resumeAlone(request));
    return (await this.joined(request.onProgress)) ?? this.resumeAlone(request);
  }

  private resumeAlone(request: ResumeRequest): Promise<MigrateAnswer> {
    return this.alone('command', async () => {
      const migration = this.ownMigration();
      if (migration.state === 'done') return this.tellRetired(migration);
      if (!isUnderWay(migration)) return this.answer(migration, false);
      this.refuseReturning(migration);
      const { set, replication } = this.options;
      const lost = request.sourceLost === true && !migration.sourceLost;
      const goesOn = lost ? await giveUpSource(set, replication, migration) : migration;
      if (lost) set.contents.source = absentSource(set, goesOn, this.options.peer);
      return this.run(goesOn, { kind: 'restarted' }, { ...request, detach: false });
    });
  }

  private async startOrGoOn(request: MigrateRequest): Promise<MigrateAnswer> {
    const { set } = this.options;
    const existing = set.file.migration;
    if (existing?.side === 'target' && (await this.isFrom(existing, request.from))) {
      if (existing.state === 'done') return this.tellRetired(existing);
      if (isUnderWay(existing)) {
        this.refuseReturning(existing);
        return this.run(existing, { kind: 'restarted' }, request);
      }
    }
    const { checks, source, secondary } = await this.gather(request);
    refuseUnready(checks);
    if (!source.pair || !secondary) throw new RcopyError('E_INTERNAL', 'prechecks name a pair');
    const migration: Migration = {
      id: idFromBytes<'migration'>(set.environment.random.bytes(16)),
      side: 'target',
      mode: request.mode,
      copy: request.copy,
      state: 'prepared',
      source: { ...source.identity, address: request.from },
      target: partyFacts(set, this.options.address).identity,
      secondary: source.pair.peer,
      pair: { id: source.pair.id, ack: source.pair.ack },
      handover: null,
      sourceLost: false,
      reason: '',
    };
    return this.run(migration, { kind: 'started' }, request);
  }

  /** Whether this set, as it is, could move to a target that is not made yet. */
  async checkMoveTo(
    own: PartyFacts,
    target: PartyFacts,
    how: MoveRequest,
  ): Promise<PrecheckAnswer> {
    const { checks } = await this.checksFor(own, target, how);
    return { ready: checks.every(({ ok }) => ok), checks };
  }

  /** The same source, however its address was written. */
  private async isFrom(migration: Migration, address: string): Promise<boolean> {
    if (migration.source.address === address) return true;
    const facts = await this.options.peer(address).call<PartyFacts>('facts', null);
    return facts.identity.setId === migration.source.setId;
  }

  /**
   * Ends the migration, from either end: before the switch, or after it as long as the target has
   * written nothing. The source is the primary then.
   */
  async abort(): Promise<MigrateAnswer> {
    const { set } = this.options;
    const { migration } = set.file;
    if (migration?.side === 'source' && isUnderWay(migration)) return this.abortAtSource(migration);
    // Behind the switch nothing else may be under way: what is copied would stand in the way.
    return this.ownMigration().state === 'copying'
      ? this.aside(() => this.alone('command', () => this.abortAtTarget()))
      : this.abortAtTarget();
  }

  private async abortAtTarget(): Promise<MigrateAnswer> {
    // Looked at now: whoever drove it may have come to its end meanwhile.
    const own = this.ownMigration();
    if (own.state === 'aborted') return this.answer(own, false);
    if (own.state === 'done') throw isDone(own);
    const runner = this.runner(own, { maxRate: undefined });
    const asked = { kind: 'abort-asked', reason: 'aborted by an operator' } as const;
    return this.answer(await runner.run(asked), true);
  }

  /** A target that has sealed its epoch back to the source has nowhere else to go. */
  private refuseReturning({ target }: Migration): void {
    const { seal } = this.options.set.file;
    if (!seal) return;
    throw new RcopyError(
      'E_SEALED',
      `${target.name} has sealed its epoch for ${seal.successor.name}`,
      {
        hint: `finish what was begun: \`rcopy migrate abort ${target.address}\``,
      },
    );
  }

  status(): MigrationStatusAnswer {
    const { set } = this.options;
    const { migration, seal } = set.file;
    if (!migration) return { migration: null };
    const next = migration.handover?.nextSequence ?? seal?.nextSequence ?? null;
    return {
      migration: {
        id: migration.id,
        state: migration.state,
        side: migration.side,
        mode: migration.mode,
        copy: migration.copy,
        source: { name: migration.source.name, address: migration.source.address },
        target: { name: migration.target.name, address: migration.target.address },
        secondary: { name: migration.secondary.name, address: migration.secondary.address },
        nextSequence: next,
        journalCursor: migration.handover?.journalCursor ?? null,
        remainingBytes: set.contents.absentBytes,
        remainingEntries: remainingEntries(set, next ?? 0),
        sourceNeeded: sourceNeeded(set),
        returning: isReturning(set),
        reason: migration.reason,
      },
    };
  }

  /**
   * While this set is a target that copies, its source is asked for what it still owes. Rejects
   * when the source cannot.
   */
  async letSourceGive(): Promise<void> {
    const { set, peer, replication } = this.options;
    const { migration } = set.file;
    if (migration?.side !== 'target' || migration.state !== 'copying') return;
    // A copy by map brings what the source owed as well.
    if (set.file.pair?.state !== 'paired') return;
    const source = sourcePort(peer(migration.source.address));
    const parts = { set, peer, replication };
    await owedBySource(parts, migration, () => source.drain(migration));
  }

  /** The source alone decides, for it has not sealed; the target is told if it is there. */
  private async abortAtSource(migration: Migration): Promise<MigrateAnswer> {
    const { set, peer } = this.options;
    const target = peer(migration.target.address);
    if (set.file.seal) return target.call<MigrateAnswer>('migration.abort', null);
    await buryMigration(set, migration);
    try {
      await target.call('migration.abort', null);
    } catch (error) {
      if (!isRcopyError(error)) throw error; // it finds out when it asks
    }
    return this.answer({ ...migration, state: 'aborted' }, true);
  }

  /** A source that was away when it was done may be there now. */
  private async tellRetired(migration: Migration): Promise<MigrateAnswer> {
    await this.runner(migration, { maxRate: undefined }).run({ kind: 'restarted' });
    return this.answer(migration, false);
  }

  private ownMigration(): Migration {
    const { migration, name } = this.options.set.file;
    if (migration?.side === 'target') return migration;
    const target = migration?.target.address;
    throw new RcopyError('E_STATE', `${name} is not the target of a migration`, {
      hint: target ? `ask its target: ${target}` : 'start one with `rcopy migrate FROM TO`',
    });
  }

  private async gather(request: MigrateRequest): Promise<GatheredFacts> {
    const { set, address, peer } = this.options;
    const source = await peer(request.from).call<PartyFacts>('facts', null);
    return this.checksFor(source, partyFacts(set, address), request);
  }

  private async checksFor(
    source: PartyFacts,
    target: PartyFacts,
    { mode, controllers = [], force = false }: MoveRequest,
  ): Promise<GatheredFacts> {
    const { peer } = this.options;
    const secondary = source.pair
      ? await peer(source.pair.peer.address).call<PartyFacts>('facts', null).catch(asAnswer)
      : undefined;
    return {
      checks: prechecks({ source, target, secondary, mode, controllers, force }),
      source,
      secondary,
    };
  }

  private async run(
    migration: Migration,
    first: { kind: 'started' } | { kind: 'restarted' },
    request: ResumeRequest & { readonly detach: boolean },
  ): Promise<MigrateAnswer> {
    this.fetchedBefore = this.options.set.contents.fetchedBytes;
    const runner = this.runner(migration, request);
    return this.answer(await runner.run(first, request.detach ? 'copy' : undefined), true);
  }

  /** One at a time drives the machine. */
  private async alone(by: Drive['by'], work: () => Promise<MigrateAnswer>): Promise<MigrateAnswer> {
    const { set, address } = this.options;
    if (this.stopped) throw halted(set);
    if (this.driving) {
      throw new RcopyError('E_STATE', `${set.file.name} is being migrated to by another command`, {
        hint: `watch it with \`rcopy migrate status ${address}\``,
      });
    }
    const ended = work();
    this.driving = { by, ended };
    try {
      return await ended;
    } finally {
      this.driving = undefined;
      set.changed();
    }
  }

  /** The answer of whoever drives now; undefined when nobody does any more, or that failed. */
  private async joined(onProgress: OnProgress | undefined): Promise<MigrateAnswer | undefined> {
    let answer: MigrateAnswer | undefined;
    if (onProgress) this.listeners.add(onProgress);
    try {
      while (this.driving) answer = await this.driving.ended.catch(() => undefined);
    } finally {
      if (onProgress) this.listeners.delete(onProgress);
    }
    return answer;
  }

  /** Lets what is kept going end, and keeps it from going on while `work` is under way. */
  private async aside(work: () => Promise<MigrateAnswer>): Promise<MigrateAnswer> {
    const letGo = this.keeper?.hold();
    try {
      if (this.driving?.by === 'keeper') {
        this.halting = true;
        this.options.set.changed();
        await this.driving.ended.catch(() => undefined);
        this.halting = false;
      }
      return await work();
    } finally {
      this.halting = false;
      letGo?.();
    }
  }

  private runner(migration: Migration, request: ResumeRequest): MigrationRunner {
    const { set, address, replication, peer } = this.options;
    const sourcePeer = peer(migration.source.address);
    const { maxRate } = request;
    const onProgress: OnProgress = (progress) => {
      request.onProgress?.(progress);
      for (const listener of this.listeners) listener(progress);
    };
    const isHalted = () => this.stopped || this.halting;
    return new MigrationRunner(migration, {
      source: sourcePort(sourcePeer),
      target: targetPort({ set, address, replication, peer, maxRate, onProgress, isHalted }),
      controllers: controllerPort(sourcePeer, this.options.controllers, () => this.noteHold()),
      changed: ({ state }) => {
        if (state === 'copying') this.pauseMs = this.sinceHoldMs();
        const totalBytes = set.contents.images.reduce((sum, image) => sum + image.sizeBytes, 0);
        onProgress({ step: state, doneBytes: 0, totalBytes });
      },
    });
  }

  private holdAskedMs: number | undefined;

  /** From now on hosts are not answered: they are held, and then the source seals. */
  private noteHold(): void {
    this.holdAskedMs = this.options.set.environment.clock.monotonicMs();
  }

  private sinceHoldMs(): number {
    const { clock } = this.options.set.environment;
    return this.holdAskedMs === undefined ? 0 : clock.monotonicMs() - this.holdAskedMs;
  }

  private answer(migration: Migration, changed: boolean): MigrateAnswer {
    const { handover } = migration;
    return {
      changed,
      migrationId: migration.id,
      mode: migration.mode,
      copy: migration.copy,
      epoch: handover ? handover.epoch + 1 : this.options.set.file.epoch,
      nextSequence: handover?.nextSequence ?? 0,
      journalCursor: handover?.journalCursor ?? 0,
      switchPauseMs: Math.round(this.pauseMs * 10) / 10,
      copiedBytes: this.options.set.contents.fetchedBytes - this.fetchedBefore,
      state: migration.state,
    };
  }
}

function asAnswer(error: Error): Error {
  return error;
}

const REFUSAL_CODES: Readonly<Record<string, ErrorCode>> = {
  'source-role': 'E_ROLE',
  'source-sealed': 'E_SEALED',
  'target-empty': 'E_NOT_EMPTY',
  volumes: 'E_TOO_SMALL',
  pair: 'E_NOT_PAIRED',
  secondary: 'E_UNREACHABLE',
};

/** Throws when a check failed: all reasons in one error; its code is that of the first. */
export function refuseUnready(checks: PrecheckAnswer['checks']): void {
  const failed = checks.filter(({ ok }) => !ok);
  const [first] = failed;
  if (!first) return;
  const reasons = failed.map(({ detail }) => detail).join('; ');
  throw new RcopyError(
    REFUSAL_CODES[first.name] ?? 'E_STATE',
    `the migration cannot start: ${reasons}`,
    { hint: '`rcopy migrate FROM TO --dry-run` lists every check' },
  );
}
