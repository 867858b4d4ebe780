/**
 * The stories under faults: a share of the whole sweep (`npm run sweep`), another one for each way
 * of surviving and each way of cutting.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { PLOT_NAMES } from './story.ts';
import type { Plot } from './story.ts';
import { countPoints, crashes, cuts, sweep } from './sweep.ts';
import type { Fault } from './world.ts';

const SEED = 1;
/** Every so many file operations, and messages. */
const CRASHES_APART = 1000;
const CUTS_APART = 200;

let told = 0;

describe.each(PLOT_NAMES)(`%s, seed ${SEED}`, (plot) => {
  test('[R1] [R2] [R3] [R4] [R6] struck at file operations and messages', async () => {
    // Without a fault there is one full copy and no more, or this throws.
    const points = await countPoints(SEED, plot);
    expect(points.operations).toBeGreaterThan(400);
    expect(points.messages).toBeGreaterThan(30);
    const faults: Fault[] = [
      ...crashes(points, 'lose', CRASHES_APART, startOf(plot)),
      ...crashes(points, 'keep', CRASHES_APART, startOf(plot) + 60),
      ...crashes(points, 'random', CRASHES_APART, startOf(plot) + 120),
      ...cuts(points, true, CUTS_APART, startOf(plot) % CUTS_APART),
      ...cuts(points, false, CUTS_APART, (startOf(plot) + 18) % CUTS_APART),
    ];
    told += faults.length;
    expect(await sweep(faults, SEED, plot)).toEqual([]);
  });
});

// Maps that were stamped behind the cursors left a set that did not open.
test('[R7] an epoch that comes back is struck at every operation of its way', async () => {
  const points = await countPoints(SEED, 'abort bitmap');
  const from = Math.floor(points.operations * 0.63);
  const faults = crashes({ ...points, operations: from + 50 }, 'lose', 1, from);
  expect(faults).toHaveLength(50);
  expect(await sweep(faults, SEED, 'abort bitmap')).toEqual([]);
});

/** Each story is struck at other places than the one before, whose beginning is the same. */
function startOf(plot: Plot): number {
  return PLOT_NAMES.indexOf(plot) * 13;
}

afterAll(() => {
  process.stdout.write(`points at which the stories were struck, seed ${SEED}: ${told}\n`);
});
