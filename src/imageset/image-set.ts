/**
 * One open image set: identity, journal, contents, cursors, and the way of host requests. What the
 * secondary side does is in follower.ts, the change of primaries in succession.ts, opening in
 * open-set.ts.
 */
import { RcopyError, fileError, messageOf } from '../base/errors.ts';
import { isZero } from '../base/bytes.ts';
import { findingText } from '../base/finding.ts';
import type { Finding } from '../base/finding.ts';
import { MARKS_REMEMBERED, OVERLAY_BYTES, checkpointBytesFor } from '../base/limits.ts';
import type { TransferSizes } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import type { Device } from '../device/device.ts';
import type { CopyCursor, Cursors, EpochCursor, MarkCursor } from '../format/cursors.ts';
import type { SetFile } from '../format/set-file.ts';
import type { Journal } from '../journal/journal.ts';
import type { Run } from '../journal/run.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileLock } from '../sys/files.ts';
import { Applier } from './applier.ts';
import type { Contents } from './contents.ts';
import type { CursorsStore } from './cursors-store.ts';
import { Feed } from './feed.ts';
import { HostPort } from './host-port.ts';
import { EpochMemory } from './epoch-memory.ts';
import type { Identity } from './identity.ts';
import { isWithoutJournal, owesRecords } from './pair-states.ts';
import { RemoteAck } from './remote-ack.ts';
import { hostRefusal } from './refusals.ts';
import { volumeDevice } from './volumes.ts';

/** What the secondary said it has. */
export interface SecondaryState {
  readonly durable: Position;
  readonly restored: Position;
}

export interface ImageSetParts {
  readonly environment: Environment;
  readonly folder: string;
  readonly lock: FileLock;
  readonly identity: Identity;
  readonly journal: Journal;
  readonly contents: Contents;
  readonly cursorsStore: CursorsStore;
  readonly cursors: Cursors;
  /** What the start found that a crash may have left, or damage, and has put right. */
  readonly flaws: readonly Finding[];
  /** How long a host request may wait for room in the journal; 0 when nobody can make any. */
  readonly roomWaitMs: number;
  /** How long FLUSH and FUA wait for a silent secondary, where they do. */
  readonly ackTimeoutMs: number;
  /** How much goes over its links at a time. */
  readonly transfers: TransferSizes;
  /** Opens the epoch that set.json names, when there is a host who wants to write. */
  readonly openEpoch: (set: ImageSet) => Promise<void>;
  /** Lets dirty maps keep what a full journal cannot, where the set's policy is that. */
  readonly fallBack: (set: ImageSet) => Promise<void>;
}

export class ImageSet {
  readonly environment: Environment;
  readonly folder: string;
  readonly identity: Identity;
  readonly journal: Journal;
  readonly contents: Contents;
  readonly transfers: TransferSizes;
  readonly applier: Applier;
  readonly hosts: HostPort;
  readonly volumes: readonly Device[];
  /** What the start found that people should know. */
  readonly notices: string[];
  /** Those of them that are damage: a set that was closed in order has no flaws. */
  readonly findings: readonly Finding[];
  /** Everything up to here is synced in the images, durably known. */
  applied: ProvenPosition;
  /** How often in this opening maps took over what the journal kept for the secondary. */
  fallBacks = 0;
  /** What the pair's secondary said; null without a pair. */
  secondary: SecondaryState | null;
  /** Secondary: image and journal are an exact prefix. */
  usable: boolean;
  /** Secondary: the copy that is under way, as far as it is synced in the images. */
  copy: CopyCursor | null;
  /** The same as far as it has come, synced or not. */
  copyReceived: CopyCursor | null;
  /** The latest marks, oldest first. */
  marks: readonly MarkCursor[];
  /** Why the set has stopped. */
  failure: RcopyError | undefined;
  feed: Feed;
  /** Whether FLUSH and FUA wait for the secondary as well. */
  readonly remoteAck: RemoteAck;

  private readonly lock: FileLock;
  private readonly cursorsStore: CursorsStore;
  private readonly epochs: EpochMemory;
  private readonly listeners = new Set<() => void>();
  /** The applied number as the cursors have it on disk: trimming goes by it (R7). */
  private appliedDurably: ProvenPosition;
  private secondaryDurably: Position | undefined;
  private closed = false;
  private released = false;
  private closing: Promise<void> | undefined;
  private opensEpoch = false;
  private makingRoom = false;
  /** Readers of the journal that must not be overtaken. */
  private trimsHeld = 0;
  private readonly fallBack: (set: ImageSet) => Promise<void>;

