/** Review: what the event loop does inside the pause of a switch, for large volumes. */
import { expect, test } from '@jest/globals';
import { GIB } from '../../src/base/limits.ts';
import { BlockMap } from '../../src/imageset/block-map.ts';

test('[R9] a full map of 16 GiB is added to another within 10 ms (8 TiB: 60 s of blocked loop in plain node, more under jest)', () => {
  const dirty = new BlockMap(16 * GIB);
  dirty.addRange(0, dirty.blocks);
  const owed = new BlockMap(16 * GIB);
  const start = performance.now();
  owed.addAll(dirty); // what OwedAccount does between seal and answer, twice
  const ms = performance.now() - start;
  expect(owed.count).toBe(dirty.blocks);
  expect(ms).toBeLessThan(10);
});
