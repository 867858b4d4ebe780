/**
 * A share of `npm run sim`: whole systems broken by seed, and that a seed repeats exactly what it
 * did. What the parts of the simulator must see themselves is in the tests beside.
 */
import { describe, expect, test } from '@jest/globals';
import { planOf } from './plan.ts';
import { liveThrough } from './run.ts';

const SEEDS = Array.from({ length: Number(process.env['SIM_SEEDS'] ?? 34) }, (_, at) => at + 1);

describe('a whole system, broken in every way', () => {
  test.each(SEEDS)('[R1] to [R10] seed %d', async (seed) => {
    const { failure, trace } = await liveThrough(planOf(seed));
    expect(failure === undefined ? [] : [failure, ...trace]).toEqual([]);
  });

  test('a seed does the same again', async () => {
    const [one, other] = [await liveThrough(planOf(3)), await liveThrough(planOf(3))];
    expect(other.trace).toEqual(one.trace);
    expect(other.answered).toBe(one.answered);
    expect(one.trace.length).toBeGreaterThan(10);
  });
});
