/** The record: round trips, its byte table, and that nothing damaged passes for a record. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { checksum } from '../../src/base/checksum.ts';
import { idToBytes } from '../../src/base/ids.ts';
import { REQUEST_BYTES_MAX } from '../../src/base/limits.ts';
import {
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RECORD_KINDS,
  decodeRecord,
  decodeRecordHeader,
  encodeRecord,
  encodeRecordHeader,
  epochTag,
  invalidRecord,
  isNumbered,
  recordBytes,
} from '../../src/format/record.ts';
import type { RecordFields, RecordKind } from '../../src/format/record.ts';
import { BEYOND_SAFE, bitFlips, epochId, tally, truncations, u16, u32, u64 } from './samples.ts';

const KINDS = Object.keys(RECORD_KINDS) as RecordKind[];

const fields: fc.Arbitrary<RecordFields> = fc.record({
  kind: fc.constantFrom(...KINDS),
  endOfRequest: fc.boolean(),
  mayFree: fc.boolean(),
  chain: u32,
  payloadChecksum: u32,
  payloadLength: u32,
  epoch: u32,
  volume: u16,
  sequence: u64,
  offset: u64,
  length: u64,
  timeMs: u64,
  durableSequence: u64,
  epochTag: u32,
});

const SAMPLE: RecordFields = {
  kind: 'write',
  endOfRequest: true,
  mayFree: false,
  chain: 0x0c0b0a09,
  payloadChecksum: 0x13121110,
  payloadLength: 5,
  epoch: 0x1b1a1918,
  volume: 0x1d1c,
  sequence: 0x2524232221,
  offset: 0x2d2c2b2a29,
  length: 5,
  timeMs: 0x3d3c3b3a39,
  durableSequence: 0x2524232220,
  epochTag: 0x4b4a4948,
};

function sampleRecord(payload = Buffer.from('hello')): Buffer {
  return encodeRecord({ ...SAMPLE, length: payload.length }, payload).bytes;
}

/** A header as a program of another version would write it: its checksum is right. */
function rechecked(header: Buffer, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(header);
  change(copy);
  copy.writeUInt32LE(0, 8);
  copy.writeUInt32LE(checksum(copy.subarray(0, RECORD_HEADER_BYTES)), 8);
  return copy;
}

describe('the header', () => {
  test('has each field where the byte table says', () => {
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES, 0xff);
    const chain = encodeRecordHeader(bytes, 0, SAMPLE);
    expect(bytes.subarray(0, 4).toString()).toBe('RCRD');
    expect(bytes.readUInt8(4)).toBe(1);
    expect(bytes.readUInt8(5)).toBe(1);
    expect(bytes.readUInt16LE(6)).toBe(1);
    expect(bytes.readUInt32LE(8)).toBe(chain);
    expect(bytes.readUInt32LE(12)).toBe(SAMPLE.chain);
    expect(bytes.readUInt32LE(16)).toBe(SAMPLE.payloadChecksum);
    expect(bytes.readUInt32LE(20)).toBe(5);
    expect(bytes.readUInt32LE(24)).toBe(SAMPLE.epoch);
    expect(bytes.readUInt16LE(28)).toBe(SAMPLE.volume);
    expect(bytes.readUInt16LE(30)).toBe(0);
    expect(bytes.readBigUInt64LE(32)).toBe(BigInt(SAMPLE.sequence));
    expect(bytes.readBigUInt64LE(40)).toBe(BigInt(SAMPLE.offset));
    expect(bytes.readBigUInt64LE(48)).toBe(5n);
    expect(bytes.readBigUInt64LE(56)).toBe(BigInt(SAMPLE.timeMs));
    expect(bytes.readBigUInt64LE(64)).toBe(BigInt(SAMPLE.durableSequence));
    expect(bytes.readUInt32LE(72)).toBe(SAMPLE.epochTag);
    expect(bytes.subarray(76)).toEqual(Buffer.alloc(20));
    bytes.writeUInt32LE(0, 8);
    expect(checksum(bytes)).toBe(chain);
  });

  test('numbers kinds and flags as the byte table says', () => {
    expect(RECORD_KINDS).toEqual({ write: 1, zeroes: 2, mark: 3, open: 4, rebase: 5, seal: 6 });
    expect(KINDS.filter(isNumbered)).toEqual(['write', 'zeroes', 'mark']);
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
    encodeRecordHeader(bytes, 0, { ...SAMPLE, endOfRequest: false, mayFree: true });
    expect(bytes.readUInt16LE(6)).toBe(2);
  });

  test('comes back as it was, wherever it stands', () => {
    fc.assert(
      fc.property(fields, fc.integer({ min: 0, max: 64 }), (given, at) => {
        const bytes = Buffer.alloc(at + RECORD_HEADER_BYTES, 0xee);
        const ownChain = encodeRecordHeader(bytes, at, given);
        expect(decodeRecordHeader(bytes, at)).toEqual({
          found: 'header',
          header: { ...given, ownChain },
        });
      }),
    );
  });

  test('[R8] a version, kind or flag that is not known is refused by name', () => {
    const header = Buffer.alloc(RECORD_HEADER_BYTES);
    encodeRecordHeader(header, 0, SAMPLE);
    const version = rechecked(header, (copy) => copy.writeUInt8(2, 4));
    expect(decodeRecordHeader(version, 0)).toEqual({ found: 'unknown-version', version: 2 });
    const kind = rechecked(header, (copy) => copy.writeUInt8(7, 5));
    expect(decodeRecordHeader(kind, 0)).toMatchObject({ reason: 'record kind 7 is unknown' });
    const flag = rechecked(header, (copy) => copy.writeUInt16LE(4, 6));
    expect(decodeRecordHeader(flag, 0)).toMatchObject({ found: 'garbage' });
  });

  test.each([32, 40, 48, 56, 64])('[R8] a u64 beyond 2^53 at offset %i is garbage', (offset) => {
    const header = Buffer.alloc(RECORD_HEADER_BYTES);
    encodeRecordHeader(header, 0, SAMPLE);
    const large = rechecked(header, (copy) => copy.set(BEYOND_SAFE, offset));
    expect(decodeRecordHeader(large, 0)).toMatchObject({ found: 'garbage' });
  });

  test('zeroes are told from garbage', () => {
    expect(decodeRecordHeader(Buffer.alloc(96), 0)).toEqual({ found: 'zeroes' });
    expect(decodeRecordHeader(Buffer.alloc(95), 0)).toMatchObject({ found: 'garbage' });
    expect(decodeRecordHeader(Buffer.alloc(96, 1), 0)).toMatchObject({ found: 'garbage' });
  });
});

