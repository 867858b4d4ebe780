/** What the tests of formats share: bit flips, and arbitrary values of the formats' fields. */
import * as fc from 'fast-check';
import type { EpochId, GroupId, MigrationId, SetId } from '../../src/base/ids.ts';
import { idFromBytes } from '../../src/base/ids.ts';

/** Every copy of `bytes` with one bit turned over, with the number of that bit. */
export function* bitFlips(bytes: Buffer): Generator<{ bit: number; flipped: Buffer }> {
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    const at = bit >> 3;
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (bit & 7)), at);
    yield { bit, flipped };
  }
}

/** Every shorter piece of `bytes` from its start. */
export function* truncations(bytes: Buffer): Generator<{ length: number; cut: Buffer }> {
  for (let length = 0; length < bytes.length; length += 1) {
    yield { length, cut: bytes.subarray(0, length) };
  }
}

/** What is found for each, counted: `{ garbage: 768 }`. */
export function tally(found: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const each of found) counts[each] = (counts[each] ?? 0) + 1;
  return counts;
}

export const u16 = fc.integer({ min: 0, max: 0xffff });
export const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
export const u64 = fc.maxSafeNat();
const idBytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
export const setId = idBytes.map((bytes) => idFromBytes<'set'>(bytes) satisfies SetId);
export const epochId = idBytes.map((bytes) => idFromBytes<'epoch'>(bytes) satisfies EpochId);
export const groupId = idBytes.map((bytes) => idFromBytes<'group'>(bytes) satisfies GroupId);
export const migrationId = idBytes.map(
  (bytes) => idFromBytes<'migration'>(bytes) satisfies MigrationId,
);

/** Fails an encoded field with a u64 that no safe integer holds. */
export const BEYOND_SAFE = Buffer.from([0, 0, 0, 0, 0, 0, 0x20, 0]);
