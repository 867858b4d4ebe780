/**
 * An NBD client by hand, over a stream in memory: it sends the bytes that a test gives it, and
 * takes the answers apart by the protocol's document alone, without the code under test.
 */
import { NbdServer } from '../../src/nbd/server.ts';
import type { NbdEvent, NbdServerOptions } from '../../src/nbd/server.ts';
import type { NbdExport } from '../../src/nbd/exports.ts';
import type { Device } from '../../src/device/device.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { MemoryStreamOptions } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { seededRandom } from '../sim/random.ts';

const IHAVEOPT = Buffer.from('IHAVEOPT');
const NBDMAGIC = Buffer.from('NBDMAGIC');

/** The parts of a message: numbers are u32, of other sizes as `[bytes, value]`. */
type Part = number | string | Buffer | readonly [2 | 8, number];

/** Big-endian bytes. */
export function wire(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part);
      if (Buffer.isBuffer(part)) return part;
      const [bytes, value] = typeof part === 'number' ? [4, part] : part;
      const encoded = Buffer.alloc(bytes);
      if (bytes === 8) encoded.writeBigUInt64BE(BigInt(value));
      else encoded.writeUIntBE(value, 0, bytes);
      return encoded;
    }),
  );
}

/** A string behind its length. */
export function counted(text: string): Buffer {
  return wire(Buffer.byteLength(text), text);
}

export function option(type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return wire(IHAVEOPT, type, data.length, data);
}

/** GO (7) or INFO (6). */
export function go(name: string, type = 7, infos: readonly number[] = []): Buffer {
  const items = infos.map((info) => wire([2, info]));
  return option(type, wire(counted(name), [2, infos.length], ...items));
}

export const STRUCTURED = option(8);

/** SET_META_CONTEXT (10) or LIST_META_CONTEXT (9). */
export function metaContext(name: string, queries: readonly string[], type = 10): Buffer {
  const items = queries.map((query) => counted(query));
  return option(type, wire(counted(name), queries.length, ...items));
}

export const CMD = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const FLAG = { FUA: 1, NO_HOLE: 2, DF: 4, REQ_ONE: 8, FAST_ZERO: 16 } as const;

export interface RequestWords {
  readonly cookie: number;
  readonly offset?: number;
  readonly length?: number;
  readonly flags?: number;
  readonly payload?: Buffer;
}

export function request(command: number, words: RequestWords): Buffer {
  const { cookie, offset = 0, flags = 0, payload = Buffer.alloc(0) } = words;
  const length = words.length ?? payload.length;
  return wire(0x25609513, [2, flags], [2, command], [8, cookie], [8, offset], length, payload);
}

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

export interface Reply {
  readonly kind: 'simple' | 'chunk';
  readonly cookie: number;
  /** Of a simple reply, or of an error chunk. */
  readonly errno: number;
  /** Of a chunk. */
  readonly type?: number;
  readonly done?: boolean;
  readonly data: Buffer;
}

/** One client. */
export class HandClient {
  /** How it ended: undefined while it did not, null in order. */
  ended: Error | null | undefined;
  readonly stream: ByteStream;
  private readonly clock: SimulatedClock;
  private chunks: Buffer[] = [];
  /** Lengths of reads, whose simple replies have data. */
  private readonly reads = new Map<number, number>();
  private structured = false;

  constructor(stream: ByteStream, clock: SimulatedClock) {
    this.stream = stream;
    this.clock = clock;
    stream.listen({
      data: (chunk) => {
        this.chunks.push(Buffer.from(chunk));
      },
      drained: () => undefined,
      closed: (error) => {
        this.ended = error ?? null;
      },
    });
  }

  /** Sends, and lets everything happen that does not take time. */
  send(...messages: readonly Buffer[]): this {
    for (const message of messages) this.stream.write([message]);
    this.clock.advance(0);
    return this;
  }

  /** What came and was not taken apart yet. */
  get received(): Buffer {
    const [only = Buffer.alloc(0)] = this.chunks;
    if (this.chunks.length <= 1) return only;
    const joined = Buffer.concat(this.chunks);
    this.chunks = [joined];
    return joined;
  }

  take(length: number): Buffer {
    const { received } = this;
    if (received.length < length) {
      throw new Error(`${received.length} bytes came, ${length} were awaited`);
    }
    this.chunks = [received.subarray(length)];
    return received.subarray(0, length);
  }

  /** Takes the greeting and answers it. */
  greet(flags = 3): this {
    this.clock.advance(0);
    const greeting = this.take(18);
    if (!greeting.equals(wire(NBDMAGIC, IHAVEOPT, [2, 3]))) throw new Error('no greeting');
    return this.send(wire(flags));
  }

