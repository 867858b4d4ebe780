/**
 * The path controllers that are attached to one set: who they are, durably; which of their streams
 * count (the generation fence); whether they hold their hosts; and, after the set has lost its
 * tail, whose turn it is to write again what was lost, before anybody writes anything new.
 *
 * ```
 *   a reign begins ──► gathering: every known controller says what it lost, or is given up
 *                        │ in turn, by number, they write it again
 *                        ▼
 *                      open ◄──────────── unhold
 *                        │ migration.hold    ▲
 *                        ▼                   │
 *                      holding ──────────────┘
 *                        │ the seal
 *                        ▼
 *                      sealed
 * ```
 */
import { RcopyError, messageOf } from '../base/errors.ts';
import {
  CONTROLLERS_GATHER_MS,
  CONTROLLERS_HOLD_MS,
  CONTROLLERS_MAX,
  DURABLE_NEWS_MS,
  HOLD_LEASE_MS,
} from '../base/limits.ts';
import type { ControllerId, MigrationId } from '../base/ids.ts';
import { withControllers } from '../format/set-file.ts';
import type { ControllerEntry, SetFile } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Done } from '../device/device.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { NbdServer } from '../nbd/server.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { AttachedController } from './attached-controller.ts';
import { attachedExports } from './attached-exports.ts';
import type {
  AttachCall,
  ControllerStatus,
  PathWord,
  ReportCall,
  SpeakerCall,
} from './path-calls.ts';
import { turnOf } from './path-turns.ts';
import { closedBy, isSame, known, wordTo } from './path-words.ts';
import type { Turn } from './path-turns.ts';

export interface ControllersOptions {
  readonly set: ImageSet;
  readonly address: string;
  readonly bootId: string;
}

export class Controllers {
  private readonly set: ImageSet;
  private readonly address: string;
  private readonly bootId: string;
  private readonly clock: Clock;
  private readonly sessions = new Map<ControllerId, AttachedController>();
  private server: NbdServer | undefined;
  /** Where the history stood when the set was opened. */
  private readonly openedAt: { readonly epoch: number; readonly sequence: number };
  /** The epoch in which nothing is lost any more. */
  private gatheredEpoch = 0;
  private reignEpoch = 0;
  private gathering: Timer | undefined;
  /** Writes of what was lost that are not journaled yet: they may still fail. */
  private replaysUnderWay = 0;
  /** Whom this reign has given up. */
  private readonly givenUp = new Set<string>();
  /** Who held the others up when that was looked at last, and how far they were. */
  private heldUp: readonly string[] = [];
  private finishing = false;
  private holding: MigrationId | undefined;
  private lease: Timer | undefined;
  private news: Timer | undefined;
  private readonly stopLooking: () => void;
  private closed = false;

  constructor({ set, address, bootId }: ControllersOptions) {
    this.set = set;
    this.address = address;
    this.bootId = bootId;
    this.clock = set.environment.clock;
    this.openedAt = { epoch: set.file.epoch, sequence: set.newest };
    this.stopLooking = set.onChange(() => this.look());
    this.look();
  }

  /** Whose budget and clients the controllers' streams count on. */
  serveWith(server: NbdServer): void {
    this.server = server;
  }

  /** Those that the set knows of, attached now or not. */
  get status(): ControllerStatus[] {
    const { migrationId } = this;
    return known(this.set.file).map(({ id, name, address }) => {
      const { report } = this.attached(id) ?? {};
      const prepared = report?.prepared ?? null;
      const held = migrationId !== undefined && report?.held === migrationId;
      return { id, name, address, attached: this.attached(id) !== undefined, held, prepared };
    });
  }

  /** Whether hosts have to wait for what controllers lost. */
  get isGathering(): boolean {
    const { file } = this.set;
    return file.role === 'primary' && !file.seal && this.gatheredEpoch !== file.epoch;
  }

