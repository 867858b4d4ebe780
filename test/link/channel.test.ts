/** Channels that last: heartbeats, dead links, back-pressure, and what a peer may make one hold. */
import { describe, expect, test } from '@jest/globals';
import {
  LINK_BEAT_MS,
  LINK_END_MS,
  LINK_SILENT_BEATS,
  LINK_STUCK_BEATS,
  MIB,
} from '../../src/base/limits.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import type { ChannelListener, Heartbeat } from '../../src/link/channel.ts';
import { FrameReader, encodeFrameHeader } from '../../src/link/frame.ts';
import type { Frame } from '../../src/link/frame.ts';
import { decodePing } from '../../src/link/messages.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { seededRandom } from '../sim/random.ts';
import { FAIR, Middleman } from '../support/middleman.ts';

class Log implements ChannelListener {
  readonly frames: Frame[] = [];
  end: string | undefined;

  frame(frame: Frame): void {
    this.frames.push(frame);
  }

  ended(error: Error | undefined): void {
    this.end = error ? ((error as { code?: string }).code ?? error.message) : 'in order';
  }

  get types(): string[] {
    return this.frames.map(({ type }) => type);
  }
}

/** Two channels with a network between them. */
function connected(beats = [true, true]) {
  const clock = new SimulatedClock();
  const random = seededRandom(1);
  const [one, left] = memoryStreamPair(clock, random, { names: ['left', 'right'] });
  const [right, other] = memoryStreamPair(clock, random, { names: ['left', 'right'] });
  const conditions = { ...FAIR };
  const middleman = new Middleman({ clock, left, right, conditions });
  const heartbeat = { clock, beatMs: LINK_BEAT_MS };
  const channels = [
    new FrameChannel(one, beats[0] ? heartbeat : undefined),
    new FrameChannel(other, beats[1] ? heartbeat : undefined),
  ] as const;
  const logs = [new Log(), new Log()] as const;
  for (const [index, channel] of channels.entries()) channel.listen(logs[index] ?? new Log());
  return { clock, conditions, middleman, channels, logs };
}

