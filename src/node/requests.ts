/** What a node can be asked: the parameters of its methods. */
import type { Ack } from '../format/set-file.ts';
import type { MigrationCopy, MigrationMode, OnProgress } from './answers.ts';

export interface WriteRequest {
  readonly volume: string | undefined;
  readonly offset: number;
  /** The bytes in order; nothing in it is an error (`E_USAGE`). */
  readonly data: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** How many bytes `data` has, where that is known: refused at once when they do not fit. */
  readonly length?: number | undefined;
  /** Whether it is durable when the answer comes. */
  readonly sync: boolean;
}

export interface ReadRequest {
  readonly volume: string | undefined;
  readonly offset: number;
  readonly length: number;
}

export interface ImportRequest {
  readonly volume: string | undefined;
  /** Path of a raw image, not larger than the volume; the volume's rest becomes zeroes. */
  readonly file: string;
  readonly onProgress?: OnProgress | undefined;
}

export interface ExportRequest {
  readonly volume: string | undefined;
  /** Path of the raw image to write; holes stay holes. */
  readonly output: string;
  readonly onProgress?: OnProgress | undefined;
}

export interface PairRequest {
  readonly secondary: string;
  /** Local unless told. */
  readonly ack?: Ack | undefined;
}

export interface TakeoverRequest {
  /** Without asking the old primary, which is out of reach. */
  readonly force: boolean;
}

export interface ReplicateRequest {
  /** Milliseconds after which it gives up (`E_TIMEOUT`); undefined: never. */
  readonly timeoutMs: number | undefined;
  /** Bytes a second; undefined: as fast as it goes. */
  readonly maxRate: number | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export interface WaitRequest {
  readonly until:
    | { readonly kind: 'synced' }
    | { readonly kind: 'sequence'; readonly sequence: number }
    | { readonly kind: 'mark'; readonly name: string };
  readonly timeoutMs: number | undefined;
}

export interface MigrateRequest {
  /** The set that is the primary now. */
  readonly from: string;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  readonly maxRate: number | undefined;
  /** Return when the target serves hosts; the rest is for `migrate resume`. */
  readonly detach: boolean;
  readonly onProgress?: OnProgress | undefined;
}

export interface ResumeRequest {
  /** The source will never come back: go on without it, if that can be. */
  readonly sourceLost?: boolean | undefined;
  readonly maxRate: number | undefined;
  readonly onProgress?: OnProgress | undefined;
}