  /**
   * Takes a controller on: ends every stream of an older generation first. Before it may write it
   * is noted durably, so that the set waits for it after a restart. Throws `E_STATE` for an older
   * generation, and for a controller that means another set.
   */
  async attach(call: AttachCall): Promise<void> {
    const { set } = this;
    const { controllerId: id, generation, name, address } = call;
    if (call.setId !== set.file.setId) throw isAnother(this.address, set.file.name);
    const before = this.sessions.get(id);
    if (before && before.generation >= generation) throw isOlder(name);
    if (this.closed) throw set.stoppedError();
    if (set.failure) throw set.failure;
    if (!this.isKnown(id) && known(set.file).length >= CONTROLLERS_MAX) throw tooMany(set.file);
    before?.drop('a newer stream of the same controller has come');
    const expected = this.isKnown(id) && !this.givenUp.has(id);
    const entry = { id, name, address };
    const session = new AttachedController(entry, generation, expected);
    session.replayed = before?.replayed ?? 0;
    this.sessions.set(id, session);
    if (set.file.role === 'primary' && !set.file.seal) await ensureEpoch(set);
    this.look();
  }

  /** Forgets a controller, durably: it owes nothing, and nobody has to wait for it. */
  async detach(call: SpeakerCall): Promise<void> {
    const attached = this.speaker(call);
    await this.forget([attached.entry.id]);
    this.left(call);
  }

  /**
   * The controller's link has ended. Its streams end when they end, or when it comes again; those
   * of one that is not known end at once.
   */
  left({ controllerId, generation }: SpeakerCall): void {
    const attached = this.attached(controllerId);
    if (attached?.generation !== generation) return;
    attached.isLinked = false;
    attached.waiting = undefined;
    if (!this.isKnown(controllerId)) {
      attached.drop('its controller has left');
      this.sessions.delete(controllerId);
    }
    this.look();
  }

  /** Resolves with the next news. */
  watch(call: SpeakerCall): Promise<PathWord> {
    const attached = this.speaker(call);
    return new Promise((resolve) => {
      attached.waiting = resolve;
      this.tell(attached, true);
    });
  }

  report(call: ReportCall): void {
    const attached = this.speaker(call);
    attached.report = call;
    this.set.changed();
    // Only who has come to this reign is waited for in the next one: it has given up, and told its
    // hosts, what it lost in those that it knows nothing of.
    if (call.reign === '' || call.reign !== this.reign) return;
    this.register(attached.entry).catch((error: unknown) => {
      attached.drop(messageOf(error));
      this.set.changed();
    });
  }

  /** Takes an NBD stream of a controller. Throws `E_STATE` unless it is of its generation. */
  acceptHosts(stream: ByteStream, as: { controllerId: string; generation: number }): void {
    const attached = this.attached(as.controllerId);
    if (attached?.generation !== as.generation) throw isOlder(as.controllerId.slice(0, 8));
    const { server } = this;
    if (!server) throw new RcopyError('E_STATE', `${this.set.file.name} serves no hosts`);
    const exports = attachedExports(this.set, {
      isCurrent: () => !attached.isFenced,
      submitted: (done) => (this.isGathering ? this.writtenAgain(attached, done) : done),
    });
    attached.streams.add(server.accept(stream, { exports }));
  }

  /** A controller writes again what was lost: it is counted, and has to succeed. */
  private writtenAgain(attached: AttachedController, done: Done): Done {
    attached.replayed += 1;
    this.replaysUnderWay += 1;
    return (completion) => {
      this.replaysUnderWay -= 1;
      const { failure, isClosed } = this.set;
      // It may have been told already that this was taken: now all that it lost is lost.
      if (!completion.ok && !failure && !isClosed) this.giveUp([attached.entry]);
      done(completion);
      if (this.replaysUnderWay === 0) this.look();
    };
  }

  /** Resolves when nothing is lost any more, or nobody is waited for: hosts may go on. */
  async opened(): Promise<void> {
    if (this.isGathering) await this.set.until(() => !this.isGathering);
  }

  /**
   * Resolves when all known controllers have noted a migration, durably, and are connected with its
   * target. Rejects with `E_UNREACHABLE` when one is not in time.
   */
  async prepare(migrationId: MigrationId): Promise<void> {
    if (this.set.file.seal) return;
    const reached = 'get ready for the switch: perhaps it cannot reach the target';
    await this.within(reached, ({ report }) => report?.prepared === migrationId);
  }

  /**
   * Lets all known controllers hold their hosts. Rejects with `E_UNREACHABLE` when one does not
   * follow in time; then nobody is held. A hold that no seal follows ends by itself.
   */
  async hold(migrationId: MigrationId): Promise<void> {
    const { set } = this;
    if (set.file.seal || known(set.file).length === 0) return;
    this.holding = migrationId;
    set.changed();
    try {
      await this.within('hold its hosts', ({ report }) => report?.held === migrationId);
    } catch (error) {
      this.unhold(migrationId);
      throw error;
    }
    this.lease?.cancel();
    this.lease = this.clock.after(HOLD_LEASE_MS, () => {
      if (!set.file.seal) this.unhold(migrationId);
    });
  }

