/**
 * The way of hosts to one image set, wherever that moves: keeps a session at the set, and at the
 * one that it may move to; follows what they say (path-goal.ts); turns the switch (path-switch.ts).
 *
 * What must not be forgotten is durable first: where hosts may move, before this controller says
 * that it is prepared, and so before the set can be sealed.
 */
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { MigrationId } from '../base/ids.ts';
import { PATH_RETRY_FIRST_MS, PATH_RETRY_LAST_MS, PATH_RETAINED_BYTES } from '../base/limits.ts';
import { submitAndWait } from '../device/device.ts';
import type { PathWay as WayEntry } from '../format/path-file.ts';
import type { PeerIdentity } from '../format/set-file.ts';
import type { PathExport } from '../path/path-export.ts';
import { PathSwitch } from '../path/path-switch.ts';
import type { Clock } from '../sys/clock.ts';
import type { PathWord } from './path-calls.ts';
import { goalOf } from './path-goal.ts';
import { Place } from './path-place.ts';
import type { PathSetStatus } from './path-service.ts';
import type { PathReport, PathSession } from './path-session.ts';

export interface PathWayOptions {
  readonly clock: Clock;
  readonly holdMs: number;
  readonly entry: WayEntry;
  /** A session at a set, of a new generation. */
  session(
    set: PeerIdentity,
    volumes: readonly string[],
    listener: { onWord(): void; onEnd(error: RcopyError): void },
  ): PathSession;
  /** Keeps the way as it is now; durable when it resolves. */
  save(way: WayEntry): Promise<void>;
  /** For the log. */
  note(message: string, facts: Record<string, unknown>): void;
}

export class PathWay {
  readonly hosts: PathSwitch;
  private readonly options: PathWayOptions;
  private entry: WayEntry;
  private current: Place;
  private next: { readonly place: Place; migrationId: MigrationId | null } | undefined;
  /** The migration that is noted durably with its target. */
  private prepared: MigrationId | null = null;
  /** The place that the switch is connected to. */
  private served: { readonly place: Place; readonly session: PathSession } | undefined;
  /** The reign in which what the switch keeps was answered, its epoch and its set. */
  private reign = '';
  private reignEpoch = 0;
  private reignSet = '';
  /** The reign in which hosts went on last. */
  private openedReign = '';
  private lost: number[] | null = null;
  /** How much that was when the reign began. */
  private lostAtFirst = 0;
  private replayedTo = 0;
  private replaying = false;
  private held: MigrationId | null = null;
  private holdingFor: MigrationId | null = null;
  private reason = 'no set was reached yet';
  private saves: Promise<void> = Promise.resolve();
  private looking = false;
  private closed = false;

  constructor(options: PathWayOptions) {
    this.options = options;
    this.entry = options.entry;
    const { clock, holdMs, entry } = options;
    this.hosts = new PathSwitch(clock, { holdMs, retainedBytes: PATH_RETAINED_BYTES });
    for (const { volume, sizeBytes } of entry.exports) this.hosts.export(volume, sizeBytes);
    this.current = new Place(entry.set);
    if (entry.next) this.follow(entry.next.set, entry.next.migrationId);
    this.prepared = entry.next?.migrationId ?? null;
  }

  /** Where it leads, as it is kept. */
  get file(): WayEntry {
    return this.entry;
  }

  /** Begins to look for the set. */
  start(): void {
    this.look();
  }

  /** The export of a volume, made if need be. The set is asked for it from now on. */
  async addExport(name: string, volume: string, sizeBytes: number): Promise<void> {
    this.hosts.export(volume, sizeBytes);
    const added = { export: name, volume, sizeBytes };
    try {
      await this.save({ exports: [...this.entry.exports, added] });
    } catch (error) {
      const exports = this.entry.exports.filter((each) => each !== added);
      this.entry = { ...this.entry, exports };
      const isShared = exports.some((each) => each.volume === volume);
      if (!isShared) this.hosts.remove(volume, removed(name));
      throw error;
    }
    const { session } = this.served ?? {};
    if (!session) return;
    if (!session.devices.has(volume)) await session.connect(volume);
    const device = session.devices.get(volume);
    if (device && this.served?.session === session) this.hosts.join(volume, device);
  }

