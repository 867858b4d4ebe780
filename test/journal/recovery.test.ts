/** Every input of the recovery table, with the verdict that it must get, spelled out by hand. */
import { expect, test } from '@jest/globals';
import { FOUND, RECOVERY_TABLE, recoveryRow } from '../../src/journal/recovery.ts';
import type { Found, Verdict } from '../../src/journal/recovery.ts';

/** Found there · owed · the next segment continues: the verdict. */
const EXPECTED: readonly [Found, boolean, boolean, Verdict][] = [
  ['next', true, true, 'next-segment'],
  ['next', true, false, 'accept'],
  ['next', false, true, 'next-segment'],
  ['next', false, false, 'accept'],
  ['stale', true, true, 'next-segment'],
  ['stale', true, false, 'damaged'],
  ['stale', false, true, 'next-segment'],
  ['stale', false, false, 'end'],
  ['zeroes', true, true, 'next-segment'],
  ['zeroes', true, false, 'damaged'],
  ['zeroes', false, true, 'next-segment'],
  ['zeroes', false, false, 'end'],
  ['end', true, true, 'next-segment'],
  ['end', true, false, 'damaged'],
  ['end', false, true, 'next-segment'],
  ['end', false, false, 'end'],
  ['garbage', true, true, 'next-segment'],
  ['garbage', true, false, 'damaged'],
  ['garbage', false, true, 'next-segment'],
  ['garbage', false, false, 'cut'],
  ['bad-payload', true, true, 'next-segment'],
  ['bad-payload', true, false, 'damaged'],
  ['bad-payload', false, true, 'next-segment'],
  ['bad-payload', false, false, 'cut'],
  ['unknown-version', true, true, 'next-segment'],
  ['unknown-version', true, false, 'refuse-version'],
  ['unknown-version', false, true, 'next-segment'],
  ['unknown-version', false, false, 'refuse-version'],
];

test.each(EXPECTED)('[R8] %s, owed %s, continued %s: %s', (found, owed, continues, verdict) => {
  expect(recoveryRow({ found, owed, continues }).verdict).toBe(verdict);
});

test('every input is spelled out once', () => {
  const inputs = new Set(EXPECTED.map((row) => row.slice(0, 3).join(' ')));
  expect(inputs.size).toBe(EXPECTED.length);
  expect(EXPECTED).toHaveLength(FOUND.length * 2 * 2);
});

test('every row is reached, and says what it is about in its own words', () => {
  const reached = EXPECTED.map(([found, owed, continues]) =>
    recoveryRow({ found, owed, continues }),
  );
  expect(new Set(reached)).toEqual(new Set(RECOVERY_TABLE));
  expect(new Set(RECOVERY_TABLE.map(({ label }) => label)).size).toBe(RECOVERY_TABLE.length);
});
