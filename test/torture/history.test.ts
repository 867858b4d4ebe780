// What a host may find after kill -9 and after power loss: each loss that there can be is seen.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { HostHistory } from '../support/host-history.ts';

let history: HostHistory;
/** The version that each block shows; those of zeroes are negative, and look alike. */
let shown: number[];

beforeEach(() => {
  history = new HostHistory(4);
  shown = [0, 0, 0, 0];
});

const looks = (version: number): number => Math.max(version, 0);

function check(fault: 'kill' | 'power'): string[] {
  return history.check(fault, (block, version) => looks(shown[block] ?? 0) === looks(version));
}

/** A request that is answered at once. */
function write(version: number, first: number, count = 1, fua = false): void {
  history.answered(history.begin(first, count, version, fua));
}

function flush(): void {
  history.flushed(history.flushBegins());
}

describe('after kill -9', () => {
  test('everything that was answered is there', () => {
    write(1, 0);
    write(2, 1);
    shown = [1, 0, 0, 0];
    expect(check('kill')).toEqual([expect.stringContaining('block 1 holds version 0')]);
  });

  test('what was under way is there or not, but not in part', () => {
    write(1, 0, 2);
    history.begin(0, 2, 2, false);
    expect(history.isBusy(1)).toBe(true);
    shown = [2, 1, 0, 0];
    expect(check('kill')).toEqual([expect.stringContaining('version 2 of blocks 0 to 1 is there')]);
    expect(history.isBusy(1)).toBe(false);
  });

  test('what was found is what has to be there from then on', () => {
    history.begin(0, 1, 1, false);
    shown = [1, 0, 0, 0];
    expect(check('kill')).toEqual([]);
    shown = [0, 0, 0, 0];
    expect(check('power')).toHaveLength(1);
  });
});

describe('after power loss', () => {
  test('what was not flushed may be gone', () => {
    write(1, 0);
    write(2, 1);
    expect(check('power')).toEqual([]);
  });

  test('what was answered before a flush began is there', () => {
    write(1, 0);
    flush();
    write(2, 1);
    expect(check('power')).toEqual([expect.stringContaining('must be at least at 1')]);
  });

  test('a flush covers nothing that was answered after it began', () => {
    const change = history.begin(0, 1, 1, false);
    const flushed = history.flushBegins();
    history.answered(change);
    history.flushed(flushed);
    expect(check('power')).toEqual([]);
  });

  test('a flush without an answer covers nothing', () => {
    write(1, 0);
    history.flushBegins();
    expect(check('power')).toEqual([]);
  });

  test('FUA covers its own request', () => {
    write(1, 0, 1, true);
    expect(check('power')).toHaveLength(1);
  });

  test('an older version than the flushed one is a loss, a newer one is none', () => {
    write(1, 0);
    write(2, 0);
    flush();
    write(3, 0);
    shown = [1, 0, 0, 0];
    expect(check('power')).toHaveLength(1);
    history = new HostHistory(4);
    write(1, 0);
    flush();
    write(3, 0);
    shown = [3, 0, 0, 0];
    expect(check('power')).toEqual([]);
  });

  test('a middle is missing where something is there that began after its answer', () => {
    write(1, 0);
    write(2, 1);
    shown = [0, 2, 0, 0];
    expect(check('power')).toEqual([
      expect.stringContaining('version 1 of blocks 0 to 0 is missing'),
    ]);
  });

  test('of two at once either may be there', () => {
    const both = [history.begin(0, 1, 1, false), history.begin(1, 1, 2, false)];
    for (const change of both) history.answered(change);
    shown = [0, 2, 0, 0];
    expect(check('power')).toEqual([]);
  });

  test('a request is there whole or not at all', () => {
    write(1, 0, 3);
    shown = [1, 1, 0, 0];
    expect(check('power')).toEqual([expect.stringContaining('is there in part: block 2 lacks it')]);
  });

  test('zeroes look like zeroes: no loss is claimed that is none', () => {
    write(1, 0);
    write(-2, 0);
    write(3, 1);
    shown = [0, 3, 0, 0];
    expect(check('power')).toEqual([]);
  });

  test('something else than ever was written is a loss', () => {
    write(1, 0);
    shown = [9, 0, 0, 0];
    expect(check('power')).toEqual([expect.stringContaining('block 0 holds something else')]);
  });
});
