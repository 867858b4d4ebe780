// Spans of time as people type them, and as they are shown.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { formatAge, formatDuration, parseDuration } from '../../src/base/durations.ts';

describe('a time', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['2h', 7_200_000],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each([
    ['', 'an empty time'],
    ['10', '10 has no unit'],
    ['-1s', '-1s is below 0'],
    ['1d', "'1d' is not a time"],
    ['1e3s', "'1e3s' is not a time"],
    ['1 s', "'1 s' is not a time"],
    ['s', "'s' is not a time"],
    ['1s500ms', "'1s500ms' is not a time"],
    ['9000h', 'more than a year'],
  ])('%j is refused', (text, reason) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(reason) }),
    );
  });

  test('any text is a time, or refused as wrong usage', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.]{0,5}(ms|s|m|h)?$/)), (text) => {
        const outcome = outcomeOf(() => parseDuration(text));
        expect(outcome === 'E_USAGE' || Number(outcome) >= 0).toBe(true);
      }),
    );
  });
});

test.each([
  [0, '0 ms'],
  [12.4, '12 ms'],
  [999.6, '1 s'],
  [1500, '1.5 s'],
  [9960, '10 s'],
  [59_990, '59 s'],
  [60_000, '1 min'],
  [125_000, '2 min 5 s'],
  [3_600_000, '1 h'],
  [11_400_000, '3 h 10 min'],
  [352_800_000, '4 d 2 h'],
])('%d ms are shown as %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

test('an age says how long ago, or never', () => {
  const now = Date.parse('2030-01-01T00:00:12.000Z');
  expect(formatAge(null, now)).toBe('never');
  expect(formatAge('2030-01-01T00:00:00.000Z', now)).toBe('12 s ago');
  expect(formatAge('2030-01-01T00:00:11.500Z', now)).toBe('just now');
  expect(formatAge('2030-01-01T00:01:00.000Z', now)).toBe('just now');
});

/** What `parse` makes of a text, or the code of its refusal. */
function outcomeOf(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
