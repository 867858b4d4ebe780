/** Holds a stream of bytes to a rate (`--max-rate`): a bucket of a quarter second. */
import type { Clock } from '../sys/clock.ts';

const BURST_SECONDS = 0.25;
/** Who gives up while it waits is heard after at most this long. */
const SLICE_MS_MAX = 250;

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

  /** Resolves when `bytes` may go, or soon after `cancelled` says that nobody wants that now. */
  async take(bytes: number, cancelled: () => boolean = () => false): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const now = this.clock.monotonicMs();
    const earned = ((now - this.lastMs) / 1000) * this.bytesPerSecond;
    this.allowance = Math.min(this.allowance + earned, this.bytesPerSecond * BURST_SECONDS) - bytes;
    this.lastMs = now;
    const untilMs = now + Math.ceil((Math.max(0, -this.allowance) / this.bytesPerSecond) * 1000);
    while (!cancelled() && this.clock.monotonicMs() < untilMs) {
      await this.clock.sleep(Math.min(SLICE_MS_MAX, untilMs - this.clock.monotonicMs()));
    }
  }
}
