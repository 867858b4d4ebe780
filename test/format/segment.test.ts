/** The segment header and file name: round trips, byte table, damage. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { checksum } from '../../src/base/checksum.ts';
import { idFromBytes } from '../../src/base/ids.ts';
import {
  SEGMENT_HEADER_BYTES,
  decodeSegmentHeader,
  encodeSegmentHeader,
  parseSegmentName,
  segmentName,
  unknownVersion,
} from '../../src/format/segment.ts';
import { BEYOND_SAFE, bitFlips, epochId, setId, tally, truncations, u32, u64 } from './samples.ts';

const SAMPLE = {
  epoch: 0x0f0e0d0c,
  firstSequence: 0x1413121110,
  chain: 0x1b1a1918,
  epochId: idFromBytes<'epoch'>(Buffer.alloc(16, 0xe1)),
  writer: idFromBytes<'set'>(Buffer.alloc(16, 0x5e)),
  epochFirst: 0x4443424140,
};

function rechecked(change: (header: Buffer) => void): Buffer {
  const header = encodeSegmentHeader(SAMPLE);
  change(header);
  header.writeUInt32LE(0, 8);
  header.writeUInt32LE(checksum(header), 8);
  return header;
}

describe('the segment header', () => {
  test('has each field where the byte table says', () => {
    const bytes = encodeSegmentHeader(SAMPLE);
    expect(bytes.length).toBe(SEGMENT_HEADER_BYTES);
    expect(bytes.length).toBe(96);
    expect(bytes.subarray(0, 4).toString()).toBe('RCSG');
    expect(bytes.readUInt16LE(4)).toBe(1);
    expect(bytes.readUInt16LE(6)).toBe(0);
    expect(bytes.readUInt32LE(12)).toBe(SAMPLE.epoch);
    expect(bytes.readBigUInt64LE(16)).toBe(BigInt(SAMPLE.firstSequence));
    expect(bytes.readUInt32LE(24)).toBe(SAMPLE.chain);
    expect(bytes.readUInt32LE(28)).toBe(0);
    expect(bytes.subarray(32, 48)).toEqual(Buffer.alloc(16, 0xe1));
    expect(bytes.subarray(48, 64)).toEqual(Buffer.alloc(16, 0x5e));
    expect(bytes.readBigUInt64LE(64)).toBe(BigInt(SAMPLE.epochFirst));
    expect(bytes.subarray(72)).toEqual(Buffer.alloc(24));
    const stated = bytes.readUInt32LE(8);
    bytes.writeUInt32LE(0, 8);
    expect(checksum(bytes)).toBe(stated);
  });

  test('comes back as it was', () => {
    const header = fc.record({
      epoch: u32,
      firstSequence: u64,
      chain: u32,
      epochId,
      writer: setId,
      epochFirst: u64,
    });
    fc.assert(
      fc.property(header, (given) => {
        expect(decodeSegmentHeader(encodeSegmentHeader(given))).toEqual({
          found: 'header',
          header: given,
        });
      }),
    );
  });

  test('[R8] every flipped bit and every truncation is seen', () => {
    const bytes = encodeSegmentHeader(SAMPLE);
    const flips = Array.from(bitFlips(bytes), ({ flipped }) => decodeSegmentHeader(flipped).found);
    expect(tally(flips)).toEqual({ garbage: 96 * 8 });
    const cuts = Array.from(truncations(bytes), ({ cut }) => decodeSegmentHeader(cut).found);
    expect(tally(cuts)).toEqual({ zeroes: 1, garbage: 95 });
  });

  test('[R8] an unknown version is refused with what to do', () => {
    const later = rechecked((header) => header.writeUInt16LE(9, 4));
    expect(decodeSegmentHeader(later)).toEqual({ found: 'unknown-version', version: 9 });
    expect(unknownVersion('tokyo/journal/x.rcj', 9)).toMatchObject({
      code: 'E_VERSION',
      message: 'tokyo/journal/x.rcj has format version 9; this program knows 1',
      hint: expect.stringContaining('version of rcopy'),
    });
  });

  test.each([16, 64])('[R8] a u64 beyond 2^53 at offset %i is garbage', (offset) => {
    const large = rechecked((header) => header.set(BEYOND_SAFE, offset));
    expect(decodeSegmentHeader(large)).toMatchObject({ found: 'garbage' });
  });

  test('a file that was never written is told from garbage', () => {
    expect(decodeSegmentHeader(Buffer.alloc(4096))).toEqual({ found: 'zeroes' });
    expect(decodeSegmentHeader(Buffer.alloc(0))).toEqual({ found: 'zeroes' });
  });
});

describe('the segment name', () => {
  test('says epoch and first number, and sorts by them', () => {
    expect(segmentName(1, 42)).toBe('00000001-0000000000000042.rcj');
    const place = fc.record({
      epoch: fc.integer({ min: 0, max: 99_999_999 }),
      firstSequence: u64,
    });
    fc.assert(
      fc.property(place, place, (one, other) => {
        const names = [one, other].map(({ epoch, firstSequence }) =>
          segmentName(epoch, firstSequence),
        );
        expect(names.map(parseSegmentName)).toEqual([one, other]);
        const order = one.epoch - other.epoch || one.firstSequence - other.firstSequence;
        expect(Math.sign(order)).toBe(
          Number(names[0]! > names[1]!) - Number(names[0]! < names[1]!),
        );
      }),
    );
  });

  test.each(['spare-1.rcj', '00000001-0000000000000001.rcj.tail', 'x', '1-1.rcj', ''])(
    '%j is no segment',
    (name) => {
      expect(parseSegmentName(name)).toBeUndefined();
    },
  );
});
