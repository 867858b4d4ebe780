/** What every {@link ByteStream} must do; run on streams in memory and on sockets. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ByteStream } from '../../src/sys/stream.ts';
import { pattern } from '../support/image-sets.ts';

/** Two joined ends under test, and how its time passes. */
export interface StreamsUnderTest {
  readonly ends: readonly [ByteStream, ByteStream];
  /** Whether the far end of a `destroy` is sure to hear of a cut, not of an end in order. */
  readonly tellsCuts: boolean;
  /** Resolves when `condition` holds; throws when it does not come about. */
  until(condition: () => boolean): Promise<void>;
  /** Lets everything happen that is under way. */
  settle(): Promise<void>;
  dispose(): Promise<void>;
}

/** What one end heard. */
class Heard {
  readonly chunks: Uint8Array[] = [];
  readonly closed: (Error | undefined)[] = [];
  drained = 0;
  bytes = 0;
  /** Calls that came from inside a call to the stream. */
  nested = 0;
  inside = false;

  constructor(stream: ByteStream, onData: () => void = () => undefined) {
    const hear = (action: () => void) => {
      if (this.inside || this.closed.length > 0) this.nested += 1;
      action();
    };
    stream.listen({
      data: (chunk) =>
        hear(() => {
          this.chunks.push(chunk);
          this.bytes += chunk.length;
          onData();
        }),
      closed: (error) => hear(() => this.closed.push(error)),
      drained: () =>
        hear(() => {
          this.drained += 1;
        }),
    });
  }

