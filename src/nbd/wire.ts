/** Big-endian reading and writing of what NBD sends outside the data path, bounds-checked. */
import { RcopyError } from '../base/errors.ts';

const TWO_32 = 0x1_0000_0000;

/** Reads a u64 as a number: exact below 2^53, and close enough above to be out of any range. */
export function readUint64BE(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * TWO_32 + bytes.readUInt32BE(offset + 4);
}

/** Writes a safe integer as a u64. */
export function writeUint64BE(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / TWO_32), offset);
  bytes.writeUInt32BE(value % TWO_32, offset + 4);
}

/** Reads the data of one option or reply. Throws `E_PROTOCOL` when it is not as it should be. */
export class WireReader {
  private offset = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.take(2));
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.take(4));
  }

  u64(): number {
    return readUint64BE(this.bytes, this.take(8));
  }

  /** A string of `length` bytes; at most `lengthMax`. */
  text(length: number, lengthMax: number): string {
    if (length > lengthMax) {
      throw malformed(`a string of ${length} bytes is over the limit of ${lengthMax}`);
    }
    const start = this.take(length);
    try {
      return utf8.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw malformed('a string is not UTF-8');
    }
  }

  /** What is left. */
  rest(): Buffer {
    return this.bytes.subarray(this.take(this.remaining));
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining > 0) throw malformed(`${this.remaining} bytes too many`);
  }

  private take(length: number): number {
    if (length > this.remaining) throw malformed('it ends too early');
    const start = this.offset;
    this.offset += length;
    return start;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Joins numbers and strings as they go on the wire. */
export class WireWriter {
  private readonly parts: Uint8Array[] = [];

  u16(value: number): this {
    const part = Buffer.allocUnsafe(2);
    part.writeUInt16BE(value);
    return this.bytes(part);
  }

  u32(value: number): this {
    const part = Buffer.allocUnsafe(4);
    part.writeUInt32BE(value);
    return this.bytes(part);
  }

  u64(value: number): this {
    const part = Buffer.allocUnsafe(8);
    writeUint64BE(part, value, 0);
    return this.bytes(part);
  }

  magic({ high, low }: { readonly high: number; readonly low: number }): this {
    return this.u32(high).u32(low);
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  /** A string behind its u32 length. */
  counted(value: string): this {
    return this.u32(Buffer.byteLength(value)).text(value);
  }

  bytes(bytes: Uint8Array): this {
    this.parts.push(bytes);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

export function malformed(how: string): RcopyError {
  return new RcopyError('E_PROTOCOL', `not as the protocol says: ${how}`);
}
