/** What the simulator judges by: it must see what is wrong, and only that. */
import { describe, expect, test } from '@jest/globals';
import { Broken } from './broken.ts';
import { GroupLog } from './group-log.ts';
import type { Change } from './group-log.ts';
import { planOf } from './plan.ts';
import { SECTOR_BYTES, SectorHistory } from './sector-history.ts';
import { shrink } from './shrink.ts';

function write(offset: number, letter: string, records = 1): Change {
  const data = Buffer.from(letter);
  return { kind: 'write', volume: 0, offset, length: 1, data, records };
}

function broken(action: () => void): string {
  try {
    action();
  } catch (error) {
    if (error instanceof Broken) return error.rule;
  }
  return 'nothing';
}

describe('the log of a group', () => {
  const three = () => {
    const log = new GroupLog([4]);
    const asked = ['a', 'b', 'c'].map((letter, at) => log.ask('/a', 1, write(at, letter)));
    return { log, asked };
  };

  test('holds what was asked for in order, answered or not', () => {
    const { log, asked } = three();
    if (asked[1]) log.answer(asked[1], 2, 1);
    expect(log.newest).toBe(2);
    expect(log.at(2, 'c')[0]?.toString('latin1')).toBe('ab\0\0');
    log.numbersUpTo('/a', 3, 1);
    expect(log.at(3, 'c')[0]?.toString('latin1')).toBe('abc\0');
    expect(log.at(1, 'c')[0]?.toString('latin1')).toBe('a\0\0\0');
  });

  test('[R4] sees numbers that are not dense, or of nobody', () => {
    const { log, asked } = three();
    const [first] = asked;
    expect(broken(() => first && log.answer(first, 2, 1))).toBe('R4');
    expect(broken(() => log.numbersUpTo('/a', 9, 1))).toBe('R4');
  });

  test('[R4] sees two writers, and an epoch that comes back', () => {
    const { log, asked } = three();
    if (asked[2]) log.answer(asked[2], 3, 2);
    const late = log.ask('/b', 1, write(0, 'x'));
    expect(broken(() => log.answer(late, 4, 1))).toBe('R4');
    const other = log.ask('/c', 2, write(0, 'x'));
    expect(broken(() => log.answer(other, 4, 2))).toBe('R4');
  });

  test('[R2] sees what was flushed and is gone', () => {
    const { log, asked } = three();
    if (asked[2]) log.answer(asked[2], 3, 1);
    log.flushed = 2;
    expect(broken(() => log.reopened('/a', 1, 1))).toBe('R2');
    expect(broken(() => three().log.reopened('/a', 0, 1))).toBe('nothing');
  });

  test('[R1] sees a number in the midst of a request', () => {
    const log = new GroupLog([4]);
    log.answer(log.ask('/a', 1, write(0, 'a', 3)), 3, 1);
    expect(broken(() => log.at(2, 'c'))).toBe('R1');
    expect(broken(() => log.cutBehind(2))).toBe('R1');
  });
});

describe('the history of a volume', () => {
  const HOST = 7;
  const written = () => {
    const history = new SectorHistory('alpha', 4);
    const first = history.ask(HOST, 0, 2, false);
    history.answered(first);
    const second = history.ask(HOST, 0, 1, false);
    history.answered(second);
    return { history, first, second };
  };
  const sectorOf = (history: SectorHistory, change: Parameters<SectorHistory['payload']>[0]) =>
    history.payload(change, 0, 1);

  test('takes what was written last, and zeroes where nothing was', () => {
    const { history, second } = written();
    const newest = sectorOf(history, second);
    expect(broken(() => history.check(0, newest, history.now()))).toBe('nothing');
    const blank = Buffer.alloc(SECTOR_BYTES);
    expect(broken(() => history.check(3, blank, history.now()))).toBe('nothing');
  });

  test('[R1] sees an older write, a blank and a torn sector', () => {
    const { history, first, second } = written();
    const old = sectorOf(history, first);
    expect(broken(() => history.check(0, old, history.now()))).toBe('R1');
    expect(broken(() => history.check(0, Buffer.alloc(SECTOR_BYTES), history.now()))).toBe('R1');
    const torn = sectorOf(history, second);
    torn[400] = 0;
    expect(broken(() => history.check(0, torn, history.now()))).toBe('R1');
  });

  test('what was not flushed may be lost with the connection, what was may not', () => {
    const { history, first, second } = written();
    history.mayLoseUnflushed(HOST);
    history.check(0, sectorOf(history, first), history.now());
    const sure = written();
    sure.history.flushedSince(HOST, sure.history.now());
    sure.history.mayLoseUnflushed(HOST);
    const old = sectorOf(sure.history, sure.first);
    expect(broken(() => sure.history.check(0, old, sure.history.now()))).toBe('R1');
    expect(second.id).toBe(2);
  });

  test('a read that is under way may find what is over for those that come later', () => {
    const { history, first } = written();
    const early = history.beginRead();
    const third = history.ask(HOST, 0, 2, false);
    history.answered(third);
    history.flushedSince(HOST, history.now());
    const old = sectorOf(history, third);
    expect(broken(() => history.check(0, old, early.start))).toBe('nothing');
    expect(broken(() => history.check(1, history.payload(first, 1, 1), early.start))).toBe(
      'nothing',
    );
    early.ends();
    history.flushedSince(HOST, history.now());
    expect(broken(() => history.check(1, history.payload(first, 1, 1), history.now()))).toBe('R1');
  });

  test('[R1] sees that the writes of two hosts changed places', () => {
    const { history, first } = written();
    const other = history.ask(HOST + 1, 0, 1, false);
    history.answered(other);
    expect(broken(() => history.check(0, sectorOf(history, other), history.now()))).toBe('nothing');
    // What another host loses with its connection says nothing of this one.
    history.mayLoseUnflushed(HOST + 2);
    expect(broken(() => history.check(0, sectorOf(history, first), history.now()))).toBe('R1');
  });
});

describe('cutting a plan down', () => {
  test('finds the events that are enough', async () => {
    const tried: number[] = [];
    const fails = async (kept: readonly number[]) => {
      tried.push(kept.length);
      return kept.includes(5) && kept.includes(17);
    };
    expect(await shrink(40, fails, 500)).toEqual([5, 17]);
    expect(tried.length).toBeLessThan(120);
  });

  test('stops in time with what it has', async () => {
    const kept = await shrink(40, async (part) => part.includes(5), 3);
    expect(kept).toContain(5);
    expect(kept.length).toBeLessThan(40);
  });

  test('a plan is the same for the same seed', () => {
    expect(planOf(12)).toEqual(planOf(12));
    expect(planOf(12)).not.toEqual(planOf(13));
  });
});