  get content(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

let subject: StreamsUnderTest;

export function describeStreams(name: string, prepare: () => Promise<StreamsUnderTest>): void {
  describe(`streams of ${name}`, () => {
    beforeEach(async () => {
      subject = await prepare();
    });
    afterEach(async () => {
      for (const end of subject.ends) end.destroy();
      await subject.dispose();
    });
    describeData();
    describeEnds();
  });
}

function describeData(): void {
  test('bytes arrive whole and in order, both ways, however they were written', async () => {
    const [left, right] = subject.ends;
    const atLeft = new Heard(left);
    const atRight = new Heard(right);
    const there = pattern(1, 700_000);
    const back = pattern(2, 30_000);
    for (let offset = 0; offset < there.length;) {
      const parts: Buffer[] = [];
      for (const length of [1, 0, 40, 3000, 90_000]) {
        parts.push(there.subarray(offset, offset + length));
        offset += length;
      }
      left.write(parts);
    }
    for (let offset = 0; offset < back.length; offset += 11) {
      right.write([back.subarray(offset, offset + 11)]);
    }
    await subject.until(() => atRight.bytes >= there.length && atLeft.bytes >= back.length);
    expect(atRight.content.equals(there)).toBe(true);
    expect(atLeft.content.equals(back)).toBe(true);
  });

  test('nothing is delivered from inside a call', async () => {
    const [left, right] = subject.ends;
    const echo: Heard = new Heard(right, () => {
      echo.inside = true;
      right.write([Buffer.from('echo')]);
      right.pause();
      right.resume();
      echo.inside = false;
    });
    const heard = new Heard(left);
    heard.inside = true;
    left.write([pattern(1, 100)]);
    left.resume();
    heard.inside = false;
    await subject.until(() => heard.bytes >= 4);
    expect(heard.nested + echo.nested).toBe(0);
  });

  test('a listener that comes late misses nothing', async () => {
    const [left, right] = subject.ends;
    left.write([pattern(1, 1000)]);
    left.end();
    await subject.settle();
    const heard = new Heard(right);
    await subject.until(() => heard.closed.length > 0);
    expect(heard.content.equals(pattern(1, 1000))).toBe(true);
    expect(heard.closed).toEqual([undefined]);
  });

  test('a pause from inside a delivery is the last of them until resume', async () => {
    const [left, right] = subject.ends;
    const heard = new Heard(right, () => right.pause());
    const sent = pattern(1, 500_000);
    left.write([sent]);
    await subject.until(() => heard.chunks.length > 0);
    await subject.settle();
    expect(heard.chunks.length).toBe(1);
    let resumed = 1;
    while (heard.bytes < sent.length) {
      right.resume();
      resumed += 1;
      await subject.until(() => heard.chunks.length >= resumed);
      await subject.settle();
      expect(heard.chunks.length).toBe(resumed);
    }
    expect(heard.content.equals(sent)).toBe(true);
  });

  test('a writer whose reader pauses is told to wait, then drained once', async () => {
    const [left, right] = subject.ends;
    const writer = new Heard(left);
    const heard = new Heard(right);
    right.pause();
    const part = pattern(3, 100_000);
    let written = 0;
    let drained = -1;
    // The system takes some of it, and more when it finds the time.
    for (let full = false; !full; full &&= writer.drained === drained) {
      drained = writer.drained;
      full = !left.write([part]);
      written += part.length;
      expect(written).toBeLessThan(100_000_000);
      await subject.settle();
    }
    expect(left.write([part])).toBe(false);
    written += part.length;
    right.resume();
    await subject.until(() => writer.drained > drained && heard.bytes >= written);
    expect(heard.bytes).toBe(written);
    expect(writer.drained).toBe(drained + 1);
    expect(left.write([Buffer.from('on it goes')])).toBe(true);
  });
}

function describeEnds(): void {
  test('an end comes after all that was written, closes both ends once, and silences', async () => {
    const [left, right] = subject.ends;
    const atLeft = new Heard(left);
    const atRight = new Heard(right);
    left.write([pattern(1, 300_000)]);
    left.end();
    left.end();
    expect(left.write([Buffer.from('too late')])).toBe(true);
    await subject.until(() => atLeft.closed.length > 0 && atRight.closed.length > 0);
    left.destroy();
    right.destroy();
    right.write([Buffer.from('too late')]);
    right.end();
    await subject.settle();
    expect(atRight.bytes).toBe(300_000);
    expect(atLeft.closed).toEqual([undefined]);
    expect(atRight.closed).toEqual([undefined]);
    expect(atLeft.nested + atRight.nested).toBe(0);
  });

  test('an end still brings what the other end has to say', async () => {
    const [left, right] = subject.ends;
    const heard = new Heard(left);
    const atRight = new Heard(right);
    right.write([pattern(1, 300_000)]);
    left.end();
    await subject.until(() => heard.closed.length > 0 && atRight.closed.length > 0);
    expect(heard.bytes).toBe(300_000);
    expect(heard.closed).toEqual([undefined]);
  });

  test('a destroy closes both ends once, with its reason at its own', async () => {
    const [left, right] = subject.ends;
    const atLeft = new Heard(left);
    const atRight = new Heard(right);
    left.write([pattern(1, 10)]);
    await subject.until(() => atRight.bytes >= 10);
    const reason = new Error('pulled the plug');
    left.destroy(reason);
    left.destroy(new Error('again'));
    expect(atLeft.closed).toEqual([]);
    await subject.until(() => atLeft.closed.length > 0 && atRight.closed.length > 0);
    right.destroy();
    expect(right.write([pattern(1, 10)])).toBe(true);
    await subject.settle();
    expect(atLeft.closed).toEqual([reason]);
    const cut = expect.objectContaining({ code: 'E_UNREACHABLE' });
    expect(atRight.closed).toEqual([subject.tellsCuts ? cut : atRight.closed[0]]);
  });

  test('a destroy without a reason says that it was stopped here', async () => {
    const [left, right] = subject.ends;
    const heard = new Heard(left);
    const atRight = new Heard(right);
    left.destroy();
    await subject.until(() => heard.closed.length > 0 && atRight.closed.length > 0);
    expect(heard.closed).toEqual([expect.objectContaining({ code: 'E_STOPPED' })]);
  });

  test('a destroy is told to a listener that comes later', async () => {
    const [left, right] = subject.ends;
    left.destroy(new Error('gone'));
    await subject.settle();
    const heard = [new Heard(left), new Heard(right)];
    expect(heard.map(({ closed }) => closed.length)).toEqual([0, 0]);
    await subject.until(() => heard.every(({ closed }) => closed.length > 0));
    expect(heard.map(({ closed }) => closed.length)).toEqual([1, 1]);
  });

  test('a writer goes on unharmed when its reader has gone', async () => {
    const [left, right] = subject.ends;
    const heard = new Heard(left);
    right.destroy();
    for (let times = 0; times < 20; times += 1) {
      left.write([pattern(times, 50_000)]);
      await subject.settle();
    }
    await subject.until(() => heard.closed.length > 0);
    expect(heard.closed.length).toBe(1);
  });
}
