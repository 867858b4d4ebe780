/** What every {@link Device} that hosts may write to must do. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Completion, Device, DeviceRequest } from '../../src/device/device.ts';
import { pattern } from '../support/image-sets.ts';
import { cases } from '../support/properties.ts';

/** A device under test, all zeroes. */
export interface DeviceUnderTest {
  readonly device: Device;
  /** Lets everything happen that is under way. */
  settle(): Promise<void>;
  dispose(): Promise<void>;
}

/** So large are the devices under test; they do not end on a block. */
export const DEVICE_BYTES = 200 * 1024 + 512;

type Prepare = () => Promise<DeviceUnderTest>;

let subject: DeviceUnderTest;

/** The answer to one request; throws unless it comes exactly once. */
async function ask(request: DeviceRequest, under = subject): Promise<Completion> {
  const answers: Completion[] = [];
  under.device.submit(request, (completion) => answers.push(completion));
  await under.settle();
  const [answer] = answers;
  if (!answer || answers.length > 1) throw new Error(`${answers.length} answers to one request`);
  return answer;
}

async function read(offset: number, length: number, under = subject): Promise<Buffer> {
  const answer = await ask({ kind: 'read', offset, length }, under);
  if (!answer.ok) throw answer.error;
  return Buffer.concat(answer.data ?? []);
}

function writeOf(offset: number, bytes: Buffer, fua = false): DeviceRequest {
  const cut = Math.floor(bytes.length / 3);
  const data = [bytes.subarray(0, cut), bytes.subarray(cut)].filter((part) => part.length > 0);
  return { kind: 'write', offset, data, length: bytes.length, fua };
}

export function describeDevices(name: string, prepare: Prepare): void {
  describe(`a device that is ${name}`, () => {
    beforeEach(async () => {
      subject = await prepare();
    });
    afterEach(() => subject.dispose());
    describeRequests();
    describeManyRequests(prepare);
    describeExtents();
  });
}

function describeRequests(): void {
  test('is all zeroes, may be written, and knows its size', async () => {
    expect(subject.device.sizeBytes).toBe(DEVICE_BYTES);
    expect(subject.device.readOnly).toBe(false);
    expect((await read(0, DEVICE_BYTES)).equals(Buffer.alloc(DEVICE_BYTES))).toBe(true);
  });

  test.each([
    ['a byte', 4095, 1],
    ['a sector', 512, 512],
    ['a block', 4096, 4096],
    ['what crosses blocks', 4000, 5000],
    ['much', 3, 150_000],
    ['the last bytes', DEVICE_BYTES - 700, 700],
  ])('gives back what was written: %s', async (_what, offset, length) => {
    const bytes = pattern(length, length);
    expect(await ask(writeOf(offset, bytes))).toMatchObject({ ok: true });
    expect((await read(offset, length)).equals(bytes)).toBe(true);
    const before = Math.min(offset, 100);
    const whole = await read(offset - before, before + length);
    expect(whole.equals(Buffer.concat([Buffer.alloc(before), bytes]))).toBe(true);
  });

  test('answers a flush, and writes and zeroes with FUA', async () => {
    expect(await ask(writeOf(0, pattern(1, 5000), true))).toMatchObject({ ok: true });
    expect(await ask({ kind: 'flush' })).toMatchObject({ ok: true });
    const zeroes = { kind: 'zeroes', offset: 100, length: 3000, fua: true, mayFree: true } as const;
    expect(await ask(zeroes)).toMatchObject({ ok: true });
    const expected = pattern(1, 5000).fill(0, 100, 3100);
    expect((await read(0, 5000)).equals(expected)).toBe(true);
  });

  test.each([true, false])('reads as zeroes what was zeroed; may free: %s', async (mayFree) => {
    await ask(writeOf(0, pattern(2, 60_000)));
    await ask({ kind: 'zeroes', offset: 5000, length: 40_000, fua: false, mayFree });
    const expected = pattern(2, 60_000).fill(0, 5000, 45_000);
    expect((await read(0, 60_000)).equals(expected)).toBe(true);
  });

  test.each<[string, DeviceRequest]>([
    ['a read past the end', { kind: 'read', offset: DEVICE_BYTES - 1, length: 2 }],
    ['a read of nothing', { kind: 'read', offset: 0, length: 0 }],
    ['a write past the end', writeOf(DEVICE_BYTES - 10, pattern(1, 11))],
    ['a write beyond the end', writeOf(DEVICE_BYTES + 4096, pattern(1, 11))],
    [
      'zeroes past the end',
      { kind: 'zeroes', offset: 1, length: DEVICE_BYTES, fua: false, mayFree: true },
    ],
  ])('refuses %s, and nothing is changed', async (_what, request) => {
    const answer = await ask(request);
    expect(answer).toMatchObject({ ok: false, error: { code: 'E_RANGE' } });
    expect((await read(0, DEVICE_BYTES)).equals(Buffer.alloc(DEVICE_BYTES))).toBe(true);
  });
}

