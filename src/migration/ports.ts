/** What the runner of a migration needs of the parties: A, B, C and the path controllers. */
import type { HandoverEntry, PeerIdentity } from '../format/set-file.ts';
import type { PairId } from '../base/ids.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import type { Migration } from './machine.ts';

/** What a set says of itself before a migration. */
export interface PartyFacts {
  readonly identity: PeerIdentity;
  readonly groupId: string;
  readonly role: 'primary' | 'secondary' | 'target' | 'retired';
  readonly state: string;
  readonly sealedFor: PeerIdentity | null;
  /** The migration that it takes part in and that has not ended. */
  readonly migrationId: string | null;
  readonly volumes: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Whether it was ever written, or given a part in a pair. */
  readonly blank: boolean;
  readonly pair: {
    readonly id: PairId;
    readonly ack: 'local' | 'remote';
    readonly state: string;
    readonly peer: PeerIdentity;
  } | null;
  /** The epoch that it writes; null when it has not begun one. */
  readonly epochId: string | null;
  /** The epochs that it knows of. */
  readonly knownEpochIds: readonly string[];
  /** By its own knowledge, the secondary lacks nothing of the epochs before the present one. */
  readonly followsEpoch: boolean;
  /** Numbers that the secondary lacks. */
  readonly lagEntries: number;
  readonly usable: boolean;
  /** Path controllers that the set knows of. */
  readonly controllers?: readonly ControllerFacts[];
  /** Hosts that no path controller leads here: they cannot be moved. */
  readonly directHosts?: readonly { readonly address: string; readonly export: string }[];
}

export interface ControllerFacts {
  readonly id: string;
  readonly name: string;
  /** It speaks with the set now. */
  readonly attached: boolean;
}

/** A. Every call can be repeated under the same id with the same answer. */
export interface SourcePort {
  facts(): Promise<PartyFacts>;
  announce(migration: Migration): Promise<void>;
  /** Answers what it has in hand, seals, and gives the management information. */
  seal(migration: Migration): Promise<HandoverEntry>;
  /** Sends to C what it owes; resolves when C has all of it durable, the seal included. */
  drain(migration: Migration): Promise<void>;
  retire(migration: Migration): Promise<void>;
  /** Becomes the primary again, in an epoch behind the one that B sealed for it. */
  takeBack(migration: Migration, returned: Returned): Promise<void>;
  /** Never seals under this id. Rejects with `E_SEALED` when it did already. */
  bury(migration: Migration): Promise<void>;
}

/** An epoch without a record of its own, on its way back to the set before. */
export interface Returned {
  /** The record that opened it, and the one that sealed it, in hexadecimal. */
  readonly open: string;
  readonly seal: string;
  /** Bases of copies in which the secondary may be. */
  readonly bases: readonly ProvenPosition[];
  /** The secondary may have closed the epoch before where it stood. */
  readonly hasClosed: boolean;
  /** Up to where the secondary had everything, as B knows. */
  readonly durable: Position;
}

/** B, which runs the machine. */
export interface TargetPort {
  facts(): PartyFacts;
  save(migration: Migration): Promise<void>;
  /** Copies blocks while A serves its hosts. */
  precopy(migration: Migration): Promise<void>;
  /** Gets the maps that A has by now. */
  prefetch(migration: Migration): Promise<void>;
  accept(migration: Migration): Promise<void>;
  /**
   * Fetches and sends until B holds every block and C has N - 1 restored and the seal. `drain` asks
   * the source for its part; when that fails, and C still lacks something, this rejects too.
   */
  copy(migration: Migration, drain: () => Promise<void>): Promise<void>;
  /** Seals this set's epoch for A. Rejects with `E_STATE` when it holds a record. */
  giveBack(migration: Migration): Promise<Returned>;
}

/** C, before the start only. */
export interface SecondaryPort {
  facts(): Promise<PartyFacts>;
}

/** The path controllers in front of A, all of them; none where hosts are moved by hand. */
export interface ControllerPort {
  /** All have noted durably where hosts may move, and let them wait: nothing is under way. */
  hold(migration: Migration): Promise<void>;
  /** All are at B, and what A had answered and lost is written again: hosts go on there. */
  switched(migration: Migration): Promise<void>;
  /** Hosts go on where they were. */
  release(migration: Migration): Promise<void>;
}
