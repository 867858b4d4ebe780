/** Sparse images in a stream: whatever way the bytes are cut, the same pieces come out. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import {
  SparseReader,
  encodeEnd,
  encodeFailed,
  encodePiece,
} from '../../src/control/sparse-stream.ts';
import type { ImagePiece } from '../../src/node/requests.ts';
import { seededRandom } from '../sim/random.ts';

const PIECES: readonly ImagePiece[] = [
  { length: 5, data: Buffer.from('first') },
  { length: 2 ** 40, data: undefined },
  { length: 1, data: Buffer.from('x') },
];

/** The bytes of frames, in chunks of random sizes. */
async function* cut(frames: readonly Uint8Array[][], seed: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.concat(frames.flat());
  const random = seededRandom(seed);
  for (let at = 0; at < bytes.length;) {
    const chunk = bytes.subarray(at, at + 1 + random.below(40));
    yield chunk;
    at += chunk.length;
  }
}

async function read(frames: readonly Uint8Array[][], seed = 1) {
  const reader = new SparseReader(cut(frames, seed), 'tokyo');
  const pieces: ImagePiece[] = [];
  for await (const piece of reader.pieces()) pieces.push(piece);
  return { pieces, answer: reader.answer };
}

test.each([1, 2, 3, 4])('pieces and answer come as they went, cut by seed %d', async (seed) => {
  const frames = [...PIECES.map((piece) => encodePiece(piece)), encodeEnd({ sequence: 7 })];
  expect(await read(frames, seed)).toEqual({ pieces: PIECES, answer: { sequence: 7 } });
});

describe('a stream that is not whole', () => {
  test('[R8] without its end is a broken connection, never a shorter image', async () => {
    const frames = PIECES.map((piece) => encodePiece(piece));
    await expect(read(frames)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('says why the other end gave up', async () => {
    const failure = encodeFailed(new RcopyError('E_DAMAGED', 'a bad sector', { hint: 'verify' }));
    const [first = PIECES[1]!] = PIECES;
    await expect(read([encodePiece(first), failure])).rejects.toMatchObject({
      code: 'E_DAMAGED',
      message: 'a bad sector',
      hint: 'verify',
    });
  });

  test.each([
    ['an unknown kind', Buffer.alloc(16, 9)],
    ['a frame that is too long', Buffer.from('01000000000000000000000100000000', 'hex')],
    ['an end that is not JSON', Buffer.from('03000000000000000100000000000000ff', 'hex')],
  ])('is refused for %s', async (_, bytes) => {
    await expect(read([[bytes]])).rejects.toMatchObject({ code: 'E_PROTOCOL' });
  });
});
