/** Time as the rest of the program sees it: given from outside, so that tests own it. */

/** A timer that can be called off. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time in milliseconds since 1970; may jump. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. For measuring. */
  monotonicMs(): number;
  /** Calls `action` once after at least `delayMs`. Does not keep the process alive by itself. */
  after(delayMs: number, action: () => void): Timer;
  /** The same, but the process stays alive for it until it is due or called off. */
  alarm(delayMs: number, action: () => void): Timer;
  /** Calls `action` after what is running now, and after input that is already here. */
  soon(action: () => void): void;
  /** Resolves after at least `delayMs`. Keeps the process alive. */
  sleep(delayMs: number): Promise<void>;
}
