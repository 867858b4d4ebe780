/** Several events in a row: what exposes something in this order only. Pure. */
import type { MigrationCopy, MigrationMode } from '../../../src/node/answers.ts';
import type { Dice, Role, SimEvent, WireFault } from './events.ts';

export const MODES = ['drain', 'handoff', 'bitmap'] as const;

const BLOWS = [
  'the source dies',
  'the source is cut off',
  'the target dies',
  'links of the target break',
] as const;
/** What goes wrong in the midst of a switch. */
export type Blow = (typeof BLOWS)[number];

/** Seldom would they come so by chance. */
export const SCENES: readonly ((dice: Dice) => readonly SimEvent[])[] = [
  /** The source does not reach the secondary, while its successor does and hosts write there. */
  ({ random, pick }) => [
    between('secondary', 'primary', 'hole', pick([400, 4000, 30_000, 30_000])),
    pause(random.below(300)),
    migration('drain', pick(['post', 'pre'])),
    pause(pick([1000, 5000, 12_000])),
  ],
  /** The same, and something goes wrong while everybody moves and blocks are fetched. */
  ({ random, pick }) => [
    between('secondary', 'primary', pick(['hole', 'hole', 'late', 'slow']), pick([4000, 30_000])),
    pause(random.below(300)),
    between('spare', 'primary', pick(['slow', 'late']), pick([500, 6000])),
    migration(pick(['drain', 'drain', 'handoff', 'bitmap']), pick(['post', 'post', 'pre'])),
    {
      kind: 'switch',
      step: pick(['switching', 'sealed', 'copying', 'copying']),
      blow: pick(['the source dies', ...BLOWS] as const),
      afterMs: random.below(pick([5, 40, 400])),
      ms: pick([500, 6000]),
    },
    pause(pick([500, 4000, 12_000])),
  ],
  /** The switch is tried twice, and what the secondary lacks is asked for again. */
  ({ random, pick }) => [
    between('secondary', 'primary', 'hole', 30_000),
    pause(500 + random.below(1000)),
    migration('bitmap', pick(['post', 'post', 'pre'])),
    {
      kind: 'switch',
      step: 'switching',
      blow: pick(['the target dies', 'links of the target break']),
      afterMs: random.below(pick([4, 30, 200])),
      ms: 500,
    },
    pause(8000),
  ],
  /** The disk of the secondary hangs, the journal runs full, and the primary is moved. */
  ({ random, pick }) => [
    { kind: 'disk', fault: 'hangs', role: 'secondary', ms: pick([20_000, 50_000]) },
    pause(pick([4000, 18_000])),
    { kind: 'operator', what: 'many marks' },
    pause(random.below(500)),
    migration(pick(MODES), 'post'),
    pause(random.below(3000)),
  ],
  /** A copy over a wire that is not sound, of everything or behind a split, and another one. */
  ({ random, pick }) => [
    { kind: 'operator', what: pick(['copy anew', 'copy anew', 'split']) },
    between('primary', 'secondary', pick(['weak', 'lies', 'slow']), pick([4000, 9000])),
    pause(random.below(pick([800, 6000]))),
    { kind: 'operator', what: pick(['split', 'resync']) },
    pause(random.below(600)),
    { kind: 'operator', what: 'resync' },
    pause(random.below(4000)),
  ],
  /** What is copied ahead over a weak wire, by a target that has to begin again. */
  ({ random, pick }) => [
    { kind: 'operator', what: pick(['split', 'status']) },
    between('spare', 'primary', pick(['slow', 'weak']), 8000),
    migration(pick(['bitmap', 'drain']), 'pre'),
    pause(random.below(2500)),
    { kind: 'crash', role: 'spare', survival: 'random', downMs: 200, moment: undefined },
    pause(random.below(1000)),
    { kind: 'mend', looks: 12 },
  ],
  /** What is copied ahead changes while a slow disk gives it, until hosts rest all at once. */
  ({ random, pick }) => [
    { kind: 'disk', fault: 'slow', role: 'primary', ms: 15_000 },
    migration(pick(MODES), 'pre'),
    pause(random.below(9000)),
    { kind: 'hosts', work: false },
    pause(12_000),
    { kind: 'hosts', work: true },
  ],
];

function pause(ms: number): SimEvent {
  return { kind: 'pass', ms };
}

function between(one: Role, other: Role, fault: WireFault, ms: number): SimEvent {
  return { kind: 'wire', fault, one, other, ms };
}

function migration(mode: MigrationMode, copy: MigrationCopy): SimEvent {
  return { kind: 'migrate', mode, copy, detach: false };
}
