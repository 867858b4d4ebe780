/** A set of two volumes against plain buffers: hosts, starts, power losses, failing operations. */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KIB } from '../../src/base/limits.ts';
import type { Survival } from '../sim/disk.ts';
import { cases, exactly, plans } from '../support/properties.ts';
import { SetLife } from '../support/set-life.ts';
import type { SetStep } from '../support/set-life.ts';

const ranges = {
  volume: fc.nat(1),
  offset: fc.oneof(
    fc.nat(41 * KIB),
    fc.nat(10).map((block) => block * 4 * KIB),
  ),
  length: fc.oneof(
    fc.integer({ min: 1, max: 600 }),
    fc.integer({ min: 1, max: 12 * KIB }),
    fc.constantFrom(4 * KIB, 8 * KIB, 12 * KIB),
  ),
};
const manners = { fua: fc.nat(5).map((one) => one === 5), wait: fc.boolean() };

const steps: fc.Arbitrary<SetStep> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: exactly('write'), ...ranges, ...manners }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('zeroes' as const, 'trim' as const),
      ...ranges,
      ...manners,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: exactly('read'), ...ranges }) },
  { weight: 3, arbitrary: fc.record({ do: exactly('flush'), wait: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: exactly('pass'), ms: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: exactly('mark') }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('drain' as const, 'reopen' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: exactly('fail'),
      label: fc.constantFrom(
        'JOURNAL:APPEND',
        'JOURNAL:SYNC',
        'JOURNAL:SYNC-FOLDER',
        'IMAGE:WRITE',
        'IMAGE:SYNC',
        'CURSORS:SYNC',
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: exactly('crash'),
      after: fc.nat(25),
      again: fc.nat(25),
      survival: fc.constantFrom<Survival>('lose', 'keep', 'random'),
      seed: fc.nat(1000),
    }),
  },
);

describe('a set of two volumes', () => {
  test('[R1] [R2] [R7] holds what hosts wrote, whatever becomes of it', async () => {
    await fc.assert(
      fc.asyncProperty(plans(steps, 60), async (list) => {
        const life = await SetLife.begin();
        for (const step of list) await life.step(step);
        await life.end();
      }),
      cases(80),
    );
  });
});
