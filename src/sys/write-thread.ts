/**
 * Writes large batches of ranges in one thread of their own, for all files of the process. A call
 * of the thread pool for each range would cost more than the write itself; a batch goes over in one
 * message. Parts in memory that all threads see are written from where they are; others are copied.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { KIB } from '../base/limits.ts';
import type { RangeWrite } from './files.ts';
import { systemError } from './system-error.ts';

/** A batch with less than this is written at once: that takes less than handing it over. */
const OFF_THREAD_BYTES_MIN = 256 * KIB;

/** What the table of a batch says of each part: memory, offset in it, length, position. */
export const PART_FIELDS = 4;

/** What the thread is asked: write parts of these memories to the file, in order. */
export interface BatchOrder {
  readonly batch: number;
  readonly descriptor: number;
  readonly memories: readonly SharedArrayBuffer[];
  readonly table: Float64Array;
}

/** What the thread answers. */
export interface BatchDone {
  readonly batch: number;
  /** What the system said, when it refused; the rest of the batch was not tried then. */
  readonly failure?: { readonly code: string; readonly message: string };
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

class WriteThread {
  private readonly worker: Worker;
  private readonly ends = new Map<number, (done: BatchDone) => void>();
  private batches = 0;
  /** Why the thread does nothing any more. */
  private gone: BatchDone['failure'];

  constructor() {
    this.worker = new Worker(entryFile(), { execArgv: [] });
    this.worker.unref();
    this.worker.on('message', (done: BatchDone) => this.ends.get(done.batch)?.(done));
    this.worker.on('error', (error) => this.broken(error));
  }

  async write(descriptor: number, ranges: readonly RangeWrite[]): Promise<void> {
    const { failure } = await this.order(descriptor, ranges);
    if (failure) throw systemError(failure.code, failure.message);
  }

  /** Resolves when the thread is through with the batch. */
  private order(descriptor: number, ranges: readonly RangeWrite[]): Promise<BatchDone> {
    const batch = this.batches;
    this.batches += 1;
    if (this.gone) return Promise.resolve({ batch, failure: this.gone });
    if (this.ends.size === 0) this.worker.ref();
    return new Promise((resolve) => {
      this.ends.set(batch, (done) => {
        this.ends.delete(batch);
        if (this.ends.size === 0) this.worker.unref();
        resolve(done);
      });
      this.worker.postMessage({ batch, descriptor, ...partsOf(ranges) } satisfies BatchOrder);
    });
  }

  /** The thread is gone: what it had is not written, and the next batch begins with a new one. */
  private broken(error: Error): void {
    if (thread === this) thread = undefined;
    const failure = { code: 'EIO', message: `the thread that writes ended: ${error.message}` };
    this.gone = failure;
    for (const [batch, end] of [...this.ends]) end({ batch, failure });
  }
}

/** Where the parts of the ranges are, in memory that the thread can see. */
function partsOf(ranges: readonly RangeWrite[]): Pick<BatchOrder, 'memories' | 'table'> {
  const indices = new Map<SharedArrayBuffer, number>();
  const count = ranges.reduce((sum, { parts }) => sum + parts.length, 0);
  const table = new Float64Array(count * PART_FIELDS);
  let at = 0;
  for (const { position, parts } of ranges) {
    let end = position;
    for (const part of parts) {
      const { memory, offset } = shared(part);
      const index = indices.get(memory) ?? indices.size;
      indices.set(memory, index);
      table[at] = index;
      table[at + 1] = offset;
      table[at + 2] = part.length;
      table[at + 3] = end;
      at += PART_FIELDS;
      end += part.length;
    }
  }
  return { memories: [...indices.keys()], table };
}

function shared(part: Uint8Array): { readonly memory: SharedArrayBuffer; readonly offset: number } {
  if (part.buffer instanceof SharedArrayBuffer) {
    return { memory: part.buffer, offset: part.byteOffset };
  }
  const memory = new SharedArrayBuffer(part.length);
  new Uint8Array(memory).set(part);
  return { memory, offset: 0 };
}

/** Threads run built code only: where the sources run, that of the build beside them. */
function entryFile(): string {
  const own = fileURLToPath(new URL('write-thread-entry.js', import.meta.url));
  if (existsSync(own)) return own;
  return fileURLToPath(new URL('../../dist/src/sys/write-thread-entry.js', import.meta.url));
}