  /** Ends an export; its hosts get an error. */
  async removeExport(name: string): Promise<void> {
    const gone = this.entry.exports.find((each) => each.export === name);
    await this.save({ exports: this.entry.exports.filter((each) => each.export !== name) });
    const isShared = this.entry.exports.some(({ volume }) => volume === gone?.volume);
    if (gone && !isShared) this.hosts.remove(gone.volume, removed(name));
  }

  exportOf(volume: string): PathExport | undefined {
    const entry = this.entry.exports.find((each) => each.volume === volume);
    return entry && this.hosts.export(volume, entry.sizeBytes);
  }

  /** Leads all its exports to another set of the same group, as after a takeover by force. */
  async lead(set: PeerIdentity): Promise<void> {
    await this.save({ set, next: null });
    this.next?.place.leave('the export was led elsewhere');
    this.next = undefined;
    this.current.leave('the export was led elsewhere');
    this.current = new Place(set);
    this.look();
  }

  /** Makes durable what is answered, leaves the set in order. Nobody may send any more. */
  async close(): Promise<void> {
    this.closed = true;
    const { served } = this;
    if (served && this.hosts.retainedWrites > 0) {
      const [device] = served.session.devices.values();
      if (device) await submitAndWait(device, { kind: 'flush' }).catch(() => undefined);
    }
    await served?.session.detach();
    this.hosts.close(new RcopyError('E_STOPPED', 'the path controller is closing'));
    for (const place of [this.current, this.next?.place]) place?.leave('closing');
    await this.saves;
  }

  status(): PathSetStatus {
    const { hosts, current, served } = this;
    const { setId: id, name, address } = (served?.place ?? current).set;
    const next = this.next?.place.set;
    return {
      set: { id, name, address },
      state: hosts.state,
      reason: hosts.state === 'open' ? '' : this.whyNotOpen(),
      epoch: this.reignEpoch,
      waitingRequests: hosts.requestsWaiting,
      retainedWrites: hosts.retainedWrites,
      retainedBytes: hosts.retainedBytes,
      lastPauseMs: hosts.lastPauseMs === undefined ? null : rounded(hosts.lastPauseMs),
      longestWaitMs: rounded(hosts.longestWaitMs),
      next: next ? { name: next.name, address: next.address } : null,
    };
  }

  private whyNotOpen(): string {
    const { trouble, word } = this.current;
    if (word?.phase.kind === 'closed') return word.phase.reason;
    return trouble?.message ?? this.reason;
  }

  /** Looks at everything that the sets have said, and does what follows. Never nested. */
  private look(): void {
    if (this.looking || this.closed) return;
    this.looking = true;
    try {
      this.followWords();
      this.connectPlaces();
      this.go();
      if (this.served) this.act(this.served);
      this.report();
    } finally {
      this.looking = false;
    }
  }

  private lookSoon(): void {
    this.options.clock.soon(() => this.look());
  }

  /** What the set so far says about where its hosts may go. */
  private followWords(): void {
    const { word } = this.current;
    if (!word) return;
    if (word.phase.kind === 'sealed') {
      const { successor } = word.phase;
      if (this.next?.place.set.setId !== successor.setId) this.follow(successor, null);
      return;
    }
    const { upcoming, phase } = word;
    if (upcoming && this.next?.migrationId !== upcoming.migrationId) {
      this.follow(upcoming.target, upcoming.migrationId);
      this.keepNext();
    }
    const isOver = upcoming === null && (phase.kind === 'open' || phase.kind === 'replay');
    if (isOver && this.next) {
      this.next.place.leave('the migration was aborted');
      this.next = undefined;
      this.prepared = null;
      this.save({ next: null }).catch(() => undefined);
    }
  }

  private follow(set: PeerIdentity, migrationId: MigrationId | null): void {
    if (this.next?.place.set.setId === set.setId) {
      this.next.migrationId = migrationId;
      return;
    }
    this.next?.place.leave('it is another set that follows');
    this.next = { place: new Place(set), migrationId };
  }

  private keepNext(): void {
    const { next } = this;
    if (!next) return;
    const { migrationId, place } = next;
    this.save({ next: { set: place.set, migrationId } }).then(
      () => {
        if (this.next?.migrationId === migrationId) this.prepared = migrationId;
        this.look();
      },
      () => {
        // It says nothing then, and the set does not go on.
        this.options.clock.after(PATH_RETRY_LAST_MS, () => {
          if (this.next === next && !this.closed) this.keepNext();
        });
      },
    );
  }