describe('a heartbeat', () => {
  test('keeps a link that has nothing to say', async () => {
    const { clock, channels, logs } = connected();
    await clock.pass(60 * 60_000);
    expect(channels.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);
    expect(new Set(logs[1].types)).toEqual(new Set(['ping']));
    expect(logs[1].frames.length).toBeLessThanOrEqual((60 * 60_000) / LINK_BEAT_MS);
    channels[0].close();
    await clock.pass(10);
    expect([logs[0].end, logs[1].end]).toEqual(['in order', 'in order']);
  });

  test('is not heard where other frames are', async () => {
    const { clock, channels, logs } = connected();
    for (let times = 0; times < 100; times += 1) {
      channels[0].post('acknowledgement', []);
      await clock.pass(LINK_BEAT_MS / 2);
    }
    expect(new Set(logs[1].types)).toEqual(new Set(['acknowledgement']));
  });

  test('[R10] carries the lag in every beat, whatever else is sent', async () => {
    const { clock, channels, logs } = connected();
    let entries = 0;
    channels[0].lag = () => ({ entries: (entries += 1), bytes: 10, seconds: null });
    for (let times = 0; times < 10; times += 1) {
      channels[0].post('records', []);
      await clock.pass(LINK_BEAT_MS);
    }
    const pings = logs[1].frames.filter(({ type }) => type === 'ping');
    const said = pings.map(({ body }) => decodePing(body));
    expect(said.map(({ lag }) => lag?.entries)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(said[0]?.timeMs).toBeLessThanOrEqual(clock.now());
  });

  test('[R9] finds a black hole, on both ends, and drops the stream', async () => {
    const { clock, conditions, channels, logs } = connected();
    await clock.pass(10_000);
    conditions.blackHole = true;
    const silenceMs = LINK_SILENT_BEATS * LINK_BEAT_MS;
    await clock.pass(silenceMs - LINK_BEAT_MS);
    expect([logs[0].end, logs[1].end]).toEqual([undefined, undefined]);
    await clock.pass(3 * LINK_BEAT_MS);
    expect([logs[0].end, logs[1].end]).toEqual(['E_UNREACHABLE', 'E_UNREACHABLE']);
    expect(channels[0].hasEnded).toBe(true);
  });

  test('a process that stood still has not missed anything', async () => {
    const { clock, logs } = connected();
    await clock.pass(5000);
    clock.jump(3600_000); // the wall clock says nothing about the link
    await clock.pass(20_000);
    expect([logs[0].end, logs[1].end]).toEqual([undefined, undefined]);
  });

  test('whoever does not read is not silent, but stuck after a while', async () => {
    const { clock, channels, logs } = connected();
    channels[1].pause();
    for (let times = 0; times < 40; times += 1) {
      channels[0].post('records', [Buffer.alloc(100_000)]);
    }
    await clock.pass(LINK_SILENT_BEATS * LINK_BEAT_MS * 4);
    expect([logs[0].end, logs[1].end]).toEqual([undefined, undefined]);
    await clock.pass((LINK_STUCK_BEATS + 1) * LINK_BEAT_MS);
    expect(logs[0].end).toBe('E_UNREACHABLE');
  });
});

const unheard = (chunk: Uint8Array): void => {
  throw new Error(`nobody listens for ${chunk.length} bytes`);
};

/** A stream in a test's hands: it counts what is asked of it, and never ends by itself. */
function fakeStream(heartbeat?: Heartbeat) {
  const state = { paused: false, destroyed: 0, chunk: unheard };
  const stream: ByteStream = {
    peer: 'fake',
    listen: (listener) => {
      state.chunk = (chunk) => listener.data(chunk);
    },
    write: () => true,
    pause: () => {
      state.paused = true;
    },
    resume: () => {
      state.paused = false;
    },
    end: () => undefined,
    destroy: () => {
      state.destroyed += 1;
    },
  };
  return { state, channel: new FrameChannel(stream, heartbeat) };
}

test('an end that the other one does not take is not waited for', async () => {
  const clock = new SimulatedClock();
  const { state, channel } = fakeStream({ clock, beatMs: LINK_BEAT_MS });
  channel.listen(new Log());
  channel.close();
  await clock.pass(LINK_END_MS - 1);
  expect(state.destroyed).toBe(0);
  await clock.pass(2);
  expect(state.destroyed).toBe(1);
});

describe('what a peer may make a channel hold', () => {
  const frame = (body: Buffer) => Buffer.concat([encodeFrameHeader('request', [body]), body]);

  test('[R9] nothing is read on while nobody listens, and all is delivered in order then', () => {
    const { state, channel } = fakeStream();
    state.chunk(Buffer.concat([1, 2, 3].map((id) => frame(Buffer.from([id])))));
    expect(state.paused).toBe(true);
    const log = new Log();
    channel.listen(log);
    expect(log.frames.map(({ body }) => body[0])).toEqual([1, 2, 3]);
    expect(state.paused).toBe(false);
  });

  test('[R9] a pause holds also what has come already', () => {
    const { state, channel } = fakeStream();
    const seen: number[] = [];
    channel.listen({
      frame: ({ body }) => {
        seen.push(body[0] ?? 0);
        if (seen.length === 2) channel.pause();
      },
      ended: () => undefined,
    });
    state.chunk(Buffer.concat([1, 2, 3, 4].map((id) => frame(Buffer.from([id])))));
    expect(seen).toEqual([1, 2]);
    expect(state.paused).toBe(true);
    channel.resume();
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(state.paused).toBe(false);
  });

  test('[R9] a frame that comes byte by byte costs little more than its bytes', () => {
    const reader = new FrameReader();
    const body = Buffer.from(seededRandom(3).bytes(MIB / 4));
    const bytes = frame(body);
    for (let at = 0; at < bytes.length - 1; at += 1) {
      reader.push(bytes.subarray(at, at + 1));
      if (at % 4096 === 0 && reader.next()) throw new Error('a frame before it is whole');
    }
    expect(reader.pieces).toBeLessThan(100);
    reader.push(bytes.subarray(bytes.length - 1));
    expect(reader.next()?.body.equals(body)).toBe(true);
  });

  test.each([1, 2, 3])('frames come whole in chunks of any sizes (seed %d)', (seed) => {
    const random = seededRandom(seed);
    const reader = new FrameReader();
    const bodies = Array.from({ length: 60 }, (_, index) =>
      Buffer.from(random.bytes(random.below([1, 30, 5000, 90_000][index % 4] ?? 1))),
    );
    const bytes = Buffer.concat(bodies.map((body) => frame(body)));
    const found: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = 1 + random.below([3, 100, 9000, 70_000][random.below(4)] ?? 1);
      reader.push(Buffer.from(bytes.subarray(at, at + length)));
      at += length;
      for (let next = reader.next(); next; next = reader.next()) found.push(next.body);
    }
    expect(found.length).toBe(bodies.length);
    expect(bodies.every((body, index) => found[index]?.equals(body))).toBe(true);
  });
});
