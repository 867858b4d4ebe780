// Names of volumes and marks as typed, and NAME=SIZE.
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { NAME_PATTERN } from '../../src/base/limits.ts';
import { distinctVolumes, parseName, parseVolumeSpec } from '../../src/cli/names.ts';

test.each([
  ['db=10G', { name: 'db', sizeBytes: 10 * 1024 ** 3 }],
  ['a.b-c_1=512', { name: 'a.b-c_1', sizeBytes: 512 }],
])('%s describes a volume', (text, volume) => {
  expect(parseVolumeSpec(text)).toEqual(volume);
});

test.each([
  ['db', "'db' has no size"],
  ['', "'' has no size"],
  ['=1G', "'' is not a name"],
  ['db=', 'an empty size'],
  ['db=0', 'would have no bytes'],
  ['db=-1', '-1 is below 0'],
  ['db=1G=2G', "'1G=2G' is not a size"],
  ['-db=1G', "'-db' is not a name"],
  ['../db=1G', "'../db' is not a name"],
  ['d b=1G', "'d b' is not a name"],
  [`${'x'.repeat(65)}=1G`, 'is not a name'],
])('%j is refused', (text, reason) => {
  expect(() => parseVolumeSpec(text)).toThrow(
    expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(reason) }),
  );
});

test('a name that can be one passes as it is, anything else is refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(NAME_PATTERN)), (text) => {
      const expected = NAME_PATTERN.test(text) ? text : 'E_USAGE';
      expect(outcomeOf(() => parseName(text))).toBe(expected);
    }),
  );
});

test('two volumes of one name are refused', () => {
  const [a, b] = [parseVolumeSpec('a=1G'), parseVolumeSpec('b=1G')];
  expect(distinctVolumes([a, b])).toEqual([a, b]);
  expect(() => distinctVolumes([a, b, { name: 'a', sizeBytes: 1 }])).toThrow(
    'volume a is named twice',
  );
});

/** What `parse` makes of a text, or the code of its refusal. */
function outcomeOf(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
