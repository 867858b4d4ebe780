// Simulated time: what happens when, and in which order.
import { expect, test } from '@jest/globals';
import { SimulatedClock } from './clock.ts';
import { seededRandom } from './random.ts';

test('things happen in one order: queued first, then timers by time and age', () => {
  const clock = new SimulatedClock();
  const order: string[] = [];
  const note = (what: string) => () => order.push(`${what} at ${clock.monotonicMs()}`);
  clock.after(20, note('late'));
  clock.after(10, note('first'));
  clock.after(10, note('second'));
  const cancelled = clock.after(10, note('cancelled'));
  clock.soon(() => {
    note('queued')();
    clock.soon(note('queued from there'));
  });
  cancelled.cancel();
  clock.advance(15);
  expect(order).toEqual(['queued at 0', 'queued from there at 0', 'first at 10', 'second at 10']);
  expect(clock.monotonicMs()).toBe(15);
  clock.runUntilIdle();
  expect(order.at(-1)).toBe('late at 20');
});

test('run lets promises settle between steps; time passes when all else is done', async () => {
  const clock = new SimulatedClock();
  const seen: number[] = [];
  const work = async (): Promise<void> => {
    for (let round = 0; round < 3; round++) {
      await clock.sleep(1000);
      for (let tick = 0; tick < 50; tick++) await Promise.resolve();
      seen.push(clock.monotonicMs());
    }
  };
  const done = work();
  await clock.run(() => seen.length === 3);
  await done;
  expect(seen).toEqual([1000, 2000, 3000]);
});

test('run says when it is stuck, and keeps its limits', async () => {
  const clock = new SimulatedClock();
  await expect(clock.run(() => false)).rejects.toThrow('stuck at 0 ms');
  const again = (): void => {
    clock.after(1000, again);
  };
  again();
  await expect(clock.run(() => false, { simulatedMsMax: 5500 })).rejects.toThrow('stuck at 5000');
  await expect(clock.run(() => false, { stepsMax: 3 })).rejects.toThrow('too many steps');
});

test('pass lets exactly so much time pass', async () => {
  const clock = new SimulatedClock();
  let woken = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(100);
      woken += 1;
    }
  };
  void work();
  await clock.pass(950);
  expect([woken, clock.monotonicMs()]).toEqual([9, 950]);
});

test('the wall clock may jump; timers and the monotonic clock do not notice', () => {
  const clock = new SimulatedClock();
  const before = clock.now();
  clock.jump(-5000);
  clock.advance(10);
  expect(clock.now()).toBe(before - 4990);
  expect(clock.monotonicMs()).toBe(10);
});

test('a seed gives the same numbers, in range; another one gives others', () => {
  const numbers = (seed: number): number[] => {
    const random = seededRandom(seed);
    return [...Array.from({ length: 1000 }, () => random.below(6)), ...random.bytes(16)];
  };
  expect(numbers(1)).toEqual(numbers(1));
  expect(numbers(1)).not.toEqual(numbers(2));
  expect(new Set(numbers(3).slice(0, 1000))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
  const large = Array.from({ length: 100 }, () => seededRandom(7).below(2 ** 45));
  expect(large.every((value) => Number.isSafeInteger(value) && value < 2 ** 45)).toBe(true);
});
