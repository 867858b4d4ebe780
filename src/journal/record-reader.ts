/** Reads records one behind the other out of one file, through a window of bounded size. */
import type { FileHandle, Label } from '../sys/files.ts';
import {
  RECORD_HEADER_BYTES,
  decodeBody,
  decodeRecordHeader,
  invalidRecord,
  recordBytes,
} from '../format/record.ts';
import type { RecordCheck } from '../format/record.ts';
import { KIB } from '../base/limits.ts';

const WINDOW_BYTES = 256 * KIB;

/** What stands at the reader's place. */
export type Peek = RecordCheck | { readonly found: 'end' };

export class RecordReader {
  /** Where the reader stands, in bytes from the start of the file. */
  offset: number;
  private readonly handle: FileHandle;
  private readonly label: Label;
  private window = Buffer.alloc(0);
  private windowStart = 0;

  constructor(handle: FileHandle, offset: number, label: Label) {
    this.handle = handle;
    this.offset = offset;
    this.label = label;
  }

  /**
   * The record at the reader's place, checked. Its bytes stay valid: a window is never reused. A
   * place where nothing stood is read anew each time, for a record may have come there since.
   */
  peek(): Peek {
    if (!this.holds(RECORD_HEADER_BYTES)) return { found: 'end' };
    const at = this.offset - this.windowStart;
    const check = decodeRecordHeader(this.window, at);
    if (check.found !== 'header') return this.forget(check);
    const invalid = invalidRecord(check.header);
    if (invalid !== undefined) return this.forget({ found: 'garbage', reason: invalid });
    this.holds(recordBytes(check.header.payloadLength));
    const record = decodeBody(this.window, this.offset - this.windowStart, check.header);
    return record.found === 'record' ? record : this.forget(record);
  }

  /** Moves on by `bytes`. */
  skip(bytes: number): void {
    this.offset += bytes;
  }

  /** Forgets what was read ahead: it may be older than what has been written there since. */
  reread(): void {
    this.window = Buffer.alloc(0);
  }

  private forget<T extends Peek>(check: T): T {
    this.reread();
    return check;
  }

  /** Whether `length` bytes from the offset on are in the window, after reading them if needed. */
  private holds(length: number): boolean {
    const at = this.offset - this.windowStart;
    if (at >= 0 && at + length <= this.window.length) return true;
    const window = Buffer.allocUnsafe(Math.max(WINDOW_BYTES, length));
    const got = this.handle.read(window, this.offset, this.label);
    this.window = window.subarray(0, got);
    this.windowStart = this.offset;
    return got >= length;
  }
}
