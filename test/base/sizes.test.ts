// Sizes, rates and counts as people type them, and as they are shown.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  counted,
  formatCount,
  formatRate,
  formatSize,
  parseCount,
  parseRate,
  parseSize,
} from '../../src/base/sizes.ts';

describe('a size', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    ['4096', 4096],
    ['007', 7],
    ['1K', 1024],
    ['1k', 1024],
    ['1KB', 1024],
    ['1KiB', 1024],
    ['1kib', 1024],
    ['64M', 64 * 1024 ** 2],
    ['10G', 10 * 1024 ** 3],
    ['10GiB', 10 * 1024 ** 3],
    ['8T', 8 * 1024 ** 4],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    ['', 'an empty size'],
    ['-1', '-1 is below 0'],
    ['-5K', '-5K is below 0'],
    ['12Q', "'12Q': unknown unit Q"],
    ['1e3', "'1e3' is not a size"],
    ['0x10', "'0x10' is not a size"],
    ['1.5G', "'1.5G' is not a size"],
    ['1 G', "'1 G' is not a size"],
    [' 1', "' 1' is not a size"],
    ['1_000', "'1_000' is not a size"],
    ['1,000', "'1,000' is not a size"],
    ['K', "'K' is not a size"],
    ['1iB', "'1iB': unknown unit iB"],
    ['1KK', "'1KK': unknown unit KK"],
    ['NaN', "'NaN' is not a size"],
    ['Infinity', "'Infinity' is not a size"],
    ['--json', "'--json' is not a size"],
    ['9007199254740992', 'more than any volume'],
    ['9999999999T', 'more than any volume'],
    ['1'.repeat(400), 'more than any volume'],
  ])('%j is refused', (text, reason) => {
    expect(() => parseSize(text)).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(reason) }),
    );
  });

  test('every whole number of every unit is that many bytes', () => {
    const units = { '': 0, K: 1, M: 2, G: 3, T: 4 };
    fc.assert(
      fc.property(
        fc.nat({ max: 4000 }),
        fc.constantFrom(...Object.entries(units)),
        fc.constantFrom('', 'iB', 'B'),
        (count, [letter, power], end) => {
          const text = `${count}${letter}${letter === '' ? '' : end}`;
          expect(parseSize(text)).toBe(count * 1024 ** power);
        },
      ),
    );
  });

  test('any text is a size, or refused as wrong usage: nothing else happens', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const outcome = outcomeOf(() => parseSize(text));
        expect(outcome === 'E_USAGE' || Number.isSafeInteger(outcome)).toBe(true);
      }),
    );
  });
});

describe('a rate', () => {
  test.each([
    ['20M', 20 * 1024 ** 2],
    ['20MiB/s', 20 * 1024 ** 2],
    ['1', 1],
  ])('%s is %d bytes a second', (text, bytes) => {
    expect(parseRate(text)).toBe(bytes);
  });

  test.each(['0', '0K/s', '/s', '', '1M/m'])('%j is refused', (text) => {
    expect(() => parseRate(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});

describe('a count', () => {
  test('is digits only', () => {
    expect(parseCount('0')).toBe(0);
    expect(parseCount('120')).toBe(120);
  });

  test.each(['', '-1', '1K', '1.0', '0x1', '9007199254740992'])('%j is refused', (text) => {
    expect(() => parseCount(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});

describe('shown', () => {
  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1 MiB'],
    [10 * 1024 ** 2, '10 MiB'],
    [999.4 * 1024 ** 2, '999 MiB'],
    [1024 ** 3, '1 GiB'],
    [8 * 1024 ** 4, '8 TiB'],
    [5000 * 1024 ** 4, '5000 TiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  test('what is shown of a size is close to it, and never 1024 of a unit', () => {
    fc.assert(
      fc.property(fc.nat({ max: 8 * 1024 ** 4 }), (bytes) => {
        const [amount = '', unit = ''] = formatSize(bytes).split(' ');
        const factor = 1024 ** (['KiB', 'MiB', 'GiB', 'TiB'].indexOf(unit) + 1);
        expect(Math.abs(Number(amount) * factor - bytes)).toBeLessThanOrEqual(bytes * 0.051);
        expect(Number(amount)).toBeLessThan(1024);
      }),
    );
  });

  test('rates, counts, and how many of a thing', () => {
    expect(formatRate(38.24 * 1024 ** 2)).toBe('38.2 MiB/s');
    expect(formatCount(1_234_567)).toBe('1,234,567');
    expect(counted(1, 'record')).toBe('1 record');
    expect(counted(1204, 'record')).toBe('1,204 records');
    expect(counted(2, 'entry', 'entries')).toBe('2 entries');
  });
});

/** What `parse` makes of a text, or the code of its refusal. */
function outcomeOf(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
