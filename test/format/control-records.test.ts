/** Payloads of open, rebase and seal records: round trips, layouts, every truncation refused. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  decodeOpen,
  decodeRebase,
  decodeSeal,
  decodeSealRecord,
  encodeOpen,
  encodeRebase,
  encodeSeal,
} from '../../src/format/control-records.ts';
import type { Parent } from '../../src/format/control-records.ts';
import { encodeRecord } from '../../src/format/record.ts';
import type { RecordKind } from '../../src/format/record.ts';
import {
  bitFlips,
  epochId,
  groupId,
  migrationId,
  setId,
  truncations,
  u32,
  u64,
} from './samples.ts';

const position = fc.record({ epoch: u32, sequence: u64, chain: u32 });
const parent: fc.Arbitrary<Parent> = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  fc.uint8Array({ maxLength: 300 }).map((seal) => ({
    kind: 'seal' as const,
    seal: Buffer.from(seal),
  })),
  position.map((at) => ({ kind: 'takeover' as const, at })),
);
const open = fc.record({ epochId, writer: setId, parent });
const rebase = fc.record({ epochId, writer: setId, epochFirst: u64, base: position });
const seal = fc.record({
  epochId,
  group: groupId,
  set: setId,
  successor: setId,
  migration: migrationId,
  successorAddress: fc.string({ unit: 'binary', maxLength: 60 }),
});

const damaged = expect.objectContaining({ code: 'E_DAMAGED' });
const [sampleSeal] = fc.sample(seal, { numRuns: 1, seed: 1 });
if (!sampleSeal) throw new Error('there is a sample');

function record(kind: RecordKind, payload: Buffer): Buffer {
  const { bytes } = encodeRecord(
    {
      kind,
      endOfRequest: true,
      mayFree: false,
      chain: 1,
      epoch: 1,
      volume: 0,
      sequence: 8,
      offset: 0,
      length: 0,
      timeMs: 3,
      durableSequence: 7,
    },
    payload,
  );
  return bytes;
}

describe.each([
  ['open', open, encodeOpen, decodeOpen],
  ['rebase', rebase, encodeRebase, decodeRebase],
  ['seal', seal, encodeSeal, decodeSeal],
] as unknown as [
  string,
  fc.Arbitrary<unknown>,
  (value: unknown) => Buffer,
  (bytes: Buffer) => unknown,
][])('%s', (_kind, values, encode, decode) => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(values, (given) => {
        expect(decode(encode(given))).toEqual(given);
      }),
    );
  });

  test('[R8] every truncation is refused, and every byte too many', () => {
    fc.assert(
      fc.property(values, (given) => {
        const bytes = encode(given);
        for (const { cut } of truncations(bytes)) expect(() => decode(cut)).toThrow(damaged);
        expect(() => decode(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(damaged);
      }),
      { numRuns: 10 },
    );
  });
});

describe('layouts', () => {
  test('sizes are what the table says', () => {
    fc.assert(
      fc.property(open, rebase, seal, (anOpen, aRebase, aSeal) => {
        const more = { none: 0, seal: 4, takeover: 16 }[anOpen.parent.kind];
        const sealBytes = anOpen.parent.kind === 'seal' ? anOpen.parent.seal.length : 0;
        expect(encodeOpen(anOpen).length).toBe(33 + more + sealBytes);
        expect(encodeRebase(aRebase).length).toBe(56);
        const address = Buffer.byteLength(aSeal.successorAddress);
        expect(encodeSeal(aSeal).length).toBe(82 + address);
      }),
    );
  });

  test('every control payload begins with the epoch’s id', () => {
    fc.assert(
      fc.property(open, rebase, seal, (anOpen, aRebase, aSeal) => {
        const begins = (bytes: Buffer) => bytes.subarray(0, 16).toString('hex');
        expect(begins(encodeOpen(anOpen))).toBe(anOpen.epochId);
        expect(begins(encodeRebase(aRebase))).toBe(aRebase.epochId);
        expect(begins(encodeSeal(aSeal))).toBe(aSeal.epochId);
      }),
    );
  });

  test('an unknown kind of parent is refused', () => {
    const bytes = Buffer.alloc(33);
    bytes.writeUInt8(3, 32);
    expect(() => decodeOpen(bytes)).toThrow(damaged);
  });
});

describe('a seal as it travels', () => {
  const bytes = record('seal', encodeSeal(sampleSeal));

  test('comes back with its record', () => {
    expect(decodeSealRecord(bytes).seal).toEqual(sampleSeal);
    expect(decodeSealRecord(bytes).record.bytes.equals(bytes)).toBe(true);
  });

  test('[R8] every flipped bit is refused', () => {
    let flips = 0;
    for (const { flipped } of bitFlips(bytes)) {
      flips += 1;
      expect(() => decodeSealRecord(flipped)).toThrow(damaged);
    }
    expect(flips).toBe(bytes.length * 8);
  });

  test('[R4] nothing else passes for a seal', () => {
    const mark = record('mark', Buffer.from('x'));
    expect(() => decodeSealRecord(mark)).toThrow(damaged);
    expect(() => decodeSealRecord(Buffer.concat([bytes, mark]))).toThrow(damaged);
    expect(() => decodeSealRecord(Buffer.alloc(0))).toThrow(damaged);
  });
});
