/** Holds a stream of bytes to a rate (`--max-rate`): a bucket of a quarter second. */
import type { Clock } from '../sys/clock.ts';

const BURST_SECONDS = 0.25;

export class Pacer {
  private readonly clock: Clock;
  private readonly bytesPerSecond: number | undefined;
  private allowance: number;
  private lastMs: number;

  /** Without a rate it never waits. */
  constructor(clock: Clock, bytesPerSecond: number | undefined) {
    this.clock = clock;
    this.bytesPerSecond = bytesPerSecond;
    this.allowance = (bytesPerSecond ?? 0) * BURST_SECONDS;
    this.lastMs = clock.monotonicMs();
  }

  /** Resolves when `bytes` may go. */
  async take(bytes: number): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const now = this.clock.monotonicMs();
    const earned = ((now - this.lastMs) / 1000) * this.bytesPerSecond;
    this.allowance = Math.min(this.allowance + earned, this.bytesPerSecond * BURST_SECONDS) - bytes;
    this.lastMs = now;
    if (this.allowance < 0) {
      await this.clock.sleep(Math.ceil((-this.allowance / this.bytesPerSecond) * 1000));
    }
  }
}
