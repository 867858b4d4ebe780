/** What runs in the thread of write-thread.ts: writes pieces, one behind the other. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import { systemCode } from './system-error.ts';
import { WRITE_BYTES_MAX } from './write-bytes.ts';
import type { Piece, PieceDone, PieceOrder } from './write-thread.ts';

const memories = workerData as readonly Piece[];

const NOTHING: Piece = { bytes: new Uint8Array(), table: new Float64Array() };

parentPort?.on('message', (order: PieceOrder) => {
  parentPort?.postMessage(written(order));
});

function written({ piece, descriptor, stretches }: PieceOrder): PieceDone {
  const { bytes, table } = memories[piece] ?? NOTHING;
  let from = 0;
  try {
    for (let index = 0; index < 2 * stretches; index += 2) {
      const length = table[index + 1] ?? 0;
      writeAll(descriptor, bytes, { from, length, position: table[index] ?? 0 });
      from += length;
    }
    return { piece };
  } catch (error) {
    const code = systemCode(error) ?? 'EIO';
    return { piece, failure: { code, message: messageOf(error).replace(`${code}: `, '') } };
  }
}

interface Stretch {
  readonly from: number;
  readonly length: number;
  readonly position: number;
}

function writeAll(descriptor: number, memory: Uint8Array, { from, length, position }: Stretch) {
  for (let done = 0; done < length;) {
    const size = Math.min(length - done, WRITE_BYTES_MAX);
    const count = writeSync(descriptor, memory, from + done, size, position + done);
    if (count === 0) throw new Error('nothing could be written');
    done += count;
  }
}
