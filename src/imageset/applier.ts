/**
 * The one that brings the overlay into the images, in two steps that go on side by side.
 *
 * A round: freeze the overlay → wait until all of it is durable in the journal (R3) → fetch the
 * base of blocks that it covers in part → write. Then the overlay lets it go: reads find it in the
 * image.
 *
 * A checkpoint, after many rounds or in a quiet moment: sync the images → make the maps durable →
 * make the applied number durable → tell (trim, room). What was written before it began is covered.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { APPLY_BYTES, APPLY_IDLE_MS } from '../base/limits.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { Contents } from './contents.ts';

export interface ApplierHooks {
  /** Resolves when the journal has everything up to `position` durable. */
  makeDurable(position: Position): Promise<void>;
  /** The overlay has let a layer go: there is room in it. */
  released(): void;
  /** The images have everything up to `position`, synced: makes that number durable, trims. */
  applied(position: ProvenPosition): Promise<void>;
  /** The applied number as it is now, the stamp of the maps when nothing new was applied. */
  position(): Position;
  /** Applying cannot go on: the set has to stop. */
  failed(error: unknown): void;
}

export class Applier {
  private readonly clock: Clock;
  private readonly contents: Contents;
  private readonly hooks: ApplierHooks;
  private readonly checkpointBytes: number;
  private round: Promise<void> | undefined;
  private checkpointing: Promise<void> | undefined;
  /** The end of what is in the images, synced or not; undefined when a checkpoint covers it. */
  private written: ProvenPosition | undefined;
  /** How much was written since the last checkpoint began. */
  private writtenBytes = 0;
  private timer: Timer | undefined;
  private stopped = false;
  /** Why it stopped by itself. */
  private failure: Error | undefined;
  /** A source was out of reach: nothing is tried before the timer. */
  private resting = false;

  /** Under load a checkpoint follows when `checkpointBytes` were written to the images. */
  constructor(clock: Clock, contents: Contents, hooks: ApplierHooks, checkpointBytes: number) {
    this.clock = clock;
    this.contents = contents;
    this.hooks = hooks;
    this.checkpointBytes = checkpointBytes;
  }

  /** To be called after every insert: a round begins when enough waits, or after a quiet moment. */
  poke(): void {
    if (this.stopped || this.round) return; // the round's end looks again
    const enough = this.contents.overlay.waitingBytes >= APPLY_BYTES;
    if (enough && !this.resting) this.inBackground(this.oneRound());
    else this.timer ??= this.clock.after(APPLY_IDLE_MS, () => this.inBackground(this.quiet()));
  }

  /**
   * Resolves when everything that is in the overlay now, and every base block, is in the images,
   * synced; what comes meanwhile is not waited for.
   */
  async drain(): Promise<void> {
    await this.write();
    while (this.checkpointing) await this.checkpointing;
    if (this.hasUnsynced) await this.oneCheckpoint();
  }

  /** Resolves when everything that is in the overlay now can be read from the images. */
  async write(): Promise<void> {
    if (this.round) await this.round;
    // A round that failed has left its layer, and newer content lies above that.
    if (this.contents.overlay.isFrozen) await this.oneRound();
    if (!this.contents.overlay.isEmpty) await this.oneRound();
  }

  /**
   * A checkpoint that begins now, also when nothing waits: maps that came into use before it are
   * stamped with the applied number then.
   */
  async checkpoint(): Promise<void> {
    await this.write();
    while (this.checkpointing) await this.checkpointing;
    await this.oneCheckpoint();
  }

  /**
   * Stamps the maps with the beginning of an epoch that comes to be the applied number, everything
   * before it being applied: first they, then the cursors (R7).
   */
  async stampMaps(position: Position): Promise<void> {
    await this.write();
    if (this.contents.maps.every((maps) => maps.isStamped(position))) return;
    while (this.checkpointing) await this.checkpointing;
    await this.oneCheckpoint(position);
  }

  /** No further rounds begin; what is under way is waited for. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.stopTimer();
    await this.round?.catch(() => undefined);
    await this.checkpointing?.catch(() => undefined);
  }

  private get hasUnsynced(): boolean {
    return this.written !== undefined || this.contents.hasUnsynced;
  }

  /** What goes wrong has stopped the set, or is tried again later. */
  private inBackground(work: Promise<void>): void {
    work.catch(() => undefined);
  }

  private async quiet(): Promise<void> {
    this.stopTimer();
    if (this.stopped) return;
    await this.write();
    if (this.hasUnsynced) await this.oneCheckpoint();
  }

  private oneRound(): Promise<void> {
    if (this.stopped && !this.round) return Promise.reject(this.failure ?? stoppedError());
    // It begins a little later: what its beginning leads to must see that it is under way.
    this.round ??= Promise.resolve().then(() => this.runRound());
    return this.round;
  }

  private async runRound(): Promise<void> {
    this.stopTimer();
    this.resting = false;
    try {
      await this.writeLayer();
    } catch (error) {
      this.resting = isRcopyError(error, 'E_UNREACHABLE');
      if (!this.resting) this.fail(error);
      throw error;
    } finally {
      this.round = undefined;
      if (this.writtenBytes >= this.checkpointBytes) this.inBackground(this.oneCheckpoint());
      if (!this.contents.overlay.isEmpty || this.hasUnsynced) this.poke();
    }
  }

  private async writeLayer(): Promise<void> {
    const { contents, hooks } = this;
    const layer = contents.overlay.freeze();
    if (!layer?.upTo) return;
    await hooks.makeDurable(layer.upTo);
    for (const { volume, range } of contents.partlyCovered(layer)) {
      await contents.fetchBase(volume, range);
    }
    await contents.applyLayer(layer);
    this.written = layer.upTo;
    this.writtenBytes += layer.heldBytes;
    contents.overlay.release();
    hooks.released();
  }

  private oneCheckpoint(next?: Position): Promise<void> {
    this.checkpointing ??= this.runCheckpoint(next).finally(() => {
      this.checkpointing = undefined;
      if (this.hasUnsynced) this.poke(); // rounds that ended meanwhile are not covered
    });
    return this.checkpointing;
  }

  private async runCheckpoint(next?: Position): Promise<void> {
    const { contents, hooks, written } = this;
    this.written = undefined;
    this.writtenBytes = 0;
    try {
      // Taken before the sync: a bit that is set during it speaks of a block it may not cover.
      const saves = contents.maps.map((maps) => maps.takeChanges());
      await contents.syncImages();
      const position = written ?? next ?? hooks.position();
      for (const save of saves) await save(position);
      if (written) await hooks.applied(written);
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  private fail(error: unknown): void {
    this.stopped = true;
    this.failure ??= error instanceof Error ? error : new Error(String(error));
    this.hooks.failed(error);
  }

  private stopTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }
}

/** After its end nothing goes into the images any more: they are closed. */
function stoppedError(): RcopyError {
  return new RcopyError('E_STOPPED', 'nothing is applied any more: the set is closed');
}
