/**
 * What a path controller can be asked, here or at a daemon: the control interface and the commands
 * only translate. Its answers are the shapes of `--json`.
 */
import type { ControllerId } from '../base/ids.ts';
import type { DaemonStatus, HostStatus, LimitStatus, MigrateAnswer } from './answers.ts';
import type { MigrateRequest } from './requests.ts';

/** Each method rejects with an `RcopyError` that is the same near and far. */
export interface PathService {
  identity(): Promise<PathIdentity>;
  /**
   * Serves `volume` of `set` to hosts under the name `export`; the same once more changes nothing.
   * The set must be a primary, served by a daemon. `E_STATE` when the export exists and leads
   * elsewhere; with `replace` it is led there: hosts that are connected stay, and what the set
   * before had not made durable is lost (each host's next flush fails once).
   */
  add(request: PathAddRequest): Promise<PathChangeAnswer>;
  /** Ends an export: its hosts get an error. Nothing changes when there is none. */
  remove(request: { readonly export: string }): Promise<PathChangeAnswer>;
  list(): Promise<PathListAnswer>;
  status(): Promise<PathStatusAnswer>;
  /** Moves the whole set behind an export, as `rcopy migrate` does, from where it is now. */
  migrate(request: PathMigrateRequest): Promise<MigrateAnswer>;
}

export interface PathIdentity {
  readonly id: ControllerId;
  readonly name: string;
}

export interface PathAddRequest {
  readonly export: string;
  /** Address or folder of the set. */
  readonly set: string;
  /** May be left out when the set has one. */
  readonly volume: string | undefined;
  readonly replace: boolean;
}

/** As {@link MigrateRequest}, from the set that the export leads to. */
export interface PathMigrateRequest extends Omit<MigrateRequest, 'from'> {
  readonly export: string;
  readonly to: string;
  /** Make TO when there is none. */
  readonly create: boolean;
  /** Give up what TO holds. */
  readonly overwrite: boolean;
}

/** Where one export leads. */
export interface PathEntryAnswer {
  readonly export: string;
  readonly volume: string;
  readonly size: number;
  readonly set: { readonly id: string; readonly name: string; readonly address: string };
}

export interface PathChangeAnswer {
  readonly changed: boolean;
  /** The export as it is now; null after its end. */
  readonly entry: PathEntryAnswer | null;
}

export interface PathListAnswer {
  readonly exports: readonly PathEntryAnswer[];
}

/** One set that exports lead to. */
export interface PathSetStatus {
  readonly set: { readonly id: string; readonly name: string; readonly address: string };
  /** Of the hosts' way to it: away, replaying, open, holding. */
  readonly state: 'away' | 'replaying' | 'open' | 'holding';
  /** Why it is not open; empty while it is. */
  readonly reason: string;
  readonly epoch: number;
  /** Requests of hosts that wait here. */
  readonly waitingRequests: number;
  /** Answered writes that the set may still lose, and their bytes. */
  readonly retainedWrites: number;
  readonly retainedBytes: number;
  /** How long hosts were held up last, by a hold or a loss, in milliseconds; null: never. */
  readonly lastPauseMs: number | null;
  /** The longest that a request waited here, in milliseconds. */
  readonly longestWaitMs: number;
  /** Where its hosts are to move; null when nowhere. */
  readonly next: { readonly name: string; readonly address: string } | null;
}

export interface PathStatusAnswer {
  readonly controller: PathIdentity & {
    readonly path: string;
    readonly address: string | null;
    readonly nbd: string | null;
  };
  readonly exports: readonly PathEntryAnswer[];
  readonly sets: readonly PathSetStatus[];
  readonly hosts: readonly HostStatus[];
  readonly daemon: DaemonStatus | null;
  readonly limits: readonly LimitStatus[];
  readonly health: { readonly healthy: boolean; readonly word: string; readonly reason: string };
}
