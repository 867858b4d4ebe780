// The memory that connections share, and who is let in when [R9].
import { describe, expect, test } from '@jest/globals';
import { MemoryBudget } from '../../src/nbd/budget.ts';
import { StallWatch } from '../../src/nbd/stall-watch.ts';

/** A budget of 100 bytes, and waiters by name that note their turn. */
function budgetOf100() {
  const turns: string[] = [];
  const time = { ms: 0 };
  let waits = 0;
  const budget = new MemoryBudget(
    100,
    () => time.ms,
    () => {
      waits += 1;
    },
  );
  const waiter = (name: string) => ({ granted: () => turns.push(name) });
  return { budget, turns, time, waiter, waits: () => waits };
}

describe('the budget', () => {
  test('gives what is there, and not a byte more', () => {
    const { budget, waiter, waits } = budgetOf100();
    expect(budget.take(100, waiter('a'))).toBe(true);
    expect(budget.take(1, waiter('b'))).toBe(false);
    expect([budget.usedBytes, budget.waiting, waits()]).toEqual([100, 1, 1]);
  });

  test('lets nobody pass who came later, though there would be room', () => {
    const { budget, turns, waiter } = budgetOf100();
    budget.take(60, waiter('a'));
    expect(budget.take(50, waiter('b'))).toBe(false);
    expect(budget.take(10, waiter('c'))).toBe(false);
    budget.give(5);
    expect(turns).toEqual([]);
    budget.give(5);
    expect(turns).toEqual(['b']);
    budget.give(10);
    expect(turns).toEqual(['b', 'c']);
    expect(budget.usedBytes).toBe(100);
    budget.give(100);
    expect(budget.take(100, waiter('d'))).toBe(true);
  });

  test('goes on with the next when the first leaves', () => {
    const { budget, turns, waiter } = budgetOf100();
    const first = waiter('first');
    budget.take(60, waiter('a'));
    budget.take(50, first);
    budget.take(10, waiter('second'));
    budget.leave(waiter('stranger'));
    budget.leave(first);
    expect(turns).toEqual(['second']);
    expect([budget.usedBytes, budget.waiting]).toEqual([70, 0]);
  });

  test('knows the longest wait', () => {
    const { budget, time, waiter } = budgetOf100();
    budget.take(100, waiter('a'));
    budget.take(1, waiter('b'));
    time.ms = 30;
    expect(budget.longestWaitMs).toBe(30);
    budget.give(100);
    budget.take(100, waiter('c'));
    time.ms = 40;
    expect(budget.longestWaitMs).toBe(30);
  });

  test('sees when more comes back than was taken', () => {
    const { budget, waiter } = budgetOf100();
    budget.take(10, waiter('a'));
    expect(() => budget.give(11)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });
});

describe('the watch', () => {
  const client = (holdsMemory = true) => ({ holdsMemory, movedBytes: 0 });

  test('finds who holds memory and moved too little for too long', () => {
    const watch = new StallWatch(10, 100);
    const stalled = client();
    const moving = client();
    const idle = client(false);
    const all = [stalled, moving, idle];
    for (let nowMs = 0; nowMs < 10; nowMs += 1) {
      expect(watch.stalled(all, nowMs)).toEqual([]);
      stalled.movedBytes += 9;
      moving.movedBytes += 11;
    }
    expect(watch.stalled(all, 10)).toEqual([stalled]);
  });

  test('begins anew when somebody begins to wait, or to hold memory', () => {
    const watch = new StallWatch(10, 100);
    const one = client();
    expect(watch.stalled([one], 0)).toEqual([]);
    watch.begin();
    expect(watch.stalled([one], 10)).toEqual([]);
    one.holdsMemory = false;
    expect(watch.stalled([one], 15)).toEqual([]);
    one.holdsMemory = true;
    expect(watch.stalled([one], 20)).toEqual([]);
    expect(watch.stalled([one], 29)).toEqual([]);
    expect(watch.stalled([one], 30)).toEqual([one]);
  });
});
