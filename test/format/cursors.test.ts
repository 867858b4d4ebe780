/** The cursor slots: round trips, byte table, damage, and which of two slots counts. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { checksum } from '../../src/base/checksum.ts';
import {
  CURSOR_SLOT_BYTES,
  chooseCursorSlot,
  decodeCursorSlot,
  encodeCursorSlot,
} from '../../src/format/cursors.ts';
import type { Cursors } from '../../src/format/cursors.ts';
import { BEYOND_SAFE, bitFlips, epochId, setId, tally, truncations, u64 } from './samples.ts';

const position = fc.record({ epoch: u64, sequence: u64 });
const proven = fc.record({ epoch: u64, sequence: u64, chain: u64 });
const cursors: fc.Arbitrary<Cursors> = fc.record({
  applied: proven,
  epochs: fc.array(
    fc.record({
      epoch: u64,
      id: epochId,
      writer: setId,
      first: u64,
      durable: u64,
      sealedAt: fc.option(u64),
    }),
    { maxLength: 4 },
  ),
  secondary: fc.option(fc.record({ durable: position, restored: position })),
  usable: fc.boolean(),
  copy: fc.option(
    fc.record({ base: proven, volume: u64, offset: u64, asOf: u64, complete: fc.boolean() }),
  ),
  marks: fc.array(fc.record({ name: fc.string({ unit: 'binary' }), epoch: u64, sequence: u64 }), {
    maxLength: 3,
  }),
  clean: fc.boolean(),
});

const [SAMPLE] = fc.sample(cursors, { numRuns: 1, seed: 4 });
if (!SAMPLE) throw new Error('there is a sample');
const sample: Cursors = SAMPLE;

/** A slot as a program with other ideas would write it: its checksum is right. */
function rechecked(slot: Buffer, change: (slot: Buffer) => void): Buffer {
  const copy = Buffer.from(slot);
  change(copy);
  copy.writeUInt32LE(0, 8);
  copy.writeUInt32LE(checksum(copy.subarray(0, 32 + copy.readUInt32LE(12))), 8);
  return copy;
}

describe('a slot', () => {
  test('has each field where the byte table says', () => {
    const slot = encodeCursorSlot(0x1716151413, sample);
    const length = slot.readUInt32LE(12);
    expect(slot.length).toBe(CURSOR_SLOT_BYTES);
    expect(slot.length).toBe(4096);
    expect(slot.subarray(0, 4).toString()).toBe('RCCU');
    expect(slot.readUInt16LE(4)).toBe(1);
    expect(slot.readUInt16LE(6)).toBe(0);
    expect(slot.readBigUInt64LE(16)).toBe(0x1716151413n);
    expect(slot.subarray(24, 32)).toEqual(Buffer.alloc(8));
    expect(JSON.parse(slot.subarray(32, 32 + length).toString())).toEqual(sample);
    expect(slot.subarray(32 + length)).toEqual(Buffer.alloc(4096 - 32 - length));
    const stated = slot.readUInt32LE(8);
    slot.writeUInt32LE(0, 8);
    expect(checksum(slot.subarray(0, 32 + length))).toBe(stated);
  });

  test('comes back as it was', () => {
    fc.assert(
      fc.property(u64, cursors, (generation, given) => {
        const slot = encodeCursorSlot(generation, given);
        expect(decodeCursorSlot(slot)).toEqual({ found: 'cursors', generation, cursors: given });
      }),
    );
  });

  test('[R8] every flipped bit is seen', () => {
    const flips = bitFlips(encodeCursorSlot(7, sample));
    const found = Array.from(flips, ({ flipped }) => decodeCursorSlot(flipped).found);
    expect(tally(found)).toEqual({ garbage: 4096 * 8 });
  });

  test('[R8] every truncation that takes something away is seen', () => {
    const slot = encodeCursorSlot(7, sample);
    const used = slot.subarray(0, 32 + slot.readUInt32LE(12));
    const found = Array.from(truncations(used), ({ cut }) => decodeCursorSlot(cut).found);
    expect(tally(found)).toEqual({ zeroes: 1, garbage: used.length - 1 });
  });

  test('[R8] an unknown version, a field out of range, a body of other shape', () => {
    const slot = encodeCursorSlot(7, sample);
    expect(decodeCursorSlot(rechecked(slot, (copy) => copy.writeUInt16LE(2, 4)))).toEqual({
      found: 'unknown-version',
      version: 2,
    });
    const large = rechecked(slot, (copy) => copy.set(BEYOND_SAFE, 16));
    expect(decodeCursorSlot(large)).toMatchObject({ found: 'garbage' });
    const shapeless = rechecked(slot, (copy) => copy.writeUInt8(0x20, 33));
    expect(decodeCursorSlot(shapeless)).toMatchObject({ found: 'garbage' });
    const long = Buffer.from(slot);
    long.writeUInt32LE(5000, 12);
    expect(decodeCursorSlot(long)).toMatchObject({ found: 'garbage' });
  });

  test('what does not fit is refused before it is written', () => {
    const marks = [{ name: 'm'.repeat(4096), epoch: 1, sequence: 1 }];
    expect(() => encodeCursorSlot(1, { ...sample, marks })).toThrow(
      expect.objectContaining({ code: 'E_INTERNAL' }),
    );
  });
});

describe('which slot counts', () => {
  const EMPTY = Buffer.alloc(CURSOR_SLOT_BYTES);
  const older = { ...sample, clean: true };
  const newer = { ...sample, clean: false };
  const old = encodeCursorSlot(7, older);
  const fresh = encodeCursorSlot(8, newer);
  const torn = Buffer.concat([fresh.subarray(0, 512), old.subarray(512)]);
  const bad = Buffer.from(fresh);
  bad.writeUInt8(bad.readUInt8(40) ^ 1, 40);

  test.each([
    ['the newer one, first', fresh, old, 8, undefined],
    ['the newer one, second', old, fresh, 8, undefined],
    ['the only one, which is not clean', EMPTY, fresh, 8, undefined],
    // A clean close fills both slots: beside a clean one an empty one is damage.
    ['the only one', EMPTY, old, 7, 0],
    ['the only one, first', old, EMPTY, 7, CURSOR_SLOT_BYTES],
    ['the one that is not torn', old, torn, 7, CURSOR_SLOT_BYTES],
    ['the one that is not damaged', bad, old, 7, 0],
    ['one that is cut off, and yet whole', old, fresh.subarray(0, 4000), 8, CURSOR_SLOT_BYTES],
  ])('%s', (_name, first, second, generation, flawAt) => {
    const chosen = chooseCursorSlot('tokyo/cursors', first, second);
    expect(chosen.generation).toBe(generation);
    expect(chosen.cursors).toEqual(generation === 8 ? newer : older);
    expect(chosen.flaw?.offset).toBe(flawAt);
  });

  test('[R8] two bad slots, or none, are damage', () => {
    const pairs: [Buffer, Buffer][] = [
      [bad, torn],
      [EMPTY, bad],
      [EMPTY, EMPTY],
    ];
    for (const [first, second] of pairs) {
      expect(() => chooseCursorSlot('tokyo/cursors', first, second)).toThrow(
        expect.objectContaining({ code: 'E_DAMAGED', message: expect.stringContaining('tokyo') }),
      );
    }
  });

  test('[R8] one slot of an unknown version is enough to refuse', () => {
    const later = rechecked(fresh, (copy) => copy.writeUInt16LE(2, 4));
    expect(() => chooseCursorSlot('tokyo/cursors', old, later)).toThrow(
      expect.objectContaining({ code: 'E_VERSION' }),
    );
  });
});