  /** Lets hosts go on here. */
  unhold(migrationId: MigrationId): void {
    if (this.holding !== migrationId) return;
    this.holding = undefined;
    this.lease?.cancel();
    this.set.changed();
  }

  /** Ends all watches; the streams are the server's. */
  close(): void {
    this.closed = true;
    this.stopLooking();
    for (const timer of [this.gathering, this.lease, this.news]) timer?.cancel();
    for (const attached of this.linked()) {
      attached.waiting?.({ ...this.wordFor(attached), phase: closedBy('the set is closing') });
      attached.waiting = undefined;
    }
    this.sessions.clear();
  }

  private get migrationId(): MigrationId | undefined {
    return this.set.file.migration?.id;
  }

  /** The controller, if it speaks with this set now. */
  private attached(id: string): AttachedController | undefined {
    const session = this.sessions.get(id as ControllerId);
    return session?.isLinked ? session : undefined;
  }

  private isKnown(id: ControllerId): boolean {
    return known(this.set.file).some((each) => each.id === id);
  }

  private linked(): AttachedController[] {
    return [...this.sessions.values()].filter(({ isLinked }) => isLinked);
  }

  private speaker({ controllerId, generation }: SpeakerCall): AttachedController {
    const attached = this.attached(controllerId);
    if (attached?.generation === generation) return attached;
    throw isOlder(controllerId.slice(0, 8));
  }

  private async register(entry: ControllerEntry): Promise<void> {
    const isEntry = (each: ControllerEntry): boolean =>
      each.id === entry.id && each.name === entry.name && each.address === entry.address;
    await this.set.identity.settled(); // it may be being forgotten
    if (known(this.set.file).some(isEntry)) return;
    await this.set.identity.update((file) => {
      const others = known(file).filter(({ id }) => id !== entry.id);
      if (others.length >= CONTROLLERS_MAX) throw tooMany(file);
      return { ...file, ...withControllers([...others, entry]) };
    });
    this.set.changed();
  }

  private async forget(ids: readonly string[]): Promise<void> {
    if (!known(this.set.file).some(({ id }) => ids.includes(id))) return;
    await this.set.identity.update((file) => {
      const { controllers, ...rest } = file;
      return { ...rest, ...withControllers(controllers?.filter(({ id }) => !ids.includes(id))) };
    });
    this.set.changed();
  }

  /** Looks at everything again: after each change of the set, of a report, of who is there. */
  private look(): void {
    if (this.closed) return;
    this.beginReign();
    if (this.isGathering && this.isOpen) this.gather();
    for (const attached of this.linked()) this.tell(attached, false);
  }

  private get isOpen(): boolean {
    const { set } = this;
    return set.applied.epoch === set.file.epoch && set.ownRun() !== undefined && !set.failure;
  }

  /** Whoever the set knows when a reign begins is waited for. */
  private beginReign(): void {
    const { file } = this.set;
    if (file.role !== 'primary' || file.seal || this.reignEpoch === file.epoch) return;
    this.reignEpoch = file.epoch;
    const ids = known(file).map(({ id }) => id);
    for (const attached of this.sessions.values()) {
      attached.expected = ids.includes(attached.entry.id);
      attached.replayed = 0;
    }
    this.gathering?.cancel();
    this.gathering = undefined;
    this.heldUp = [];
    this.givenUp.clear();
    if (ids.length === 0) {
      this.gatheredEpoch = file.epoch;
      return;
    }
    this.gathering = this.clock.after(CONTROLLERS_GATHER_MS, () => this.giveUpMissing());
  }

  private get turn(): Turn {
    const { reign } = this;
    return turnOf(
      known(this.set.file).map(({ id }) => {
        const { report } = this.attached(id) ?? {};
        if (report?.reign !== reign) return { id, lost: null, replayedTo: 0 };
        return { id, lost: report.lost, replayedTo: report.replayedTo };
      }),
    );
  }

