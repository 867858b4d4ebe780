/** Plans in which the simulator once found a rule broken, as short as they could be made. */
import { expect, test } from '@jest/globals';
import type { Plan, Shape } from './events.ts';
import { liveThrough } from './run.ts';

const SHAPE: Shape = {
  seed: 112,
  journal: 'tiny',
  whenFull: 'map',
  ack: 'local',
  gates: 2,
  depth: 4,
  isFilled: true,
  isLocal: true,
  isQuiet: false,
  syncMs: 90,
  linkBytesPerSecond: 40_000,
  patienceMs: 12_000,
};

test('[R8] a migration whose source still begins the first copy is no split brain', async () => {
  const plan: Plan = {
    shape: SHAPE,
    events: [{ kind: 'migrate', mode: 'bitmap', copy: 'post', detach: false }],
  };
  expect((await liveThrough(plan)).failure).toBeUndefined();
});
