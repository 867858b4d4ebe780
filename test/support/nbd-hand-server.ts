/** An NBD server by hand: it says what a test tells it to, and takes apart what a client sends. */
import { GIB, MIB } from '../../src/base/limits.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { seededRandom } from '../sim/random.ts';
import { CMD, counted, wire } from './nbd-hand.ts';

/** Transmission flags of an export that can do everything. */
export const ALL = 0xd6d;
const REPLY = Buffer.from('0003e889045565a9', 'hex');

export interface Asked {
  readonly flags: number;
  readonly command: number;
  /** As it came, to be answered. */
  readonly cookie: Buffer;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer;
}

/** A server that says what a test tells it to. */
export class HandServer {
  readonly clock = new SimulatedClock();
  readonly ours: ByteStream;
  readonly theirs: ByteStream;
  received: Buffer = Buffer.alloc(0);
  ended: Error | null | undefined;

  constructor() {
    [this.ours, this.theirs] = memoryStreamPair(this.clock, seededRandom(1), {
      names: ['tokyo', 'client'],
      chunkBytesMax: 700,
    });
    this.ours.listen({
      data: (bytes) => {
        this.received = Buffer.concat([this.received, bytes]);
      },
      drained: () => undefined,
      closed: (error) => {
        this.ended = error ?? null;
      },
    });
  }

  say(...messages: readonly Buffer[]): void {
    for (const message of messages) this.ours.write([message]);
    this.clock.advance(0);
  }

  take(length: number): Buffer {
    if (this.received.length < length) throw new Error(`only ${this.received.length} bytes came`);
    const taken = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return taken;
  }

  /** The next option that the client sent. */
  option(): { readonly type: number; readonly data: Buffer } {
    const header = this.take(16);
    if (header.toString('latin1', 0, 8) !== 'IHAVEOPT') throw new Error('no option');
    return { type: header.readUInt32BE(8), data: this.take(header.readUInt32BE(12)) };
  }

  /** Throws unless the next option is this one. */
  expectOption(type: number, data: Buffer = Buffer.alloc(0)): void {
    const came = this.option();
    if (came.type !== type || !came.data.equals(data)) throw new Error(`option ${came.type} came`);
  }

  /** Requests that came. */
  requests(): Asked[] {
    const found: Asked[] = [];
    while (this.received.length > 0) {
      const header = this.take(28);
      if (header.readUInt32BE(0) !== 0x25609513) throw new Error('no request');
      const command = header.readUInt16BE(6);
      const length = header.readUInt32BE(24);
      found.push({
        flags: header.readUInt16BE(4),
        command,
        cookie: Buffer.from(header.subarray(8, 16)),
        offset: Number(header.readBigUInt64BE(16)),
        length,
        payload: command === CMD.WRITE ? this.take(length) : Buffer.alloc(0),
      });
    }
    return found;
  }

  /** The only request that came. */
  request(): Asked {
    const [asked, more] = this.requests();
    if (!asked || more) throw new Error('not one request');
    return asked;
  }
}

export function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return wire(REPLY, option, type, data.length, data);
}

export interface Offer {
  readonly structured?: boolean;
  readonly allocation?: boolean;
  readonly flags?: number;
  readonly sizeBytes?: number;
}

/** What `opening` came to, without waiting for it. */
export function outcomeOf<T>(opening: Promise<T>) {
  const outcome: { value?: T; error?: unknown } = {};
  opening.then(
    (value) => Object.assign(outcome, { value }),
    (error: unknown) => Object.assign(outcome, { error }),
  );
  return outcome;
}

/** A client that went in, of a server that offers this. */
export async function opened(offer: Offer = {}, options: { requestsInFlightMax?: number } = {}) {
  const { structured = true, allocation = true, flags = ALL, sizeBytes = 8 * GIB } = offer;
  const server = new HandServer();
  const ends: unknown[] = [];
  const opening = NbdClient.open(server.theirs, {
    clock: server.clock,
    exportName: 'db',
    onEnd: (error) => ends.push(error),
    ...options,
  });
  server.say(wire('NBDMAGIC', 'IHAVEOPT', [2, 3]));
  if (server.take(4).readUInt32BE(0) !== 3) throw new Error('other client flags');
  server.expectOption(8);
  server.say(optionReply(8, structured ? 1 : 0x8000_0001));
  if (structured) {
    server.expectOption(10, wire(counted('db'), 1, counted('base:allocation')));
    if (allocation) server.say(optionReply(10, 4, wire(42, 'base:allocation')));
    server.say(optionReply(10, 1));
  }
  server.expectOption(7, wire(counted('db'), [2, 1], [2, 3]));
  server.say(
    optionReply(7, 3, wire([2, 0], [8, sizeBytes], [2, flags])),
    optionReply(7, 3, wire([2, 3], 1, 4096, 32 * MIB)),
    optionReply(7, 3, wire([2, 99], 'whatever')),
    optionReply(7, 1),
  );
  return { server, client: await opening, ends };
}

/** A simple reply. */
export function simple(cookie: Buffer, errno = 0, data: Buffer = Buffer.alloc(0)): Buffer {
  return wire(0x67446698, errno, cookie, data);
}

/** A chunk of a structured reply. */
export function chunk(cookie: Buffer, type: number, data: Buffer, done = true): Buffer {
  return wire(0x668e33ef, [2, done ? 1 : 0], [2, type], cookie, data.length, data);
}

export function dataChunk(cookie: Buffer, offset: number, bytes: Buffer, done = false): Buffer {
  return chunk(cookie, 1, wire([8, offset], bytes), done);
}
