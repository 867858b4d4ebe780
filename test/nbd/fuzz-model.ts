/**
 * What an NBD server must make of any bytes at all, told by a plain reading of the protocol over
 * the whole of them: no chunks, no machines, none of the code under test.
 */
import { CMD, FLAG } from '../support/nbd-hand.ts';

/** A reply that is owed: to which cookie, and with which error. */
export interface Owed {
  readonly cookie: bigint;
  readonly errno: number;
}

export interface Expected {
  /** Whether the client got as far as requests. */
  readonly entered: boolean;
  /** How it must end once all bytes are there: by the server, in order or not, or not at all. */
  readonly end: 'broken' | 'disconnected' | 'none';
  /** Replies to requests, in order. */
  readonly owed: readonly Owed[];
  /** What the device holds in the end. */
  readonly content: Buffer;
  readonly structured: boolean;
  /** Bytes of the answer to EXPORT_NAME; 0 when it came in by GO. */
  readonly exportName: number;
  /** Lengths of the data of reads in {@link owed}, by cookie, in order. */
  readonly reads: ReadonlyMap<bigint, readonly number[]>;
}

const EPERM = 1;
const EINVAL = 22;
const ENOSPC = 28;
const PAYLOAD_MAX = 32 * 1024 * 1024;

interface Session {
  readonly at: number;
  readonly exportName: number;
  readonly structured: boolean;
  readonly allocation: boolean;
}

/** What comes of `bytes` at an export of this name over a device of zeroes. */
export function expectedOf(
  bytes: Buffer,
  name: string,
  sizeBytes: number,
  readOnly: boolean,
): Expected {
  const content = Buffer.alloc(sizeBytes);
  const owed: Owed[] = [];
  const reads = new Map<bigint, number[]>();
  const outcome = handshake(bytes, name);
  const nothing = { owed, content, reads, structured: false, exportName: 0 };
  if (typeof outcome === 'string') return { ...nothing, entered: false, end: outcome };
  const { structured, allocation, exportName } = outcome;
  const owe = (cookie: bigint, errno: number) => owed.push({ cookie, errno });
  const found = (end: Expected['end']): Expected => ({
    ...nothing,
    entered: true,
    end,
    structured,
    exportName,
  });
  for (let { at } = outcome; ;) {
    if (at + 28 > bytes.length) return found('none');
    if (bytes.readUInt32BE(at) !== 0x25609513) return found('broken');
    const flags = bytes.readUInt16BE(at + 4);
    const command = bytes.readUInt16BE(at + 6);
    const cookie = bytes.readBigUInt64BE(at + 8);
    const start = bytes.readBigUInt64BE(at + 16);
    const length = bytes.readUInt32BE(at + 24);
    at += 28;
    if (command === CMD.DISC) return found('disconnected');
    const asked = { command, flags, start, length };
    const errno = refusal(asked, sizeBytes, { structured, allocation, readOnly });
    const payloadEnd = at + (command === CMD.WRITE ? length : 0);
    if (payloadEnd > bytes.length) return found('none');
    if (errno === 0) {
      const from = Number(start);
      if (command === CMD.WRITE) content.set(bytes.subarray(at, payloadEnd), from);
      if (command === CMD.TRIM || command === CMD.WRITE_ZEROES) {
        content.fill(0, from, from + length);
      }
      if (command === CMD.READ) reads.set(cookie, [...(reads.get(cookie) ?? []), length]);
    }
    owe(cookie, errno);
    at = payloadEnd;
  }
}

interface Asked {
  readonly command: number;
  readonly flags: number;
  readonly start: bigint;
  readonly length: number;
}

interface Rights {
  readonly structured: boolean;
  readonly allocation: boolean;
  readonly readOnly: boolean;
}

/** The flags that a command may have; undefined when there is no such command. */
const ALLOWED: Readonly<Record<number, number>> = {
  [CMD.READ]: FLAG.FUA | FLAG.DF,
  [CMD.WRITE]: FLAG.FUA,
  [CMD.FLUSH]: FLAG.FUA,
  [CMD.TRIM]: FLAG.FUA,
  [CMD.CACHE]: FLAG.FUA,
  [CMD.WRITE_ZEROES]: FLAG.FUA | FLAG.NO_HOLE | FLAG.FAST_ZERO,
  [CMD.BLOCK_STATUS]: FLAG.FUA | FLAG.REQ_ONE,
};

