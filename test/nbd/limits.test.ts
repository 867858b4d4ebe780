// [R9] Slow and hostile clients, hundreds of them: what they can make the server hold is bounded,
// who waits gets its turn, and nothing is left behind.
import { describe, expect, test } from '@jest/globals';
import { KIB, MIB, NBD_HANDSHAKES_MAX, NBD_STALL_MS } from '../../src/base/limits.ts';
import { HeldDevice } from '../support/held-device.ts';
import { pattern } from '../support/image-sets.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { CMD, NbdWorld, STRUCTURED, go, option, request, wire } from '../support/nbd-hand.ts';
import type { HandClient } from '../support/nbd-hand.ts';

const OVERHEAD = 256;
const SIZE = 64 * MIB;

/** A server with little memory, beside the room for one largest request. */
function small(memoryBytes = 1 * MIB, connectionsMax = 256) {
  const device = new HeldDevice(SIZE);
  const world = new NbdWorld({ db: device }, { limits: { memoryBytes, connectionsMax } });
  return { device, world };
}

function header(command: number, words: { cookie: number; offset?: number; length: number }) {
  return request(command, words);
}

/** Sends the header of a write of so many bytes, and none of those. */
function halfSend(client: HandClient, length: number): void {
  client.send(header(CMD.WRITE, { cookie: 1, length }));
}

describe('[R9] memory', () => {
  test('is counted from the header of a write until its answer is taken', () => {
    const { device, world } = small();
    const client = world.connect().enter();
    halfSend(client, 10_000);
    expect(world.usedBytes).toBe(10_000 + OVERHEAD);
    client.send(pattern(1, 10_000));
    expect(world.usedBytes).toBe(10_000 + OVERHEAD);
    device.answer();
    expect(world.usedBytes).toBe(10_000 + OVERHEAD);
    client.send();
    expect(world.usedBytes).toBe(0);
  });

  test('of hundreds of half-sent writes stays within the limit', () => {
    const { device, world } = small();
    const clients = Array.from({ length: 200 }, (_, index) => world.connect(`c${index}`).enter());
    const { limitBytes } = world.server.usage().memory;
    for (const client of clients) {
      halfSend(client, 1 * MIB);
      client.send(Buffer.alloc(100_000, 1));
      expect(world.usedBytes).toBeLessThanOrEqual(limitBytes);
    }
    const { waiting } = world.server.usage().memory;
    expect(waiting).toBe(200 - 32);
    for (const client of clients) client.stream.destroy();
    world.clock.advance(0);
    expect(world.server.usage().memory).toMatchObject({ usedBytes: 0, waiting: 0 });
    expect(device.seen).toEqual([]);
  });

  test('of replies that nobody takes stays within the limit', () => {
    const { device, world } = small();
    device.holds = false;
    const clients = Array.from({ length: 100 }, (_, index) => world.connect(`c${index}`).enter());
    const { limitBytes } = world.server.usage().memory;
    let most = 0;
    for (const client of clients) {
      client.stream.pause();
      const reads = Array.from({ length: 20 }, (_, cookie) =>
        header(CMD.READ, { cookie, length: 1 * MIB }),
      );
      client.send(...reads);
      most = Math.max(most, world.usedBytes);
    }
    expect(most).toBeLessThanOrEqual(limitBytes);
    expect(most).toBeGreaterThan(limitBytes - 2 * MIB);
    // The stream of each holds what is below its mark, and one write above it.
    const reads = device.seen.length;
    expect(reads).toBeLessThan(100 * 3 + 35);
    for (const client of clients) client.stream.destroy();
    world.clock.advance(0);
    expect(world.usedBytes).toBe(0);
  });

  test('a client that takes no replies is not read from any more', () => {
    const { device, world } = small();
    device.holds = false;
    const client = world.connect().enter();
    client.stream.pause();
    const many = Buffer.concat(
      Array.from({ length: 1000 }, () => header(CMD.READ, { cookie: 1, length: 64 * KIB })),
    );
    for (let times = 0; times < 50; times += 1) client.send(many);
    expect(device.seen.length).toBeLessThan(64);
    expect(client.stream.write([Buffer.alloc(1)])).toBe(false);
  });

  test('refused requests count as well', () => {
    const { world } = small();
    const client = world.connect().enter();
    client.stream.pause();
    const many = Buffer.concat(
      Array.from({ length: 10_000 }, () => header(CMD.FLUSH, { cookie: 1, length: 9 })),
    );
    for (let times = 0; times < 20; times += 1) client.send(many);
    expect(world.usedBytes).toBeGreaterThan(0);
    expect(world.usedBytes).toBeLessThan(40 * MIB);
    client.stream.resume();
    client.send();
    expect(client.replies().length).toBe(200_000);
    expect(world.usedBytes).toBe(0);
  });

  test.each([3, 500])('a payload that comes in crumbs of %d bytes is joined', (chunkBytesMax) => {
    const device = new HeldDevice(SIZE);
    let parts = 0;
    const submit = device.submit.bind(device);
    device.submit = (asked, done) => {
      if (asked.kind === 'write') parts = asked.data.length;
      submit(asked, done);
    };
    const world = new NbdWorld({ db: device }, { chunkBytesMax });
    const client = world.connect().enter();
    client.send(request(CMD.WRITE, { cookie: 1, offset: 7, payload: pattern(5, 200_000) }));
    expect(device.content.subarray(7, 200_007).equals(pattern(5, 200_000))).toBe(true);
    expect(parts).toBeLessThanOrEqual(4);
  });

  test('little payload among much else does not keep all of that in memory', () => {
    const device = new HeldDevice(SIZE);
    let requests = 0;
    const kept = new Set<ArrayBufferLike>();
    const submit = device.submit.bind(device);
    device.submit = (asked, done) => {
      if (asked.kind === 'write') {
        requests += 1;
        for (const part of asked.data) kept.add(part.buffer);
      }
      submit(asked, done);
    };
    device.holds = false;
    const world = new NbdWorld({ db: device });
    const [ours, theirs] = world.streams();
    // Each message is its own memory, as each read from a socket is.
    const client = { data: () => undefined, drained: () => undefined, closed: () => undefined };
    ours.listen(client);
    const listen = theirs.listen.bind(theirs);
    theirs.listen = (listener) => {
      listen({ ...listener, data: (chunk) => listener.data(Uint8Array.from(chunk)) });
    };
    world.server.accept(theirs);
    ours.write([wire(3, go('db'))]);
    world.clock.advance(0);
    const message = Buffer.concat([
      request(CMD.WRITE, { cookie: 1, payload: pattern(1, 600) }),
      request(CMD.WRITE, { cookie: 2, offset: SIZE, payload: Buffer.alloc(60 * KIB) }),
    ]);
    for (let times = 0; times < 200; times += 1) {
      ours.write([message]);
      world.clock.advance(0);
    }
    expect(requests).toBe(200);
    let total = 0;
    for (const { byteLength } of kept) total += byteLength;
    expect(total).toBeLessThan(200 * 600 * 2 + 512 * KIB);
  });
});

