/**
 * The one that brings the overlay into the images. A round: freeze the overlay → wait until all of
 * it is durable in the journal (R3) → fetch the base of blocks that it covers in part → write →
 * sync the images → make the maps durable → make the applied number durable → tell (trim, room).
 */
import { isRcopyError } from '../base/errors.ts';
import { APPLY_BYTES, APPLY_IDLE_MS } from '../base/limits.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { Contents } from './contents.ts';

export interface ApplierHooks {
  /** Resolves when the journal has everything up to `position` durable. */
  makeDurable(position: Position): Promise<void>;
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
  private round: Promise<void> | undefined;
  private timer: Timer | undefined;
  private stopped = false;
  /** A source was out of reach: nothing is tried before the timer. */
  private resting = false;

  constructor(clock: Clock, contents: Contents, hooks: ApplierHooks) {
    this.clock = clock;
    this.contents = contents;
    this.hooks = hooks;
  }

  /** To be called after every insert: a round begins when enough waits, or after a quiet moment. */
  poke(): void {
    if (this.stopped || this.round) return;
    const enough = this.contents.overlay.waitingBytes >= APPLY_BYTES;
    if (enough && !this.resting) this.begin();
    else this.timer ??= this.clock.after(APPLY_IDLE_MS, () => this.begin());
  }

  /**
   * Resolves when everything that is in the overlay now, and every base block, is in the images;
   * what comes meanwhile is not waited for.
   */
  async drain(): Promise<void> {
    if (this.round) await this.round;
    // A round that failed has left its layer, and newer content lies above that.
    if (this.contents.overlay.isFrozen) await this.oneRound();
    if (this.hasWork) await this.oneRound();
  }

  /**
   * A whole round that begins now, also when nothing waits: maps that came into use before it are
   * stamped with the applied number then.
   */
  async checkpoint(): Promise<void> {
    if (this.round) await this.round;
    await this.oneRound();
  }

  /**
   * Stamps the maps with the beginning of an epoch that comes to be the applied number, everything
   * before it being applied: first they, then the cursors (R7).
   */
  async stampMaps(position: Position): Promise<void> {
    if (!this.contents.maps.some(({ inUse }) => inUse)) return;
    if (this.round) await this.round;
    await this.oneRound(position);
  }

  /** No further rounds begin; the one under way is waited for. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    this.timer = undefined;
    await this.round?.catch(() => undefined);
  }

  private get hasWork(): boolean {
    return !this.contents.overlay.isEmpty || this.contents.hasUnsynced;
  }

  /** A round in the background: what a source cannot give now is asked for again later. */
  private begin(): void {
    if (this.stopped) return;
    this.oneRound().then(
      () => {
        if (this.hasWork) this.poke();
      },
      (error: unknown) => {
        this.resting = isRcopyError(error, 'E_UNREACHABLE');
        if (this.resting) this.poke();
      },
    );
  }

  private oneRound(position?: Position): Promise<void> {
    this.timer?.cancel();
    this.timer = undefined;
    this.resting = false;
    this.round ??= this.run(position).finally(() => {
      this.round = undefined;
    });
    return this.round;
  }

  private async run(next?: Position): Promise<void> {
    const { contents, hooks } = this;
    try {
      const layer = contents.overlay.freeze();
      if (layer?.upTo) await hooks.makeDurable(layer.upTo);
      if (layer) {
        for (const { volume, range } of contents.partlyCovered(layer)) {
          await contents.fetchBase(volume, range);
        }
        contents.applyLayer(layer);
      }
      // Taken before the sync: a bit that is set during it speaks of a block that it may not cover.
      const saves = contents.maps.map((maps) => maps.takeChanges());
      await contents.syncImages();
      const position = layer?.upTo ?? next ?? hooks.position();
      for (const save of saves) await save(position);
      contents.overlay.release();
      if (layer?.upTo) await hooks.applied(layer.upTo);
    } catch (error) {
      if (!isRcopyError(error, 'E_UNREACHABLE')) hooks.failed(error);
      throw error;
    }
  }
}
