/**
 * Writes large batches of ranges in one thread of their own, for all files of the process. A call
 * of the thread pool for each range would cost more than the write itself; a batch goes over in
 * pieces through memory that both threads see: one message and one copy for a piece.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { KIB, MIB } from '../base/limits.ts';
import type { RangeWrite } from './files.ts';
import { systemError } from './system-error.ts';

/** A batch with less than this is written at once: that takes less than handing it over. */
const OFF_THREAD_BYTES_MIN = 256 * KIB;
/** How much goes over in one piece. */
const PIECE_BYTES = 1 * MIB;
/** One is filled while the other is written. */
const PIECES = 2;

/** How many stretches one piece has at most. */
const STRETCHES_MAX = 2048;

/** What the thread is asked: write the stretches of a piece, which lie one behind the other. */
export interface PieceOrder {
  readonly piece: number;
  readonly descriptor: number;
  readonly stretches: number;
}

/** What the thread answers. */
export interface PieceDone {
  readonly piece: number;
  /** What the system said, when it refused; the rest of the piece was not tried then. */
  readonly failure?: { readonly code: string; readonly message: string };
}

/** One piece of memory that both threads see; the thread is given all of them at its start. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Position in the file and length of each stretch, in turns. */
  readonly table: Float64Array;
}

/** Whether handing a batch over is worth its while. */
export function paysOffThread(ranges: readonly RangeWrite[]): boolean {
  let bytes = 0;
  for (const { parts } of ranges) {
    for (const part of parts) bytes += part.length;
    if (bytes >= OFF_THREAD_BYTES_MIN) return true;
  }
  return false;
}

/** Writes the ranges to the file behind a descriptor, which stays open until this is over. */
export async function writeOffThread(
  descriptor: number,
  ranges: readonly RangeWrite[],
): Promise<void> {
  thread ??= new WriteThread();
  await thread.write(descriptor, ranges);
}

let thread: WriteThread | undefined;

/** A piece that is being filled. */
interface Filling {
  readonly piece: number;
  readonly memory: Piece;
  stretches: number;
  used: number;
}

class WriteThread {
  private readonly worker: Worker;
  private readonly memories: readonly Piece[];
  private readonly free: number[] = [];
  /** Who waits for a free piece, first come first served. */
  private readonly waiting: ((piece: number) => void)[] = [];
  private readonly ends = new Map<number, (done: PieceDone) => void>();
  /** Why the thread does nothing any more. */
  private gone: PieceDone['failure'];

  constructor() {
    this.memories = Array.from({ length: PIECES }, () => ({
      bytes: new Uint8Array(new SharedArrayBuffer(PIECE_BYTES)),
      table: new Float64Array(
        new SharedArrayBuffer(2 * STRETCHES_MAX * Float64Array.BYTES_PER_ELEMENT),
      ),
    }));
    this.free.push(...this.memories.keys());
    this.worker = new Worker(entryFile(), { workerData: this.memories, execArgv: [] });
    this.worker.unref();
    this.worker.on('message', (done: PieceDone) => this.ends.get(done.piece)?.(done));
    this.worker.on('error', (error) => this.broken(error));
  }

  async write(descriptor: number, ranges: readonly RangeWrite[]): Promise<void> {
    const pieces: Promise<PieceDone>[] = [];
    let filling = await this.nextPiece();
    for (const { position, parts } of ranges) {
      let at = position;
      for (const part of parts) {
        for (let from = 0; from < part.length;) {
          if (filling.used === PIECE_BYTES || filling.stretches === STRETCHES_MAX) {
            pieces.push(this.order(descriptor, filling));
            filling = await this.nextPiece();
          }
          const taken = fill(filling, at, part.subarray(from, from + PIECE_BYTES - filling.used));
          from += taken;
          at += taken;
        }
      }
    }
    pieces.push(this.order(descriptor, filling));
    for (const { failure } of await Promise.all(pieces)) {
      if (failure) throw systemError(failure.code, failure.message);
    }
  }

  private async nextPiece(): Promise<Filling> {
    const piece =
      this.free.shift() ?? (await new Promise<number>((resolve) => this.waiting.push(resolve)));
    const memory = this.memories[piece];
    assert(memory, 'a piece has its memory');
    return { piece, memory, stretches: 0, used: 0 };
  }

  /** Resolves when the thread has written the piece; the piece is free again then. */
  private order(descriptor: number, { piece, stretches }: Filling): Promise<PieceDone> {
    if (this.ends.size === 0) this.worker.ref();
    return new Promise((resolve) => {
      this.ends.set(piece, (done) => {
        this.ends.delete(piece);
        if (this.ends.size === 0) this.worker.unref();
        const next = this.waiting.shift();
        if (next) next(piece);
        else this.free.push(piece);
        resolve(done);
      });
      if (this.gone) this.ends.get(piece)?.({ piece, failure: this.gone });
      else this.worker.postMessage({ piece, descriptor, stretches } satisfies PieceOrder);
    });
  }

  /** The thread is gone: what it had is not written, and the next batch begins with a new one. */
  private broken(error: Error): void {
    if (thread === this) thread = undefined;
    const failure = { code: 'EIO', message: `the thread that writes ended: ${error.message}` };
    this.gone = failure;
    for (const [piece, end] of [...this.ends]) end({ piece, failure });
  }
}

/** Lays bytes into the piece for `position`; returns how many. */
function fill(filling: Filling, position: number, bytes: Uint8Array): number {
  const { bytes: target, table } = filling.memory;
  target.set(bytes, filling.used);
  filling.used += bytes.length;
  const last = 2 * filling.stretches - 2;
  const lastLength = table[last + 1] ?? 0;
  if (last >= 0 && (table[last] ?? 0) + lastLength === position) {
    table[last + 1] = lastLength + bytes.length;
  } else {
    table[last + 2] = position;
    table[last + 3] = bytes.length;
    filling.stretches += 1;
  }
  return bytes.length;
}

/** Threads run built code only: where the sources run, that of the build beside them. */
function entryFile(): string {
  const own = fileURLToPath(new URL('write-thread-entry.js', import.meta.url));
  if (existsSync(own)) return own;
  return fileURLToPath(new URL('../../dist/src/sys/write-thread-entry.js', import.meta.url));
}
