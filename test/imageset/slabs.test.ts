// Memory of the overlay that is used again: what is kept stays as it was until it is let go.
import { describe, expect, test } from '@jest/globals';
import { SLAB_BYTES, SlabPool, SlabStack } from '../../src/imageset/slabs.ts';
import { pattern } from '../support/image-sets.ts';

const joined = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces);

describe('payload in slabs', () => {
  test('of any length comes back as it was, whatever came before and after it', () => {
    const stack = new SlabStack(new SlabPool(SLAB_BYTES));
    const lengths = [1, 4096, 65_536, 65_537, SLAB_BYTES, 3 * SLAB_BYTES + 5, 1, 200_000, 100_000];
    const kept = lengths.map((length, id) => {
      const data = pattern(id, length);
      const pieces = stack.keep(data);
      data.fill(0);
      return pieces;
    });
    for (const [id, length] of lengths.entries()) {
      expect(joined(kept[id] ?? []).equals(pattern(id, length))).toBe(true);
    }
    const bytes = lengths.reduce((sum, length) => sum + length, 0);
    expect(stack.usedBytes).toBeGreaterThanOrEqual(bytes);
    expect(stack.usedBytes).toBeLessThan(bytes + lengths.length * 64 * 1024);
  });

  test('that is short comes in one piece', () => {
    const stack = new SlabStack(new SlabPool(0));
    for (let id = 0; id < 100; id += 1) {
      expect(stack.keep(pattern(id, 60_000))).toHaveLength(1);
    }
  });

  test('[R9] is used again, and what is more than the pool keeps is not held', () => {
    const pool = new SlabPool(2 * SLAB_BYTES);
    const first = new SlabStack(pool);
    const kept = first.keep(pattern(1, 4 * SLAB_BYTES));
    const memories = new Set(kept.map(({ buffer }) => buffer));
    first.release();
    expect(first.usedBytes).toBe(0);
    const second = new SlabStack(pool);
    const again = second.keep(pattern(2, 4 * SLAB_BYTES)).map(({ buffer }) => buffer);
    expect(again.filter((buffer) => memories.has(buffer))).toHaveLength(2);
  });

  test('[R1] of one layer is not in the memory of another before that is let go', () => {
    const pool = new SlabPool(8 * SLAB_BYTES);
    const [one, other] = [new SlabStack(pool), new SlabStack(pool)];
    const kept = one.keep(pattern(1, SLAB_BYTES + 1));
    other.keep(pattern(2, 2 * SLAB_BYTES));
    other.release();
    new SlabStack(pool).keep(pattern(3, 4 * SLAB_BYTES));
    expect(joined(kept).equals(pattern(1, SLAB_BYTES + 1))).toBe(true);
  });
});
