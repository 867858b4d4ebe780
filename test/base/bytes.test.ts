/** Fixed layouts at the border of memory: safe integers only, and never beyond the bytes. */
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { ByteReader, ByteWriter, isZero, readUint64, writeUint64 } from '../../src/base/bytes.ts';

test('a u64 comes back, little-endian', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const bytes = Buffer.alloc(8);
      writeUint64(bytes, value, 0);
      expect(bytes.readBigUInt64LE()).toBe(BigInt(value));
      expect(readUint64(bytes, 0)).toBe(value);
    }),
  );
});

test.each([2n ** 53n, 2n ** 64n - 1n])('%s is no number for memory', (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  expect(readUint64(bytes, 0)).toBeUndefined();
  expect(() => new ByteReader(bytes, 'it').u64()).toThrow(
    expect.objectContaining({ code: 'E_DAMAGED' }),
  );
});

test.each([-1, 0.5, Number.NaN, 2 ** 53])('%d is never written', (value) => {
  expect(() => writeUint64(Buffer.alloc(8), value, 0)).toThrow(
    expect.objectContaining({ code: 'E_INTERNAL' }),
  );
});

test('one byte among zeroes is found, wherever it stands', () => {
  for (const length of [0, 1, 4095, 4096, 4097, 9000]) {
    expect(isZero(Buffer.alloc(length))).toBe(true);
    for (const at of [0, length >> 1, length - 1].filter((each) => each >= 0 && length > 0)) {
      const bytes = Buffer.alloc(length);
      bytes.writeUInt8(1, at);
      expect([length, at, isZero(bytes)]).toEqual([length, at, false]);
    }
  }
});

test('what a writer wrote a reader reads, and not a byte more', () => {
  const text = 'Ōsaka, 大阪';
  const bytes = new ByteWriter().u8(1).u16(2).u32(3).u64(4).text(text).bytes(Buffer.of(9)).finish();
  const read = (from: Buffer) => {
    const reader = new ByteReader(from, 'it');
    const found = [reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.text()];
    found.push(reader.bytes(1).readUInt8());
    reader.end();
    return found;
  };
  expect(read(bytes)).toEqual([1, 2, 3, 4, text, 9]);
  const damaged = expect.objectContaining({ code: 'E_DAMAGED' });
  for (let length = 0; length < bytes.length; length += 1) {
    expect(() => read(bytes.subarray(0, length))).toThrow(damaged);
  }
  expect(() => read(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(damaged);
});
