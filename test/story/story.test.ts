/**
 * The stories under faults: a share of the whole sweep (`npm run sweep`), another one for each way
 * of surviving and each way of cutting.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { PLOT_NAMES } from './story.ts';
import { countPoints, crashes, cuts, sweep } from './sweep.ts';
import type { Fault } from './world.ts';

const SEED = 1;

let told = 0;

describe.each(PLOT_NAMES)(`%s, seed ${SEED}`, (plot) => {
  test('[R1] [R2] [R3] [R4] [R6] struck at file operations and messages', async () => {
    // Without a fault there is one full copy and no more, or this throws.
    const points = await countPoints(SEED, plot);
    expect(points.operations).toBeGreaterThan(400);
    expect(points.messages).toBeGreaterThan(30);
    const { operations, messages } = points;
    const nth = PLOT_NAMES.indexOf(plot);
    /** Stories are struck at other places each, so that together they are struck all over. */
    const oneOf = (count: number, turn: number): number => {
      const part = (nth * 5 + turn) % PLOT_NAMES.length;
      return Math.floor((count * (part + 0.5)) / PLOT_NAMES.length);
    };
    const faults: Fault[] = [
      ...crashes(points, 'lose', operations, oneOf(operations, 0)),
      ...crashes(points, 'keep', operations, oneOf(operations, 4)),
      ...crashes(points, 'random', operations, oneOf(operations, 8)),
      // What was sent arrives in one story, and is lost in the next.
      ...cuts(points, nth % 2 === 0, messages, oneOf(messages, 2)),
    ];
    expect(faults).toHaveLength(4);
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

afterAll(() => {
  process.stdout.write(`points at which the stories were struck, seed ${SEED}: ${told}\n`);
});
