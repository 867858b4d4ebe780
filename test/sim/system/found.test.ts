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

interface Found extends Plan {
  /** The rule that was broken, and what holds since then. */
  readonly what: string;
}

const FOUND: readonly Found[] = [
  {
    what: '[R8] a migration whose source still begins the first copy is no split brain',
    shape: SHAPE,
    events: [{ kind: 'migrate', mode: 'bitmap', copy: 'post', detach: false }],
  },
  {
    // The secondary had not come to the epoch in which a controller was answered.
    what: '[R2] a takeover by force loses what a later epoch had answered: hosts are told',
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
  },
  {
    // What the target carried could not come whole, and nothing of it was let go.
    what: '[R6] a handoff to a full journal goes on where the secondary is ahead of it',
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
  },
  {
    what: '[R6] a target whose source was away goes on where the secondary says nothing new',
    shape: {
      ...SHAPE,
      seed: 702,
      journal: 'minute',
      whenFull: 'slow',
      depth: 2,
      isLocal: false,
      syncMs: 30,
      linkBytesPerSecond: 100000,
      patienceMs: 3000,
    },
    events: [
      { kind: 'await', what: 'kept in maps' },
      { kind: 'pass', ms: 15 },
      { kind: 'mend', looks: 30 },
      { kind: 'wire', fault: 'stale', one: 'gate', other: 'primary', ms: 17552 },
      { kind: 'pass', ms: 18052 },
      { kind: 'pass', ms: 1098 },
      { kind: 'stop', role: 'primary', downMs: 1 },
      { kind: 'mend', looks: 31 },
      { kind: 'takeover' },
      { kind: 'await', what: 'copying' },
      { kind: 'pass', ms: 1471 },
      { kind: 'pass', ms: 1 },
      {
        kind: 'crash',
        role: 'spare',
        survival: 'lose',
        downMs: 42,
        moment: { of: 'any', after: 3 },
      },
      { kind: 'mend', looks: 30 },
      { kind: 'migrate', mode: 'handoff', copy: 'post', detach: true },
      { kind: 'wire', fault: 'weak', one: 'primary', other: 'spare', ms: 9788 },
      { kind: 'pass', ms: 59 },
      {
        kind: 'crash',
        role: 'secondary',
        survival: 'keep',
        downMs: 23482,
        moment: { of: 'sync', after: 1 },
      },
      { kind: 'mend', looks: 16 },
    ],
  },
  {
    what: '[R4] an abort that comes when the migration was just done leaves somebody the primary',
    shape: {
      ...SHAPE,
      seed: 1338,
      journal: 'small',
      whenFull: 'slow',
      gates: 0,
      isLocal: false,
      isQuiet: true,
      syncMs: 9,
      linkBytesPerSecond: undefined,
      patienceMs: 60000,
    },
    events: [
      { kind: 'mend', looks: 26 },
      { kind: 'migrate', mode: 'drain', copy: 'post', detach: true },
      { kind: 'pass', ms: 204 },
      { kind: 'abort', role: 'spare' },
    ],
  },
  {
    what: '[R4] a journal that becomes full while a link begins is no split brain',
    shape: {
      ...SHAPE,
      seed: 1566,
      journal: 'minute',
      gates: 1,
      depth: 1,
      isLocal: false,
      syncMs: 9,
      linkBytesPerSecond: 15000,
      patienceMs: 3000,
    },
    events: [
      { kind: 'await', what: 'copying' },
      { kind: 'stop', role: 'secondary', downMs: 83 },
      { kind: 'mend', looks: 26 },
      { kind: 'migrate', mode: 'bitmap', copy: 'post', detach: false },
      { kind: 'wire', fault: 'half', one: 'secondary', other: 'spare', ms: 356 },
      { kind: 'wire', fault: 'weak', one: 'spare', other: 'secondary', ms: 56037 },
      { kind: 'mend', looks: 19 },
      { kind: 'crash', role: 'primary', survival: 'lose', downMs: 343, moment: undefined },
      { kind: 'mend', looks: 29 },
    ],
  },
  {
    what: '[R6] a handoff to a full journal ends where the secondary has all of it already',
    shape: {
      ...SHAPE,
      seed: 1994,
      journal: 'minute',
      whenFull: 'slow',
      depth: 3,
      isFilled: false,
      isLocal: false,
      syncMs: 9,
      linkBytesPerSecond: 15000,
    },
    events: [
      { kind: 'mend', looks: 24 },
      { kind: 'migrate', mode: 'handoff', copy: 'pre', detach: true },
      { kind: 'mend', looks: 28 },
      { kind: 'flaps', times: 2, downMs: 3, behindMs: 16 },
      {
        kind: 'crash',
        role: 'primary',
        survival: 'lose',
        downMs: 0,
        moment: { of: 'any', after: 14 },
      },
    ],
  },
];

test.each(FOUND)('$what, seed $shape.seed', async (plan) => {
  expect((await liveThrough(plan)).failure).toBeUndefined();
});
