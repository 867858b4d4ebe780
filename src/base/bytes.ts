/**
 * Little-endian, bounds-checked reading and writing of fixed layouts. A u64 on disk is a safe
 * integer in memory; a larger one is damage, seen here at the border.
 */
import { RcopyError } from './errors.ts';
import { assert } from './assert.ts';

/** The largest whole number that memory holds exactly. */
const SAFE_HIGH = 0x1fffff;

/** Reads a u64 as a safe integer; `undefined` when it is none. */
export function readUint64(view: Buffer, offset: number): number | undefined {
  const high = view.readUInt32LE(offset + 4);
  if (high > SAFE_HIGH) return undefined;
  return high * 0x1_0000_0000 + view.readUInt32LE(offset);
}

/** Writes a safe integer as a u64. */
export function writeUint64(view: Buffer, value: number, offset: number): void {
  // A message that is made in vain would take longer than the writing.
  if (!Number.isSafeInteger(value) || value < 0) assert(false, `${value} fits a u64`);
  view.writeUInt32LE(value % 0x1_0000_0000, offset);
  view.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

/** A `Buffer` over the same memory as `bytes`. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  const view = asBuffer(bytes);
  let offset = 0;
  for (; offset + ZERO_RUN.length <= view.length; offset += ZERO_RUN.length) {
    if (ZERO_RUN.compare(view, offset, offset + ZERO_RUN.length) !== 0) return false;
  }
  return ZERO_RUN.compare(view, offset, view.length, 0, view.length - offset) === 0;
}
const ZERO_RUN = Buffer.alloc(4096);

/** `value` rounded up to a multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** A reader over one decoded field group that refuses to leave its bytes. */
export class ByteReader {
  private offset = 0;
  private readonly view: Buffer;
  private readonly what: string;

  /** `what` names the structure in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.view = asBuffer(bytes);
    this.what = what;
  }

  get remaining(): number {
    return this.view.length - this.offset;
  }

  u8(): number {
    return this.view.readUInt8(this.take(1));
  }

  u16(): number {
    return this.view.readUInt16LE(this.take(2));
  }

  u32(): number {
    return this.view.readUInt32LE(this.take(4));
  }

  u64(): number {
    const value = readUint64(this.view, this.take(8));
    if (value === undefined) throw this.damaged('holds a number beyond 2^53');
    return value;
  }

  bytes(length: number): Buffer {
    const start = this.take(length);
    return this.view.subarray(start, start + length);
  }

  /** A string that follows its u16 length in bytes. */
  text(): string {
    return this.bytes(this.u16()).toString('utf8');
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0) throw this.damaged(`has ${this.remaining} bytes too many`);
  }

  private take(length: number): number {
    if (length > this.remaining) throw this.damaged('ends too early');
    const start = this.offset;
    this.offset += length;
    return start;
  }

  private damaged(how: string): RcopyError {
    return new RcopyError('E_DAMAGED', `${this.what} ${how}`);
  }
}

/** The writing counterpart of {@link ByteReader}. */
export class ByteWriter {
  private readonly parts: Buffer[] = [];

  u8(value: number): this {
    return this.push(1, (part) => part.writeUInt8(value));
  }

  u16(value: number): this {
    return this.push(2, (part) => part.writeUInt16LE(value));
  }

  u32(value: number): this {
    return this.push(4, (part) => part.writeUInt32LE(value));
  }

  u64(value: number): this {
    return this.push(8, (part) => writeUint64(part, value, 0));
  }

  bytes(bytes: Uint8Array): this {
    this.parts.push(asBuffer(bytes));
    return this;
  }

  /** A string behind its u16 length in bytes. */
  text(value: string): this {
    const bytes = Buffer.from(value, 'utf8');
    return this.u16(bytes.length).bytes(bytes);
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }

  private push(length: number, write: (part: Buffer) => void): this {
    const part = Buffer.alloc(length);
    write(part);
    this.parts.push(part);
    return this;
  }
}
