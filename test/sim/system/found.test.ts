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

test('[R2] a takeover by force loses what a later epoch had answered: hosts are told', async () => {
  // Seed 383: the secondary had not come to the epoch in which a controller was answered.
  const plan: Plan = {
    shape: {
      ...SHAPE,
      seed: 383,
      journal: 'minute',
      ack: 'remote',
      depth: 1,
      linkBytesPerSecond: undefined,
    },
    events: [
      { kind: 'migrate', mode: 'bitmap', copy: 'pre', detach: true },
      { kind: 'pass', ms: 851 },
      { kind: 'burn', role: 'primary', behindMs: 10 },
      { kind: 'mend', looks: 18 },
      {
        kind: 'crash',
        role: 'primary',
        survival: 'keep',
        downMs: 54,
        moment: { of: 'syncFolder', after: 3 },
      },
    ],
  };
  expect((await liveThrough(plan)).failure).toBeUndefined();
});

test('[R6] a handoff to a full journal goes on where the secondary is ahead of it', async () => {
  // Seed 836: what the target carried could not come whole, and nothing of it was let go.
  const plan: Plan = {
    shape: {
      ...SHAPE,
      seed: 836,
      whenFull: 'slow',
      depth: 3,
      isFilled: false,
      isLocal: false,
      syncMs: 9,
      linkBytesPerSecond: undefined,
    },
    events: [
      { kind: 'disk', fault: 'hangs', role: 'secondary', ms: 50_000 },
      { kind: 'pass', ms: 18_000 },
      { kind: 'migrate', mode: 'handoff', copy: 'post', detach: false },
      { kind: 'mend', looks: 32 },
    ],
  };
  expect((await liveThrough(plan)).failure).toBeUndefined();
});
