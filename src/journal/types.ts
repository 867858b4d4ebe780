/** The words that the parts of the journal share. */
import type { EpochId, SetId } from '../base/ids.ts';
import type { JournalSizes } from '../base/limits.ts';
import type { ProvenPosition } from '../base/position.ts';
import type { Environment } from '../sys/environment.ts';

/** Who a run is. */
export interface RunIdentity {
  readonly epoch: number;
  readonly id: EpochId;
  /** The set that writes (or wrote) this epoch. */
  readonly writer: SetId;
  /** The epoch's first sequence number. */
  readonly first: number;
}

/** What the cursors know about an epoch. */
export interface KnownRun extends RunIdentity {
  /** The highest number known to be durable on this set. */
  readonly durable: number;
}

/** Where a journal lives and what is known about it from elsewhere. */
export interface JournalOptions {
  readonly folder: string;
  readonly environment: Environment;
  readonly sizes: JournalSizes;
  /** The set that the journal belongs to: durable numbers in its own records count here. */
  readonly ownSet: SetId;
  readonly known: readonly KnownRun[];
  /** Everything up to here is in the images; a scan begins with the segment that holds it. */
  readonly applied: ProvenPosition;
  /** Closed in order: the runs end exactly at their durable numbers. */
  readonly clean: boolean;
  /** Look only: nothing is cut, rewritten or removed. */
  readonly readOnly: boolean;
}

/** Who wants room (R9). */
export type RoomFor =
  | 'host' // leaves room for the seal, and the reserve of an earlier epoch that is incomplete
  | 'seal' // is always taken: hosts leave room for it
  | 'first-owed' // the lowest missing number of what others send: always has its reserve
  | 'later'; // later epochs at a secondary: never take that reserve
