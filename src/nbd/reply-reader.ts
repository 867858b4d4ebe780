/**
 * Replies of a server, taken out of chunks of any size. What belongs to which request, and whether
 * it may come at all, is asked of the owner before a byte of it is kept.
 */
import { KIB } from '../base/limits.ts';
import {
  CHUNKS,
  CHUNK_DONE,
  CHUNK_ERROR_FIRST,
  CHUNK_HEADER_BYTES,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  nameIn,
} from './protocol.ts';
import { malformed, readUint64BE } from './wire.ts';

/** A request that waits for its reply. */
export interface Expected {
  readonly command: 'read' | 'status' | 'other';
  readonly offset: number;
  readonly length: number;
  /** Data of a read, and where in the export each piece begins. */
  readonly pieces: Uint8Array[];
  readonly pieceOffsets: number[];
  /** Bytes in {@link pieces}. */
  receivedBytes: number;
  /** Set by an error chunk. */
  errno: number;
  message: string;
  /** The payload of a BLOCK_STATUS chunk. */
  status: Buffer | undefined;
  /** The number that a write got, where the server tells. */
  sequence: number | undefined;
}

/** Who knows the requests. Both throw `E_PROTOCOL` on what must not come. */
export interface ReplyOwner<Request extends Expected> {
  /** The request with this cookie. */
  find(cookieHigh: number, cookieLow: number): Request;
  /** All of its reply is here. */
  completed(request: Request): void;
}

/** Of what is no data of a read: errors, block status. */
const SMALL_PAYLOAD_BYTES_MAX = 64 * KIB;

export class ReplyReader<Request extends Expected> {
  private readonly owner: ReplyOwner<Request>;
  private readonly structured: boolean;
  private readonly header = Buffer.alloc(CHUNK_HEADER_BYTES + 8);
  private headerFilled = 0;
  /** The reply whose payload is coming. */
  private request: Request | undefined;
  private missingBytes = 0;
  private isDone = false;
  /** Undefined while the payload is data of a read. */
  private small: Buffer | undefined;
  private smallFilled = 0;
  private type: number = CHUNKS.NONE;
  private dataAt = 0;

  constructor(owner: ReplyOwner<Request>, structured: boolean) {
    this.owner = owner;
    this.structured = structured;
  }

