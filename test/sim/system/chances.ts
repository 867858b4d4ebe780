/** How often each event comes, and what it is like. Pure. */
import { DISK_FAULTS } from './disks.ts';
import { SITE_NAMES, WIRE_FAULTS } from './events.ts';
import type { Dice, Moment, Role, SimEvent } from './events.ts';
import { MODES } from './scenes.ts';

const SURVIVALS = ['lose', 'random', 'keep'] as const;
const OPERATIONS = [
  'split',
  'resync',
  'resync',
  'copy anew',
  'replicate',
  'mark',
  'mark',
  'verify',
  'compare',
  'status',
] as const;
/** What may happen, and how often each of them does where nothing else is said. */
export interface Chance {
  readonly weight: number;
  /** Something goes wrong. */
  readonly isFault?: boolean;
  readonly event: (dice: Dice) => SimEvent;
}

export const CHANCES: readonly Chance[] = [
  { weight: 16, isFault: true, event: crash },
  { weight: 4, isFault: true, event: twice },
  { weight: 5, isFault: true, event: flaps },
  {
    weight: 5,
    isFault: true,
    event: (dice) => ({ kind: 'stop', role: roleOf(dice), downMs: downMsOf(dice) }),
  },
  {
    weight: 6,
    isFault: true,
    event: (dice) => ({
      kind: 'kill gate',
      gate: dice.random.below(2),
      downMs: downMsOf(dice),
    }),
  },
  { weight: 16, isFault: true, event: wire },
  {
    weight: 8,
    isFault: true,
    event: (dice) => ({
      kind: 'disk',
      fault: dice.pick(DISK_FAULTS),
      role: roleOf(dice),
      ms: spanMsOf(dice),
    }),
  },
  {
    weight: 8,
    event: ({ random, pick }) => ({
      kind: pick(['flip', 'what if it flips', 'what if it flips', 'what if it flips'] as const),
      role: pick(SITE_NAMES.slice(0, 3)),
      at: random.below(2 ** 30),
      bit: random.below(8),
    }),
  },
  {
    weight: 17,
    event: ({ random, pick }) => ({
      kind: 'migrate',
      mode: pick(MODES),
      copy: pick(['post', 'pre'] as const),
      detach: random.below(2) === 0,
    }),
  },
  {
    weight: 4,
    event: ({ pick }) => ({ kind: 'abort', role: pick(['primary', 'spare'] as const) }),
  },
  { weight: 12, event: ({ pick }) => ({ kind: 'operator', what: pick(OPERATIONS) }) },
  { weight: 8, event: ({ random }) => ({ kind: 'mend', looks: 1 + random.below(40) }) },
  { weight: 3, event: () => ({ kind: 'takeover' }) },
  {
    weight: 3,
    isFault: true,
    event: ({ random, pick }) => ({
      kind: 'burn',
      role: pick(['secondary', 'primary', 'primary', 'spare'] as const),
      behindMs: random.below(pick([5, 60, 400])),
    }),
  },
  { weight: 1, event: (dice) => ({ kind: 'copied', role: roleOf(dice) }) },
  { weight: 1, event: () => ({ kind: 'rolled back' }) },
  {
    weight: 2,
    event: ({ random }) => ({ kind: 'clock', ms: random.below(7_200_000) - 3_600_000 }),
  },
  { weight: 2, event: ({ random }) => ({ kind: 'hosts', work: random.below(3) > 0 }) },
];
/**
 * By how much one run makes each of them likelier, or leaves it out: runs that differ in what
 * happens in them find more than runs in which a little of everything does (swarm testing: Groce
 * and others, ISSTA 2012).
 */
export const TEMPERS = [0, 1, 1, 1, 3, 6];

/** One of them, by their weights. */
export function drawn(chances: readonly Chance[], { random }: Dice): Chance {
  const total = chances.reduce((sum, { weight }) => sum + weight, 0);
  let left = random.below(Math.max(1, total));
  const found = chances.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
  return found ?? (CHANCES[0] as Chance);
}

function roleOf({ pick }: Dice): Role {
  return pick(SITE_NAMES.slice(0, 3));
}

/** For how long something is down. */
function downMsOf({ random, pick }: Dice): number {
  return random.below(pick([5, 200, 3000, 30_000]));
}

/** For how long something is wrong. */
function spanMsOf({ random, pick }: Dice): number {
  return random.below(pick([50, 1000, 12_000, 60_000]));
}

function crash(dice: Dice): SimEvent {
  const { random, pick } = dice;
  const moment = random.below(3) > 0 ? momentOf(dice) : undefined;
  const survival = pick(SURVIVALS);
  return { kind: 'crash', role: roleOf(dice), survival, downMs: downMsOf(dice), moment };
}

function twice(dice: Dice): SimEvent {
  const { random, pick } = dice;
  const kind = pick(['crash twice', 'failed sync and crash'] as const);
  const ms = random.below(pick([5, 60, 300, 3000]));
  const moment = random.below(2) === 0 ? momentOf(dice) : undefined;
  return { kind, role: roleOf(dice), survival: pick(SURVIVALS), ms, moment };
}

function flaps({ random, pick }: Dice): SimEvent {
  const downMs = random.below(pick([5, 3000, 9000]));
  const behindMs = random.below(pick([2, 40]));
  return { kind: 'flaps', times: 2 + random.below(3), downMs, behindMs };
}

function momentOf({ random, pick }: Dice): Moment {
  const of = pick(['any', 'any', 'sync', 'rename', 'remove', 'syncFolder'] as const);
  return { of, after: random.below(of === 'any' ? 30 : 4) };
}

function wire(dice: Dice): SimEvent {
  const { pick } = dice;
  const one = pick(['primary', 'secondary', 'gate', 'gate', 'spare'] as const);
  const other = pick(SITE_NAMES.slice(0, 3).filter((each) => each !== one));
  return { kind: 'wire', fault: pick(WIRE_FAULTS), one, other, ms: spanMsOf(dice) };
}
