/**
 * What is to happen in one run, all of it from the seed: the shape of the world, and a list of
 * events. Events are data, so that a failing list can be cut down and a shorter one repeated. Pure.
 */
import type { Random } from '../../../src/sys/random.ts';
import type { MigrationCopy, MigrationMode } from '../../../src/node/answers.ts';
import type { Survival } from '../disk.ts';
import { seededRandom } from '../random.ts';
import { DISK_FAULTS } from './disks.ts';
import type { DiskFault } from './disks.ts';
import { actOf } from './acts.ts';
import { MODES, SCENES } from './scenes.ts';
import type { Blow } from './scenes.ts';

/** What stays the same through a run. */
export interface Shape {
  readonly seed: number;
  /** Journals so small that hosts wait, and maps take over; or smaller still. */
  readonly journal: 'small' | 'tiny' | 'minute';
  readonly whenFull: 'slow' | 'map';
  readonly ack: 'local' | 'remote';
  /** Path controllers; without any, hosts are connected to the set itself. */
  readonly gates: number;
  /** Requests that a host has under way at most. */
  readonly depth: number;
  /** Hosts have written to every sector before anything happens. */
  readonly isFilled: boolean;
  /** Hosts are at work in one place of a volume for a while, and leave the rest alone. */
  readonly isLocal: boolean;
  /** How long a sync of a sound disk takes, in milliseconds. */
  readonly syncMs: number;
  /** What a sound link between two sites carries each way; undefined: as fast as it goes. */
  readonly linkBytesPerSecond: number | undefined;
  /** How long hosts wait for room in a journal, and for a set, before they are told. */
  readonly patienceMs: number;
  /** One host only does anything, one request at a time: nobody behind it sees to its end. */
  readonly isQuiet: boolean;
}

export const SITE_NAMES = ['primary', 'secondary', 'spare', 'other'] as const;
/** A machine, by what it is at that moment. */
export type Role = (typeof SITE_NAMES)[number];

/** A migration's target gets what it lacks, a secondary its copy; maps stand for the journal. */
export type Awaited = 'copying' | 'copied to' | 'kept in maps';

/** Where the power of a disk goes: in the operation behind one of these. */
export interface Moment {
  readonly of: 'any' | 'sync' | 'rename' | 'remove' | 'syncFolder';
  /** So many of them come before that one. */
  readonly after: number;
}

export const WIRE_FAULTS = [
  'cut',
  'slow',
  'late',
  'hole',
  'half',
  'other half',
  /** What is connected now swallows everything for a while; new connections are sound. */
  'stale',
  /** A bit of what passes is turned over, again and again. */
  'lies',
  /** Slow, and cut again and again. */
  'weak',
] as const;
export type WireFault = (typeof WIRE_FAULTS)[number];

export type SimEvent =
  | { readonly kind: 'pass'; readonly ms: number }
  | {
      readonly kind: 'crash';
      readonly role: Role;
      readonly survival: Survival;
      readonly downMs: number;
      /** Between two operations, where nothing is said. */
      readonly moment: Moment | undefined;
    }
  | {
      /** A sync fails, or a set has just come back, and then the power goes. */
      readonly kind: 'crash twice' | 'failed sync and crash';
      readonly role: Role;
      readonly survival: Survival;
      readonly ms: number;
      readonly moment: Moment | undefined;
    }
  /** The power of the primary goes again and again, each time as soon as hosts go on. */
  | {
      readonly kind: 'flaps';
      readonly times: number;
      readonly downMs: number;
      readonly behindMs: number;
    }
  | { readonly kind: 'stop'; readonly role: Role; readonly downMs: number }
  | { readonly kind: 'kill gate'; readonly gate: number; readonly downMs: number }
  | {
      readonly kind: 'wire';
      readonly fault: WireFault;
      readonly one: Role | 'gate';
      readonly other: Role;
      readonly ms: number;
    }
  | { readonly kind: 'disk'; readonly fault: DiskFault; readonly role: Role; readonly ms: number }
  | {
      /** Of a set that is closed; or of the journal of one that dies, on a copy of its disk. */
      readonly kind: 'flip' | 'what if it flips';
      readonly role: Role;
      readonly at: number;
      readonly bit: number;
    }
  | {
      readonly kind: 'migrate';
      readonly mode: MigrationMode;
      readonly copy: MigrationCopy;
      readonly detach: boolean;
    }
  /** Something goes wrong so soon behind a step of a migration that is under way. */
  | {
      readonly kind: 'switch';
      readonly step: 'switching' | 'sealed' | 'copying';
      readonly blow: Blow;
      readonly afterMs: number;
      readonly ms: number;
    }
  | { readonly kind: 'abort'; readonly role: Role }
  | {
      readonly kind: 'operator';
      readonly what:
        | 'split'
        | 'resync'
        | 'copy anew'
        | 'replicate'
        | 'mark'
        | 'many marks'
        | 'pair anew'
        | 'verify'
        | 'compare'
        | 'status';
    }
  /** Until a set is in this state, but not for long. */
  | { readonly kind: 'await'; readonly what: Awaited }
  /** The operator follows the runbook, for so many looks at most. */
  | { readonly kind: 'mend'; readonly looks: number }
  | { readonly kind: 'takeover' }
  | {
      readonly kind: 'burn';
      /** The spare: what the primary has just moved to. */
      readonly role: Role;
      /** A migration that is under way comes to its switch before, and this long behind it. */
      readonly behindMs: number;
    }
  | { readonly kind: 'copied'; readonly role: Role }
  | { readonly kind: 'rolled back' }
  | { readonly kind: 'clock'; readonly ms: number }
  | { readonly kind: 'hosts'; readonly work: boolean }
  /** The primary's disk goes back in time, and another history follows: the end of this one. */
  | { readonly kind: 'set back' };

