/**
 * A connection inside one process: two ends, joined by two queues of bytes. It cuts and joins what
 * was written, as a network does, so that nobody comes to rely on chunks.
 *
 * ```
 *   end A  --write-->  [ queue ]  --data-->  end B
 *   end A  <--data---  [ queue ]  <--write-- end B
 * ```
 *
 * Nothing is copied unless small parts are joined. Each step of a queue (one chunk, or the end)
 * goes through `clock.soon`, so a listener is never called from inside a call of its own.
 */
import { assert } from '../base/assert.ts';
import { RcopyError } from '../base/errors.ts';
import { KIB, MIB } from '../base/limits.ts';
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';
import type { ByteStream, StreamListener } from './stream.ts';

/** How a pair of ends behaves. */
export interface MemoryStreamOptions {
  /** The names of the two ends; each end's `peer` is the other one's name. */
  readonly names?: readonly [string, string];
  /** More than this in one queue, and `write` says false. */
  readonly highWaterBytes?: number;
  /** The largest chunk that is delivered. */
  readonly chunkBytesMax?: number;
}

const HIGH_WATER_BYTES_DEFAULT = 1 * MIB;
const CHUNK_BYTES_MAX_DEFAULT = 64 * KIB;

/** Two joined ends of a stream. */
export function memoryStreamPair(
  clock: Clock,
  random: Random,
  options: MemoryStreamOptions = {},
): [ByteStream, ByteStream] {
  const [firstName, secondName] = options.names ?? ['memory', 'memory'];
  const highWaterBytes = options.highWaterBytes ?? HIGH_WATER_BYTES_DEFAULT;
  const chunkBytesMax = options.chunkBytesMax ?? CHUNK_BYTES_MAX_DEFAULT;
  const makeEnd = (peer: string): MemoryEnd =>
    new MemoryEnd(peer, clock, new OutgoingQueue(random, chunkBytesMax), highWaterBytes);
  const first = makeEnd(secondName);
  const second = makeEnd(firstName);
  first.join(second);
  second.join(first);
  return [first, second];
}

/** One end. It owns the queue of what it wrote, and pushes it to the other end. */
class MemoryEnd implements ByteStream {
  readonly peer: string;
  private readonly clock: Clock;
  private readonly outgoing: OutgoingQueue;
  private readonly highWaterBytes: number;
  private other: MemoryEnd | undefined;
  private listener: StreamListener | undefined;
  private paused = false;
  /** After `end`, ours or the one that the other's end brought about: no more writes. */
  private ending = false;
  private drainOwed = false;
  private stepPlanned = false;
  /** Set from the moment of a cut on: what `closed` will be told. */
  private cut: Error | undefined;
  private closed = false;

  constructor(peer: string, clock: Clock, outgoing: OutgoingQueue, highWaterBytes: number) {
    this.peer = peer;
    this.clock = clock;
    this.outgoing = outgoing;
    this.highWaterBytes = highWaterBytes;
  }

  join(other: MemoryEnd): void {
    this.other = other;
  }

  listen(listener: StreamListener): void {
    this.listener = listener;
    if (this.cut !== undefined) this.planCutNotice(this.cut);
    this.other?.planStep();
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (this.ending || this.closed || this.cut !== undefined) return true;
    this.outgoing.push(parts);
    this.planStep();
    if (this.outgoing.bytes > this.highWaterBytes) this.drainOwed = true;
    return !this.drainOwed;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.other?.planStep();
  }

  end(): void {
    if (this.ending || this.cut !== undefined) return;
    this.ending = true;
    this.planStep();
  }

  destroy(error?: Error): void {
    if (this.closed || this.cut !== undefined) return;
    const cause = error ?? new RcopyError('E_STOPPED', `connection to ${this.peer} was closed`);
    this.takeCut(cause);
    this.other?.takeCut(
      new RcopyError('E_UNREACHABLE', `connection to ${this.other.peer} was cut`, { cause }),
    );
  }

  /** Plans the next step of the outgoing queue, unless nothing can move. */
  private planStep(): void {
    if (this.stepPlanned || !this.canStep()) return;
    this.stepPlanned = true;
    this.clock.soon(() => {
      this.stepPlanned = false;
      if (this.canStep()) this.step();
      this.planStep();
    });
  }

  private canStep(): boolean {
    const hasWork = this.outgoing.bytes > 0 || this.ending;
    return hasWork && this.cut === undefined && this.other !== undefined && this.other.takes();
  }

  /** Whether this end can be given a chunk or the end now. */
  private takes(): boolean {
    return this.listener !== undefined && !this.paused && !this.closed && this.cut === undefined;
  }

  /** Delivers one chunk, or the end when all is delivered. */
  private step(): void {
    if (this.outgoing.bytes === 0) {
      this.other?.takeEnd();
      return;
    }
    const chunk = this.outgoing.take();
    if (this.drainOwed && this.outgoing.bytes === 0) this.planDrained();
    this.other?.listener?.data(chunk);
  }

  private planDrained(): void {
    this.drainOwed = false;
    this.clock.soon(() => {
      if (!this.closed && this.cut === undefined) this.listener?.drained();
    });
  }

  /** The other end is through: what is still queued here is sent, then the other closes too. */
  private takeEnd(): void {
    this.closed = true;
    this.end();
    this.listener?.closed(undefined);
  }

  private takeCut(error: Error): void {
    if (this.closed || this.cut !== undefined) return;
    this.cut = error;
    this.outgoing.clear();
    if (this.listener !== undefined) this.planCutNotice(error);
  }

  private planCutNotice(error: Error): void {
    this.clock.soon(() => {
      if (this.closed) return;
      this.closed = true;
      this.listener?.closed(error);
    });
  }
}

/** What was written on one end and not yet delivered on the other. */
class OutgoingQueue {
  bytes = 0;
  private parts: Uint8Array[] = [];
  /** How many of `parts` are through; they are dropped in batches, since shifting costs. */
  private taken = 0;
  private readonly random: Random;
  private readonly chunkBytesMax: number;

  constructor(random: Random, chunkBytesMax: number) {
    this.random = random;
    this.chunkBytesMax = chunkBytesMax;
  }

  push(parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      if (part.length === 0) continue;
      this.parts.push(part);
      this.bytes += part.length;
    }
  }

  /** The next chunk, of a random size; there must be one. One in four joins several parts. */
  take(): Uint8Array {
    const size = 1 + this.random.below(Math.min(this.bytes, this.chunkBytesMax));
    const joins = this.random.below(4) === 0;
    const chunk = this.takePart(size);
    if (!joins || chunk.length === size) return chunk;
    const pieces = [chunk];
    for (let length = chunk.length; length < size;) {
      const piece = this.takePart(size - length);
      pieces.push(piece);
      length += piece.length;
    }
    return Buffer.concat(pieces);
  }

  clear(): void {
    this.parts = [];
    this.taken = 0;
    this.bytes = 0;
  }

  /** At most `bytesMax` bytes of the first part. */
  private takePart(bytesMax: number): Uint8Array {
    const part = this.parts[this.taken];
    assert(part !== undefined, 'the queue has a part');
    const piece = part.subarray(0, bytesMax);
    this.bytes -= piece.length;
    if (piece.length < part.length) this.parts[this.taken] = part.subarray(bytesMax);
    else this.taken += 1;
    if (this.taken * 2 > this.parts.length) {
      this.parts = this.parts.slice(this.taken);
      this.taken = 0;
    }
    return piece;
  }
}
