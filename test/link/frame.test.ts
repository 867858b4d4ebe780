/** Frames: whole again out of any chunks, and every damage seen. */
import { describe, expect, test } from '@jest/globals';
import { FRAME_BODY_BYTES_MAX } from '../../src/base/limits.ts';
import { checksum } from '../../src/base/checksum.ts';
import {
  FRAME_HEADER_BYTES,
  FRAME_TYPES,
  FrameReader,
  encodeFrameHeader,
} from '../../src/link/frame.ts';
import type { Frame, FrameType } from '../../src/link/frame.ts';
import { seededRandom } from '../sim/random.ts';

const ALL_TYPES = Object.keys(FRAME_TYPES) as FrameType[];

function encode(type: FrameType, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([encodeFrameHeader(type, parts), ...parts]);
}

function readAll(chunks: Iterable<Uint8Array>): Frame[] {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

/** A header that says what a test wants, with a checksum that matches. */
function forged(change: (header: Buffer) => void): Buffer {
  const header = encodeFrameHeader('ping', []);
  change(header);
  header.writeUInt32LE(0, 8);
  header.writeUInt32LE(checksum(header), 8);
  return header;
}

describe('frames', () => {
  test.each([1, 2, 3])('come out as they went in, in chunks of random sizes (seed %d)', (seed) => {
    const random = seededRandom(seed);
    const sent = Array.from({ length: 60 }, (_, index) => {
      const length = [0, 1, FRAME_HEADER_BYTES, 5000, 70_000][random.below(5)] ?? 0;
      const type = ALL_TYPES[index % ALL_TYPES.length] ?? 'ping';
      return { type, body: Buffer.from(random.bytes(length)) };
    });
    const wire = Buffer.concat(
      sent.map(({ type, body }) => {
        const cut = random.below(body.length + 1);
        return encode(type, body.subarray(0, cut), body.subarray(cut));
      }),
    );
    const chunks: Buffer[] = [];
    for (let at = 0; at < wire.length;) {
      const size = 1 + random.below(random.below(4) === 0 ? 100_000 : 40);
      chunks.push(wire.subarray(at, at + size));
      at += size;
    }
    const frames = readAll(chunks);
    expect(frames.map(({ type }) => type)).toEqual(sent.map(({ type }) => type));
    for (const [index, { body }] of sent.entries()) {
      expect(frames[index]?.body.equals(body)).toBe(true);
    }
  });

  test('have the layout that the page says', () => {
    const body = Buffer.from('hello');
    const wire = encode('records', body);
    expect(wire.subarray(0, 4).toString()).toBe('RCFR');
    expect([...wire.subarray(4, 8)]).toEqual([1, 3, 0, 0]);
    expect(wire.readUInt32LE(12)).toBe(5);
    expect(wire.readUInt32LE(16)).toBe(checksum(body));
    expect(wire.readUInt32LE(20)).toBe(0);
    expect(wire.length).toBe(FRAME_HEADER_BYTES + 5);
  });

  test('[R8] every flipped bit of a frame is seen', () => {
    const wire = encode('range', Buffer.from('the body of a frame'));
    // What follows lets a length that grew find its bytes.
    const rest = Buffer.alloc(FRAME_BODY_BYTES_MAX, 7);
    let seen = 0;
    for (let bit = 0; bit < wire.length * 8; bit += 1) {
      const damaged = Buffer.from(wire);
      damaged.writeUInt8((damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => readAll([damaged, rest])).toThrow(/not what was sent|speaks version/);
      seen += 1;
    }
    expect(seen).toBe(wire.length * 8);
  });

  test.each([
    ['of an unknown type', (header: Buffer) => header.writeUInt8(99, 5), 'E_PROTOCOL'],
    ['of an unknown version', (header: Buffer) => header.writeUInt8(2, 4), 'E_VERSION'],
    ['without the magic', (header: Buffer) => header.writeUInt8(0, 0), 'E_PROTOCOL'],
    [
      '[R9] that is too long',
      (header: Buffer) => header.writeUInt32LE(FRAME_BODY_BYTES_MAX + 1, 12),
      'E_PROTOCOL',
    ],
  ])('%s is refused before its body is waited for', (_, change, code) => {
    const header = forged((bytes) => void change(bytes));
    expect(() => readAll([header])).toThrow(expect.objectContaining({ code }));
  });

  test('of the greatest length passes', () => {
    const body = Buffer.alloc(FRAME_BODY_BYTES_MAX, 3);
    expect(readAll([encode('records', body)])[0]?.body.equals(body)).toBe(true);
  });
});