  optionReply(): OptionReply {
    const header = this.take(20);
    if (header.readBigUInt64BE(0) !== 0x3e889045565a9n) throw new Error('no option reply');
    const data = this.take(header.readUInt32BE(16));
    return { option: header.readUInt32BE(8), type: header.readUInt32BE(12), data };
  }

  /** All option replies that are there. */
  optionReplies(): OptionReply[] {
    const replies: OptionReply[] = [];
    while (this.received.length > 0) replies.push(this.optionReply());
    return replies;
  }

  /** Goes all the way to transmission. */
  enter(name = 'db', how: { structured?: boolean; allocation?: boolean } = {}): this {
    const { structured = false, allocation = false } = how;
    this.greet();
    if (structured || allocation) this.send(STRUCTURED);
    if (allocation) this.send(metaContext(name, ['base:allocation']));
    this.send(go(name));
    this.structured = structured || allocation;
    const last = this.optionReplies().at(-1);
    if (last?.option !== 7 || last.type !== 1) throw new Error(`not let in: ${last?.type}`);
    return this;
  }

  request(command: number, words: RequestWords): this {
    this.note(command, words);
    return this.send(request(command, words));
  }

  /** The answer to a request; throws when there is not exactly one. */
  ask(command: number, words: RequestWords): Reply {
    this.request(command, words);
    const [reply, another] = this.replies();
    if (!reply || another) throw new Error(reply ? 'several answers' : 'no answer');
    if (reply.cookie !== words.cookie) throw new Error(`an answer to ${reply.cookie}`);
    return reply;
  }

  /** Lets it know of a request that is sent as bytes. */
  note(command: number, { cookie, length = 0 }: RequestWords): void {
    if (command === CMD.READ) this.reads.set(cookie, length);
  }

  /** All replies that are there whole. */
  replies(): Reply[] {
    const replies: Reply[] = [];
    while (this.received.length > 0) replies.push(this.reply());
    return replies;
  }

  private reply(): Reply {
    const magic = this.take(4).readUInt32BE(0);
    if (magic === 0x668e33ef && this.structured) return this.chunk();
    if (magic !== 0x67446698) throw new Error(`no reply: 0x${magic.toString(16)}`);
    const errno = this.take(4).readUInt32BE(0);
    const cookie = Number(this.take(8).readBigUInt64BE(0));
    const length = this.reads.get(cookie);
    if (length !== undefined && this.structured) throw new Error('a simple reply to a read');
    this.reads.delete(cookie);
    return { kind: 'simple', cookie, errno, data: this.take(errno === 0 ? (length ?? 0) : 0) };
  }

  private chunk(): Reply {
    const header = this.take(16);
    const type = header.readUInt16BE(2);
    const cookie = Number(header.readBigUInt64BE(4));
    const data = this.take(header.readUInt32BE(12));
    const errno = type >= 0x8000 ? data.readUInt32BE(0) : 0;
    const done = (header.readUInt16BE(0) & 1) !== 0;
    if (done) this.reads.delete(cookie);
    return { kind: 'chunk', cookie, type, done, errno, data };
  }
}

/** A server over devices in memory, and clients by hand. */
export class NbdWorld {
  readonly clock = new SimulatedClock();
  readonly server: NbdServer;
  readonly events: NbdEvent[] = [];
  readonly exports: NbdExport[] = [];
  private readonly random;
  private readonly streamOptions: MemoryStreamOptions;

  constructor(
    devices: Readonly<Record<string, Device>>,
    options: Partial<NbdServerOptions> & MemoryStreamOptions & { seed?: number } = {},
  ) {
    this.random = seededRandom(options.seed ?? 1);
    this.streamOptions = options;
    for (const [name, device] of Object.entries(devices)) {
      this.exports.push({ name, description: `about ${name}`, device });
    }
    this.server = new NbdServer({
      clock: this.clock,
      exports: {
        list: () => this.exports,
        find: (name) => this.exports.find((found) => found.name === (name || 'db')),
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** A client that was not greeted yet. */
  connect(name = 'host'): HandClient {
    const [ours, theirs] = this.streams(name);
    this.server.accept(theirs);
    return new HandClient(ours, this.clock);
  }

  /** Both ends of a connection: the client's, the server's. */
  streams(name = 'host'): [ByteStream, ByteStream] {
    return memoryStreamPair(this.clock, this.random, {
      names: [name, 'server'],
      ...this.streamOptions,
    });
  }

  get usedBytes(): number {
    return this.server.usage().memory.usedBytes;
  }
}