describe('[R9] those who wait', () => {
  /** Clients that hold all memory between them with answers that the device keeps back. */
  function full() {
    const found = small();
    const holders = Array.from({ length: 33 }, (_, index) => found.world.connect(`h${index}`));
    for (const [index, holder] of holders.entries()) {
      holder.enter().request(CMD.READ, { cookie: index, length: 1 * MIB - OVERHEAD });
    }
    expect(found.device.held.length).toBe(33);
    return { ...found, holders };
  }

  test('get memory in the order in which they came, and a large request is not passed by', () => {
    const { device, world } = full();
    const large = world.connect('large').enter();
    const next = world.connect('next').enter();
    large.request(CMD.READ, { cookie: 1, length: 20 * MIB });
    next.request(CMD.READ, { cookie: 1, length: 512 });
    expect(world.server.usage().memory.waiting).toBe(2);
    for (let count = 0; count < 19; count += 1) device.answer();
    world.clock.advance(0);
    // There would be room for the small one.
    expect(device.waiting.at(-1)).toBe(`read 0 ${1 * MIB - OVERHEAD}`);
    device.answer();
    device.answer();
    world.clock.advance(0);
    expect(device.waiting.slice(-2)).toEqual([`read 0 ${20 * MIB}`, 'read 0 512']);
    expect(world.server.usage().memory.waiting).toBe(0);
    device.answerAll();
    world.clock.advance(0);
    expect([large.replies().length, next.replies().length]).toEqual([1, 1]);
    expect(world.usedBytes).toBe(0);
  });

  test('have one turn each, however much one of them asks for', () => {
    const { device, world } = full();
    const greedy = world.connect('greedy').enter();
    const modest = world.connect('modest').enter();
    const many = Array.from({ length: 50 }, (_, cookie) => {
      greedy.note(CMD.READ, { cookie, length: 1 * MIB });
      return header(CMD.READ, { cookie, offset: 512, length: 1 * MIB });
    });
    greedy.send(...many);
    modest.request(CMD.READ, { cookie: 1, length: 700_000 });
    device.answer();
    device.answer();
    world.clock.advance(0);
    expect(device.waiting.slice(-2)).toEqual([`read 512 ${1 * MIB}`, 'read 0 700000']);
  });

  test('are told in status, with the longest wait', () => {
    const { device, world } = full();
    const client = world.connect().enter();
    client.request(CMD.READ, { cookie: 1, length: 1 * MIB });
    world.clock.advance(1234);
    expect(world.server.usage().memory).toMatchObject({ waiting: 1, longestWaitMs: 1234 });
    device.answerAll();
    world.clock.advance(1000);
    expect(world.server.usage().memory).toMatchObject({ waiting: 0, longestWaitMs: 1234 });
  });

  test('leave the queue when they vanish or the server stops', async () => {
    const { device, world } = full();
    const gone = world.connect('gone').enter();
    const stays = world.connect('stays').enter();
    gone.request(CMD.READ, { cookie: 1, length: 1 * MIB });
    stays.send(request(CMD.WRITE, { cookie: 1, payload: pattern(1, 1 * MIB) }));
    gone.stream.destroy();
    world.clock.advance(0);
    expect(world.server.usage().memory.waiting).toBe(1);
    const stopping = world.server.stop();
    world.clock.advance(0);
    expect(world.server.usage().memory.waiting).toBe(0);
    expect(stays.replies()).toMatchObject([{ cookie: 1, errno: 108 }]);
    device.answerAll();
    await world.clock.pass(0);
    await stopping;
    expect(world.usedBytes).toBe(0);
  });
});

