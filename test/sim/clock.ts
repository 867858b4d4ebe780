/**
 * Time that stands still until a test moves it. Two ways to move it: synchronously, for code that
 * awaits nothing (`advance`, `runUntilIdle`), and `run`, which lets promises settle in between.
 * Either way things happen in one order only: what was asked for `soon` in the order of asking,
 * then the earliest timer, timers of the same moment in the order of their making.
 */
import type { Clock, Timer } from '../../src/sys/clock.ts';

/** When to give up: a test that hangs in simulated time would hang for ever. */
export interface RunLimits {
  /** How much simulated time may pass; ten minutes unless told. */
  readonly simulatedMsMax?: number;
  /** How many steps may be taken; a million unless told. */
  readonly stepsMax?: number;
}

interface PlannedTimer {
  readonly atMs: number;
  readonly action: () => void;
}

/** Some moment in 2023; nobody may depend on which. */
const START_MS = 1_700_000_000_000;

export class SimulatedClock implements Clock {
  private elapsedMs = 0;
  private timers: PlannedTimer[] = [];
  private queue: (() => void)[] = [];
  private skewMs = 0;

  now(): number {
    return START_MS + Math.floor(this.elapsedMs) + this.skewMs;
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const timer = { atMs: this.elapsedMs + Math.max(0, delayMs), action };
    const later = this.timers.findIndex((other) => other.atMs > timer.atMs);
    this.timers.splice(later === -1 ? this.timers.length : later, 0, timer);
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
    };
  }

  alarm(delayMs: number, action: () => void): Timer {
    return this.after(delayMs, action);
  }

  soon(action: () => void): void {
    this.queue.push(action);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((wake) => {
      this.after(delayMs, wake);
    });
  }

  /** Makes the wall clock jump, forwards or back; timers do not notice. */
  jump(deltaMs: number): void {
    this.skewMs += deltaMs;
  }

  /** Lets `deltaMs` pass, with all that falls due, without letting promises settle. */
  advance(deltaMs: number): void {
    const endMs = this.elapsedMs + deltaMs;
    this.runQueue();
    while (this.fireNextTimer(endMs)) this.runQueue();
    this.elapsedMs = endMs;
  }

  /** Runs all that is queued and planned up to the limits, without letting promises settle. */
  runUntilIdle(limits: RunLimits = {}): void {
    const budget = new Budget(this, limits);
    while (this.step(budget.endMs)) budget.spend();
  }

  /**
   * Runs until `until()` holds, letting promises settle before each look. Throws when nothing is
   * left that could make it hold, and at the limits. What waits for real input or real syncs is
   * not seen: it belongs in tests that run in real time.
   */
  async run(until: () => boolean, limits: RunLimits = {}): Promise<void> {
    const budget = new Budget(this, limits);
    for (;;) {
      await settled();
      if (until()) return;
      if (!this.step(budget.endMs)) throw new Error(`stuck ${this.describe()}`);
      budget.spend();
    }
  }

  /** Lets `deltaMs` pass, with all that falls due, letting promises settle at each step. */
  async pass(deltaMs: number, limits: RunLimits = {}): Promise<void> {
    const endMs = this.elapsedMs + deltaMs;
    const budget = new Budget(this, { simulatedMsMax: deltaMs, ...limits });
    await settled();
    while (this.step(endMs)) {
      budget.spend();
      await settled();
    }
    this.elapsedMs = endMs;
  }

  /** What waits, for the message of a failed run. */
  describe(): string {
    const [next] = this.timers;
    const timers = next === undefined ? 'no timer' : `the next timer at ${next.atMs} ms`;
    return `at ${this.elapsedMs} ms with ${this.queue.length} queued and ${timers}`;
  }

  /** What is queued now, or else the next timer up to `endMs`; false when there is neither. */
  private step(endMs: number): boolean {
    const [action] = this.queue;
    if (action === undefined) return this.fireNextTimer(endMs);
    this.queue.shift();
    action();
    return true;
  }

  private runQueue(): void {
    for (let action = this.queue.shift(); action !== undefined; action = this.queue.shift()) {
      action();
    }
  }

  private fireNextTimer(endMs: number): boolean {
    const [timer] = this.timers;
    if (timer === undefined || timer.atMs > endMs) return false;
    this.timers.shift();
    this.elapsedMs = Math.max(this.elapsedMs, timer.atMs);
    timer.action();
    return true;
  }
}

/** Counts steps and simulated time, and throws past a limit. */
class Budget {
  readonly endMs: number;
  private stepsLeft: number;
  private readonly clock: SimulatedClock;

  constructor(clock: SimulatedClock, limits: RunLimits) {
    this.clock = clock;
    this.endMs = clock.monotonicMs() + (limits.simulatedMsMax ?? 10 * 60_000);
    this.stepsLeft = limits.stepsMax ?? 1_000_000;
  }

  spend(): void {
    this.stepsLeft -= 1;
    if (this.stepsLeft < 0) throw new Error(`too many steps ${this.clock.describe()}`);
  }
}

/** Resolves when all promises that can settle have settled: they go before a real immediate. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
