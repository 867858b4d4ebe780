// The client against servers by hand: what they may do, what they must not, and how it ends.
import { describe, expect, test } from '@jest/globals';
import { GIB, KIB, MIB } from '../../src/base/limits.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { Completion, DeviceRequest } from '../../src/device/device.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { pattern } from '../support/image-sets.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { CMD, FLAG, NbdWorld, wire } from '../support/nbd-hand.ts';
import {
  ALL,
  HandServer,
  chunk,
  dataChunk,
  opened,
  optionReply,
  outcomeOf,
  simple,
} from '../support/nbd-hand-server.ts';
import type { Asked, Offer } from '../support/nbd-hand-server.ts';

/** Submits; gives the list that answers go to. */
function submit(client: NbdClient, request: DeviceRequest): Completion[] {
  const answers: Completion[] = [];
  client.submit(request, (completion) => answers.push(completion));
  return answers;
}

const READ = { kind: 'read', offset: 512, length: 3000 } as const;

function bytesOf([answer]: readonly Completion[]): Buffer {
  if (!answer?.ok) throw answer?.error ?? new Error('no answer');
  return Buffer.concat(answer.data ?? []);
}

describe('the handshake', () => {
  test('tells what the server offers', async () => {
    const { client } = await opened();
    expect(client.session).toEqual({
      sizeBytes: 8 * GIB,
      flags: ALL,
      structured: true,
      allocationContext: 42,
      blockBytesMin: 1,
      payloadBytesMax: 32 * MIB,
    });
    expect([client.sizeBytes, client.readOnly, client.peer]).toEqual([8 * GIB, false, 'tokyo']);
    const plain = await opened({ structured: false, flags: ALL | 2 });
    expect(plain.client.session).toMatchObject({ structured: false, allocationContext: undefined });
    expect(plain.client.readOnly).toBe(true);
    const blind = await opened({ allocation: false });
    expect(blind.client.session).toMatchObject({ structured: true, allocationContext: undefined });
  });

  test.each<[string, Buffer[], string, string]>([
    ['no NBD at all', [wire('HTTP/1.1 400 Bad Request')], 'E_PROTOCOL', 'does not speak NBD'],
    [
      'the old form',
      [wire('NBDMAGIC', Buffer.from('00420281861253', 'hex'), 'x'.repeat(20))],
      'E_PROTOCOL',
      'old form',
    ],
    ['no fixed newstyle', [wire('NBDMAGIC', 'IHAVEOPT', [2, 2])], 'E_PROTOCOL', 'fixed newstyle'],
    [
      'an answer to another option',
      [wire('NBDMAGIC', 'IHAVEOPT', [2, 3]), optionReply(3, 1)],
      'E_PROTOCOL',
      'a reply to LIST',
    ],
    [
      'an endless answer',
      [wire('NBDMAGIC', 'IHAVEOPT', [2, 3]), optionReply(8, 3).fill(0xff, 16)],
      'E_PROTOCOL',
      'a reply of 4294967295 bytes',
    ],
    [
      'no such export',
      [
        wire('NBDMAGIC', 'IHAVEOPT', [2, 3]),
        optionReply(8, 0x8000_0001),
        optionReply(7, 0x8000_0006, wire('look elsewhere')),
      ],
      'E_NOT_FOUND',
      'export "db" was refused: ERR_UNKNOWN: look elsewhere',
    ],
    [
      'an export that may not be used',
      [
        wire('NBDMAGIC', 'IHAVEOPT', [2, 3]),
        optionReply(8, 0x8000_0001),
        optionReply(7, 0x8000_0005),
      ],
      'E_STATE',
      'ERR_TLS_REQD',
    ],
    [
      'no size',
      [wire('NBDMAGIC', 'IHAVEOPT', [2, 3]), optionReply(8, 0x8000_0001), optionReply(7, 1)],
      'E_PROTOCOL',
      'does not tell the size',
    ],
  ])('is refused: %s', async (_what, says, code, words) => {
    const server = new HandServer();
    const opening = NbdClient.open(server.theirs, { clock: server.clock, exportName: 'db' });
    const outcome = outcomeOf(opening);
    server.say(...says);
    await server.clock.pass(0);
    expect(outcome.error).toMatchObject({ code, message: expect.stringContaining(words) });
    expect(server.ended).toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('does not wait for ever', async () => {
    const server = new HandServer();
    const opening = NbdClient.open(server.theirs, { clock: server.clock, exportName: 'db' });
    const outcome = outcomeOf(opening);
    server.say(wire('NBDMAGIC'));
    await server.clock.pass(9_999);
    expect(outcome).toEqual({});
    await server.clock.pass(1);
    expect(outcome.error).toMatchObject({ code: 'E_TIMEOUT' });
    expect(server.ended).toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('ends when the stream does', async () => {
    for (const leave of [
      (stream: ByteStream) => stream.end(),
      (stream: ByteStream) => stream.destroy(),
    ]) {
      const server = new HandServer();
      const opening = NbdClient.open(server.theirs, { clock: server.clock, exportName: 'db' });
      const outcome = outcomeOf(opening);
      leave(server.ours);
      await server.clock.pass(0);
      expect(outcome.error).toMatchObject({ code: 'E_UNREACHABLE' });
    }
  });
});

describe('requests', () => {
  test('are what the device was asked for, many in one write', async () => {
    const { server, client } = await opened();
    const payload = pattern(1, 700);
    submit(client, READ);
    submit(client, {
      kind: 'write',
      offset: 5 * GIB,
      data: [payload.subarray(0, 99), payload.subarray(99)],
      length: 700,
      fua: true,
    });
    submit(client, { kind: 'zeroes', offset: 1, length: 9000, fua: false, mayFree: true });
    submit(client, { kind: 'zeroes', offset: 2, length: 9000, fua: true, mayFree: false });
    submit(client, { kind: 'flush' });
    expect(server.received.length).toBe(0);
    server.clock.advance(0);
    const none = Buffer.alloc(0);
    const plain = { flags: 0, payload: none };
    expect(server.requests().map(({ cookie: _cookie, ...rest }) => rest)).toEqual([
      { ...plain, command: CMD.READ, offset: 512, length: 3000 },
      { flags: FLAG.FUA, command: CMD.WRITE, offset: 5 * GIB, length: 700, payload },
      { ...plain, command: CMD.WRITE_ZEROES, offset: 1, length: 9000 },
      {
        ...plain,
        flags: FLAG.NO_HOLE | FLAG.FUA,
        command: CMD.WRITE_ZEROES,
        offset: 2,
        length: 9000,
      },
      { ...plain, command: CMD.FLUSH, offset: 0, length: 0 },
    ]);
  });

  test('have cookies that are never under way twice, also when places are used again', async () => {
    const { server, client } = await opened();
    const seen = new Set<string>();
    for (let round = 0; round < 5; round += 1) {
      for (let count = 0; count < 3; count += 1) submit(client, { kind: 'flush' });
      server.clock.advance(0);
      for (const { cookie } of server.requests()) {
        seen.add(cookie.toString('hex'));
        server.say(simple(cookie));
      }
    }
    expect(seen.size).toBe(15);
    expect(client.requestsInFlight).toBe(0);
  });

  test('over the bound wait for answers', async () => {
    const { server, client } = await opened({}, { requestsInFlightMax: 4 });
    const answers = Array.from({ length: 10 }, () => submit(client, { kind: 'flush' }));
    server.clock.advance(0);
    const first = server.requests();
    expect(first.length).toBe(4);
    expect(client.requestsInFlight).toBe(10);
    for (const { cookie } of first.slice(0, 2)) server.say(simple(cookie));
    expect(server.requests().length).toBe(2);
    expect(answers.flat().length).toBe(2);
  });

  test('of more than 32 bits are several, and answered once', async () => {
    const { server, client } = await opened();
    const answers = submit(client, {
      kind: 'zeroes',
      offset: 512,
      length: 6 * GIB,
      fua: false,
      mayFree: true,
    });
    server.clock.advance(0);
    const asked = server.requests();
    expect(asked.map(({ offset, length }) => [offset, length])).toEqual(
      [0, 1, 2, 3, 4, 5].map((index) => [512 + index * GIB, GIB]),
    );
    for (const [index, { cookie }] of asked.entries()) {
      expect(answers).toEqual([]);
      server.say(simple(cookie, index === 2 ? 28 : index === 4 ? 5 : 0));
    }
    expect(answers).toMatchObject([{ ok: false, error: { code: 'E_NO_SPACE' } }]);
  });

  test.each<[string, Offer, DeviceRequest, string]>([
    ['past the end', {}, { kind: 'read', offset: 8 * GIB, length: 1 }, 'E_RANGE'],
    ['of nothing', {}, { kind: 'read', offset: 0, length: 0 }, 'E_RANGE'],
    ['too large', {}, { kind: 'read', offset: 0, length: 32 * MIB + 1 }, 'E_RANGE'],
    [
      'that write to what is read-only',
      { flags: ALL | 2 },
      { kind: 'zeroes', offset: 0, length: 1, fua: false, mayFree: true },
      'E_ROLE',
    ],
    ['to flush where that is not offered', { flags: 1 }, { kind: 'flush' }, 'E_STATE'],
    [
      'for zeroes where they are not offered',
      { flags: 1 },
      { kind: 'zeroes', offset: 0, length: 1, fua: false, mayFree: true },
      'E_STATE',
    ],
    [
      'to write through where that is not offered',
      { flags: 1 },
      { kind: 'write', offset: 0, length: 1, fua: true, data: [Buffer.alloc(1)] },
      'E_STATE',
    ],
  ])('are refused before they are sent: %s', async (_what, offer, request, code) => {
    const { server, client } = await opened(offer);
    expect(submit(client, request)).toMatchObject([{ ok: false, error: { code } }]);
    server.clock.advance(0);
    expect(server.received.length).toBe(0);
  });
});

describe('answers', () => {
  test('come in any order', async () => {
    const { server, client } = await opened({ structured: false });
    const first = submit(client, READ);
    const second = submit(client, { kind: 'read', offset: 0, length: 10 });
    server.clock.advance(0);
    const [one, other] = server.requests();
    server.say(simple(other?.cookie ?? wire(0), 0, pattern(2, 10)));
    expect(bytesOf(second).equals(pattern(2, 10))).toBe(true);
    expect(first).toEqual([]);
    server.say(simple(one?.cookie ?? wire(0), 0, pattern(1, 3000)));
    expect(bytesOf(first).equals(pattern(1, 3000))).toBe(true);
  });

  test('of a read come in chunks of any order, holes among them', async () => {
    const { server, client } = await opened();
    const answers = submit(client, READ);
    server.clock.advance(0);
    const { cookie } = server.request();
    server.say(
      dataChunk(cookie, 2512, pattern(3, 1000)),
      chunk(cookie, 2, wire([8, 1512], 1000), false),
      dataChunk(cookie, 512, pattern(1, 1000)),
    );
    expect(answers).toEqual([]);
    server.say(chunk(cookie, 0, Buffer.alloc(0)));
    const expected = Buffer.concat([pattern(1, 1000), Buffer.alloc(1000), pattern(3, 1000)]);
    expect(bytesOf(answers).equals(expected)).toBe(true);
  });

  test.each([
    [1, 'E_ROLE'],
    [5, 'E_IO'],
    [22, 'E_RANGE'],
    [28, 'E_NO_SPACE'],
    [108, 'E_STOPPED'],
    [4711, 'E_IO'],
  ])('with errno %d are errors %s, and the connection goes on', async (errno, code) => {
    const { server, client } = await opened();
    const flushed = submit(client, { kind: 'flush' });
    const read = submit(client, READ);
    server.clock.advance(0);
    const [flush, second] = server.requests();
    server.say(simple(flush?.cookie ?? wire(0), errno));
    expect(flushed).toMatchObject([{ ok: false, error: { code } }]);
    const words = wire(errno, [2, 6], 'so sad', [8, 600]);
    server.say(
      dataChunk(second?.cookie ?? wire(0), 512, pattern(1, 100)),
      chunk(second?.cookie ?? wire(0), 0x8002, words),
    );
    expect(read).toMatchObject([
      { ok: false, error: { code, message: expect.stringContaining('so sad') } },
    ]);
    const last = submit(client, { kind: 'flush' });
    server.clock.advance(0);
    server.say(simple(server.request().cookie));
    expect(last).toEqual([{ ok: true }]);
  });

  test('that lack some of a read are no answers', async () => {
    const { server, client } = await opened();
    const answers = submit(client, READ);
    server.clock.advance(0);
    const { cookie } = server.request();
    server.say(dataChunk(cookie, 512, pattern(1, 2999), true));
    expect(answers).toMatchObject([{ ok: false, error: { code: 'E_PROTOCOL' } }]);
  });
});

describe('a server that breaks the protocol is left at once', () => {
  test.each<[string, (asked: Asked) => readonly Buffer[]]>([
    ['no reply', () => [wire('HTTP/1.1 200 OK\r\n\r\n')]],
    ['an unknown cookie', () => [simple(Buffer.from('deadbeefdeadbeef', 'hex'))]],
    ['a cookie of another use', ({ cookie }) => [simple(wire(9, cookie.subarray(4)))]],
    ['a simple reply to a structured read', ({ cookie }) => [simple(cookie, 5)]],
    ['data before the range', ({ cookie }) => [dataChunk(cookie, 511, pattern(1, 10))]],
    ['data behind the range', ({ cookie }) => [dataChunk(cookie, 3500, pattern(1, 100))]],
    [
      'data twice',
      ({ cookie }) => [
        dataChunk(cookie, 512, pattern(1, 3000)),
        dataChunk(cookie, 512, pattern(1, 10)),
      ],
    ],
    ['a hole that is too long', ({ cookie }) => [chunk(cookie, 2, wire([8, 512], 3001))]],
    ['an empty chunk that is not', ({ cookie }) => [chunk(cookie, 0, wire(1))]],
    ['a chunk of nobody', ({ cookie }) => [chunk(cookie, 77, wire(1))]],
    ['block status of a read', ({ cookie }) => [chunk(cookie, 5, wire(42, 512, 0))]],
    ['an endless chunk', ({ cookie }) => [wire(0x668e33ef, [2, 1], [2, 77], cookie, 1 << 30)]],
    ['an error without one', ({ cookie }) => [chunk(cookie, 0x8001, wire(0, [2, 0]))]],
    ['an error cut off', ({ cookie }) => [chunk(cookie, 0x8001, wire(5, [2, 100], 'short'))]],
  ])('%s', async (_what, says) => {
    const { server, client, ends } = await opened();
    const answers = submit(client, READ);
    const others = submit(client, { kind: 'flush' });
    server.clock.advance(0);
    const [asked] = server.requests();
    server.say(...says(asked as Asked));
    const failure = { ok: false, error: { code: 'E_PROTOCOL' } };
    expect([...answers, ...others]).toMatchObject([failure, failure]);
    expect(server.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    expect(ends).toMatchObject([{ code: 'E_PROTOCOL' }]);
    expect(submit(client, READ)).toMatchObject([failure]);
  });

  test('an answer that comes twice', async () => {
    const { server, client } = await opened();
    const answers = submit(client, { kind: 'flush' });
    server.clock.advance(0);
    const { cookie } = server.request();
    server.say(simple(cookie), simple(cookie));
    expect(answers).toEqual([{ ok: true }]);
    expect(server.ended).toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('a chunk where none were agreed on', async () => {
    const { server, client } = await opened({ structured: false });
    const answers = submit(client, READ);
    server.clock.advance(0);
    server.say(dataChunk(server.request().cookie, 512, pattern(1, 3000), true));
    expect(answers).toMatchObject([{ ok: false, error: { code: 'E_PROTOCOL' } }]);
  });
});

describe('allocation', () => {
  test('is what the server says; only what reads as zeroes is a hole', async () => {
    const { server, client } = await opened();
    const asking = client.allocation(1000, 10_000);
    server.clock.advance(0);
    const asked = server.request();
    expect(asked).toMatchObject({ command: CMD.BLOCK_STATUS, offset: 1000, length: 9000 });
    server.say(chunk(asked.cookie, 5, wire(42, 24, 3, 1000, 0, 2000, 1, 3000, 2, 90_000, 0)));
    expect(await asking).toEqual([
      { offset: 1000, length: 24, data: false },
      { offset: 1024, length: 1000, data: true },
      { offset: 2024, length: 2000, data: true },
      { offset: 4024, length: 3000, data: false },
      { offset: 7024, length: 2976, data: true },
    ]);
    expect(client.nextExtent(0, 5000)).toEqual({ offset: 0, length: 5000, data: true });
  });

  test('is data where the server does not tell, or tells rubbish', async () => {
    const blind = await opened({ allocation: false });
    expect(await blind.client.allocation(5, 100)).toEqual([{ offset: 5, length: 95, data: true }]);
    for (const payload of [wire(41, 512, 0), wire(42, 0, 0)]) {
      const { server, client } = await opened();
      const asking = outcomeOf(client.allocation(0, 512));
      server.clock.advance(0);
      server.say(chunk(server.request().cookie, 5, payload));
      await server.clock.pass(0);
      expect(asking.error).toMatchObject({ code: 'E_PROTOCOL' });
      expect(server.ended).toMatchObject({ code: 'E_UNREACHABLE' });
    }
  });

  test('passes errors on', async () => {
    const { server, client } = await opened();
    await expect(client.allocation(8 * GIB, 9 * GIB)).rejects.toMatchObject({ code: 'E_RANGE' });
    const asking = outcomeOf(client.allocation(0, 512));
    server.clock.advance(0);
    server.say(chunk(server.request().cookie, 0x8001, wire(108, [2, 0])));
    await server.clock.pass(0);
    expect(asking.error).toMatchObject({ code: 'E_STOPPED' });
  });
});

describe('the end', () => {
  test.each([
    ['cut', (stream: ByteStream) => stream.destroy(new Error('pulled'))],
    ['ended', (stream: ByteStream) => stream.end()],
  ])('a stream that is %s: each request fails, sent or not', async (_how, leave) => {
    const { server, client, ends } = await opened({}, { requestsInFlightMax: 2 });
    const answers = Array.from({ length: 5 }, () => submit(client, { kind: 'flush' }));
    server.clock.advance(0);
    leave(server.ours);
    server.clock.advance(0);
    const failure = { ok: false, error: { code: 'E_UNREACHABLE' } };
    expect(answers.flat()).toMatchObject(answers.map(() => failure));
    expect(ends).toMatchObject([{ code: 'E_UNREACHABLE' }]);
    expect(submit(client, { kind: 'flush' })).toMatchObject([failure]);
    await expect(client.allocation(0, 1)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    await client.close();
  });

  test('close waits for answers, says DISC, and takes nothing new', async () => {
    const { server, client, ends } = await opened();
    const answers = submit(client, READ);
    let closed = false;
    const closing = client.close().then(() => {
      closed = true;
    });
    expect(submit(client, READ)).toMatchObject([{ ok: false, error: { code: 'E_STOPPED' } }]);
    await server.clock.pass(100);
    expect(closed).toBe(false);
    server.say(dataChunk(server.request().cookie, 512, pattern(1, 3000), true));
    await server.clock.pass(0);
    expect(bytesOf(answers).equals(pattern(1, 3000))).toBe(true);
    expect(server.request()).toMatchObject({ command: CMD.DISC });
    expect(server.ended).toBeNull();
    await closing;
    expect(ends).toEqual([undefined]);
  });

  test('close does not wait for ever', async () => {
    const { server, client } = await opened();
    const answers = submit(client, READ);
    const closing = client.close();
    await server.clock.pass(10_000);
    await closing;
    expect(answers).toMatchObject([{ ok: false, error: { code: 'E_STOPPED' } }]);
  });
});

test('much data both ways, with a stream that often says wait', async () => {
  const device = new MemoryDevice(4 * MIB);
  const world = new NbdWorld({ db: device }, { highWaterBytes: 16 * KIB, chunkBytesMax: 9000 });
  const [ours, theirs] = world.streams();
  world.server.accept(theirs);
  const opening = NbdClient.open(ours, { clock: world.clock, exportName: '' });
  await world.clock.pass(0);
  const client = await opening;
  const writes: Promise<Completion>[] = [];
  for (let offset = 0; offset < 4 * MIB; offset += 100_000) {
    const bytes = pattern(offset, Math.min(100_000, 4 * MIB - offset));
    const data = [bytes];
    const request = { kind: 'write', offset, length: bytes.length, data, fua: false } as const;
    writes.push(submitAndWait(client, request));
  }
  await world.clock.pass(0);
  await Promise.all(writes);
  const whole = submitAndWait(client, { kind: 'read', offset: 0, length: 4 * MIB });
  await world.clock.pass(0);
  expect(bytesOf([await whole]).equals(device.content)).toBe(true);
  expect(world.usedBytes).toBe(0);
});
