/**
 * The journal of one run against a list of records: random requests, syncs, trims and readers, with
 * starts, power losses and failing syncs in their midst.
 */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { KIB } from '../../src/base/limits.ts';
import type { Survival } from '../sim/disk.ts';
import { JournalLife } from '../support/journal-life.ts';
import type { JournalStep } from '../support/journal-life.ts';
import type { ModelRecord } from '../support/journal-model.ts';
import { cases, exactly, plans } from '../support/properties.ts';

/** Of payloads; those that just fit a record's padding, and the longest, are chosen more often. */
const lengths = fc.oneof(
  fc.integer({ min: 1, max: KIB }),
  fc.constantFrom(1, 32, 33, KIB - 1, KIB),
);

const steps: fc.Arbitrary<JournalStep> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      do: exactly('request'),
      kind: fc.constantFrom<ModelRecord['kind']>('write', 'write', 'zeroes', 'mark'),
      lengths: fc.array(lengths, { minLength: 1, maxLength: 4, size: 'max' }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: exactly('write') }) },
  { weight: 4, arbitrary: fc.record({ do: exactly('sync'), wait: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: exactly('pass'), ms: fc.nat(60) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: exactly('apply'), before: fc.nat(6), below: fc.nat(6) }),
  },
  { weight: 2, arbitrary: fc.record({ do: exactly('reader'), before: fc.nat(30) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: exactly('read'),
      reader: fc.nat(2),
      count: fc.nat(20),
      durable: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: exactly('reopen') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: exactly('fail'),
      label: fc.constantFrom('JOURNAL:SYNC', 'JOURNAL:SYNC-FOLDER'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: exactly('crash'),
      after: fc.nat(15),
      again: fc.nat(20),
      survival: fc.constantFrom<Survival>('lose', 'keep', 'random'),
      seed: fc.nat(1000),
    }),
  },
);

describe('a journal', () => {
  test('[R2] [R7] [R8] [R9] is a list of records, whatever becomes of its disk', async () => {
    await fc.assert(
      fc.asyncProperty(plans(steps, 120), async (list) => {
        const life = await JournalLife.begin();
        for (const step of list) await life.step(step);
        await life.end();
      }),
      cases(120),
    );
  });
});