function refusal(asked: Asked, sizeBytes: number, rights: Rights): number {
  const { command, flags, start, length } = asked;
  const allowed = ALLOWED[command];
  if (allowed === undefined || (flags | allowed) !== allowed) return EINVAL;
  if (command === CMD.FLUSH) return start === 0n && length === 0 ? 0 : EINVAL;
  const changes = command === CMD.WRITE || command === CMD.TRIM || command === CMD.WRITE_ZEROES;
  if (changes && rights.readOnly) return EPERM;
  if (command === CMD.READ && (flags & FLAG.DF) !== 0 && !rights.structured) return EINVAL;
  if (command === CMD.BLOCK_STATUS && !rights.allocation) return EINVAL;
  const carries = command === CMD.READ || command === CMD.WRITE;
  if (length === 0 || (carries && length > PAYLOAD_MAX)) return EINVAL;
  const fits = start + BigInt(length) <= BigInt(sizeBytes);
  if (!fits) return changes ? ENOSPC : EINVAL;
  return 0;
}

/** Where requests begin and what was agreed on; or how it ends before that. */
function handshake(bytes: Buffer, name: string): Session | 'broken' | 'disconnected' | 'none' {
  if (bytes.length < 4) return 'none';
  const client = bytes.readUInt32BE(0);
  if (client > 3) return 'broken';
  const fixed = (client & 1) !== 0;
  let structured = false;
  let contextFor: string | undefined;
  for (let at = 4; ;) {
    if (at + 16 > bytes.length) return 'none';
    if (bytes.toString('latin1', at, at + 8) !== 'IHAVEOPT') return 'broken';
    const type = bytes.readUInt32BE(at + 8);
    const length = bytes.readUInt32BE(at + 12);
    at += 16;
    if (!fixed && type !== 1) return 'broken';
    const tooLong = length > 64 * 1024;
    if (tooLong && type === 1) return 'broken';
    if (tooLong && type === 10) contextFor = undefined;
    if (at + length > bytes.length) return 'none';
    const data = bytes.subarray(at, at + length);
    at += length;
    if (tooLong) continue;
    switch (type) {
      case 1: {
        const asked = textOf(data);
        if (asked === undefined || asked !== name) return 'broken';
        const exportName = (client & 2) === 0 ? 134 : 10;
        return { at, exportName, structured, allocation: contextFor === asked };
      }
      case 2:
        return 'disconnected';
      case 6:
      case 7: {
        const asked = infoName(data);
        if (type === 6 || asked === undefined || asked !== name) break;
        return { at, exportName: 0, structured, allocation: contextFor === asked };
      }
      case 8:
        if (data.length === 0) structured = true;
        break;
      case 10:
        contextFor = structured ? contextName(data, name) : undefined;
        break;
      default:
    }
  }
}

function textOf(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes) && bytes.length <= 4096;
  return isText ? text : undefined;
}

/** A string behind its length, and where it ends. */
function countedAt(data: Buffer, at: number): { text: string; end: number } | undefined {
  if (at + 4 > data.length) return undefined;
  const end = at + 4 + data.readUInt32BE(at);
  if (end > data.length) return undefined;
  const text = textOf(data.subarray(at + 4, end));
  return text === undefined ? undefined : { text, end };
}

/** The name in INFO or GO; undefined when the data is malformed. */
function infoName(data: Buffer): string | undefined {
  const name = countedAt(data, 0);
  if (!name || name.end + 2 > data.length) return undefined;
  const count = data.readUInt16BE(name.end);
  return name.end + 2 + count * 2 === data.length ? name.text : undefined;
}

/** The name that SET_META_CONTEXT selects base:allocation for; undefined when it does not. */
function contextName(data: Buffer, known: string): string | undefined {
  const name = countedAt(data, 0);
  if (!name || name.end + 4 > data.length) return undefined;
  let selected = false;
  let at = name.end + 4;
  for (let left = data.readUInt32BE(name.end); left > 0; left -= 1) {
    const query = countedAt(data, at);
    if (!query?.text.includes(':')) return undefined;
    if (query.text === 'base:allocation') selected = true;
    at = query.end;
  }
  const whole = at === data.length && name.text === known;
  return whole && selected ? name.text : undefined;
}
