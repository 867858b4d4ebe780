/**
 * Memory for payload that waits in the overlay. It is used again and again: memory that comes and
 * goes with each payload costs full collections, which take longer than the work itself. All
 * threads can see it, so that what is written off the loop need not be copied once more.
 */
import { KIB } from '../base/limits.ts';

export const SLAB_BYTES = 256 * KIB;

/** Room of one slab is given up, and not used for the beginning of payload, below this. */
const TAIL_BYTES_MAX = 64 * KIB;

/** Slabs of one overlay that are not in use. */
export class SlabPool {
  private readonly free: Uint8Array[] = [];
  private readonly keptMax: number;

  /** Keeps slabs of about `keptBytes` while nobody uses them. */
  constructor(keptBytes: number) {
    this.keptMax = Math.ceil(keptBytes / SLAB_BYTES);
  }

  take(): Uint8Array {
    return this.free.pop() ?? new Uint8Array(new SharedArrayBuffer(SLAB_BYTES));
  }

  /** Nobody looks at what is in them any more. */
  give(slabs: readonly Uint8Array[]): void {
    const room = Math.max(0, this.keptMax - this.free.length);
    this.free.push(...slabs.slice(0, room));
  }
}

/** Payload of one layer: grows until all of it is let go together. */
export class SlabStack {
  /** Bytes that were laid in, and those of slabs that were left unused at their ends. */
  usedBytes = 0;
  private readonly pool: SlabPool;
  private readonly slabs: Uint8Array[] = [];
  private last: Uint8Array | undefined;
  private filled = 0;

  constructor(pool: SlabPool) {
    this.pool = pool;
  }

  /** Copies `data`; the copy comes in one piece, unless it is longer than a part of a slab. */
  keep(data: Uint8Array): readonly Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let from = 0; from < data.length;) {
      const slab = this.slabFor(data.length - from);
      const length = Math.min(data.length - from, SLAB_BYTES - this.filled);
      slab.set(length === data.length ? data : data.subarray(from, from + length), this.filled);
      pieces.push(slab.subarray(this.filled, this.filled + length));
      this.filled += length;
      this.usedBytes += length;
      from += length;
    }
    return pieces;
  }

  /** Gives all of it back. */
  release(): void {
    this.pool.give(this.slabs.splice(0));
    this.last = undefined;
    this.usedBytes = 0;
  }

  private slabFor(length: number): Uint8Array {
    const room = SLAB_BYTES - this.filled;
    if (this.last && room > 0 && (length <= room || room > TAIL_BYTES_MAX)) return this.last;
    if (this.last) this.usedBytes += room;
    this.last = this.pool.take();
    this.filled = 0;
    this.slabs.push(this.last);
    return this.last;
  }
}
