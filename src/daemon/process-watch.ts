/** What a daemon knows of its own process: for how long it was busy at most, and its memory. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { DaemonStatus } from '../node/answers.ts';
import type { Clock } from '../sys/clock.ts';

/** How often it is looked at whether the loop gets on, in ms: what is shorter is not seen. */
const RESOLUTION_MS = 10;
const NANOSECONDS_PER_MS = 1e6;

export class ProcessWatch {
  private readonly delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly startedAt: string;

  constructor(clock: Clock) {
    this.startedAt = new Date(clock.now()).toISOString();
    this.delays.enable();
  }

  status(): DaemonStatus {
    // The histogram has the whole time between two looks.
    const longestMs = this.delays.max / NANOSECONDS_PER_MS - RESOLUTION_MS;
    return {
      pid: process.pid,
      startedAt: this.startedAt,
      longestStallMs: Math.max(0, Math.round(longestMs * 10) / 10),
      residentBytes: process.memoryUsage.rss(),
    };
  }

  stop(): void {
    this.delays.disable();
  }
}
