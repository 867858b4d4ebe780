// What the bench makes of its measurements.
import { describe, expect, test } from '@jest/globals';
import { ratios, rotated, summary } from './statistics.ts';

describe('a summary', () => {
  test.each([
    [[3], { median: 3, least: 3, most: 3 }],
    [[4, 1], { median: 2.5, least: 1, most: 4 }],
    [[10, 9, 1], { median: 9, least: 1, most: 10 }],
    [[2, 100, 4, 3], { median: 3.5, least: 2, most: 100 }],
  ])('of %j', (values, expected) => {
    expect(summary(values)).toEqual(expected);
  });

  test('of nothing is none', () => {
    expect(() => summary([])).toThrow('nothing was measured');
  });
});

describe('ratios', () => {
  test('are taken round by round', () => {
    expect(ratios([2, 30, 8], [1, 10, 2])).toEqual({ median: 3, least: 2, most: 4 });
  });

  test('need the same rounds', () => {
    expect(() => ratios([1, 2], [1])).toThrow('rounds are missing');
  });
});

test('everybody comes first in turn', () => {
  const orders = [0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''));
  expect(orders).toEqual(['abc', 'bca', 'cab', 'abc']);
  expect(rotated([], 3)).toEqual([]);
});
