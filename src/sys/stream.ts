/**
 * A two-way stream of bytes, as TCP gives it: chunks arrive in any size, and either side may
 * vanish at any byte.
 */

/** What the user of a stream wants to hear. All calls come from the event loop, never nested. */
export interface StreamListener {
  /** Bytes arrived; the listener may keep `chunk`: nobody writes to it any more. */
  data(chunk: Uint8Array): void;
  /** The stream ended: in order (`undefined`), or cut. Called exactly once, last. */
  closed(error: Error | undefined): void;
  /** After a `write` that said false: what was queued is on its way. */
  drained(): void;
}

export interface ByteStream {
  /** Who is at the other end, for people. */
  readonly peer: string;
  /** Set once, before anything is delivered. */
  listen(listener: StreamListener): void;
  /**
   * Queues `parts` in order. The caller may not change them afterwards. False when the queue is
   * over its mark: wait for `drained`. After a close it does nothing.
   */
  write(parts: readonly Uint8Array[]): boolean;
  /** Stops and restarts delivery of `data` (back-pressure). */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then ends the stream in order. */
  end(): void;
  /** Drops the stream at once; queued bytes may be lost. */
  destroy(error?: Error): void;
}
