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

/** What stays the same through a run. */
export interface Shape {
  readonly seed: number;
  /** Journals so small that hosts wait, and maps take over. */
  readonly tiny: boolean;
  readonly whenFull: 'slow' | 'map';
  readonly ack: 'local' | 'remote';
  /** Path controllers; without any, hosts are connected to the set itself. */
  readonly gates: number;
  /** Requests that a host has under way at most. */
  readonly depth: number;
  /** How long a sync of a sound disk takes, in milliseconds. */
  readonly syncMs: number;
}

export const SITE_NAMES = ['primary', 'secondary', 'spare', 'other'] as const;
/** A machine, by what it is at that moment. */
export type Role = (typeof SITE_NAMES)[number];

export const WIRE_FAULTS = ['cut', 'slow', 'late', 'hole', 'half', 'other half'] as const;
export type WireFault = (typeof WIRE_FAULTS)[number];

export type SimEvent =
  | { readonly kind: 'pass'; readonly ms: number }
  | {
      readonly kind: 'crash';
      readonly role: Role;
      readonly survival: Survival;
      readonly downMs: number;
      /** In the midst of so many operations from now on; 0: between two of them. */
      readonly inside: number;
    }
  | {
      /** A sync fails, or a set has just come back, and then the power goes. */
      readonly kind: 'crash twice' | 'failed sync and crash';
      readonly role: Role;
      readonly survival: Survival;
      readonly ms: number;
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
  | { readonly kind: 'flip'; readonly role: Role; readonly at: number; readonly bit: number }
  | {
      readonly kind: 'migrate';
      readonly mode: MigrationMode;
      readonly copy: MigrationCopy;
      readonly detach: boolean;
    }
  | { readonly kind: 'abort'; readonly role: Role }
  | {
      readonly kind: 'operator';
      readonly what: 'split' | 'resync' | 'replicate' | 'mark' | 'verify' | 'compare' | 'status';
    }
  | { readonly kind: 'takeover' }
  | { readonly kind: 'burn'; readonly role: Role }
  | { readonly kind: 'copied'; readonly role: Role }
  | { readonly kind: 'rolled back' }
  | { readonly kind: 'clock'; readonly ms: number }
  | { readonly kind: 'hosts'; readonly work: boolean };

export interface Plan {
  readonly shape: Shape;
  readonly events: readonly SimEvent[];
}

const MODES = ['drain', 'handoff', 'bitmap'] as const;
const SURVIVALS = ['lose', 'random', 'keep'] as const;
const OPERATIONS = [
  'split',
  'resync',
  'resync',
  'replicate',
  'mark',
  'mark',
  'verify',
  'compare',
  'status',
] as const;
/** Mostly short, so that events meet; now and then long enough for every patience to end. */
const PAUSES_MS = [8, 40, 40, 250, 250, 2000, 2000, 15_000, 70_000];
const EVENTS_MIN = 12;
const EVENTS_MORE = 28;

export function planOf(seed: number): Plan {
  const random = seededRandom(seed * 2_654_435 + 17);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const shape: Shape = {
    seed,
    tiny: random.below(3) === 0,
    whenFull: pick(['slow', 'map', 'map']),
    ack: random.below(4) === 0 ? 'remote' : 'local',
    gates: pick([0, 1, 2, 2, 2]),
    depth: 1 + random.below(4),
    syncMs: pick([0, 1, 1, 3, 9]),
  };
  const events: SimEvent[] = [];
  const count = EVENTS_MIN + random.below(EVENTS_MORE);
  // Every other time everything happens at once.
  const pauses = seed % 2 === 0 ? [3, 8, 40, 40, 250] : PAUSES_MS;
  while (events.length < count) {
    const event = eventOf(random, pick);
    events.push({ kind: 'pass', ms: random.below(pick(pauses)) });
    // Small as the volumes are, copies of them would be over before anything could meet them.
    if (event.kind === 'migrate' && random.below(2) === 0) events.push(slowCopy(random, pick));
    events.push(event);
  }
  return { shape, events };
}

function slowCopy(random: Random, pick: <T>(items: readonly T[]) => T): SimEvent {
  const one = pick(['spare', 'spare', 'secondary'] as const);
  return { kind: 'wire', fault: 'slow', one, other: 'primary', ms: random.below(6000) };
}

function eventOf(random: Random, pick: <T>(items: readonly T[]) => T): SimEvent {
  const role = pick(SITE_NAMES.slice(0, 3));
  const downMs = random.below(pick([5, 200, 3000, 30_000]));
  const ms = random.below(pick([50, 1000, 12_000, 60_000]));
  const choice = random.below(100);
  if (choice < 16) {
    const inside = random.below(2) * (1 + random.below(30));
    return { kind: 'crash', role, survival: pick(SURVIVALS), downMs, inside };
  }
  if (choice < 20) {
    const kind = pick(['crash twice', 'failed sync and crash'] as const);
    return { kind, role, survival: pick(SURVIVALS), ms: random.below(pick([5, 60, 300])) };
  }
  if (choice < 25) return { kind: 'stop', role, downMs };
  if (choice < 31) return { kind: 'kill gate', gate: random.below(2), downMs };
  if (choice < 47) {
    const one = pick(['primary', 'secondary', 'gate', 'gate', 'spare'] as const);
    const others = SITE_NAMES.slice(0, 3).filter((each) => each !== one);
    return { kind: 'wire', fault: pick(WIRE_FAULTS), one, other: pick(others), ms };
  }
  if (choice < 55) return { kind: 'disk', fault: pick(DISK_FAULTS), role, ms };
  if (choice < 57) {
    return { kind: 'flip', role, at: random.below(2 ** 30), bit: random.below(8) };
  }
  if (choice < 74) {
    const copy = pick(['post', 'pre'] as const);
    return { kind: 'migrate', mode: pick(MODES), copy, detach: random.below(2) === 0 };
  }
  if (choice < 78) return { kind: 'abort', role: pick(['primary', 'spare'] as const) };
  if (choice < 90) return { kind: 'operator', what: pick(OPERATIONS) };
  if (choice < 92) return { kind: 'takeover' };
  if (choice < 94) return { kind: 'burn', role: pick(['secondary', 'primary'] as const) };
  if (choice < 95) return { kind: 'copied', role };
  if (choice < 96) return { kind: 'rolled back' };
  if (choice < 98) return { kind: 'clock', ms: random.below(7_200_000) - 3_600_000 };
  return { kind: 'hosts', work: random.below(3) > 0 };
}
