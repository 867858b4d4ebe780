/**
 * How many cases property tests run, and which. In `npm test` the same few each time. Campaigns
 * (`npm run properties`) ask for more of them, and for others:
 *
 *     PROPERTY_TIMES=50     so many times as many cases
 *     PROPERTY_SEED=7       other cases
 *     PROPERTY_PATH=12:0:3  with the seed: only the counter-example that a failure has printed
 */
import * as fc from 'fast-check';

/** Where shrinking ends, so that a failure is told before jest gives up on the test. */
const SHRINKING_MS_MAX = 45_000;

export interface Cases {
  readonly numRuns: number;
  readonly seed: number;
  readonly path?: string;
  readonly interruptAfterTimeLimit?: number;
}

/** Parameters for `fc.assert`: half of `count` cases in `npm test`. */
export function cases(count: number): Cases {
  const times = Number(process.env['PROPERTY_TIMES'] ?? 0.5);
  const path = process.env['PROPERTY_PATH'];
  return {
    numRuns: Math.ceil(count * times),
    seed: Number(process.env['PROPERTY_SEED'] ?? 1),
    ...(path !== undefined && { path }),
    ...(times <= 1 && { interruptAfterTimeLimit: SHRINKING_MS_MAX }),
  };
}

/** Lists of steps of any length up to this one: left alone, fast-check prefers short ones. */
export function plans<Step>(step: fc.Arbitrary<Step>, lengthMax: number): fc.Arbitrary<Step[]> {
  return fc.array(step, { maxLength: lengthMax, size: 'max' });
}

/** The name of a step, as its own type. */
export const exactly = <const Name extends string>(name: Name) => fc.constant(name);
