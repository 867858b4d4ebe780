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

/** A stretch of a raw image: its bytes, or a hole. */
export interface ImagePiece {
  readonly length: number;
  /** `length` bytes; undefined for a hole. */
  readonly data: Uint8Array | undefined;
}

export interface ImportRequest {
  readonly volume: string | undefined;
  /** Size of the image, at most the volume's; the rest of the volume becomes zeroes. */
  readonly sizeBytes: number;
  /** The image from its beginning to its end, in order; at most 1 MiB of data a piece. */
  readonly pieces: AsyncIterable<ImagePiece> | Iterable<ImagePiece>;
  readonly onProgress?: OnProgress | undefined;
}

export interface ExportRequest {
  readonly volume: string | undefined;
  /** Told the volume's size before the first piece: once it is known that it can be read. */
  readonly begin: (sizeBytes: number) => void;
  /** Takes the volume's pieces in order, one at a time. */
  readonly take: (piece: ImagePiece) => void | Promise<void>;
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

/** How long a call may wait. */
export interface Patience {
  /** Milliseconds after which it gives up (`E_TIMEOUT`); undefined: never. */
  readonly timeoutMs: number | undefined;
  /** Aborted when nobody waits for the answer any more (`E_STOPPED`). */
  readonly signal?: AbortSignal | undefined;
}

export interface ReplicateRequest extends Patience {
  /**
   * Bytes a second; undefined: as fast as it goes. A link that is up keeps its rate, and one that a
   * daemon keeps has the daemon's: this one does not count then.
   */
  readonly maxRate: number | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export interface WaitRequest extends Patience {
  readonly until:
    | { readonly kind: 'synced' }
    | { readonly kind: 'sequence'; readonly sequence: number }
    | { readonly kind: 'mark'; readonly name: string };
}

/** Which hosts a migration has to take along, and how the secondary gets what it lacks. */
export interface MoveRequest {
  readonly mode: MigrationMode;
  /** Path controllers that have to take part, by id; those that serve the set always do. */
  readonly controllers?: readonly string[] | undefined;
  /** Although hosts use FROM that no path controller leads there: they lose their disk. */
  readonly force?: boolean | undefined;
}

export interface MigrateRequest extends MoveRequest {
  /** The set that is the primary now. */
  readonly from: string;
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
