/**
 * The memory that all connections of a server share (R9). Who asks for more than is free waits in
 * a queue, and everybody behind him as well: requests are let in in the order in which they came,
 * one of each connection, and a large one is never passed by for ever.
 */
import { assert } from '../base/assert.ts';

/** A connection that waits. */
export interface BudgetWaiter {
  /** What it asked for is its own now. Must not come back to the budget before it returns. */
  granted(): void;
}

interface Waiting {
  readonly waiter: BudgetWaiter;
  readonly bytes: number;
  readonly sinceMs: number;
}

export class MemoryBudget {
  readonly limitBytes: number;
  usedBytes = 0;
  private readonly now: () => number;
  private readonly onWait: () => void;
  private readonly queue: Waiting[] = [];
  private longestMs = 0;

  /**
   * `now` is a clock in milliseconds that never goes back; `onWait` is told when somebody begins
   * to wait.
   */
  constructor(limitBytes: number, now: () => number, onWait: () => void) {
    this.limitBytes = limitBytes;
    this.now = now;
    this.onWait = onWait;
  }

  get waiting(): number {
    return this.queue.length;
  }

  /** The longest wait so far, those included that last. */
  get longestWaitMs(): number {
    const [first] = this.queue;
    return first ? Math.max(this.longestMs, this.now() - first.sinceMs) : this.longestMs;
  }

  /** True: the bytes are `waiter`'s now. False: it waits, and is told. */
  take(bytes: number, waiter: BudgetWaiter): boolean {
    assert(bytes <= this.limitBytes, 'a request fits into the budget');
    if (this.queue.length === 0 && this.usedBytes + bytes <= this.limitBytes) {
      this.usedBytes += bytes;
      return true;
    }
    this.queue.push({ waiter, bytes, sinceMs: this.now() });
    this.onWait();
    return false;
  }

  /** Gives back what was taken or granted. */
  give(bytes: number): void {
    this.usedBytes -= bytes;
    assert(this.usedBytes >= 0, 'only what was taken is given back');
    if (this.queue.length > 0) this.grant();
  }

  /** Waits no more. */
  leave(waiter: BudgetWaiter): void {
    const index = this.queue.findIndex((waiting) => waiting.waiter === waiter);
    if (index === -1) return;
    this.queue.splice(index, 1);
    this.grant();
  }

  private grant(): void {
    for (let first = this.queue[0]; first; first = this.queue[0]) {
      if (this.usedBytes + first.bytes > this.limitBytes) return;
      this.queue.shift();
      this.usedBytes += first.bytes;
      this.longestMs = Math.max(this.longestMs, this.now() - first.sinceMs);
      first.waiter.granted();
    }
  }
}
