// What clients build on: the guarantees of NBD, held over streams that cut and join.
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { KIB, MIB, NBD_EXTENTS_MAX } from '../../src/base/limits.ts';
import { HeldDevice } from '../support/held-device.ts';
import { pattern } from '../support/image-sets.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { CMD, FLAG, NbdWorld, go, option, request, wire } from '../support/nbd-hand.ts';

const SIZE = 1 * MIB;

const EPERM = 1;
const EIO = 5;
const EINVAL = 22;
const ENOSPC = 28;
const ESHUTDOWN = 108;

/** A server over one plain device, and a client of it that went in. */
function entered(how: { structured?: boolean; allocation?: boolean; readOnly?: boolean } = {}) {
  const device = new MemoryDevice(SIZE, true);
  device.readOnly = how.readOnly ?? false;
  const world = new NbdWorld({ db: device }, { chunkBytesMax: 1000 });
  return { device, world, client: world.connect().enter('db', how) };
}

function held(options: { requestsInFlightMax?: number } = {}) {
  const device = new HeldDevice(SIZE);
  const world = new NbdWorld({ db: device }, { limits: options });
  return { device, world, client: world.connect().enter() };
}

describe('commands', () => {
  test('read and write, in golden bytes', () => {
    const { client, device } = entered();
    const payload = pattern(1, 700);
    client.send(request(CMD.WRITE, { cookie: 0x1122334455, offset: 513, payload }));
    expect(client.take(16).toString('hex')).toBe('67446698000000000000001122334455');
    client.send(request(CMD.READ, { cookie: 7, offset: 512, length: 702 }));
    expect(client.take(16).toString('hex')).toBe('67446698000000000000000000000007');
    expect(client.received.equals(device.content.subarray(512, 512 + 702))).toBe(true);
    expect(device.content.subarray(513, 513 + 700).equals(payload)).toBe(true);
    expect(device.seen).toEqual(['write 513 700', 'read 512 702']);
  });

  test('a structured read, in golden bytes', () => {
    const { client, device } = entered({ structured: true });
    device.content.set(pattern(1, 4), 512);
    client.send(request(CMD.READ, { cookie: 9, offset: 512, length: 4, flags: FLAG.DF }));
    const golden = wire(0x668e33ef, [2, 1], [2, 1], [8, 9], 12, [8, 512], pattern(1, 4));
    expect(client.received.toString('hex')).toBe(golden.toString('hex'));
  });

  test('each one reaches the device as what it is', () => {
    const { client, device } = entered();
    const at = { offset: 4096, length: 4096 };
    const asked = [
      client.ask(CMD.WRITE, { cookie: 1, offset: 1, payload: pattern(1, 3), flags: FLAG.FUA }),
      client.ask(CMD.FLUSH, { cookie: 2 }),
      client.ask(CMD.TRIM, { cookie: 3, ...at }),
      client.ask(CMD.TRIM, { cookie: 4, ...at, flags: FLAG.FUA }),
      client.ask(CMD.WRITE_ZEROES, { cookie: 5, ...at }),
      client.ask(CMD.WRITE_ZEROES, { cookie: 6, ...at, flags: FLAG.NO_HOLE | FLAG.FUA }),
      client.ask(CMD.WRITE_ZEROES, { cookie: 7, ...at, flags: FLAG.FAST_ZERO }),
    ];
    expect(asked.map(({ errno }) => errno)).toEqual(asked.map(() => 0));
    expect(device.seen).toEqual([
      'write 1 3 fua',
      'flush',
      'zeroes 4096 4096 free',
      'zeroes 4096 4096 free fua',
      'zeroes 4096 4096 free',
      'zeroes 4096 4096 fua',
      'zeroes 4096 4096 free',
    ]);
  });

  test('FUA is accepted on every command', () => {
    const { client } = entered({ allocation: true });
    for (const command of Object.values(CMD).filter((one) => one !== CMD.DISC)) {
      const payload = command === CMD.WRITE ? pattern(1, 512) : Buffer.alloc(0);
      const length = command === CMD.FLUSH ? 0 : 512;
      const reply = client.ask(command, { cookie: command + 1, length, payload, flags: FLAG.FUA });
      expect([command, reply.errno]).toEqual([command, 0]);
    }
  });

  test('CACHE reads all of the range, in pieces, and tells nothing of it', () => {
    const device = new MemoryDevice(3 * MIB, true);
    const client = new NbdWorld({ db: device }).connect().enter();
    const reply = client.ask(CMD.CACHE, { cookie: 1, offset: 100, length: 2 * MIB + 1 });
    expect(reply).toMatchObject({ errno: 0, data: Buffer.alloc(0) });
    expect(device.seen).toEqual([
      `read 100 ${MIB}`,
      `read ${MIB + 100} ${MIB}`,
      `read ${2 * MIB + 100} 1`,
    ]);
  });

  test('one request is one request of the device, however large it is', () => {
    const device = new MemoryDevice(32 * MIB, true);
    const client = new NbdWorld({ db: device }).connect().enter();
    const payload = Buffer.alloc(32 * MIB, 7);
    expect(client.ask(CMD.WRITE, { cookie: 1, payload }).errno).toBe(0);
    const reply = client.ask(CMD.READ, { cookie: 2, length: 32 * MIB });
    expect(reply.data.equals(payload)).toBe(true);
    expect(device.seen).toEqual([`write 0 ${32 * MIB}`, `read 0 ${32 * MIB}`]);
  });

  test('the payload reaches the device as slices of what came, not joined', () => {
    const device = new HeldDevice(SIZE);
    const parts: Uint8Array[][] = [];
    const submit = device.submit.bind(device);
    device.submit = (asked, done) => {
      if (asked.kind === 'write') parts.push([...asked.data]);
      submit(asked, done);
    };
    const world = new NbdWorld({ db: device }, { chunkBytesMax: 64 * KIB });
    const client = world.connect().enter();
    const message = request(CMD.WRITE, { cookie: 1, payload: pattern(3, 200_000) });
    client.send(message);
    const [slices = []] = parts;
    expect(slices.length).toBeGreaterThan(1);
    expect(Buffer.concat(slices).equals(pattern(3, 200_000))).toBe(true);
    const large = slices.filter((slice) => slice.length >= 512);
    expect(large.length).toBeGreaterThan(0);
    expect(large.every((slice) => slice.buffer === message.buffer)).toBe(true);
  });
});

