// What `npm run torture` is told, which round does what, and how one is repeated.
import { describe, expect, test } from '@jest/globals';
import { KINDS, kindOf, optionsFrom, repeating } from './options.ts';
import type { Kind } from './options.ts';

describe('options', () => {
  test('half an hour from seed 1 on, unless told', () => {
    const usual = { minutes: 30, from: 1, only: undefined, json: undefined, keep: false };
    expect(optionsFrom([])).toEqual(usual);
  });

  test('all of them', () => {
    const words = ['--minutes', '0.5', '--from', '7', '--only', 'power', '--json', 'a', '--keep'];
    const told = { minutes: 0.5, from: 7, only: 'power', json: 'a', keep: true };
    expect(optionsFrom(words)).toEqual(told);
  });

  test.each([
    ['--minutes', '-1'],
    ['--minutes', 'many'],
    ['--minutes', ''],
    ['--minutes', 'Infinity'],
    ['--from', '0'],
    ['--from', '1.5'],
    ['--from', '2147483649'],
    ['--only', 'pwer'],
    ['--rounds', '3'],
  ])('%s %s is refused by its name', (name, value) => {
    expect(() => optionsFrom([name, value])).toThrow(name);
  });

  test('the command that repeats a round is understood, and does one round of it', () => {
    for (const kind of KINDS) {
      const [, words = ''] = repeating(kind, 23).split('npm run torture -- ');
      expect(optionsFrom(words.split(' '))).toMatchObject({ only: kind, from: 23, minutes: 0 });
    }
  });
});

describe('which round does what', () => {
  const kindsOf = (can: readonly Kind[]): Set<Kind | undefined> =>
    new Set(Array.from({ length: 20 }, (_, round) => kindOf(round + 1, new Set(can))));

  test('every kind has its turn', () => {
    expect(kindsOf(KINDS)).toEqual(new Set(KINDS));
  });

  test('what cannot be had leaves its turn to the others', () => {
    const others = KINDS.filter((kind) => kind !== 'power');
    expect(kindsOf(others)).toEqual(new Set(others));
    expect(kindsOf([])).toEqual(new Set([undefined]));
  });
});