describe('the whole record', () => {
  test('comes back as it was, padded with zeroes to a multiple of 32', () => {
    fc.assert(
      fc.property(fields, fc.uint8Array({ minLength: 1, maxLength: 300 }), (given, payload) => {
        const sound = {
          ...given,
          kind: 'write' as const,
          length: payload.length,
          offset: Math.floor(given.offset / 2),
          durableSequence: Math.min(given.durableSequence, given.sequence),
        };
        const { bytes, ownChain } = encodeRecord(sound, payload);
        expect(bytes.length).toBe(recordBytes(payload.length));
        const check = decodeRecord(bytes, 0);
        expect(check).toMatchObject({ found: 'record' });
        const record = check.found === 'record' ? check.record : undefined;
        expect(record?.header).toEqual({
          ...sound,
          ownChain,
          payloadLength: payload.length,
          payloadChecksum: checksum(payload),
        });
        expect(Uint8Array.from(record?.payload ?? [])).toEqual(payload);
        expect(record?.bytes.equals(bytes)).toBe(true);
      }),
    );
  });

  test.each([
    [0, 96],
    [1, 128],
    [32, 128],
    [33, 160],
    [4096, 4192],
  ])('a payload of %i bytes makes a record of %i', (payload, bytes) => {
    expect([recordBytes(payload), bytes % RECORD_ALIGNMENT]).toEqual([bytes, 0]);
  });

  test('[R8] every flipped bit is seen, also in the padding', () => {
    const bytes = sampleRecord();
    const found = Array.from(bitFlips(bytes), ({ flipped }) => decodeRecord(flipped, 0).found);
    expect(tally(found)).toEqual({ garbage: 96 * 8, 'bad-payload': 32 * 8 });
  });

  test('[R8] every truncation is seen', () => {
    const bytes = sampleRecord();
    const found = Array.from(truncations(bytes), ({ cut }) => decodeRecord(cut, 0).found);
    expect(tally(found)).toEqual({ garbage: 96, 'bad-payload': 32 });
  });

  test.each<[string, Partial<RecordFields>, string]>([
    ['a write whose length is not its payload’s', { length: 6 }, 'a write of 6 bytes carries 5'],
    ['an empty write', { length: 0, payloadLength: 0 }, 'an empty write'],
    ['zeroes with a payload', { kind: 'zeroes' }, 'zeroes with a payload'],
    ['empty zeroes', { kind: 'zeroes', length: 0, payloadLength: 0 }, 'empty zeroes'],
    ['a range that leaves 2^53', { offset: Number.MAX_SAFE_INTEGER }, 'a range beyond 2^53'],
    [
      'a durable number above its own',
      { sequence: 4, durableSequence: 5 },
      'durable number 5 is above its own 4',
    ],
    [
      'a payload that no record has',
      { length: REQUEST_BYTES_MAX + 1, payloadLength: REQUEST_BYTES_MAX + 1 },
      `a payload of ${REQUEST_BYTES_MAX + 1} bytes`,
    ],
  ])('%s is invalid', (_name, change, reason) => {
    const bytes = Buffer.alloc(128);
    encodeRecordHeader(bytes, 0, { ...SAMPLE, ...change });
    const check = decodeRecordHeader(bytes, 0);
    expect(check.found === 'header' && invalidRecord(check.header)).toBe(reason);
    expect(decodeRecord(bytes, 0)).toEqual({ found: 'garbage', reason });
  });

  test('what is sound has no reason', () => {
    const check = decodeRecordHeader(sampleRecord(), 0);
    expect(check.found === 'header' && invalidRecord(check.header)).toBeUndefined();
  });

  test('the tag of an epoch is the checksum of its id', () => {
    fc.assert(
      fc.property(epochId, (id) => {
        expect(epochTag(id)).toBe(checksum(idToBytes(id)));
      }),
    );
  });
});