  constructor(parts: ImageSetParts) {
    this.environment = parts.environment;
    this.folder = parts.folder;
    this.identity = parts.identity;
    this.journal = parts.journal;
    this.contents = parts.contents;
    this.transfers = parts.transfers;
    this.lock = parts.lock;
    this.cursorsStore = parts.cursorsStore;
    this.notices = parts.flaws.map((flaw) => findingText(flaw));
    this.findings = parts.cursors.clean ? parts.flaws : [];
    this.applied = parts.cursors.applied;
    this.appliedDurably = parts.cursors.applied;
    this.secondary = parts.cursors.secondary;
    this.secondaryDurably = parts.cursors.secondary?.durable;
    this.usable = parts.cursors.usable;
    this.copy = parts.cursors.copy;
    this.copyReceived = parts.cursors.copy;
    this.marks = parts.cursors.marks;
    this.fallBack = parts.fallBack;
    this.epochs = new EpochMemory(parts.cursors.epochs);
    const { clock } = parts.environment;
    this.applier = new Applier(
      clock,
      parts.contents,
      {
        makeDurable: (position) => this.makeDurable(position),
        released: () => this.hosts.roomChanged(),
        applied: (position) => this.noteApplied(position),
        position: () => this.applied,
        failed: (error) => this.fail(error),
      },
      checkpointBytesFor(parts.journal.capacityBytes),
    );
    this.feed = new Feed(
      parts.journal,
      parts.contents.overlay,
      this.applied,
      OVERLAY_BYTES,
      (mark) => this.learnMarks([mark]),
    );
    this.hosts = new HostPort({
      clock,
      journal: parts.journal,
      contents: parts.contents,
      writableRun: () => this.writableRun(),
      refusal: (kind) => this.refusal(kind),
      wantRun: () => this.wantRun(parts.openEpoch),
      failed: (error) => this.fail(error),
      inserted: () => this.applier.poke(),
      makeDurable: () => this.remoteAck.after(parts.journal.sync()),
      wantRoom: () => void this.makeRoom(parts.roomWaitMs === 0),
      roomWaitMs: parts.roomWaitMs,
    });
    this.remoteAck = new RemoteAck({
      clock,
      timeoutMs: parts.ackTimeoutMs,
      file: () => this.file,
      acknowledged: () => this.secondary?.durable,
      newest: () => ({ epoch: this.file.epoch, sequence: this.newest }),
    });
    this.volumes = this.file.volumes.map((_, index) => volumeDevice(this, index));
    parts.journal.onDurable(() => this.changed());
    parts.journal.onFailed((failure) => this.fail(failure));
    parts.identity.onFailed = (error) => this.fail(error);
  }

  /** What set.json says. */
  get file(): SetFile {
    return this.identity.file;
  }

  /** The number as of which the volumes read now: the newest given, or on a secondary taken in. */
  get newest(): number {
    if (this.file.role === 'secondary') return this.feed.position.sequence;
    return (this.ownRun()?.next ?? this.applied.sequence + 1) - 1;
  }

  /** The run of the epoch that this set writes or follows. */
  ownRun(): Run | undefined {
    return this.journal.run(this.file.epoch);
  }

  /** Calls `listener` after anything moved: durable, applied, secondary, identity. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** To be called after a change that others may wait for. */
  changed(): void {
    this.remoteAck.look();
    for (const listener of [...this.listeners]) listener();
  }

