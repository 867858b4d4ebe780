/** A pair against a list of writes: hosts, links that break, machines that lose their power. */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KIB } from '../../src/base/limits.ts';
import type { Survival } from '../sim/disk.ts';
import { TWO_VOLUMES } from '../support/image-sets.ts';
import { PairLife } from '../support/pair-life.ts';
import type { HostWrite, PairStep, Site, Strike } from '../support/pair-life.ts';
import { cases, exactly, plans } from '../support/properties.ts';

const writes: fc.Arbitrary<HostWrite> = fc
  .record({
    volume: fc.nat(1),
    offset: fc.nat(40 * KIB),
    length: fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 12 * KIB })),
    zero: fc.nat(5).map((one) => one === 5),
  })
  .map(({ volume, offset, length, zero }) => {
    const size = TWO_VOLUMES[volume]?.sizeBytes ?? 0;
    const start = offset % size;
    return { volume, offset: start, length: Math.min(length, size - start), zero };
  });

const crash = {
  site: fc.constantFrom<Site>('A', 'C'),
  survival: fc.constantFrom<Survival>('lose', 'keep', 'random'),
};

const strikes: fc.Arbitrary<Strike> = fc.oneof(
  fc.record({ is: exactly('nothing') }),
  fc.record({
    is: exactly('cut'),
    at: fc.constantFrom<Site>('A', 'C'),
    bytes: fc.oneof(fc.nat(2000), fc.nat(70_000)),
  }),
  fc.record({ is: exactly('crash'), afterMs: fc.nat(40), ...crash }),
);

const steps: fc.Arbitrary<PairStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: exactly('write'),
      writes: fc.array(writes, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: exactly('flush') }) },
  { weight: 1, arbitrary: fc.record({ do: exactly('pass'), ms: fc.nat(300) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: exactly('replicate'),
      strike: strikes,
      meanwhile: fc.array(writes, { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: exactly('restart'), site: crash.site }) },
  { weight: 2, arbitrary: fc.record({ do: exactly('crash'), ...crash }) },
);

describe('a pair', () => {
  test('[R1] [R2] [R3] [R6] C is as A was at one number; in the end it is as A is', async () => {
    await fc.assert(
      fc.asyncProperty(plans(steps, 20), async (list) => {
        const life = await PairLife.begin();
        for (const step of list) await life.step(step);
        await life.end();
      }),
      cases(60),
    );
  });
});
