// Streams inside one process: chunks, back-pressure, and every way to end.
import { describe, expect, test } from '@jest/globals';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { MemoryStreamOptions } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { seededRandom } from '../sim/random.ts';
import { cutAfter } from '../support/cut-after.ts';

/** What one end heard, in order: chunk lengths, `drained`, and how it closed. */
interface Heard {
  readonly events: (number | 'drained' | 'closed' | Error)[];
  readonly chunks: Uint8Array[];
}

function hear(stream: ByteStream, onData: (chunk: Uint8Array) => void = () => undefined): Heard {
  const heard: Heard = { events: [], chunks: [] };
  stream.listen({
    data(chunk) {
      heard.events.push(chunk.length);
      heard.chunks.push(chunk);
      onData(chunk);
    },
    closed: (error) => heard.events.push(error ?? 'closed'),
    drained: () => heard.events.push('drained'),
  });
  return heard;
}

function makePair(options: MemoryStreamOptions = {}, seed = 1) {
  const clock = new SimulatedClock();
  const [left, right] = memoryStreamPair(clock, seededRandom(seed), options);
  return { clock, left, right };
}

function bytesOf(heard: Heard): Buffer {
  return Buffer.concat(heard.chunks);
}

function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index % 251);
}

describe('data', () => {
  test.each([1, 2, 3, 4, 5])('arrives in order, cut and joined (seed %d)', (seed) => {
    const { clock, left, right } = makePair({ chunkBytesMax: 50 }, seed);
    const heard = hear(right);
    const sent = counting(5000);
    for (let offset = 0; offset < sent.length; offset += 10) {
      left.write([sent.subarray(offset, offset + 4), sent.subarray(offset + 4, offset + 10)]);
    }
    clock.runUntilIdle();
    expect(bytesOf(heard).equals(sent)).toBe(true);
    const lengths = heard.chunks.map((chunk) => chunk.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(50);
    expect(lengths.some((length) => length > 10)).toBe(true);
    expect(lengths.some((length) => length < 4)).toBe(true);
  });

  test('is passed on as slices of what was written', () => {
    const { clock, left, right } = makePair();
    const heard = hear(right);
    const part = counting(200_000);
    left.write([part]);
    clock.runUntilIdle();
    expect(heard.chunks.length).toBeGreaterThan(1);
    expect(heard.chunks.every((chunk) => chunk.buffer === part.buffer)).toBe(true);
  });

  test('is never delivered from inside a call', () => {
    const { clock, left, right } = makePair();
    let inside = false;
    let nested = 0;
    const guard = (action: () => void): void => {
      if (inside) nested += 1;
      inside = true;
      action();
      inside = false;
    };
    const echo = hear(right, (chunk) => guard(() => right.write([chunk])));
    const back = hear(left, () => guard(() => left.pause()));
    left.write([counting(100)]);
    left.resume();
    right.resume();
    expect(echo.events).toEqual([]);
    clock.runUntilIdle();
    expect(back.events.length).toBe(1);
    expect(nested).toBe(0);
  });

  test('waits for a listener', () => {
    const { clock, left, right } = makePair();
    left.write([counting(10)]);
    left.end();
    clock.runUntilIdle();
    const heard = hear(right);
    clock.runUntilIdle();
    expect(bytesOf(heard).length).toBe(10);
    expect(heard.events.at(-1)).toBe('closed');
  });

  test('waits while the receiver pauses, also in the middle', () => {
    const { clock, left, right } = makePair({ chunkBytesMax: 10 });
    const heard = hear(right, () => right.pause());
    left.write([counting(100)]);
    clock.runUntilIdle();
    expect(heard.events.length).toBe(1);
    right.resume();
    clock.runUntilIdle();
    expect(heard.events.length).toBe(2);
  });
});

describe('back-pressure', () => {
  test('write says false above the mark, and drained follows once', () => {
    const { clock, left, right } = makePair({ highWaterBytes: 100 });
    const sender = hear(left);
    hear(right);
    right.pause();
    expect(left.write([counting(100)])).toBe(true);
    expect(left.write([counting(1)])).toBe(false);
    clock.runUntilIdle();
    expect(sender.events).toEqual([]);
    right.resume();
    clock.runUntilIdle();
    expect(sender.events).toEqual(['drained']);
    expect(left.write([counting(1)])).toBe(true);
  });
});

describe('end', () => {
  test('comes after the data, at the other end first', () => {
    const { clock, left, right } = makePair();
    const order: string[] = [];
    const listenTo = (stream: ByteStream, name: string): void =>
      stream.listen({
        data: (chunk) => order.push(`${name} ${chunk.length}`),
        closed: (error) => order.push(`${name} closed ${error === undefined}`),
        drained: () => order.push(`${name} drained`),
      });
    listenTo(left, 'left');
    listenTo(right, 'right');
    left.write([counting(1)]);
    left.end();
    left.write([counting(7)]);
    clock.runUntilIdle();
    expect(order).toEqual(['right 1', 'right closed true', 'left closed true']);
  });

  test('still brings what the other end had written', () => {
    const { clock, left, right } = makePair({ chunkBytesMax: 10 });
    const heard = hear(left);
    hear(right);
    right.write([counting(1000)]);
    left.end();
    clock.runUntilIdle();
    expect(bytesOf(heard).length).toBe(1000);
    expect(heard.events.at(-1)).toBe('closed');
  });

  test('from both ends closes each once', () => {
    const { clock, left, right } = makePair();
    const heard = [hear(left), hear(right)];
    left.end();
    right.end();
    right.end();
    clock.runUntilIdle();
    left.destroy();
    clock.runUntilIdle();
    expect(heard.map(({ events }) => events)).toEqual([['closed'], ['closed']]);
  });
});

describe('destroy', () => {
  test('drops what is under way and closes both ends with an error, also a paused one', () => {
    const { clock, left, right } = makePair();
    const leftHeard = hear(left);
    const rightHeard = hear(right);
    right.pause();
    left.write([counting(10)]);
    right.write([counting(10)]);
    const reason = new Error('pulled the plug');
    left.destroy(reason);
    left.destroy(new Error('again'));
    expect(leftHeard.events).toEqual([]);
    clock.runUntilIdle();
    expect(leftHeard.events).toEqual([reason]);
    expect(rightHeard.events).toEqual([
      expect.objectContaining({ code: 'E_UNREACHABLE', cause: reason }),
    ]);
    expect(right.write([counting(10)])).toBe(true);
    clock.runUntilIdle();
    expect(leftHeard.events.length).toBe(1);
  });

  test('without a reason is a cut too', () => {
    const { clock, left, right } = makePair({ names: ['tokyo', 'osaka'] });
    const heard = [hear(left), hear(right)];
    right.destroy();
    clock.runUntilIdle();
    expect(heard[0]?.events).toEqual([expect.objectContaining({ code: 'E_UNREACHABLE' })]);
    expect(heard[1]?.events).toEqual([expect.objectContaining({ code: 'E_STOPPED' })]);
    expect([left.peer, right.peer]).toEqual(['osaka', 'tokyo']);
  });

  test('is told to a listener that comes later', () => {
    const { clock, left, right } = makePair();
    left.destroy();
    clock.runUntilIdle();
    const heard = hear(right);
    clock.runUntilIdle();
    expect(heard.events.length).toBe(1);
  });
});

describe('cutAfter', () => {
  test.each([0, 1, 64, 99])('delivers exactly %d bytes, then breaks both ends', (bytes) => {
    const { clock, left, right } = makePair({ chunkBytesMax: 40 });
    const leftHeard = hear(left);
    const rightHeard = hear(cutAfter(right, bytes));
    left.write([counting(100)]);
    clock.runUntilIdle();
    expect(bytesOf(rightHeard).length).toBe(bytes);
    expect(rightHeard.events.at(-1)).toEqual(
      expect.objectContaining({ message: 'the test cut the connection here' }),
    );
    expect(leftHeard.events).toEqual([expect.objectContaining({ code: 'E_UNREACHABLE' })]);
  });
});
