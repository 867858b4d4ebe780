/** set.json: round trips, and that no changed byte passes for an identity. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { checksum } from '../../src/base/checksum.ts';
import { SET_FILE_FORMAT, decodeSetFile, encodeSetFile } from '../../src/format/set-file.ts';
import type { SetFile } from '../../src/format/set-file.ts';
import { bitFlips, groupId, migrationId, setId, tally, truncations, u64 } from './samples.ts';

const text = fc.string({ unit: 'binary', maxLength: 20 });
const peer = fc.record({ setId, name: text, address: text });
const proven = fc.record({ epoch: u64, sequence: u64, chain: u64 });
const pair = fc.record({
  id: setId,
  peer,
  ack: fc.constantFrom('local', 'remote'),
  state: fc.constantFrom('copying', 'paired', 'split', 'suspended', 'takeover'),
  reason: text,
  copyBase: fc.option(proven),
  formerBases: fc.array(proven, { maxLength: 2 }),
  lineage: fc.array(
    fc.record({ epoch: u64, id: setId, first: u64, chains: text, sealed: fc.boolean() }),
    { maxLength: 2 },
  ),
  behindSinceMs: fc.option(u64),
});
const files = fc.record({
  format: fc.constant(SET_FILE_FORMAT),
  version: fc.constant(1 as const),
  setId,
  groupId,
  name: text,
  home: text,
  role: fc.constantFrom('primary', 'secondary', 'target', 'retired'),
  epoch: u64,
  volumes: fc.array(fc.record({ name: text, sizeBytes: u64 }), { maxLength: 3 }),
  journal: fc.record({
    segmentBytes: u64,
    segmentsMax: u64,
    recordPayloadBytesMax: u64,
    requestBytesMax: u64,
    whenFull: fc.constantFrom('slow', 'map'),
  }),
  pair: fc.option(pair),
  seal: fc.option(
    fc.record({ epoch: u64, nextSequence: u64, successor: peer, migrationId, record: text }),
  ),
  migration: fc.constant(null),
  parentSeal: fc.option(text),
  takenOverAt: fc.option(proven),
  abortedMigrations: fc.array(migrationId, { maxLength: 2 }),
  controllers: fc.array(fc.record({ id: setId, name: text, address: fc.option(text) }), {
    maxLength: 2,
  }),
  maps: fc.array(text, { maxLength: 2 }),
}) as unknown as fc.Arbitrary<SetFile>;

const [SAMPLE] = fc.sample(files, { numRuns: 1, seed: 8 });
if (!SAMPLE) throw new Error('there is a sample');
const bytes = encodeSetFile({ ...SAMPLE, name: 'tokyo' });

/** What becomes of a changed file: the code of its refusal, or `accepted`. */
function fate(changed: Uint8Array): string {
  try {
    decodeSetFile('tokyo/set.json', changed);
    return 'accepted';
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

/** The file after a change of its text, with the checksum made right again. */
function rewritten(change: (content: string) => string): Buffer {
  const zeroed = change(bytes.toString()).replace(/[0-9a-f]{8}"\n}\n$/, '00000000"\n}\n');
  const sum = checksum(Buffer.from(zeroed)).toString(16).padStart(8, '0');
  return Buffer.from(zeroed.replace(/00000000"\n}\n$/, `${sum}"\n}\n`));
}

describe('set.json', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(files, (given) => {
        expect(decodeSetFile('tokyo/set.json', encodeSetFile(given))).toEqual(given);
      }),
    );
  });

  test('is text for the eye that ends with its checksum', () => {
    expect(bytes.toString()).toMatch(/^\{\n {2}"format": "rcopy image set",\n {2}"version": 1,\n/);
    expect(bytes.toString()).toMatch(/,\n {2}"checksum": "[0-9a-f]{8}"\n}\n$/);
    expect(rewritten((content) => content).equals(bytes)).toBe(true);
  });

  test('[R8] every flipped bit is refused', () => {
    const fates = tally(Array.from(bitFlips(bytes), ({ flipped }) => fate(flipped)));
    // A bit of the version makes it a higher one; whose checksum that should be is not known.
    expect(fates).toEqual({ E_DAMAGED: bytes.length * 8 - 3, E_VERSION: 3 });
  });

  test('[R8] every truncation is refused, and anything added', () => {
    const cuts = Array.from(truncations(bytes), ({ cut }) => fate(cut));
    expect(tally(cuts)).toEqual({ E_DAMAGED: bytes.length });
    expect(fate(Buffer.concat([bytes, Buffer.from(' ')]))).toBe('E_DAMAGED');
  });

  test('[R8] a later version is refused as that, also with a right checksum', () => {
    const later = rewritten((content) => content.replace('"version": 1', '"version": 2'));
    expect(fate(later)).toBe('E_VERSION');
  });

  test.each<[string, (content: string) => string]>([
    ['an entry too many', (content) => content.replace('{\n', '{\n  "colour": "red",\n')],
    ['an entry that is missing', (content) => content.replace(/ {2}"name": "tokyo",\n/, '')],
    ['a role that is not known', (content) => content.replace(/"role": "\w+"/, '"role": "king"')],
    ['another file’s format', (content) => content.replace('rcopy image set', 'something')],
    ['a number below zero', (content) => content.replace(/"epoch": \d+/, '"epoch": -1')],
    ['a number beyond 2^53', (content) => content.replace(/"epoch": \d+/, '"epoch": 1e300')],
    ['an id that is none', (content) => content.replace(/"setId": "\w+"/, '"setId": "tokyo"')],
  ])('%s is refused, though the checksum is right', (_name, change) => {
    expect(rewritten(change).equals(bytes)).toBe(false);
    expect(fate(rewritten(change))).toBe('E_DAMAGED');
  });

  test('what is no object at all is refused', () => {
    expect(['', 'null', '[]', '"x"', '12', '{}'].map((each) => fate(Buffer.from(each)))).toEqual(
      Array.from({ length: 6 }, () => 'E_DAMAGED'),
    );
  });
});
