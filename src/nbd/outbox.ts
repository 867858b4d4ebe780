/**
 * Replies on their way to one client. What becomes ready in one turn of the loop goes out in one
 * write. Small replies are put into a slab, so that each costs sixteen bytes and no object; data
 * goes out as it came from the device. Each reply keeps its charge on the memory budget until the
 * stream has taken it.
 */
import { KIB, MIB } from '../base/limits.ts';
import type { ByteStream } from '../sys/stream.ts';
import {
  CHUNKS,
  CHUNK_DONE,
  CHUNK_HEADER_BYTES,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.ts';
import { writeUint64BE } from './wire.ts';

/** Room for a thousand small replies. */
const SLAB_BYTES = 16 * KIB;

/** At most so much at once, so that a slow client can be seen getting on. */
const WRITE_BYTES_MAX = 1 * MIB;

/** The cookie of a request: eight bytes that mean nothing to us, in two halves. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

export class Outbox {
  private readonly stream: ByteStream;
  private readonly release: (charge: number) => void;
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Of the slab: where the replies begin that are in no part yet, and where the next one goes. */
  private slabStart = 0;
  private slabEnd = 0;
  private parts: Uint8Array[] = [];
  private partsBytes = 0;
  private writable = true;
  /** Positions in the stream of replies: what was put in, written, and surely taken. */
  private endAt = 0;
  private writtenTo = 0;
  takenBytes = 0;
  /** For each stretch of replies that is not taken yet: where it ends, and its charges. */
  private readonly stretches: { end: number; charge: number }[] = [];

  /** `release` is told of each charge once, when its reply is taken or can never be. */
  constructor(stream: ByteStream, release: (charge: number) => void) {
    this.stream = stream;
    this.release = release;
  }

  /** Bytes that the client has not taken. */
  get untakenBytes(): number {
    return this.endAt - this.takenBytes;
  }

  /** An answer without data. */
  simple(cookie: Cookie, errno: number): void {
    const at = this.reserve(SIMPLE_REPLY_BYTES);
    const { slab } = this;
    slab.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
    slab.writeUInt32BE(errno, at + 4);
    slab.writeUInt32BE(cookie.cookieHigh, at + 8);
    slab.writeUInt32BE(cookie.cookieLow, at + 12);
  }

  /** The header of the one chunk that answers a request; `length` bytes must follow. */
  chunk(cookie: Cookie, type: number, length: number): void {
    const at = this.reserve(CHUNK_HEADER_BYTES);
    const { slab } = this;
    slab.writeUInt32BE(STRUCTURED_REPLY_MAGIC, at);
    slab.writeUInt16BE(CHUNK_DONE, at + 4);
    slab.writeUInt16BE(type, at + 6);
    slab.writeUInt32BE(cookie.cookieHigh, at + 8);
    slab.writeUInt32BE(cookie.cookieLow, at + 12);
    slab.writeUInt32BE(length, at + 16);
  }

  /** Data of a structured read: `length` bytes must follow. */
  offsetData(cookie: Cookie, offset: number, length: number): void {
    this.chunk(cookie, CHUNKS.OFFSET_DATA, 8 + length);
    const at = this.reserve(8);
    writeUint64BE(this.slab, offset, at);
  }

  /** The answer to a write, with its number. */
  number(cookie: Cookie, sequence: number): void {
    this.chunk(cookie, CHUNKS.NUMBER, 8);
    const at = this.reserve(8); // which may begin another slab
    writeUint64BE(this.slab, sequence, at);
  }

  /** An error in structured form, with a message for people. */
  error(cookie: Cookie, errno: number, message: Buffer): void {
    this.chunk(cookie, CHUNKS.ERROR, 6 + message.length);
    const at = this.reserve(6);
    this.slab.writeUInt32BE(errno, at);
    this.slab.writeUInt16BE(message.length, at + 4);
    this.data(message);
  }

  /** Bytes of a reply as they are; nobody may change them any more. */
  data(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.closeRegion();
    this.parts.push(bytes);
    this.partsBytes += bytes.length;
    this.endAt += bytes.length;
  }

  /** The reply that was put in last is whole; it counts `charge` until it is taken. */
  settle(charge: number): void {
    const last = this.stretches.at(-1);
    // What is not written yet is taken together.
    if (last && last.end > this.writtenTo && this.endAt - this.writtenTo < WRITE_BYTES_MAX) {
      last.end = this.endAt;
      last.charge += charge;
    } else {
      this.stretches.push({ end: this.endAt, charge });
    }
  }

  /** Writes what the stream takes. */
  flush(): void {
    this.closeRegion();
    while (this.writable && this.partsBytes > 0) {
      const parts = this.nextParts();
      this.writable = this.stream.write(parts);
      if (this.writable) this.taken();
    }
  }

  /** The stream has taken what was written. */
  drained(): void {
    this.writable = true;
    this.taken();
    this.flush();
  }

  /** The stream is gone: nothing of all this will be taken. */
  close(): void {
    this.parts = [];
    this.partsBytes = 0;
    this.slabStart = this.slabEnd;
    this.endAt = this.takenBytes;
    this.writable = false;
    for (const { charge } of this.stretches.splice(0)) this.release(charge);
  }

  private taken(): void {
    this.takenBytes = this.writtenTo;
    const { stretches } = this;
    let through = 0;
    let charge = 0;
    for (let first = stretches[0]; first && first.end <= this.takenBytes;) {
      charge += first.charge;
      through += 1;
      first = stretches[through];
    }
    if (through === 0) return;
    stretches.splice(0, through);
    this.release(charge);
  }

  /** Everything, or as much as is written at once. */
  private nextParts(): readonly Uint8Array[] {
    if (this.partsBytes <= WRITE_BYTES_MAX) {
      const { parts } = this;
      this.writtenTo += this.partsBytes;
      this.parts = [];
      this.partsBytes = 0;
      return parts;
    }
    let left = WRITE_BYTES_MAX;
    let count = 0;
    const taken: Uint8Array[] = [];
    for (const part of this.parts) {
      if (part.length > left) break;
      taken.push(part);
      left -= part.length;
      count += 1;
    }
    this.parts.splice(0, count);
    const [cut] = this.parts;
    if (cut && left > 0) {
      taken.push(cut.subarray(0, left));
      this.parts[0] = cut.subarray(left);
      left = 0;
    }
    this.partsBytes -= WRITE_BYTES_MAX - left;
    this.writtenTo += WRITE_BYTES_MAX - left;
    return taken;
  }

  /** Room in the slab for what is written next. */
  private reserve(length: number): number {
    if (this.slabEnd + length > this.slab.length) {
      this.closeRegion();
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.slabStart = 0;
      this.slabEnd = 0;
    }
    const at = this.slabEnd;
    this.slabEnd += length;
    this.endAt += length;
    return at;
  }

  private closeRegion(): void {
    const length = this.slabEnd - this.slabStart;
    if (length === 0) return;
    this.parts.push(this.slab.subarray(this.slabStart, this.slabEnd));
    this.partsBytes += length;
    this.slabStart = this.slabEnd;
  }
}