  /** Throws `E_PROTOCOL`; after that the stream is of no more use. */
  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length || (this.request !== undefined && this.missingBytes === 0)) {
      at += this.request ? this.takePayload(this.request, chunk, at) : this.takeHeader(chunk, at);
    }
  }

  private takeHeader(chunk: Buffer, at: number): number {
    const { header } = this;
    const wanted = this.headerBytes();
    const copied = chunk.copy(header, this.headerFilled, at, at + wanted - this.headerFilled);
    this.headerFilled += copied;
    if (this.headerFilled === wanted && wanted === this.headerBytes()) this.begin();
    return copied;
  }

  /** How long the header is, as far as that is known by now. */
  private headerBytes(): number {
    if (this.headerFilled < 4) return 4;
    const magic = this.header.readUInt32BE(0);
    if (magic === SIMPLE_REPLY_MAGIC) return SIMPLE_REPLY_BYTES;
    if (magic !== STRUCTURED_REPLY_MAGIC || !this.structured) {
      throw malformed('a reply does not begin with its magic');
    }
    if (this.headerFilled < CHUNK_HEADER_BYTES) return CHUNK_HEADER_BYTES;
    // The place of the data is read as part of the header.
    return this.header.readUInt16BE(6) === CHUNKS.OFFSET_DATA
      ? CHUNK_HEADER_BYTES + 8
      : CHUNK_HEADER_BYTES;
  }

  private begin(): void {
    const { header } = this;
    this.headerFilled = 0;
    const request = this.owner.find(header.readUInt32BE(8), header.readUInt32BE(12));
    this.request = request;
    this.small = undefined;
    if (header.readUInt32BE(0) === SIMPLE_REPLY_MAGIC) this.beginSimple(request);
    else this.beginChunk(request);
  }

  private beginSimple(request: Request): void {
    if (request.command === 'status' || (this.structured && request.command === 'read')) {
      throw malformed(`a simple reply to a request that needs chunks`);
    }
    request.errno = this.header.readUInt32BE(4);
    this.isDone = true;
    this.dataAt = request.offset;
    this.type = CHUNKS.OFFSET_DATA;
    this.missingBytes = request.command === 'read' && request.errno === 0 ? request.length : 0;
  }

  private beginChunk(request: Request): void {
    const { header } = this;
    this.isDone = (header.readUInt16BE(4) & CHUNK_DONE) !== 0;
    this.type = header.readUInt16BE(6);
    const length = header.readUInt32BE(16);
    if (this.type === CHUNKS.OFFSET_DATA) {
      this.beginData(request, length - 8, readUint64BE(header, CHUNK_HEADER_BYTES));
      return;
    }
    if (length > SMALL_PAYLOAD_BYTES_MAX) throw malformed(`a chunk of ${length} bytes`);
    this.small = Buffer.allocUnsafe(length);
    this.smallFilled = 0;
    this.missingBytes = length;
  }

  private beginData(request: Request, length: number, offset: number): void {
    checkPlace(request, offset, length);
    this.dataAt = offset;
    this.missingBytes = length;
  }

  private takePayload(request: Request, chunk: Buffer, at: number): number {
    const count = Math.min(this.missingBytes, chunk.length - at);
    if (this.small) {
      chunk.copy(this.small, this.smallFilled, at, at + count);
      this.smallFilled += count;
    } else if (count > 0) {
      addPiece(request, this.dataAt, chunk.subarray(at, at + count));
      this.dataAt += count;
    }
    this.missingBytes -= count;
    if (this.missingBytes === 0) this.end(request);
    return count;
  }

  /** A reply, or a chunk of one, is whole. */
  private end(request: Request): void {
    this.request = undefined;
    if (this.small) this.takeSmall(request, this.small);
    this.small = undefined;
    if (this.isDone) this.owner.completed(request);
  }

  private takeSmall(request: Request, payload: Buffer): void {
    const { type } = this;
    if (type >= CHUNK_ERROR_FIRST) {
      takeError(request, payload);
      return;
    }
    switch (type) {
      case CHUNKS.NONE:
        if (payload.length > 0 || !this.isDone) throw malformed('an empty chunk that is not');
        return;
      case CHUNKS.OFFSET_HOLE: {
        if (payload.length !== 12) throw malformed('a hole of another form');
        const offset = readUint64BE(payload, 0);
        const length = payload.readUInt32BE(8);
        checkPlace(request, offset, length);
        addPiece(request, offset, Buffer.alloc(length));
        return;
      }
      case CHUNKS.NUMBER:
        if (payload.length !== 8) throw malformed('a number of another form');
        request.sequence = readUint64BE(payload, 0);
        return;
      case CHUNKS.BLOCK_STATUS:
        if (request.command !== 'status') throw malformed('block status that was not asked for');
        if (payload.length < 12 || payload.length % 8 !== 4) throw malformed('a block status');
        request.status = payload;
        return;
      default:
        throw malformed(`a chunk of type ${nameIn(CHUNKS, type)}`);
    }
  }
}

/** Data must be what was asked for, and not more of it. */
function checkPlace(request: Expected, offset: number, length: number): void {
  const end = request.offset + request.length;
  const fits = length > 0 && offset >= request.offset && offset + length <= end;
  if (request.command !== 'read' || !fits || request.receivedBytes + length > request.length) {
    throw malformed(`${length} bytes at offset ${offset} were not asked for`);
  }
}

function addPiece(request: Expected, offset: number, piece: Uint8Array): void {
  request.pieces.push(piece);
  request.pieceOffsets.push(offset);
  request.receivedBytes += piece.length;
}

function takeError(request: Expected, payload: Buffer): void {
  if (payload.length < 6) throw malformed('an error of another form');
  const errno = payload.readUInt32BE(0);
  const messageEnd = 6 + payload.readUInt16BE(4);
  if (errno === 0 || messageEnd > payload.length) throw malformed('an error of another form');
  request.errno = errno;
  request.message = payload.toString('utf8', 6, messageEnd);
}