  /**
   * Resolves once `condition` holds; looked at after each change. Rejects when the set stops or is
   * closed, or when `condition` throws.
   */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        try {
          if (this.failure) throw this.failure;
          const holds = condition();
          if (!holds && this.released) throw this.stoppedError();
          if (!holds) return;
          stop();
          resolve();
        } catch (error) {
          stop();
          reject(fileError('waiting', this.folder, error));
        }
      };
      const stop = this.onChange(look);
      look();
    });
  }

  /** What the secondary has, by its own word: trims, makes room (R7). */
  noteSecondary(state: SecondaryState): void {
    this.secondary = state;
    this.trim();
    this.changed();
  }

  /**
   * Reads the beginning of a range as a peer gets it: at most `dataBytesMax` of data, or a hole.
   * Everything that it reflects is durable here before it leaves (R3); `asOf` is the newest number
   * that it can reflect.
   */
  async readForPeer(
    volume: number,
    offset: number,
    end: number,
    dataBytesMax = this.transfers.rangeBytes,
  ): Promise<{ asOf: number; length: number; data: Buffer | undefined }> {
    await this.contents.makePresent(volume, offset, Math.min(end, offset + dataBytesMax));
    this.hosts.writeBatch();
    const asOf = this.newest;
    const extent = this.contents.nextExtent(volume, offset, end);
    const length = extent.data ? Math.min(extent.length, dataBytesMax) : extent.length;
    let data = extent.data ? this.contents.readNow(volume, offset, length) : undefined;
    if (data && isZero(data)) data = undefined;
    await this.makeDurable({ epoch: this.file.epoch, sequence: asOf });
    return { asOf, length, data };
  }

  /** Saves the cursors as they are now. Durable when it resolves. */
  async saveCursors(clean = false): Promise<void> {
    try {
      let { applied, secondary } = this;
      await this.cursorsStore.save(() => {
        ({ applied, secondary } = this);
        return this.cursors(clean);
      });
      this.appliedDurably = applied;
      this.secondaryDurably = secondary?.durable;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Up to where the cursors on disk say that the secondary has this run. */
  secondarySaved(run: Run): number {
    const { epoch = 0, sequence = 0 } = this.secondaryDurably ?? {};
    return epoch === run.epoch ? sequence : run.identity.first - 1;
  }

  /** What the cursors file would say now. */
  cursors(clean: boolean): Cursors {
    return {
      applied: this.applied,
      epochs: this.epochs.of(this.journal),
      secondary: this.secondary
        ? { durable: { ...this.secondary.durable }, restored: { ...this.secondary.restored } }
        : null,
      usable: this.usable,
      copy: this.copy,
      marks: [...this.marks],
      clean,
    };
  }

  /** What is remembered of an epoch, whether or not its run is still kept. */
  epochCursor(epoch: number): EpochCursor | undefined {
    return this.epochs.of(this.journal).find((candidate) => candidate.epoch === epoch);
  }

  /** Appends a mark, durably: a named point in the sequence. Resolves with its number. */
  async mark(name: string): Promise<number> {
    const payload = Buffer.from(name, 'utf8');
    if (!this.hosts.hasRoomForMark(payload)) await this.drain();
    const sequence = await this.hosts.mark(payload);
    this.learnMarks([{ name, epoch: this.file.epoch, sequence }]);
    return sequence;
  }

  /** Forgets every epoch, the runs that are still kept included: the set begins a new life. */
  forgetEpochs(): void {
    this.epochs.forget(this.journal);
  }

  /** Forgets epochs from this one on, which were provisional. */
  forgetEpochsFrom(epoch: number): void {
    this.epochs.forgetFrom(this.journal, epoch);
  }

  /** The set stops: everyone who waits gets the error; the next opening recovers (R2). */
  fail(error: unknown): void {
    if (this.failure) return;
    const failure = fileError('the image set has stopped', this.folder, error);
    this.failure = failure;
    this.journal.fail(failure);
    this.hosts.stop(failure);
    this.remoteAck.stop(failure);
    this.changed();
  }

  /** Brings everything durable into the images and trims. */
  async drain(): Promise<void> {
    this.hosts.writeBatch();
    await this.applier.drain();
  }

  /**
   * Closes in order: applies everything, makes the durable numbers durable, lets the lock go. What
   * cannot be applied now (its base is out of reach) stays in the journal. Rejects with what went
   * wrong; nothing acknowledged is lost by that.
   */
  close(): Promise<void> {
    if (this.released) return Promise.resolve();
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    this.closed = true;
    this.remoteAck.stop(this.stoppedError());
    try {
      if (!this.failure) await this.closeInOrder();
      else throw this.failure;
    } finally {
      await this.applier.stop();
      this.feed.close();
      await this.journal.close().catch(() => undefined);
      await this.identity.settled();
      this.release();
    }
  }

  /** Lets files and lock go without any orderly end, as a crash would. */
  release(): void {
    this.closed = true;
    this.released = true;
    this.identity.close();
    this.hosts.stop(this.stoppedError());
    this.remoteAck.stop(this.stoppedError());
    this.changed();
    this.contents.close();
    this.cursorsStore.close();
    this.lock.release();
  }

  /** Whether the set is closed, or about to be: nothing new is taken in. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** What is refused after that. */
  stoppedError(): RcopyError {
    return new RcopyError('E_STOPPED', `${this.folder} is closed`);
  }

  private wantRun(openEpoch: (set: ImageSet) => Promise<void>): void {
    if (this.opensEpoch || this.file.role !== 'primary' || this.file.seal) return;
    this.opensEpoch = true;
    openEpoch(this)
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.opensEpoch = false;
      });
  }

  private async closeInOrder(): Promise<void> {
    this.hosts.writeBatch();
    this.hosts.roomChanged(); // whoever waits for room is refused now
    try {
      await this.applier.drain();
    } catch (error) {
      if (this.failure) throw error;
      this.notices.push(`not everything is in the images yet: ${messageOf(error)}`);
    }
    await this.applier.stop();
    await this.journal.sync();
    if (this.failure) throw this.failure;
    // Into both slots: from then on a slot that is not valid is damage, not a torn write.
    await this.saveCursors(true);
    await this.saveCursors(true);
  }

  /** Marks that come with a copy, or are passed. Kept with the cursors; some may be known. */
  learnMarks(marks: readonly MarkCursor[]): void {
    const isNew = (mark: MarkCursor) =>
      !this.marks.some((known) => comparePositions(known, mark) === 0);
    this.marks = [...this.marks, ...marks.filter(isNew)]
      .sort(comparePositions)
      .slice(-MARKS_REMEMBERED);
  }

  private writableRun(): Run | undefined {
    if (this.file.role !== 'primary' || this.file.seal) return undefined;
    const run = this.ownRun();
    // A run counts when its head is durable: the applied number is in its epoch then.
    return run?.seal || run?.epoch !== this.applied.epoch ? undefined : run;
  }

  /** Why host commands of this kind are refused now; undefined when they are not. */
  refusal(kind: 'read' | 'write'): RcopyError | undefined {
    if (this.failure) return this.failure;
    if (this.closed) return this.stoppedError();
    return hostRefusal(this.file, this.usable, kind);
  }

  private async makeDurable(position: Position): Promise<void> {
    this.hosts.writeBatch(); // the overlay shows what is not even written yet
    // A request that could not be journaled to its end has left its beginning in the overlay.
    if (this.failure) throw this.failure;
    const run = this.journal.run(position.epoch);
    if (run && run.durable < position.sequence) await this.journal.sync();
  }

  private async noteApplied(position: ProvenPosition): Promise<void> {
    await this.noteBehindSince();
    if (comparePositions(position, this.applied) > 0) this.applied = position;
    await this.saveCursors();
    this.trim();
    this.changed();
  }

  /**
   * A pair that was split in step falls behind with the first write after that: when that was is
   * kept before the journal lets it go.
   */
  private async noteBehindSince(): Promise<void> {
    const { pair } = this.file;
    const run = this.ownRun();
    if (!pair || !isWithoutJournal(pair) || pair.behindSinceMs !== null || !run) return;
    const { epoch = 0, sequence = 0 } = this.secondary?.durable ?? {};
    const first = sequence + 1;
    if (epoch !== run.epoch || first < run.firstKept || first >= run.next) return;
    const { oldestMs = null } = run.measureFrom(first);
    await this.identity.update((file) => ({
      ...file,
      pair: file.pair && { ...file.pair, behindSinceMs: oldestMs },
    }));
  }

  /** Nothing is trimmed until what comes back is called. */
  holdTrims(): () => void {
    this.trimsHeld += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.trimsHeld -= 1;
      this.trim();
    };
  }

  /** R7: what is applied here and durable at the secondary, or owed to nobody, may go. */
  trim(): void {
    try {
      this.journal.trim(...this.trimPoint());
    } catch (error) {
      this.fail(error);
      return;
    }
    this.hosts.roomChanged();
  }

  private trimPoint(): [epoch: number, sequence: number] {
    const { appliedDurably: applied, secondary } = this;
    const { role, pair } = this.file;
    // Behind a seal nothing needs room any more, and the successor may still ask for records.
    if (this.trimsHeld > 0 || this.file.seal) return [0, 0];
    if (role !== 'primary' || !pair || !owesRecords(pair)) {
      return [applied.epoch, applied.sequence + 1];
    }
    if (!secondary) return [0, 0];
    const { durable } = secondary;
    const lower = comparePositions(durable, applied) < 0 ? durable : applied;
    return [lower.epoch, lower.sequence + 1];
  }

  /**
   * Drains as long as that lets somebody in. Whoever still waits then goes on waiting for the
   * secondary, or the dirty maps take over, or everyone is told at once where nobody can make room
   * (`thenGiveUp`).
   */
  private async makeRoom(thenGiveUp: boolean): Promise<void> {
    if (this.makingRoom) return;
    this.makingRoom = true;
    try {
      for (let before = -1; before < this.hosts.takenRequests; this.hosts.roomChanged()) {
        before = this.hosts.takenRequests;
        await this.applier.write(); // enough where the overlay was full
        this.hosts.roomChanged();
        if (before === this.hosts.takenRequests) await this.drain();
      }
      if (this.hosts.waitingRequests > 0 && this.mayFallBack()) {
        await this.fallBack(this);
        this.hosts.roomChanged();
      }
      if (thenGiveUp) this.hosts.giveUp(undefined);
    } catch (error) {
      // Out of reach: the applier tries again. A failure has told everyone by itself.
      if (thenGiveUp) this.hosts.giveUp(fileError('making room', this.folder, error));
    } finally {
      this.makingRoom = false;
    }
  }

  private mayFallBack(): boolean {
    const { role, pair, journal } = this.file;
    return journal.whenFull === 'map' && role === 'primary' && pair !== null && owesRecords(pair);
  }
}
