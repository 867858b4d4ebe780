/** The map slots: round trips, byte table, places in the file, damage. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { checksum } from '../../src/base/checksum.ts';
import { MAP_BLOCK_BYTES, VOLUME_BYTES_MAX } from '../../src/base/limits.ts';
import {
  MAP_PAGE_BLOCKS,
  MAP_PAGE_BYTES,
  MAP_SLOT_BYTES,
  decodeMapHead,
  decodeMapSlot,
  encodeMapHead,
  encodeMapSlot,
  mapFileBytes,
  mapPages,
  mapSlotOffset,
} from '../../src/format/map.ts';
import type { MapKind } from '../../src/format/map.ts';
import { BEYOND_SAFE, bitFlips, tally, truncations, u32, u64 } from './samples.ts';

const slots = fc.record({
  kind: fc.constantFrom<MapKind>('presence', 'dirty', 'changed'),
  page: u32,
  generation: u64,
  blocks: u64,
});
const bodies = fc.uint8Array({ maxLength: MAP_PAGE_BYTES });
const BODY = Buffer.alloc(MAP_PAGE_BYTES, 0xa5);
const SAMPLE = {
  kind: 'dirty' as const,
  page: 0x0f0e0d0c,
  generation: 0x1413121110,
  blocks: 0x1c1b1a1918,
};

function rechecked(change: (slot: Buffer) => void): Buffer {
  const slot = encodeMapSlot(SAMPLE, BODY);
  change(slot);
  slot.writeUInt32LE(0, 8);
  slot.writeUInt32LE(checksum(slot), 8);
  return slot;
}

describe('a slot', () => {
  test('has each field where the byte table says', () => {
    const slot = encodeMapSlot(SAMPLE, BODY);
    expect([slot.length, MAP_SLOT_BYTES, MAP_PAGE_BYTES]).toEqual([4096, 4096, 4064]);
    expect(slot.subarray(0, 4).toString()).toBe('RCMP');
    expect(slot.readUInt16LE(4)).toBe(1);
    expect(slot.readUInt16LE(6)).toBe(2);
    expect(slot.readUInt32LE(12)).toBe(SAMPLE.page);
    expect(slot.readBigUInt64LE(16)).toBe(BigInt(SAMPLE.generation));
    expect(slot.readBigUInt64LE(24)).toBe(BigInt(SAMPLE.blocks));
    expect(slot.subarray(32)).toEqual(BODY);
    const stated = slot.readUInt32LE(8);
    slot.writeUInt32LE(0, 8);
    expect(checksum(slot)).toBe(stated);
    expect(encodeMapSlot({ ...SAMPLE, kind: 'presence' }, BODY).readUInt16LE(6)).toBe(1);
  });

  test('comes back as it was', () => {
    fc.assert(
      fc.property(slots, bodies, (given, body) => {
        const whole = Buffer.alloc(MAP_PAGE_BYTES);
        whole.set(body);
        expect(decodeMapSlot(encodeMapSlot(given, body))).toEqual({
          found: 'slot',
          slot: { ...given, body: whole },
        });
      }),
      { numRuns: 50 },
    );
  });

  test('a head carries its stamp where the byte table says', () => {
    fc.assert(
      fc.property(u32, u64, u64, u64, (epoch, sequence, blocks, generations) => {
        const stamp = { epoch, sequence };
        const slot = encodeMapHead('presence', 3, blocks, { stamp, generations });
        expect(slot.readUInt32LE(32)).toBe(epoch);
        expect(slot.readUInt32LE(36)).toBe(0);
        expect(slot.readBigUInt64LE(40)).toBe(BigInt(sequence));
        expect(slot.readBigUInt64LE(48)).toBe(BigInt(generations));
        const check = decodeMapSlot(slot);
        const head = check.found === 'slot' ? check.slot : undefined;
        expect(head).toMatchObject({ kind: 'presence', page: 0, generation: 3, blocks });
        expect(head && decodeMapHead(head.body)).toEqual({ stamp, generations });
      }),
    );
    const [eight, sixteen] = [Buffer.alloc(8), Buffer.alloc(16)];
    expect(decodeMapHead(Buffer.concat([eight, BEYOND_SAFE, eight]))).toBeUndefined();
    expect(decodeMapHead(Buffer.concat([sixteen, BEYOND_SAFE]))).toBeUndefined();
  });

  test('[R8] every flipped bit is seen', () => {
    const flips = bitFlips(encodeMapSlot(SAMPLE, BODY));
    const found = Array.from(flips, ({ flipped }) => decodeMapSlot(flipped).found);
    expect(tally(found)).toEqual({ garbage: 4096 * 8 });
  });

  test('[R8] every truncation is seen', () => {
    const cuts = truncations(encodeMapSlot(SAMPLE, BODY));
    const found = Array.from(cuts, ({ cut }) => decodeMapSlot(cut).found);
    expect(tally(found)).toEqual({ zeroes: 1, garbage: 4095 });
  });

  test('[R8] an unknown version, an unknown kind, a field out of range', () => {
    expect(decodeMapSlot(rechecked((slot) => slot.writeUInt16LE(2, 4)))).toEqual({
      found: 'unknown-version',
      version: 2,
    });
    for (const kind of [0, 4]) {
      const unknown = rechecked((slot) => slot.writeUInt16LE(kind, 6));
      expect(decodeMapSlot(unknown)).toMatchObject({ found: 'garbage' });
    }
    for (const offset of [16, 24]) {
      const large = rechecked((slot) => slot.set(BEYOND_SAFE, offset));
      expect(decodeMapSlot(large)).toMatchObject({ found: 'garbage' });
    }
    expect(decodeMapSlot(Buffer.alloc(4096))).toEqual({ found: 'zeroes' });
  });
});

describe('the file', () => {
  test('has two slots for each page, the head first', () => {
    expect([mapSlotOffset(0, 0), mapSlotOffset(0, 1)]).toEqual([0, 4096]);
    expect([mapSlotOffset(1, 0), mapSlotOffset(1, 1)]).toEqual([8192, 12_288]);
    expect(MAP_PAGE_BLOCKS).toBe(32_512);
  });

  test.each([
    [1, 1],
    [32_512, 1],
    [32_513, 2],
    [VOLUME_BYTES_MAX / MAP_BLOCK_BYTES, 66_053],
  ])('of %i blocks has %i pages of bits', (blocks, pages) => {
    expect(mapPages(blocks)).toBe(pages);
    expect(mapFileBytes(blocks)).toBe((pages + 1) * 8192);
    expect(mapFileBytes(blocks)).toBe(mapSlotOffset(pages, 1) + 4096);
  });
});