  private gather(): void {
    if (this.turn.kind !== 'done' || this.finishing || this.replaysUnderWay > 0) return;
    const { epoch } = this.set.file;
    const gathered = (): void => {
      this.finishing = false;
      this.gatheredEpoch = epoch;
      this.gathering?.cancel();
      this.set.changed();
    };
    if ([...this.sessions.values()].every(({ replayed }) => replayed === 0)) return gathered();
    // Before anybody goes on: controllers keep nothing of it any more.
    this.finishing = true;
    this.set.journal.sync().then(gathered, () => {
      this.finishing = false; // the set has stopped
    });
  }

  /**
   * Those who did not come, or do not get on, are not waited for any more; what they lost is lost,
   * and what they may still have sent is not taken.
   */
  private giveUpMissing(): void {
    const { turn } = this;
    if (!this.isGathering || turn.kind === 'done') return;
    this.gathering = this.clock.after(CONTROLLERS_GATHER_MS, () => this.giveUpMissing());
    const stateOf = (id: string): string => `${id} ${this.attached(id)?.replayed ?? 0}`;
    const before = this.heldUp;
    this.heldUp = (turn.kind === 'turn' ? [turn.id] : turn.ids).map(stateOf);
    const missing = known(this.set.file).filter(({ id }) => {
      const state = stateOf(id);
      return !this.attached(id) || (before.includes(state) && this.heldUp.includes(state));
    });
    if (missing.length === 0) return;
    const names = missing.map(({ name }) => name).join(', ');
    this.set.notices.push(`path controllers did not come back, and are not waited for: ${names}`);
    this.giveUp(missing);
  }

  /** What they lost is lost. Nobody goes on before they are forgotten, durably. */
  private giveUp(entries: readonly ControllerEntry[]): void {
    for (const { id } of entries) {
      this.givenUp.add(id);
      this.sessions.get(id)?.drop('it is not waited for any longer');
    }
    this.forget(entries.map(({ id }) => id)).catch(() => undefined);
  }

  /** Resolves when it holds of every known controller. */
  private async within(
    what: string,
    holds: (attached: AttachedController) => boolean,
  ): Promise<void> {
    const { set } = this;
    const lagging = () =>
      known(set.file).filter(({ id }) => {
        const attached = this.attached(id);
        return !attached || !holds(attached);
      });
    let late = false;
    const timer = this.clock.after(CONTROLLERS_HOLD_MS, () => {
      late = true;
      set.changed();
    });
    try {
      await set.until(() => late || lagging().length === 0);
    } finally {
      timer.cancel();
    }
    const [first] = lagging();
    if (!first) return;
    const seconds = CONTROLLERS_HOLD_MS / 1000;
    throw new RcopyError(
      'E_UNREACHABLE',
      `path controller ${first.name} did not ${what} within ${seconds} s`,
      { hint: 'see `rcopy path status`; one that is gone for good: `rcopy path remove`' },
    );
  }

  private tell(attached: AttachedController, atOnce: boolean): void {
    const { waiting, told } = attached;
    if (!waiting) return;
    const word = this.wordFor(attached);
    if (told && isSame(told, word)) {
      if (told.durableSequence === word.durableSequence) return;
      // Only the durable number moved: that can wait for a little more of it.
      if (!atOnce) return this.planNews();
    }
    attached.told = word;
    attached.waiting = undefined;
    waiting(word);
  }

  private planNews(): void {
    this.news ??= this.clock.after(DURABLE_NEWS_MS, () => {
      this.news = undefined;
      for (const attached of this.linked()) this.tell(attached, true);
    });
  }

  private get reign(): string {
    const { role, epoch, seal } = this.set.file;
    return role === 'primary' && !seal && this.isOpen ? `${this.bootId}/${epoch}` : '';
  }

  private wordFor(attached: AttachedController): PathWord {
    return wordTo(attached, {
      set: this.set,
      reign: this.reign,
      openedAt: this.openedAt,
      isOpen: this.isOpen,
      turn: this.isGathering ? this.turn : undefined,
      holding: this.holding,
    });
  }
}

function tooMany({ name }: SetFile): RcopyError {
  return new RcopyError('E_STATE', `${name} has ${CONTROLLERS_MAX} path controllers`, {
    hint: 'remove exports that are not needed: `rcopy path remove`',
  });
}

function isAnother(address: string, name: string): RcopyError {
  return new RcopyError('E_STATE', `${address} is another set now: ${name}`, {
    hint: 'lead the export there with `rcopy path add --replace`, if that is meant',
  });
}

function isOlder(name: string): RcopyError {
  return new RcopyError('E_STATE', `path controller ${name} speaks on a newer stream now`);
}
