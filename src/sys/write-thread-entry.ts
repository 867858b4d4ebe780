/** What runs in the thread of write-thread.ts: writes batches of ranges, one behind the other. */
import { writeSync, writevSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import { systemCode } from './system-error.ts';
import { WRITE_BYTES_MAX, WRITE_PARTS_MAX, partsBehind } from './write-bytes.ts';
import { PART_FIELDS } from './write-thread.ts';
import type { BatchDone, BatchOrder } from './write-thread.ts';

parentPort?.on('message', (order: BatchOrder) => {
  parentPort?.postMessage(written(order));
});

function written({ batch, descriptor, memories, table }: BatchOrder): BatchDone {
  const run = new WritingRun(descriptor);
  try {
    const views = memories.map((memory) => new Uint8Array(memory));
    for (let at = 0; at < table.length; at += PART_FIELDS) {
      const [memory = 0, from = 0, length = 0, position = 0] = table.subarray(at, at + PART_FIELDS);
      const view = views[memory];
      if (!view) throw new Error(`memory ${memory} is not there`);
      run.add(view.subarray(from, from + length), position);
    }
    run.write();
    return { batch };
  } catch (error) {
    const code = systemCode(error) ?? 'EIO';
    return { batch, failure: { code, message: messageOf(error).replace(`${code}: `, '') } };
  }
}

/** Neighbours in the file, which one call writes together. */
class WritingRun {
  private readonly descriptor: number;
  private parts: Uint8Array[] = [];
  private bytes = 0;
  private position = 0;

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  add(part: Uint8Array, position: number): void {
    if (this.position + this.bytes !== position) this.write();
    for (let from = 0; from < part.length;) {
      if (this.bytes === WRITE_BYTES_MAX || this.parts.length === WRITE_PARTS_MAX) this.write();
      if (this.bytes === 0) this.position = position + from;
      const length = Math.min(part.length - from, WRITE_BYTES_MAX - this.bytes);
      this.parts.push(part.subarray(from, from + length));
      this.bytes += length;
      from += length;
    }
  }

  write(): void {
    let { parts, position } = this;
    this.parts = [];
    this.bytes = 0;
    while (parts.length > 0) {
      const [first] = parts;
      const count =
        parts.length === 1 && first
          ? writeSync(this.descriptor, first, 0, first.length, position)
          : writevSync(this.descriptor, parts, position);
      if (count === 0) throw new Error('nothing could be written');
      position += count;
      parts = partsBehind(parts, count);
    }
  }
}