  private connectPlaces(): void {
    const { served, next } = this;
    // Behind a switch the set before is of no interest, unless the new one goes away.
    if (!served || served.place === this.current) this.connectTo(this.current);
    if (next) this.connectTo(next.place);
  }

  private connectTo(place: Place): void {
    if (place.session || place.retry) return;
    const volumes = this.entry.exports.map(({ volume }) => volume);
    const session: PathSession = this.options.session(place.set, [...new Set(volumes)], {
      onWord: () => {
        place.trouble = undefined;
        this.look();
      },
      onEnd: (error) => this.sessionEnded(place, session, error),
    });
    place.session = session;
    void session.run();
  }

  private sessionEnded(place: Place, session: PathSession, error: RcopyError): void {
    if (this.served?.session === session) {
      this.served = undefined;
      this.replaying = false;
      this.hosts.lose();
    }
    if (place.session !== session) return; // it was left
    place.session = undefined;
    place.trouble = error;
    if (this.closed) return;
    place.retry = this.options.clock.after(place.retryMs, () => {
      place.retry = undefined;
      this.look();
    });
    place.retryMs = Math.min(PATH_RETRY_LAST_MS, place.retryMs * 2);
    this.lookSoon();
  }

  /** Connects the switch with the set that hosts belong to. */
  private go(): void {
    const { current, next, entry } = this;
    const goal = goalOf({
      groupId: entry.groupId,
      current: current.word,
      next: next?.place.word,
      migrationId: next?.migrationId ?? null,
    });
    switch (goal) {
      case 'current':
        if (this.served?.place === this.current) return;
        // A switch that has begun is not gone back on: the set so far would be sealed.
        if (this.served === undefined) this.serve(current);
        return;
      case 'next':
        if (next && this.served?.place !== next.place) this.serve(next.place);
        return;
      case 'beyond-next':
        if (next) this.moveOn(next.place);
        this.lookSoon();
        return;
      case 'nowhere':
    }
  }

  private serve(place: Place): void {
    const { session } = place;
    if (!session?.word) return;
    this.noteSeal();
    // It can do nothing any more: it is sealed, or this very generation has ended.
    this.served?.place.leave('its hosts have gone on');
    try {
      this.hosts.connect(session.devices);
    } catch (error) {
      if (!isRcopyError(error)) throw error;
      session.end(error);
      return;
    }
    this.served = { place, session };
    this.lost = null;
  }

  /** Behind a seal everything before it is durable, unless the set went on without this one. */
  private noteSeal(): void {
    const { phase, expected } = this.current.word ?? {};
    if (phase?.kind !== 'sealed' || phase.epoch !== this.reignEpoch || !expected) return;
    if (this.hosts.lost.length === 0) this.hosts.noteDurable(phase.nextSequence - 1);
  }

  /** Does what the set that is served says. */
  private act({ place, session }: NonNullable<typeof this.served>): void {
    const { word } = session;
    if (!word || session.ended) return;
    if (word.reign !== '' && (word.reign !== this.reign || this.lost === null)) {
      this.enter(place, word);
    }
    const { hosts } = this;
    const { phase } = word;
    if (word.reign === this.reign && hosts.lost.length === 0) {
      hosts.noteDurable(word.durableSequence);
    }
    switch (phase.kind) {
      case 'open':
        this.held = null;
        if (hosts.state !== 'open') this.open(place, word);
        return;
      case 'replay':
        this.replay(phase.upTo);
        return;
      case 'hold':
        this.hold(phase.migrationId);
        return;
      case 'closed':
      case 'wait':
      case 'sealed':
        if (hosts.state === 'open') void hosts.hold();
    }
  }

  /** What was answered in another reign and is not in this one is lost. */
  private enter(place: Place, word: PathWord): void {
    const { hosts } = this;
    if (hosts.state === 'open') void hosts.hold();
    if (word.reign !== this.reign) {
      if (place.set.setId !== this.reignSet) hosts.noteHistoryEnd(this.historyEnd(word));
      this.lostAtFirst = hosts.lostAbove(word.expected ? word.recovered : 0).length;
    } else if (!word.expected && this.openedReign !== this.reign) {
      hosts.lostAbove(0); // what was written again may not have been taken
    } else {
      // Written again on a stream that ended before the answers came.
      const answered = this.lostAtFirst - hosts.lost.length;
      const newest = word.newest ?? Number.MAX_SAFE_INTEGER;
      hosts.noteReplayed(Math.max(0, word.replayed - answered), newest);
    }
    this.reign = word.reign;
    this.reignSet = place.set.setId;
    this.reignEpoch = word.epoch;
    if (!word.expected) this.abandon();
    this.lost = hosts.lost;
    this.replayedTo = 0;
  }

