/**
 * What the dumps of all formats share: a line for each field, made from a table of fields, and the
 * bytes that they are taken from. A dump is for eyes and for damaged files: it never throws for
 * what it reads, but says on the line of a field what is wrong with it.
 */
import { isZero, readUint64 } from '../base/bytes.ts';
import { checksum } from '../base/checksum.ts';

const BYTES_SHOWN_MAX = 16;

/** One field of a file, or a stretch of it that has none. */
export interface DumpLine {
  /** In bytes from the start of the file. */
  readonly offset: number;
  /** How many bytes of the file it stands for; 0 for a line that only explains the one above. */
  readonly length: number;
  /** The first bytes, at most 16, as hexadecimal digits. */
  readonly bytes: string;
  readonly field: string;
  readonly value: string;
  /** What there is to say about it; empty when nothing is. */
  readonly remark: string;
  /** Whether the remark says that these bytes are not what was written. */
  readonly damaged: boolean;
}

/** A file, read piece by piece. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** At most `length` bytes from `position`; fewer only at the end of the file. */
  read(position: number, length: number): Buffer;
}

export interface Remark {
  readonly text: string;
  readonly damaged: boolean;
}

export const note = (text: string): Remark => ({ text, damaged: false });
export const damage = (text: string): Remark => ({ text, damaged: true });

/** How the bytes of a field are to be read. `crc` and `hex` are u32 in hexadecimal. */
type Form = 'magic' | 'unsigned' | 'hex' | 'id' | 'zeroes' | 'text' | 'bytes';

/** A row of a byte table: where the field lies in its structure, its size, its name. */
export type Field = readonly [offset: number, size: number, name: string, form: Form];

/** A line for bytes that are there; `length` when they are more than those given. */
export function lineOf(
  offset: number,
  bytes: Uint8Array,
  field: string,
  value: string,
  { text, damaged }: Remark = note(''),
  length = bytes.length,
): DumpLine {
  const shown = Buffer.from(bytes.subarray(0, BYTES_SHOWN_MAX)).toString('hex');
  return { offset, length, bytes: shown, field, value, remark: text, damaged };
}

/** The fields of a structure that starts at `at` in the file and has `bytes`, as far as they go. */
export function* dumpFields(
  bytes: Buffer,
  at: number,
  fields: readonly Field[],
  remarks: ReadonlyMap<string, Remark>,
  prefix = '',
): Generator<DumpLine> {
  for (const [offset, size, name, form] of fields) {
    const part = bytes.subarray(offset, offset + size);
    const field = prefix + name;
    if (part.length < size) {
      yield lineOf(
        at + offset,
        part,
        field,
        '',
        damage(`cut off: ${part.length} of ${size} bytes`),
      );
      return;
    }
    const { value, remark } = read(part, form);
    yield lineOf(at + offset, part, field, value, remark ?? remarks.get(name));
  }
}

function read(part: Buffer, form: Form): { value: string; remark?: Remark } {
  switch (form) {
    case 'magic':
    case 'text':
      return { value: printable(part.toString(form === 'magic' ? 'latin1' : 'utf8')) };
    case 'hex':
      return { value: hex32(part.readUInt32LE(0)) };
    case 'id':
      return { value: part.toString('hex') };
    case 'bytes':
      return { value: `${part.length} bytes` };
    case 'zeroes':
      return isZero(part) ? { value: '' } : { value: '', remark: damage('is not zero') };
    case 'unsigned':
      return part.length === 8 ? read64(part) : { value: String(part.readUIntLE(0, part.length)) };
  }
}

function read64(part: Buffer): { value: string; remark?: Remark } {
  const value = part.readBigUInt64LE(0).toString();
  return readUint64(part, 0) === undefined ? { value, remark: damage('beyond 2^53') } : { value };
}

/** A u32 as checksums and chain values are written. */
export function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** `text` without what would move a terminal's cursor. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** What to say of a magic. */
export function checkMagic(bytes: Buffer, magic: string): Remark {
  const found = bytes.subarray(0, 4).toString('latin1');
  return found === magic ? note('') : damage(`wrong magic, ${magic} expected`);
}

/** What to say of a checksum over all of `bytes`, with the four at `at` as zeroes. */
export function checkChecksum(bytes: Buffer, at: number): Remark {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE(0, at);
  return compareChecksums(bytes.readUInt32LE(at), checksum(copy));
}

export function compareChecksums(stated: number, computed: number): Remark {
  if (stated === computed) return note('matches');
  return damage(`checksum stated ${hex32(stated)}, computed ${hex32(computed)}`);
}

/** What to say of a version, of which this program knows one. */
export function checkVersion(found: number, known: number): Remark {
  return found === known
    ? note('')
    : damage(`unknown version ${found}; this program knows ${known}`);
}
