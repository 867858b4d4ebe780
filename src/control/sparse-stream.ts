/**
 * Raw images on their way through HTTP, holes left out: the body of an import's request and of an
 * export's response. A row of frames, little-endian:
 *
 * ```
 *   0  kind    u8   1 data, 2 hole, 3 end, 4 failure
 *   1  zero    7
 *   8  length  u64  of the stretch; for end and failure of the JSON that follows
 *  16  bytes        data: the stretch; end: the answer; failure: the error
 * ```
 */
import { assert } from '../base/assert.ts';
import { RcopyError, messageOf } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import type { ImagePiece } from '../node/requests.ts';
import { errorBody, errorOf } from './http-errors.ts';

const FRAME_HEADER_BYTES = 16;
const KINDS = { data: 1, hole: 2, end: 3, failure: 4 } as const;

/** What one frame may carry: a piece of data, or a short answer. */
const FRAME_BYTES_MAX = 1 * MIB;

function header(kind: keyof typeof KINDS, length: number): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
  bytes.writeUInt8(KINDS[kind], 0);
  bytes.writeBigUInt64LE(BigInt(length), 8);
  return bytes;
}

/** One piece as it goes over. */
export function encodePiece({ length, data }: ImagePiece): Uint8Array[] {
  assert(length > 0 && (!data || data.length === length), 'a piece has the length that it says');
  return data ? [header('data', length), data] : [header('hole', length)];
}

/** The end of the stream, with what is answered. */
export function encodeEnd(answer: unknown): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(answer), 'utf8');
  return [header('end', json.length), json];
}

/** The end of a stream that cannot go on. */
export function encodeFailed(error: unknown): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(errorBody(error)), 'utf8');
  return [header('failure', json.length), json];
}

/** A stream of pieces, read; `answer` is set when it has come to its end. */
export class SparseReader {
  answer: unknown;
  private readonly source: AsyncIterator<Uint8Array>;
  private readonly peer: string;
  private rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>, peer: string) {
    this.source = source[Symbol.asyncIterator]();
    this.peer = peer;
  }

  /** In order, to the end. Throws what the other end says, `E_UNREACHABLE` or `E_PROTOCOL`. */
  async *pieces(): AsyncGenerator<ImagePiece> {
    for (;;) {
      const head = await this.take(FRAME_HEADER_BYTES);
      const kind = head.readUInt8(0);
      const length = Number(head.readBigUInt64LE(8));
      if (kind === KINDS.hole) {
        yield { length, data: undefined };
        continue;
      }
      if (length > FRAME_BYTES_MAX) throw this.broken(`a frame of ${length} bytes is too long`);
      const bytes = await this.take(length);
      switch (kind) {
        case KINDS.data:
          yield { length, data: bytes };
          break;
        case KINDS.end:
          this.answer = this.json(bytes);
          return;
        case KINDS.failure:
          throw errorOf(this.json(bytes), this.peer);
        default:
          throw this.broken(`frame kind ${kind} is unknown`);
      }
    }
  }

  private json(bytes: Buffer): unknown {
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      throw this.broken(messageOf(error));
    }
  }

  private async take(length: number): Promise<Buffer> {
    const parts = [this.rest];
    let have = this.rest.length;
    while (have < length) {
      const part = await this.nextPart();
      parts.push(part);
      have += part.length;
    }
    const all = parts.length === 1 ? this.rest : Buffer.concat(parts, have);
    this.rest = all.subarray(length);
    return all.subarray(0, length);
  }

  private async nextPart(): Promise<Buffer> {
    let next: IteratorResult<Uint8Array>;
    try {
      next = await this.source.next();
    } catch (error) {
      throw new RcopyError('E_UNREACHABLE', `${this.peer} broke off: ${messageOf(error)}`, {
        cause: error,
      });
    }
    if (next.done) throw new RcopyError('E_UNREACHABLE', `${this.peer} broke off in the middle`);
    const { buffer, byteOffset, byteLength } = next.value;
    return Buffer.from(buffer, byteOffset, byteLength);
  }

  private broken(reason: string): RcopyError {
    return new RcopyError('E_PROTOCOL', `the stream from ${this.peer} is broken: ${reason}`);
  }
}