  /**
   * Up to where another set has what was answered here. A takeover goes on from what it has,
   * whatever the sets before had made durable, also in epochs that it had not come to; and much may
   * have come since. Where it has seen further epochs than its own, older ones only are of before.
   */
  private historyEnd({ epoch, recovered, tookOverAt }: PathWord): number {
    if (tookOverAt === null) return recovered;
    const isOfBefore = this.reignEpoch <= tookOverAt.epoch || epoch === tookOverAt.epoch + 1;
    return isOfBefore ? Math.min(recovered, tookOverAt.sequence) : recovered;
  }

  /** The set did not wait for this controller: nobody may write that again. */
  private abandon(): void {
    const { length } = this.hosts.lost;
    if (length === 0) return;
    this.options.note('answered writes are lost: each host is told by its next flush', {
      writes: length,
    });
    this.hosts.abandonLost();
  }

  private replay(upTo: number): void {
    if (this.replaying || upTo <= this.replayedTo) return;
    const { served } = this;
    this.replaying = true;
    this.hosts.replay(upTo).then(
      () => {
        if (this.served !== served) return;
        this.replaying = false;
        this.replayedTo = upTo;
        this.look();
      },
      (error: unknown) => {
        if (this.served !== served) return;
        this.replaying = false;
        served?.session.end(error); // and once more, from where it came to
      },
    );
  }

  private hold(migrationId: MigrationId): void {
    if (this.held === migrationId || this.holdingFor === migrationId) return;
    const { served } = this;
    this.holdingFor = migrationId;
    void this.hosts.hold().then(() => {
      const { phase } = served?.session.word ?? {};
      const stillAsked = phase?.kind === 'hold' && phase.migrationId === migrationId;
      if (this.holdingFor === migrationId) this.holdingFor = null;
      if (this.served !== served || this.closed || !stillAsked) return;
      this.held = migrationId;
      this.look();
    });
  }

  private open(place: Place, { durableSequence }: PathWord): void {
    this.abandon(); // the set waits for nobody any more
    if (this.openedReign !== this.reign) this.hosts.settle(durableSequence);
    this.openedReign = this.reign;
    this.hosts.release();
    place.retryMs = PATH_RETRY_FIRST_MS;
    const { name, address } = place.set;
    const pauseMs = rounded(this.hosts.lastPauseMs ?? 0);
    this.options.note('hosts go on', { set: name, address, epoch: this.reignEpoch, pauseMs });
    if (place !== this.current) this.moveOn(place);
  }

  /** From now on this is the set so far. */
  private moveOn(place: Place): void {
    if (this.current !== place) this.current.leave('its hosts have gone on');
    this.current = place;
    this.next = undefined;
    this.prepared = null;
    this.save({ set: place.set, next: null }).catch(() => undefined);
  }

  private report(): void {
    const { current, next, served } = this;
    const isReady = next?.place.word !== undefined && next.migrationId === this.prepared;
    const base = { prepared: isReady ? this.prepared : null, held: this.held };
    for (const place of [current, next?.place]) {
      const { session } = place ?? {};
      if (!session?.word) continue;
      const isServed = session === served?.session;
      session.report({
        reign: isServed ? this.reign : '',
        lost: isServed ? this.lost : null,
        replayedTo: isServed ? this.replayedTo : 0,
        ...base,
      } satisfies PathReport);
    }
  }

  /** One after the other; what is to be kept counts at once. */
  private save(change: Partial<WayEntry>): Promise<void> {
    this.entry = { ...this.entry, ...change };
    const { entry } = this;
    const saved = this.saves.then(() => this.options.save(entry));
    this.saves = saved.catch((error: unknown) => {
      this.options.note('paths.json could not be saved', { reason: messageOf(error) });
    });
    return saved;
  }
}

/** Of milliseconds: more digits say nothing. */
function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

function removed(name: string): RcopyError {
  return new RcopyError('E_STOPPED', `the export ${name} was removed`);
}