function describeManyRequests(prepare: Prepare): void {
  test('answers many at once, each once; the last of several writes is what stays', async () => {
    const answers: boolean[] = [];
    for (let id = 0; id < 100; id += 1) {
      subject.device.submit(writeOf(4096, pattern(id, 1000)), ({ ok }) => answers.push(ok));
    }
    await subject.settle();
    expect(answers).toEqual(answers.map(() => true));
    expect(answers.length).toBe(100);
    expect((await read(4096, 1000)).equals(pattern(99, 1000))).toBe(true);
  });

  test('holds what a plain buffer holds after any requests', async () => {
    const range = fc
      .tuple(fc.nat(DEVICE_BYTES - 1), fc.integer({ min: 1, max: 20_000 }))
      .map(([offset, length]) => ({ offset, length: Math.min(length, DEVICE_BYTES - offset) }));
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), at: range, id: fc.nat(250) }),
      fc.record({ kind: fc.constant('zeroes' as const), at: range, id: fc.nat(1) }),
      fc.record({ kind: fc.constant('flush' as const), at: range, id: fc.nat(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30, size: 'max' }), async (steps) => {
        const under = await prepare();
        try {
          const model = Buffer.alloc(DEVICE_BYTES);
          for (const { kind, at, id } of steps) {
            const { offset, length } = at;
            if (kind === 'write') model.set(pattern(id, length), offset);
            if (kind === 'zeroes') model.fill(0, offset, offset + length);
            const request: DeviceRequest =
              kind === 'write'
                ? writeOf(offset, pattern(id, length))
                : kind === 'zeroes'
                  ? { kind, offset, length, fua: false, mayFree: id === 1 }
                  : { kind };
            expect((await ask(request, under)).ok).toBe(true);
          }
          expect((await read(0, DEVICE_BYTES, under)).equals(model)).toBe(true);
        } finally {
          await under.dispose();
        }
      }),
      cases(15),
    );
  });
}

function describeExtents(): void {
  test('never calls data a hole, and comes to an end', async () => {
    await ask(writeOf(50_000, pattern(1, 3)));
    await ask(writeOf(120_000, pattern(1, 9000)));
    await ask({ kind: 'zeroes', offset: 122_000, length: 5000, fua: false, mayFree: true });
    const content = await read(0, DEVICE_BYTES);
    for (const [from, end] of [
      [0, DEVICE_BYTES],
      [50_001, 121_000],
      [120_000, 120_001],
    ] as const) {
      let at: number = from;
      while (at < end) {
        const extent = subject.device.nextExtent(at, end);
        expect(extent.offset).toBe(at);
        expect(extent.length).toBeGreaterThan(0);
        const extentEnd = Math.min(end, at + extent.length);
        const holds = content.subarray(at, extentEnd).some((byte) => byte !== 0);
        expect({ at, hole: !extent.data && holds }).toEqual({ at, hole: false });
        at = extentEnd;
      }
    }
  });
}
