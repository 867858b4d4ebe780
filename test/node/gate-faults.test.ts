/** A share of the faults under live migrations; `npm run live-faults` has them all. */
import { expect, test } from '@jest/globals';
import { WAYS } from '../support/sites.ts';
import { BLOWS, liveMigration } from './gate-faults.ts';

/** About so many steps of the clock go by until a migration is done. */
const STEPS = 1900;

const CASES = WAYS.flatMap((way, nth) =>
  BLOWS.map((blow, index) => ({
    mode: way.mode,
    copy: way.copy,
    blow,
    step: (nth * 331 + index * 547) % STEPS,
  })),
).filter((_, index) => (index + Math.floor(index / BLOWS.length)) % 4 === 0);

test.each(CASES)('[R2] [R4] [R6] $mode, $copy: $blow at step $step', async (fault) => {
  const { state } = await liveMigration({ seed: 3, ...fault });
  expect(['done', 'aborted', 'none']).toContain(state);
});

/** What such faults have found, by what was wrong. */
const FOUND = [
  {
    what: 'C had more of what B carries than B, and B waited for A for ever',
    fault: { seed: 3, mode: 'handoff', copy: 'post', blow: 'cut A', step: 950 },
  },
] as const;

test.each(FOUND)('[R6] once: $what', async ({ fault }) => {
  expect((await liveMigration(fault)).state).toBe('done');
});
