/** Images for the bench: data that no one takes for zeroes, with holes between or without. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';
import { STRETCH_BYTES, VOLUME_BYTES } from './jobs.ts';

const PIECE_BYTES = 1024 ** 2;

/** Data and holes in turns, or all data. */
export function writeImage(path: string, { holes }: { readonly holes: boolean }): void {
  const file = openSync(path, 'w');
  try {
    ftruncateSync(file, VOLUME_BYTES);
    const piece = Buffer.alloc(PIECE_BYTES);
    randomFillSync(piece);
    for (let at = 0; at < VOLUME_BYTES; at += PIECE_BYTES) {
      if (holes && Math.floor(at / STRETCH_BYTES) % 2 === 1) continue;
      piece.writeUInt32LE(at / PIECE_BYTES, 0);
      writeSync(file, piece, 0, PIECE_BYTES, at);
    }
  } finally {
    closeSync(file);
  }
}
