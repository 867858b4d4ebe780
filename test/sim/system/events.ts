/** What may happen in one run, as data: a failing list can be cut down, a shorter one repeated. */
import type { MigrationCopy, MigrationMode } from '../../../src/node/answers.ts';
import type { Random } from '../../../src/sys/random.ts';
import type { Survival } from '../disk.ts';
import type { DiskFault } from './disks.ts';
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

/** Numbers of one seed, as plans need them. */
export interface Dice {
  readonly random: Random;
  readonly pick: <T>(items: readonly T[]) => T;
}
