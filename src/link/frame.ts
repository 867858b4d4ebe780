/**
 * Frames of the link. Every byte between image sets is in one of them, checksummed.
 *
 *     offset size
 *          0    4  magic "RCFR"
 *          4    1  version, 1
 *          5    1  type
 *          6    2  zero
 *          8    4  CRC-32 of this header with this field as zero
 *         12    4  length of the body in bytes, at most 4 MiB
 *         16    4  CRC-32 of the body
 *         20    4  zero
 *         24       body
 */
import { asBuffer } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';
import { RcopyError } from '../base/errors.ts';
import { FRAME_BODY_BYTES_MAX, KIB } from '../base/limits.ts';

export const FRAME_HEADER_BYTES = 24;
export const FRAME_VERSION = 1;
const MAGIC = 0x52464352; // "RCFR"

/** Type numbers are part of the protocol. */
export const FRAME_TYPES = {
  hello: 1,
  welcome: 2,
  records: 3,
  acknowledgement: 4,
  'copy-begin': 5,
  range: 6,
  'copy-end': 7,
  request: 8,
  response: 9,
  ping: 10,
  stop: 11,
} as const;

export type FrameType = keyof typeof FRAME_TYPES;

const TYPE_NAMES = new Map<number, FrameType>(
  Object.entries(FRAME_TYPES).map(([name, number]) => [number, name as FrameType]),
);

export interface Frame {
  readonly type: FrameType;
  readonly body: Buffer;
}

/** The header that goes before `parts`. */
export function encodeFrameHeader(type: FrameType, parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  let bodyChecksum = 0;
  for (const part of parts) {
    length += part.length;
    bodyChecksum = checksum(part, bodyChecksum);
  }
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt8(FRAME_VERSION, 4);
  header.writeUInt8(FRAME_TYPES[type], 5);
  header.writeUInt32LE(length, 12);
  header.writeUInt32LE(bodyChecksum, 16);
  header.writeUInt32LE(checksum(header), 8);
  return header;
}

interface FrameHead {
  readonly type: FrameType;
  readonly length: number;
  readonly bodyChecksum: number;
}

function decodeFrameHead(bytes: Buffer): FrameHead {
  const head = Buffer.from(bytes.subarray(0, FRAME_HEADER_BYTES));
  if (head.readUInt32LE(0) !== MAGIC) throw broken('no frame magic');
  const version = head.readUInt8(4);
  if (version !== FRAME_VERSION) {
    throw new RcopyError('E_VERSION', `the peer speaks version ${version} of the link, not 1`, {
      hint: 'run the same version of rcopy on both sides',
    });
  }
  const stated = head.readUInt32LE(8);
  head.writeUInt32LE(0, 8);
  if (checksum(head) !== stated) throw broken('the frame header checksum does not match');
  const type = TYPE_NAMES.get(head.readUInt8(5));
  const length = head.readUInt32LE(12);
  if (!type) throw broken(`frame type ${head.readUInt8(5)} is unknown`);
  if (length > FRAME_BODY_BYTES_MAX) throw broken(`a frame of ${length} bytes is too long`);
  return { type, length, bodyChecksum: head.readUInt32LE(16) };
}

/** Chunks below this size are put together: many small ones cost more than their bytes. */
const SMALL_CHUNK_BYTES = 4 * KIB;
const SLAB_BYTES = 64 * KIB;

/** Puts frames together out of chunks of any size. Holds at most one frame and one chunk. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private bytes = 0;
  private head: FrameHead | undefined;
  private slab = Buffer.alloc(0);
  private slabUsed = 0;
  /** Where the last of `chunks` begins in the slab; undefined when it is not there. */
  private slabStart: number | undefined;

  /** Of how many pieces what is held consists. */
  get pieces(): number {
    return this.chunks.length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.bytes += chunk.length;
    if (chunk.length < SMALL_CHUNK_BYTES && this.chunks.length > 0) this.pushSmall(chunk);
    else {
      this.chunks.push(asBuffer(chunk));
      this.slabStart = undefined;
    }
  }

  /** Copies a small chunk behind the small ones before it (R9: a Buffer object is not free). */
  private pushSmall(chunk: Uint8Array): void {
    if (this.slabUsed + chunk.length > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.slabUsed = 0;
      this.slabStart = undefined;
    }
    const at = this.slabUsed;
    this.slab.set(chunk, at);
    this.slabUsed += chunk.length;
    if (this.slabStart === undefined) this.slabStart = at;
    else this.chunks.pop();
    this.chunks.push(this.slab.subarray(this.slabStart, this.slabUsed));
  }

  /** The next whole frame. Throws `E_PROTOCOL` or `E_VERSION` on anything else. */
  next(): Frame | undefined {
    if (!this.head) {
      const bytes = this.take(FRAME_HEADER_BYTES);
      if (!bytes) return undefined;
      this.head = decodeFrameHead(bytes);
    }
    const { type, length, bodyChecksum } = this.head;
    const body = this.take(length);
    if (!body) return undefined;
    if (checksum(body) !== bodyChecksum) throw broken('the checksum of a frame does not match');
    this.head = undefined;
    return { type, body };
  }

  private take(length: number): Buffer | undefined {
    if (this.bytes < length) return undefined;
    this.bytes -= length;
    this.slabStart = undefined; // what is taken from is not added to any more
    const [first] = this.chunks;
    if (first && first.length >= length) {
      if (first.length === length) this.chunks.shift();
      else this.chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const whole = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length;) {
      const chunk = this.chunks.shift() ?? Buffer.alloc(0);
      const used = chunk.copy(whole, filled);
      filled += used;
      if (used < chunk.length) this.chunks.unshift(chunk.subarray(used));
    }
    return whole;
  }
}

function broken(reason: string): RcopyError {
  return new RcopyError('E_PROTOCOL', `what came over the link is not what was sent: ${reason}`);
}