test('[R9] who vanishes when it is its turn gives back what it was given', () => {
  const { device, world } = small();
  const holder = world.connect('holder').enter();
  holder.request(CMD.READ, { cookie: 1, length: 32 * MIB });
  const waiting = world.connect('waiting').enter();
  waiting.request(CMD.READ, { cookie: 1, length: 2 * MIB });
  expect(world.server.usage().memory.waiting).toBe(1);
  device.holds = false;
  holder.stream.destroy();
  waiting.stream.destroy();
  device.answerAll();
  world.clock.advance(0);
  expect(device.seen).toEqual([`read 0 ${32 * MIB}`]);
  expect(world.usedBytes).toBe(0);
});

describe('[R9] who holds memory while others wait', () => {
  /** Clients that hold nearly all of it with half-sent writes, then one that waits. */
  function hogged(hog: (client: HandClient) => void) {
    const found = small();
    const hogs = [found.world.connect('hog').enter()];
    hog(hogs[0] as HandClient);
    while (found.world.usedBytes + 1 * MIB <= found.world.server.usage().memory.limitBytes) {
      const client = found.world.connect('other').enter();
      client.request(CMD.READ, { cookie: 1, length: 1 * MIB - 2 * OVERHEAD });
    }
    const waiting = found.world.connect('waiting').enter();
    waiting.request(CMD.READ, { cookie: 1, length: 1 * MIB });
    expect(found.world.server.usage().memory.waiting).toBe(1);
    return { ...found, hog: hogs[0] as HandClient, waiting };
  }

  test('and sends no more of its payload is dropped, and the next one gets it', () => {
    const { device, world, hog, waiting } = hogged((client) => halfSend(client, 4 * MIB));
    world.clock.advance(NBD_STALL_MS - 1);
    expect(hog.ended).toBeUndefined();
    world.clock.advance(2000);
    expect(hog.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(world.events.at(-1)).toMatchObject({
      kind: 'disconnected',
      peer: 'hog',
      error: { code: 'E_TIMEOUT' },
    });
    expect(device.waiting.at(-1)).toBe(`read 0 ${1 * MIB}`);
    expect(waiting.ended).toBeUndefined();
  });

  test('and takes no replies is dropped as well', () => {
    const { device, world, hog } = hogged((client) => {
      client.stream.pause();
      client.send(header(CMD.READ, { cookie: 9, length: 4 * MIB }));
    });
    device.answer(0);
    world.clock.advance(NBD_STALL_MS + 2000);
    hog.stream.resume();
    world.clock.advance(0);
    expect(hog.ended).toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('but gets on is not, even if it takes long', () => {
    const { world, hog } = hogged((client) => halfSend(client, 30 * MIB));
    for (let seconds = 0; seconds < 60; seconds += 1) {
      hog.send(Buffer.alloc(256 * KIB));
      world.clock.advance(1000);
    }
    expect(hog.ended).toBeUndefined();
    // Byte by byte is not getting on.
    for (let seconds = 0; seconds < 13; seconds += 1) {
      hog.send(Buffer.alloc(1));
      world.clock.advance(1000);
    }
    expect(hog.ended).toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('because of its device is not: it is not its fault', () => {
    const { world, hog } = hogged((client) => {
      client.request(CMD.READ, { cookie: 5, length: 4 * MIB });
    });
    world.clock.advance(10 * NBD_STALL_MS);
    expect(hog.ended).toBeUndefined();
  });

  test('is left in peace while nobody waits', () => {
    const { world } = small();
    const client = world.connect().enter();
    halfSend(client, 4 * MIB);
    world.clock.advance(100 * NBD_STALL_MS);
    expect(client.ended).toBeUndefined();
    // That it was slow before others came does not count.
    const second = world.connect().enter();
    halfSend(second, 28 * MIB);
    world
      .connect()
      .enter()
      .request(CMD.READ, { cookie: 1, length: 4 * MIB });
    expect(world.server.usage().memory.waiting).toBe(1);
    world.clock.advance(NBD_STALL_MS - 1);
    expect([client.ended, second.ended]).toEqual([undefined, undefined]);
  });
});

describe('[R9] connections', () => {
  test('are bounded, and those over it are told apart in the log', () => {
    const { world } = small(1 * MIB, 3);
    const clients = [0, 1, 2].map((index) => world.connect(`c${index}`).enter());
    const refused = world.connect('late');
    world.clock.advance(0);
    expect(refused.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(world.events.at(-1)).toEqual({
      kind: 'refused',
      peer: 'late',
      reason: 'there are 3 connections',
    });
    clients[1]?.stream.destroy();
    world.clock.advance(0);
    expect(world.connect('later').enter().ended).toBeUndefined();
  });

  test('that choose no export are dropped after 10 s, whatever they say', () => {
    const { world } = small();
    const silent = world.connect('silent');
    const chatty = world.connect('chatty').greet();
    for (let seconds = 0; seconds < 9; seconds += 1) {
      world.clock.advance(1000);
      chatty.send(option(3));
    }
    world.clock.advance(999);
    expect([silent.ended, chatty.ended]).toEqual([undefined, undefined]);
    world.clock.advance(1);
    expect(silent.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(chatty.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    const host = world.connect('host').enter();
    world.clock.advance(3_600_000);
    expect(host.ended).toBeUndefined();
  });

  test('that choose no export are bounded by themselves', () => {
    const { world } = small();
    const host = world.connect('host').enter();
    for (let index = 0; index < NBD_HANDSHAKES_MAX; index += 1) world.connect(`c${index}`);
    const refused = world.connect('late');
    world.clock.advance(0);
    expect(refused.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(host.ask(CMD.READ, { cookie: 1, length: SIZE + 1 }).errno).toBe(22);
    world.clock.advance(10_000);
    expect(world.connect('later').enter().ended).toBeUndefined();
  });

  test('that ask and ask and do not listen are not answered any more', () => {
    const devices: Record<string, MemoryDevice> = {};
    for (let index = 0; index < 64; index += 1) devices[`volume-${index}`] = new MemoryDevice(512);
    const world = new NbdWorld(devices, { highWaterBytes: 64 * KIB });
    const [ours, theirs] = world.streams();
    let written = 0;
    const write = theirs.write.bind(theirs);
    theirs.write = (parts) => {
      for (const part of parts) written += part.length;
      return write(parts);
    };
    world.server.accept(theirs);
    ours.listen({ data: () => undefined, drained: () => undefined, closed: () => undefined });
    ours.pause();
    ours.write([wire(3)]);
    const lists = Buffer.concat(Array.from({ length: 1000 }, () => option(3)));
    ours.write([lists]);
    world.clock.advance(0);
    expect(written).toBeLessThan(80 * KIB);
    ours.resume();
    world.clock.advance(0);
    expect(written).toBeGreaterThan(1000 * 64 * 20);
  });

  test('an option that comes byte by byte is held once', () => {
    const { world } = small();
    const client = world.connect().greet();
    for (const byte of option(42, Buffer.alloc(5000))) client.send(Buffer.of(byte));
    client.send(STRUCTURED);
    expect(client.optionReplies().map(({ option: of }) => of)).toEqual([42, 8]);
  });
});