describe('refusals', () => {
  const outside = { offset: SIZE - 512, length: 1024 };

  test.each([
    ['a write past the end', CMD.WRITE, { ...outside, payload: pattern(1, 1024) }, ENOSPC],
    ['zeroes past the end', CMD.WRITE_ZEROES, outside, ENOSPC],
    ['a trim past the end', CMD.TRIM, outside, ENOSPC],
    ['a read past the end', CMD.READ, outside, EINVAL],
    ['a read far past the end', CMD.READ, { offset: 2 ** 60, length: 1 }, EINVAL],
    ['cache past the end', CMD.CACHE, outside, EINVAL],
    ['an empty read', CMD.READ, { length: 0 }, EINVAL],
    ['an empty write', CMD.WRITE, { length: 0 }, EINVAL],
    ['an empty trim', CMD.TRIM, { offset: SIZE, length: 0 }, EINVAL],
    ['a flush of a range', CMD.FLUSH, { length: 512 }, EINVAL],
    ['a read over 32 MiB', CMD.READ, { length: 32 * MIB + 1 }, EINVAL],
    ['an unknown command', 42, { length: 512 }, EINVAL],
    ['an unknown flag', CMD.READ, { length: 512, flags: 1 << 9 }, EINVAL],
    ['a flag of another command', CMD.WRITE, { flags: 2, payload: pattern(1, 512) }, EINVAL],
    ['DF without chunks', CMD.READ, { length: 512, flags: FLAG.DF }, EINVAL],
    ['status that was not agreed on', CMD.BLOCK_STATUS, { length: 512 }, EINVAL],
  ])('%s: errno %#', (_what, command, words, errno) => {
    const { client, device } = entered();
    const reply = client.ask(command, { cookie: 5, ...words });
    expect(reply).toMatchObject({ kind: 'simple', errno });
    expect(device.seen).toEqual([]);
    expect(client.ask(CMD.FLUSH, { cookie: 6 }).errno).toBe(0);
  });

  test('the payload of a refused write is swallowed, also when it is too long', () => {
    const device = new MemoryDevice(SIZE, true);
    const world = new NbdWorld({ db: device });
    const client = world.connect().enter();
    const payload = Buffer.alloc(33 * MIB, request(CMD.FLUSH, { cookie: 99 }));
    client.send(request(CMD.WRITE, { cookie: 1, payload }));
    expect(client.replies()).toMatchObject([{ cookie: 1, errno: EINVAL }]);
    expect(client.ask(CMD.READ, { cookie: 2, length: 512 }).errno).toBe(0);
    expect(device.seen).toEqual(['read 0 512']);
    expect(world.usedBytes).toBe(0);
  });

  test('to an export that was read-only when it came: EPERM, also if that has changed', () => {
    const { client, device } = entered({ readOnly: true });
    device.readOnly = false;
    const at = { cookie: 1, length: 512 };
    expect(client.ask(CMD.WRITE, { ...at, payload: pattern(1, 512) }).errno).toBe(EPERM);
    expect(client.ask(CMD.TRIM, at).errno).toBe(EPERM);
    expect(client.ask(CMD.WRITE_ZEROES, at).errno).toBe(EPERM);
    expect(client.ask(CMD.READ, at).errno).toBe(0);
    expect(device.seen).toEqual(['read 0 512']);
  });

  test.each<[ErrorCode, number, number]>([
    ['E_RANGE', ENOSPC, EINVAL],
    ['E_ROLE', EPERM, EPERM],
    ['E_JOURNAL_FULL', ENOSPC, ENOSPC],
    ['E_NO_SPACE', ENOSPC, ENOSPC],
    ['E_SEALED', ESHUTDOWN, ESHUTDOWN],
    ['E_STOPPED', ESHUTDOWN, ESHUTDOWN],
    ['E_IO', EIO, EIO],
    ['E_DAMAGED', EIO, EIO],
    ['E_INTERNAL', EIO, EIO],
  ])('what a device fails with is told: %s', (code, ofWrite, ofRead) => {
    const { client, device } = held();
    const completion = { ok: false, error: new RcopyError(code, 'so it is') } as const;
    const fails = (command: number) => {
      client.request(command, { cookie: 1, length: 512 });
      device.answer(0, completion);
      client.send();
      const [reply] = client.replies();
      return reply?.errno;
    };
    client.send(request(CMD.WRITE, { cookie: 2, payload: pattern(1, 512) }));
    device.answer(0, completion);
    client.send();
    expect(client.replies()).toMatchObject([{ cookie: 2, errno: ofWrite }]);
    expect([fails(CMD.TRIM), fails(CMD.READ), fails(CMD.CACHE)]).toEqual([ofWrite, ofRead, ofRead]);
  });

  test('in structured mode a read is never answered simply, and its error has words', () => {
    const device = new HeldDevice(SIZE);
    const world = new NbdWorld({ db: device });
    const client = world.connect().enter('db', { allocation: true });
    client.request(CMD.READ, { cookie: 1, length: 512 });
    device.answer(0, { ok: false, error: new RcopyError('E_IO', 'the disk is gone') });
    client.send();
    const [failed] = client.replies();
    expect(failed).toMatchObject({ kind: 'chunk', type: 0x8001, done: true, errno: EIO });
    expect(failed?.data.toString('utf8', 6)).toBe('the disk is gone');
    for (const command of [CMD.READ, CMD.BLOCK_STATUS]) {
      const reply = client.ask(command, { cookie: 2, offset: SIZE, length: 1 });
      expect(reply).toMatchObject({ kind: 'chunk', type: 0x8001, done: true, errno: EINVAL });
    }
    expect(client.ask(CMD.TRIM, { cookie: 3, offset: SIZE, length: 1 })).toMatchObject({
      kind: 'simple',
      errno: ENOSPC,
    });
  });

  test('a device that brings too little is an I/O error, not a broken stream', () => {
    const { client, device } = held();
    client.request(CMD.READ, { cookie: 1, length: 512 });
    device.answer(0, { ok: true, data: [Buffer.alloc(511)] });
    client.send();
    expect(client.replies()).toMatchObject([{ cookie: 1, errno: EIO }]);
  });

  test('what is no request ends the connection; what was asked before stays as it is', () => {
    const { client, device, world } = held();
    client.send(request(CMD.WRITE, { cookie: 1, payload: pattern(1, 512) }));
    client.send(wire('GET / HTTP/1.1'));
    expect(client.ended).toBeUndefined();
    client.send(wire('\r\nHost: tokyo\r\n\r\n'));
    expect(client.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(world.events.at(-1)).toMatchObject({
      kind: 'disconnected',
      export: 'db',
      error: { code: 'E_PROTOCOL' },
    });
    device.answerAll();
    expect(device.content.subarray(0, 512).equals(pattern(1, 512))).toBe(true);
    expect(world.usedBytes).toBe(0);
  });
});

describe('block status', () => {
  function extentsOf(data: Buffer): number[][] {
    expect(data.readUInt32BE(0)).toBe(1);
    const extents: number[][] = [];
    for (let at = 4; at < data.length; at += 8) {
      extents.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)]);
    }
    return extents;
  }

  function withData() {
    const found = entered({ allocation: true });
    found.device.content.set(pattern(1, 8192), 16 * KIB);
    return found;
  }

  test('tells data and holes of exactly the range', () => {
    const { client } = withData();
    const reply = client.ask(CMD.BLOCK_STATUS, { cookie: 1, offset: 100, length: 64 * KIB });
    expect(reply).toMatchObject({ kind: 'chunk', type: 5, done: true });
    expect(extentsOf(reply.data)).toEqual([
      [16 * KIB - 100, 3],
      [8 * KIB, 0],
      [40 * KIB + 100, 3],
    ]);
  });

  test('REQ_ONE gets one extent, within the range', () => {
    const { client } = withData();
    const one = { offset: 17 * KIB, length: 1 * KIB, flags: FLAG.REQ_ONE };
    expect(extentsOf(client.ask(CMD.BLOCK_STATUS, { cookie: 1, ...one }).data)).toEqual([
      [1 * KIB, 0],
    ]);
    const more = { offset: 17 * KIB, length: 60 * KIB, flags: FLAG.REQ_ONE };
    expect(extentsOf(client.ask(CMD.BLOCK_STATUS, { cookie: 2, ...more }).data)).toEqual([
      [7 * KIB, 0],
    ]);
  });

  test('joins neighbours of one kind, asks no more than it tells, and is bounded', () => {
    const { client, device } = withData();
    let asked = 0;
    device.nextExtent = (offset) => {
      asked += 1;
      return { offset, length: 512, data: offset % 1024 === 0 };
    };
    const reply = client.ask(CMD.BLOCK_STATUS, { cookie: 1, length: SIZE });
    expect(extentsOf(reply.data).length).toBe(NBD_EXTENTS_MAX);
    expect(asked).toBe(NBD_EXTENTS_MAX);
    device.nextExtent = (offset) => ({ offset, length: 512, data: true });
    const joined = client.ask(CMD.BLOCK_STATUS, { cookie: 2, length: 64 * KIB });
    expect(extentsOf(joined.data)).toEqual([[64 * KIB, 0]]);
  });

  test('an extent that goes on behind the range is cut', () => {
    const { client, device } = withData();
    device.nextExtent = (offset) => ({ offset, length: SIZE, data: false });
    const reply = client.ask(CMD.BLOCK_STATUS, { cookie: 1, offset: 512, length: 1024 });
    expect(extentsOf(reply.data)).toEqual([[1024, 3]]);
  });

  test('a device that cannot tell is an I/O error', () => {
    const { client, device } = withData();
    device.nextExtent = () => {
      throw new RcopyError('E_IO', 'no extents');
    };
    expect(client.ask(CMD.BLOCK_STATUS, { cookie: 1, length: 512 }).errno).toBe(EIO);
    expect(client.ask(CMD.READ, { cookie: 2, length: 512 }).errno).toBe(0);
  });
});

