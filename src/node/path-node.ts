/** A path controller: hosts reach image sets through it, and stay connected while those change. */
import type { RcopyError } from '../base/errors.ts';
import type { NbdExports } from '../nbd/exports.ts';
import type { Environment } from '../sys/environment.ts';
import type { ByteStream } from '../sys/stream.ts';
import type { PathFile } from '../format/path-file.ts';
import type { MigrateAnswer } from './answers.ts';
import type { Connector } from './connector.ts';
import type { PathMigrateRequest, PathService } from './path-service.ts';

/** How a controller reaches image sets: given from above, so that HTTP stays there. */
export interface PathConnector extends Connector {
  /**
   * An NBD stream to the set at `address`, attached under an id and a generation. Rejects with
   * `E_UNREACHABLE`, or with the set's refusal.
   */
  dialHosts(
    address: string,
    as: { readonly controllerId: string; readonly generation: number },
  ): Promise<ByteStream>;
}

/** Where a controller keeps what it must not forget. */
export interface PathStore {
  readonly folder: string;
  /** What was saved last. */
  readonly file: PathFile;
  /** Durable when it resolves. One at a time, in order. */
  save(change: (file: PathFile) => PathFile): Promise<void>;
}

export interface PathNodeOptions {
  readonly environment: Environment;
  readonly store: PathStore;
  readonly connector: PathConnector;
  /** Where this controller can be commanded; null where it only serves its own program. */
  readonly address: string | null;
  /** How long hosts wait while no set answers, in milliseconds. */
  readonly holdMs: number;
  /** One beat of links over a network, in milliseconds; undefined where all is in one process. */
  readonly beatMs?: number | undefined;
  /** Performs `rcopy migrate FROM TO`; given from above. */
  readonly migrate: (from: string, request: PathMigrateRequest) => Promise<MigrateAnswer>;
}

export declare class PathNode {
  /** Begins to serve what the store says. */
  static open(options: PathNodeOptions): Promise<PathNode & PathService>;
  /** What an NBD server offers to hosts: one export an entry. */
  readonly exports: NbdExports;
  /** Told for the log when something happened. */
  onEvent: ((event: PathEvent) => void) | undefined;
  /** What the daemon around it knows, for status. */
  served: unknown;
  /** Hosts have been told to go; ends the links in order: nothing answered is lost. */
  close(): Promise<void>;
}

export interface PathEvent {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly error?: RcopyError;
}
