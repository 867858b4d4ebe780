/**
 * Group commit: one sync of the journal's files serves everyone who asked before it began. A sync
 * that failed is never tried again as if nothing had happened (R2): the journal is over, everyone
 * who waits gets the error, and the next start deals with the tail.
 */
import { assert } from '../base/assert.ts';
import { RcopyError, fileError } from '../base/errors.ts';
import { SYNC_BYTES, SYNC_INTERVAL_MS } from '../base/limits.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { Run } from './run.ts';
import type { SegmentStore } from './segment-store.ts';

export class Committer {
  /** Why nothing can be made durable any more. */
  failure: RcopyError | undefined;
  /** Told once, when it fails. */
  onFailed: ((failure: RcopyError) => void) | undefined;
  private readonly clock: Clock;
  private readonly store: SegmentStore;
  private readonly runs: () => Iterable<Run>;
  private readonly onDurable: () => void;
  private running: Promise<void> | undefined;
  private following: Promise<void> | undefined;
  private timer: Timer | undefined;
  private bytesWaiting = 0;

  /** `onDurable` is called after each sync, when the runs' durable numbers have moved. */
  constructor(clock: Clock, store: SegmentStore, runs: () => Iterable<Run>, onDurable: () => void) {
    this.clock = clock;
    this.store = store;
    this.runs = runs;
    this.onDurable = onDurable;
  }

  /** Resolves when everything written before the call is durable. */
  sync(): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    // The round that follows comes first: once it is promised, nobody begins another one beside it.
    if (!this.running && !this.following) return this.begin();
    this.following ??= (this.running ?? Promise.resolve()).then(() => {
      this.following = undefined;
      return this.begin();
    });
    return this.following;
  }

  /** To be told of every write: without any FLUSH a sync follows by time or by bytes (R3). */
  written(bytes: number): void {
    this.bytesWaiting += bytes;
    if (this.bytesWaiting >= SYNC_BYTES) {
      this.bytesWaiting = 0;
      this.syncQuietly();
    } else {
      this.timer ??= this.clock.after(SYNC_INTERVAL_MS, () => {
        this.timer = undefined;
        this.syncQuietly();
      });
    }
  }

  /** Ends the journal's life with this error. */
  fail(error: RcopyError): void {
    if (this.failure) return;
    this.failure = error;
    this.stopTimer();
    this.onFailed?.(error);
  }

  /** Resolves when no sync is under way. */
  async idle(): Promise<void> {
    await this.running?.catch(() => undefined);
  }

  stopTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  /** A failure is kept in `failure`, and everyone who waits for durability hears of it there. */
  private syncQuietly(): void {
    this.sync().catch(() => undefined);
  }

  private begin(): Promise<void> {
    assert(!this.running, 'one sync at a time');
    const round = this.round().finally(() => {
      this.running = undefined;
    });
    this.running = round;
    return round;
  }

  private async round(): Promise<void> {
    this.stopTimer();
    this.bytesWaiting = 0;
    const covered = [...this.runs()].map((run) => ({
      run,
      handles: run.syncBegins(),
      end: run.writtenEnd,
    }));
    try {
      for (const { handles } of covered) {
        for (const handle of handles) await handle.sync('JOURNAL:SYNC');
      }
      await this.store.syncFolder();
    } catch (error) {
      const failure = this.syncError(error);
      this.fail(failure);
      throw this.failure ?? failure;
    } finally {
      for (const { run } of covered) run.syncEnds();
    }
    if (this.failure) throw this.failure;
    for (const { run, end } of covered) {
      run.durable = Math.max(run.durable, end);
      run.headDurable = true;
    }
    this.onDurable();
  }

  private syncError(error: unknown): RcopyError {
    const cause = fileError('syncing the journal', this.store.folder, error);
    return new RcopyError(cause.code, cause.message, {
      cause: error,
      hint: 'the set has stopped; open it again: what was flushed is safe',
    });
  }
}