describe('many requests', () => {
  test('are answered as they end, in any order, each once', () => {
    const { client, device } = held();
    for (const cookie of [1, 2, 3]) client.request(CMD.READ, { cookie, length: 512 });
    expect(device.held.length).toBe(3);
    device.answer(2);
    device.answer(0);
    client.send();
    expect(client.replies().map(({ cookie }) => cookie)).toEqual([3, 1]);
    device.answer(0);
    client.send();
    expect(client.replies().map(({ cookie }) => cookie)).toEqual([2]);
  });

  test('may have equal cookies: those are the business of the client', () => {
    const { client, device } = held();
    for (let times = 0; times < 3; times += 1) client.request(CMD.FLUSH, { cookie: 7 });
    device.answerAll();
    client.send();
    expect(client.replies().map(({ cookie }) => cookie)).toEqual([7, 7, 7]);
  });

  test('replies that become ready in one turn leave in one write', () => {
    const { device, world } = held();
    const writes: number[] = [];
    const [ours, theirs] = world.streams();
    const write = theirs.write.bind(theirs);
    theirs.write = (parts) => {
      writes.push(parts.length);
      return write(parts);
    };
    world.server.accept(theirs);
    const ended: unknown[] = [];
    ours.listen({
      data: () => undefined,
      drained: () => undefined,
      closed: (error) => ended.push(error),
    });
    ours.write([wire(3, go('db'))]);
    world.clock.advance(0);
    writes.length = 0;
    for (let cookie = 0; cookie < 32; cookie += 1) {
      ours.write([request(CMD.WRITE, { cookie, offset: cookie * 512, payload: pattern(1, 512) })]);
    }
    world.clock.advance(0);
    expect(device.held.length).toBe(32);
    device.answerAll();
    world.clock.advance(0);
    expect(writes).toEqual([1]);
    expect(ended).toEqual([]);
  });

  test('a flush covers what was answered before it on any connection', () => {
    const device = new HeldDevice(SIZE);
    const world = new NbdWorld({ db: device });
    const one = world.connect().enter();
    const other = world.connect().enter();
    one.send(request(CMD.WRITE, { cookie: 1, payload: pattern(1, 512) }));
    device.answer();
    one.send();
    expect(one.replies().length).toBe(1);
    other.request(CMD.FLUSH, { cookie: 1 });
    // Both are requests of one device, in this order: its flush covers the write.
    expect(device.seen).toEqual(['write 0 512', 'flush']);
    expect(other.received.length).toBe(0);
    device.answer();
    other.send();
    expect(other.replies()).toMatchObject([{ cookie: 1, errno: 0 }]);
  });

  test('over the bound of a connection they wait, and others go on', () => {
    const { client, device, world } = held({ requestsInFlightMax: 4 });
    const many = Array.from({ length: 10 }, (_, cookie) => {
      client.note(CMD.READ, { cookie, length: 512 });
      return request(CMD.READ, { cookie, offset: cookie * 512, length: 512 });
    });
    client.send(Buffer.concat(many));
    expect(device.held.length).toBe(4);
    expect(world.server.connections()).toMatchObject([{ requestsInFlight: 4 }]);
    const other = world.connect().enter();
    other.request(CMD.FLUSH, { cookie: 1 });
    expect(device.waiting.at(-1)).toBe('flush');
    device.answer(device.held.length - 1);
    other.send();
    expect(other.replies().length).toBe(1);
    for (let count = 0; count < 10; count += 1) {
      device.answer();
      client.send();
    }
    expect(client.replies().map(({ cookie }) => cookie)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(world.usedBytes).toBe(0);
  });
});

describe('the end', () => {
  test('DISC finishes what is outstanding, answers nothing more, and ends in order', () => {
    const { client, device, world } = held();
    client.send(
      request(CMD.WRITE, { cookie: 1, payload: pattern(1, 512) }),
      Buffer.concat([
        request(CMD.READ, { cookie: 2, length: 512 }),
        request(CMD.DISC, { cookie: 3 }),
        request(CMD.FLUSH, { cookie: 4 }),
      ]),
      request(CMD.FLUSH, { cookie: 5 }),
    );
    client.note(CMD.READ, { cookie: 2, length: 512 });
    expect(device.waiting).toEqual(['write 0 512', 'read 0 512']);
    expect(client.ended).toBeUndefined();
    device.answerAll();
    client.send();
    expect(client.replies().map(({ cookie }) => cookie)).toEqual([1, 2]);
    expect(client.ended).toBeNull();
    expect(world.events.map(({ kind }) => kind)).toEqual(['connected', 'disconnected']);
    expect(world.events.at(-1)).toMatchObject({ export: 'db', error: undefined });
  });

  test('a client that vanishes leaves nothing behind; its requests run to their end', () => {
    const { client, device, world } = held();
    client.send(
      request(CMD.WRITE, { cookie: 1, payload: pattern(1, 512) }),
      request(CMD.READ, { cookie: 2, length: 4096 }),
      request(CMD.WRITE, { cookie: 3, payload: pattern(1, 512) }).subarray(0, 100),
    );
    expect(world.usedBytes).toBe(3 * 256 + 512 + 4096 + 512);
    client.stream.destroy();
    client.send();
    expect(world.server.usage().connections.count).toBe(0);
    expect(world.usedBytes).toBe(2 * 256 + 512 + 4096);
    device.answerAll();
    expect(world.usedBytes).toBe(0);
    expect(device.content.subarray(0, 512).equals(pattern(1, 512))).toBe(true);
  });

  test('a server that stops finishes what is under way, refuses the rest, and ends', async () => {
    const { client, device, world } = held();
    const idle = world.connect().enter();
    const early = world.connect().greet();
    client.request(CMD.READ, { cookie: 1, length: 512 });
    let stopped = false;
    const stopping = world.server.stop().then(() => {
      stopped = true;
    });
    client.send(request(CMD.WRITE, { cookie: 2, payload: pattern(1, 512) }));
    client.request(CMD.READ, { cookie: 3, length: 512 });
    expect(client.replies().map(({ cookie, errno }) => [cookie, errno])).toEqual([
      [2, ESHUTDOWN],
      [3, ESHUTDOWN],
    ]);
    expect([idle.ended, early.ended, client.ended]).toEqual([null, null, undefined]);
    await world.clock.pass(1000);
    expect(stopped).toBe(false);
    device.answerAll();
    await world.clock.pass(0);
    expect(client.replies()).toMatchObject([{ cookie: 1, errno: 0 }]);
    expect(client.ended).toBeNull();
    await stopping;
    const late = world.connect();
    late.send();
    expect(late.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(world.events.at(-1)).toMatchObject({
      kind: 'refused',
      reason: 'the server is stopping',
    });
  });

  test('a write that was half here at the stop is done as well', async () => {
    const { client, device, world } = held();
    device.holds = false;
    const message = request(CMD.WRITE, { cookie: 1, payload: pattern(1, 5000) });
    client.send(message.subarray(0, 1000));
    const stopping = world.server.stop();
    client.send(message.subarray(1000));
    await world.clock.pass(0);
    await stopping;
    expect(client.replies()).toMatchObject([{ cookie: 1, errno: 0 }]);
    expect(device.content.subarray(0, 5000).equals(pattern(1, 5000))).toBe(true);
    expect(client.ended).toBeNull();
  });

  test('a stop is bounded in time', async () => {
    const { client, device, world } = held();
    client.request(CMD.READ, { cookie: 1, length: 512 });
    client.stream.pause();
    const stopping = world.server.stop();
    await world.clock.pass(9_999);
    expect(world.server.usage().connections.count).toBe(1);
    await world.clock.pass(2);
    await stopping;
    expect(world.server.usage().connections.count).toBe(0);
    device.answerAll();
    expect(world.usedBytes).toBe(0);
  });

  test('a client that was let go and does not leave is dropped', async () => {
    const { client, world } = entered();
    client.stream.pause();
    client.send(request(CMD.DISC, { cookie: 1 }));
    await world.clock.pass(9_999);
    expect(world.server.usage().connections.count).toBe(1);
    await world.clock.pass(2);
    expect(world.server.usage().connections.count).toBe(0);
  });
});

describe('what it tells', () => {
  test('connections and how much they did', () => {
    const device = new MemoryDevice(SIZE);
    const world = new NbdWorld({ db: device, log: new MemoryDevice(512) });
    const one = world.connect('alpha').enter();
    const other = world.connect('beta').enter('log');
    world.connect('gamma').greet();
    one.ask(CMD.WRITE, { cookie: 1, payload: pattern(1, 700) });
    one.ask(CMD.WRITE, { cookie: 1, offset: SIZE, payload: pattern(1, 99) });
    one.request(CMD.READ, { cookie: 2, length: 300 });
    other.request(CMD.READ, { cookie: 2, length: 3 });
    const nothing = {
      attached: false,
      readOnly: false,
      requestsInFlight: 0,
      readBytes: 0,
      writtenBytes: 0,
    };
    expect(world.server.connections()).toEqual([
      { ...nothing, address: 'alpha', export: 'db', readBytes: 300, writtenBytes: 700 },
      { ...nothing, address: 'beta', export: 'log', readBytes: 3 },
    ]);
    expect(world.server.usage()).toEqual({
      memory: { usedBytes: 0, limitBytes: 96 * MIB + 256, waiting: 0, longestWaitMs: 0 },
      connections: { count: 3, limit: 256 },
      handshakes: { count: 1, limit: 100 },
    });
    expect(world.events).toEqual([
      { kind: 'connected', peer: 'alpha', export: 'db', readOnly: false },
      { kind: 'connected', peer: 'beta', export: 'log', readOnly: false },
    ]);
  });

  test('a client that found nothing to its taste', () => {
    const { world } = entered();
    const client = world.connect('guest').greet();
    client.send(go('nothing'), option(2));
    expect(client.optionReplies().map(({ type }) => type)).toEqual([0x8000_0006, 1]);
    expect(client.ended).toBeNull();
    expect(world.events.at(-1)).toEqual({
      kind: 'disconnected',
      peer: 'guest',
      export: undefined,
      error: undefined,
    });
  });
});