export interface Plan {
  readonly shape: Shape;
  readonly events: readonly SimEvent[];
}

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
/** Mostly short, so that events meet; now and then long enough for every patience to end. */
const PAUSES_MS = [8, 40, 40, 250, 250, 2000, 2000, 15_000, 70_000];
/** Every other time everything happens at once. */
const DENSE_PAUSES_MS = [3, 8, 40, 40, 250];
const EVENTS_MIN = 12;
const EVENTS_MORE = 28;

/** Numbers of one seed, as plans need them. */
export interface Dice {
  readonly random: Random;
  readonly pick: <T>(items: readonly T[]) => T;
}

/** What may happen, and how often each of them does where nothing else is said. */
interface Chance {
  readonly weight: number;
  /** Something goes wrong. */
  readonly isFault?: true;
  readonly event: (dice: Dice) => SimEvent;
}

const CHANCES: readonly Chance[] = [
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
const TEMPERS = [0, 1, 1, 1, 3, 6];

/** Every so many events comes a scene; so many runs end with another history. */
const SCENE_ONE_OF = 6;
const SET_BACK_ONE_OF = 16;

export function planOf(seed: number): Plan {
  const random = seededRandom(seed * 2_654_435 + 17);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const dice = { random, pick };
  const shape: Shape = {
    seed,
    journal: pick(['small', 'small', 'tiny', 'minute'] as const),
    whenFull: pick(['slow', 'map', 'map']),
    ack: random.below(4) === 0 ? 'remote' : 'local',
    gates: pick([0, 1, 2, 2, 2]),
    depth: 1 + random.below(4),
    isFilled: random.below(4) > 0,
    isLocal: random.below(2) === 0,
    syncMs: pick([0, 1, 3, 9, 30, 90]),
    linkBytesPerSecond: pick([undefined, 100_000, 40_000, 15_000]),
    patienceMs: pick([3000, 12_000, 60_000]),
    isQuiet: random.below(6) === 0,
  };
  const chances = CHANCES.map((each) => ({ ...each, weight: each.weight * pick(TEMPERS) }));
  const events: SimEvent[] = [];
  const count = EVENTS_MIN + random.below(EVENTS_MORE);
  if (seed % 4 > 1) {
    const faults = chances.filter(({ isFault }) => isFault);
    while (events.length < count) {
      events.push(...actOf(dice, () => drawn(faults, dice).event(dice)));
    }
    return { shape, events: [...events, ...endOf(dice)] };
  }
  const pauses = seed % 2 === 0 ? DENSE_PAUSES_MS : PAUSES_MS;
  while (events.length < count) {
    const event = drawn(chances, dice).event(dice);
    events.push({ kind: 'pass', ms: random.below(pick(pauses)) });
    if (random.below(SCENE_ONE_OF) === 0) events.push(...pick(SCENES)(dice));
    // Small as the volumes are, copies of them would be over before anything could meet them.
    if (event.kind === 'migrate' && random.below(2) === 0) events.push(slowCopy(dice));
    events.push(event);
  }
  return { shape, events: [...events, ...endOf(dice)] };
}

/** Some runs end with another history. */
function endOf({ random }: Dice): readonly SimEvent[] {
  return random.below(SET_BACK_ONE_OF) === 0 ? [{ kind: 'set back' }] : [];
}

function drawn(chances: readonly Chance[], { random }: Dice): Chance {
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

function slowCopy({ random, pick }: Dice): SimEvent {
  const one = pick(['spare', 'spare', 'secondary'] as const);
  return { kind: 'wire', fault: 'slow', one, other: 'primary', ms: random.below(6000) };
}
