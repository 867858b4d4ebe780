/** The time that the demo's host writes, and its parts: when things happen. */
import type { Clock } from '../../sys/clock.ts';

/** How long anything may take that is waited for, in milliseconds. */
export const PATIENCE_MS = 120_000;

export class Pace {
  private readonly clock: Clock;
  private readonly wholeMs: number;
  private readonly startMs: number;

  /** The time begins now. */
  constructor(clock: Clock, seconds: number) {
    this.clock = clock;
    this.wholeMs = seconds * 1000;
    this.startMs = clock.monotonicMs();
  }

  /** The part that has passed, from 0 to 1. */
  get share(): number {
    return Math.min(1, (this.clock.monotonicMs() - this.startMs) / this.wholeMs);
  }

  async untilShare(share: number): Promise<void> {
    const leftMs = (share - this.share) * this.wholeMs;
    if (leftMs > 0) await this.clock.sleep(leftMs);
  }

  /** Bytes a second at which so many take a part of the time. */
  rateFor(bytes: number, share: number): number {
    return Math.ceil((bytes * 1000) / (share * this.wholeMs));
  }
}
