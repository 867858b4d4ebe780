/** Dumps of damaged files: each says where the damage is, and goes on behind it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checksum } from '../../src/base/checksum.ts';
import { MIB } from '../../src/base/limits.ts';
import { inspectFile } from '../../src/control/inspect-file.ts';
import type { DumpKind } from '../../src/control/inspect-file.ts';
import type { DumpLine } from '../../src/format/dump.ts';
import { MAP_SLOT_BYTES, mapSlotOffset } from '../../src/format/map.ts';
import { decodeRecord } from '../../src/format/record.ts';
import type { ControllerId } from '../../src/base/ids.ts';
import { encodePathFile } from '../../src/format/path-file.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/format/segment.ts';
import { MapFile } from '../../src/imageset/map-file.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { SAMPLES } from '../support/sample-sets.ts';

interface Dump {
  readonly kind: DumpKind;
  readonly lines: DumpLine[];
  /** Offset, field and remark of the damaged lines. */
  readonly damage: string[];
}

function dumpOn(files: SimulatedDisk, path: string, from = 0): Dump {
  return inspectFile({ ...nodeEnvironment, files }, path, from, ({ kind, lines }) => {
    const all = [...lines];
    const damage = all
      .filter(({ damaged }) => damaged)
      .map(({ offset, field, remark }) => `${offset} ${field}: ${remark}`);
    return { kind, lines: all, damage };
  });
}

function dump(bytes: Uint8Array, name = 'file', from = 0): Dump {
  const disk = new SimulatedDisk();
  disk.writeFile(`/${name}`, bytes);
  return dumpOn(disk, `/${name}`, from);
}

function sample(file: string): Buffer {
  return readFileSync(join(SAMPLES, 'tokyo', file));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

/** Sets a byte and makes the checksum of `start` to `end` right again. */
function resealed(bytes: Buffer, start: number, end: number, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(value, start + at);
  copy.writeUInt32LE(0, start + 8);
  copy.writeUInt32LE(checksum(copy.subarray(start, end)), start + 8);
  return copy;
}

const SEGMENT = sample('journal/00000001-0000000000000001.rcj');
const CURSORS = sample('cursors');
const SET = sample('set.json');
/** Where tokyo's records begin. */
const RECORDS = recordsIn(SEGMENT);
const [, SECOND = 0, THIRD = 0] = RECORDS;

function recordsIn(segment: Buffer): number[] {
  const starts: number[] = [];
  for (let at = SEGMENT_HEADER_BYTES; ;) {
    const check = decodeRecord(segment, at);
    if (check.found !== 'record') return starts;
    starts.push(at);
    at += check.record.bytes.length;
  }
}

/** A checksum as dumps state it. */
function stated(bytes: Buffer, at: number): string {
  return `checksum stated ${bytes.readUInt32LE(at).toString(16).padStart(8, '0')}, computed `;
}

function magics({ lines }: Dump): number[] {
  return lines.filter(({ field }) => field === 'magic').map(({ offset }) => offset);
}

/** Every byte of the file is in a line, but for those that explain others. */
function expectAllCovered({ lines }: Dump, sizeBytes: number): void {
  let end = 0;
  for (const { offset, length } of lines) {
    expect(offset).toBeLessThanOrEqual(end);
    end = Math.max(end, offset + length);
  }
  expect(end).toBe(sizeBytes);
}

describe('a segment', () => {
  test('that is sound has no damage, and no byte without a line', () => {
    const whole = dump(SEGMENT);
    expect(whole).toMatchObject({ kind: 'segment', damage: [] });
    expect(magics(whole)).toEqual([0, ...RECORDS]);
    expectAllCovered(whole, SEGMENT.length);
  });

  test('with any bit flipped says so in that record, and shows every other one', () => {
    const starts = [0, ...RECORDS, SEGMENT.length];
    const last = RECORDS.at(-1) ?? 0;
    for (let at = 0; at < last + 96 + 96; at += 1) {
      const after = dump(flipped(SEGMENT, at), 'a.rcj');
      const index = starts.findLastIndex((start) => start <= at);
      const [start = 0, end = 0] = starts.slice(index, index + 2);
      const places = after.damage.map((line) => Number.parseInt(line, 10));
      const within = places.length > 0 && places.every((place) => place >= start && place < end);
      expect({ at, within, magics: magics(after) }).toEqual({
        at,
        within: true,
        magics: [0, ...RECORDS],
      });
    }
  });

  test('names checksums as stated and as computed', () => {
    const inHeader = dump(flipped(SEGMENT, SECOND + 40)).damage;
    expect(inHeader).toHaveLength(1);
    const header = `${SECOND + 8} CRC-32 of this header: ${stated(SEGMENT, SECOND + 8)}`;
    expect(inHeader[0]).toContain(header);
    const inPayload = dump(flipped(SEGMENT, SECOND + 96)).damage;
    const payload = `${SECOND + 16} CRC-32 of the payload: ${stated(SEGMENT, SECOND + 16)}`;
    expect(inPayload[0]).toContain(payload);
  });

  test.each([0, 3, 4, 50, 96, 100, 191, 200, 256, 352, 360, 511, 830, 900])(
    'that ends at %i is shown up to there',
    (end) => {
      const cut = dump(SEGMENT.subarray(0, end), 'a.rcj');
      expectAllCovered(cut, end);
      const isWhole = RECORDS.includes(end);
      expect(cut.damage.some((line) => /cut off|no segment header/.test(line))).toBe(!isWhole);
    },
  );

  test('goes on behind bytes that are no record', () => {
    const holed = Buffer.from(SEGMENT);
    holed.fill(0xaa, SECOND, THIRD);
    const after = dump(holed);
    expect(after.damage).toEqual([`${SECOND} bytes: no record: damaged`]);
    expect(magics(after)).toEqual([0, ...RECORDS.filter((at) => at !== SECOND)]);
  });

  test('says of what stands behind zeroes that it may be old', () => {
    const recycled = Buffer.concat([
      SEGMENT,
      Buffer.alloc(64, 7),
      SEGMENT.subarray(THIRD, RECORDS[3]),
    ]);
    const old = dump(recycled);
    expect(old.damage).toEqual([]);
    expect(magics(old)).toEqual([0, ...RECORDS, SEGMENT.length + 64]);
    expect(old.lines.find(({ offset }) => offset === SEGMENT.length)?.remark).toMatch(
      /earlier use/,
    );
  });

  test('of another version is not decoded, nor is a record of one', () => {
    const head = dump(resealed(SEGMENT, 0, 96, 4, 2));
    expect(head.damage).toEqual(['4 version: unknown version 2; this program knows 1']);
    expectAllCovered(head, SEGMENT.length);
    const record = dump(resealed(SEGMENT, SECOND, SECOND + 96, 4, 9));
    expect(record.damage).toEqual([
      `${SECOND + 4} version: unknown version 9; this program knows 1`,
    ]);
    expect(magics(record)).toEqual([0, ...RECORDS]);
  });

  test('is shown from a byte on', () => {
    const { lines } = dump(SEGMENT, 'file', SECOND + 44);
    expect(lines[0]).toMatchObject({ offset: SECOND + 40, field: 'offset in the volume' });
  });
});

describe('cursors', () => {
  const end = 32 + CURSORS.readUInt32LE(12);
  const bits = [0, 4, 9, 12, 16, 24, 40, end - 13, end - 1, end, end + 1, 4095];

  test.each([...bits, ...bits.map((at) => 4096 + at)])(
    'with a bit flipped at %i say so in that slot, and show the other one',
    (at) => {
      const after = dump(flipped(CURSORS, at), 'cursors');
      expect(after.kind).toBe('cursors');
      expect(after.damage).not.toEqual([]);
      const slot = Math.floor(at / 4096);
      for (const line of after.damage) expect(line).toContain(`slot ${slot}: `);
      const use = after.lines.find(({ field }) => field === `slot ${1 - slot}: generation`);
      expect(use?.remark).toBe('the newest valid slot: it counts');
    },
  );

  test('cut off, empty, and of another version', () => {
    expect(dump(CURSORS).damage).toEqual([]);
    expectAllCovered(dump(CURSORS), CURSORS.length);
    expect(dump(CURSORS.subarray(0, 4106)).damage).toEqual([
      '4104 slot 1: CRC-32 of header and body: cut off: 2 of 4 bytes',
    ]);
    expect(dump(CURSORS.subarray(0, 200)).damage[0]).toMatch(/^8 .*header or body is cut off$/);
    const fresh = dump(Buffer.concat([CURSORS.subarray(0, 4096), Buffer.alloc(4096)]));
    expect(fresh.lines.at(-1)).toMatchObject({ offset: 4096, remark: 'never written' });
    const used = 32 + CURSORS.readUInt32LE(12);
    expect(dump(resealed(CURSORS, 0, used, 4, 3)).damage).toEqual([
      '4 slot 0: version: unknown version 3; this program knows 1',
    ]);
  });
});

describe('set.json', () => {
  test('with a bit flipped names its checksum, stated and computed', () => {
    const sum = SET.toString().slice(-12, -4);
    for (let at = 0; at < SET.indexOf('  "checksum"') - 1; at += 7) {
      const after = dump(flipped(SET, at), 'set.json');
      expect(after.kind).toBe('set');
      expectAllCovered(after, SET.length);
      expect(after.damage.join('\n')).toContain(`checksum: checksum stated ${sum}, computed`);
    }
    for (let at = SET.indexOf('  "checksum"'); at < SET.length; at += 1) {
      expect(dump(flipped(SET, at), 'set.json').damage[0]).toMatch(/^0 set.json: /);
    }
  });

  test('cut off, not UTF-8, of another version', () => {
    expect(dump(SET.subarray(0, 300)).damage[0]).toMatch(/^0 set.json: .*JSON/);
    const bad = Buffer.from(SET);
    bad.writeUInt8(0xff, SET.indexOf('tokyo'));
    expect(dump(bad).damage).toContain(`${SET.indexOf('  "name"')} name: is not UTF-8`);
    const newer = Buffer.from(SET.toString().replace('"version": 1', '"version": 2'));
    const at = SET.indexOf('  "version"');
    expect(dump(newer).damage).toContain(`${at} version: unknown version 2; this program knows 1`);
  });
});

describe('paths.json', () => {
  const PATHS = encodePathFile({
    format: 'rcopy path controller',
    version: 1,
    controllerId: 'c'.repeat(32) as ControllerId,
    name: 'gate',
    starts: 3,
    ways: [],
  });

  test('is shown line by line, under any name', () => {
    for (const name of ['paths.json', 'copy']) {
      const sound = dump(PATHS, name);
      expect(sound).toMatchObject({ kind: 'paths', damage: [] });
      expectAllCovered(sound, PATHS.length);
      expect(sound.lines).toContainEqual(expect.objectContaining({ field: 'starts', value: '3' }));
    }
  });

  test('with a bit flipped names its checksum, or itself', () => {
    for (let at = 0; at < PATHS.length; at += 5) {
      const after = dump(flipped(PATHS, at), 'paths.json');
      expect(after.kind).toBe('paths');
      expectAllCovered(after, PATHS.length);
      expect(after.damage.join('\n')).toMatch(/checksum stated|^0 paths.json: /);
    }
  });
});

describe('a map', () => {
  async function withMap(): Promise<SimulatedDisk> {
    const disk = new SimulatedDisk();
    const map = await MapFile.create(disk, '/db.present', 'presence', 200 * MIB, {
      epoch: 3,
      sequence: 77,
    });
    map.map.addRange(0, 40);
    map.map.addRange(40_000, 40_007);
    await map.save(
      new Map([0, 1].map((page) => [page, Buffer.from(map.map.bytes(page))])),
      map.stamp,
    );
    map.close();
    return disk;
  }

  const slotOne = mapSlotOffset(1, 1);

  test('shows its stamp and how many blocks are set', async () => {
    const { kind, lines, damage } = dumpOn(await withMap(), '/db.present');
    expect({ kind, damage }).toEqual({ kind: 'map', damage: [] });
    const values = new Map(lines.map(({ field, value }) => [field, value]));
    expect(Object.fromEntries(values)).toMatchObject({
      "head, slot 1: stamp's number": '77',
      "head, slot 1: sum of the pages' generations": '2',
      'page 1, slot 0: bits': '0 of 32512 blocks set',
      'page 1, slot 1: bits': '40 of 32512 blocks set',
      'page 2, slot 1: bits': `7 of ${200 * 256 - 32_512} blocks set`,
    });
  });

  test('with a flipped bit names the slot, and the sum that falls short', async () => {
    const disk = await withMap();
    disk.writeFile('/db.present', flipped(Buffer.from(disk.readFile('/db.present')), slotOne + 99));
    const { damage } = dumpOn(disk, '/db.present');
    expect(damage).toHaveLength(2);
    expect(damage[0]).toMatch(/^4144 head, slot 1: sum .*: the pages have 1: one has lost its new/);
    expect(damage[1]).toMatch(/^12296 page 1, slot 1: CRC-32 of the slot: checksum stated/);
  });

  test('cut off, and of another version', async () => {
    const bytes = Buffer.from((await withMap()).readFile('/db.present'));
    expect(dump(bytes.subarray(0, 20_000)).damage.at(-1)).toBe(
      '20000 end of the file: cut off: 20000 of 24576 bytes',
    );
    const newer = resealed(bytes, slotOne, slotOne + MAP_SLOT_BYTES, 4, 2);
    expect(dump(newer).damage).toContain(
      '12292 page 1, slot 1: version: unknown version 2; this program knows 1',
    );
  });
});

describe('what else there is', () => {
  test('an image is an image, whatever a host wrote into it', () => {
    const { kind, lines } = dump(SEGMENT, 'db.img');
    expect(kind).toBe('image');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.remark).toMatch(/^a raw image: .*without any structure of rcopy/);
  });

  test('a file of others is refused with its first bytes', () => {
    expect(() => dump(Buffer.from('#!/bin/sh\n\x1b[31m'))).toThrow(
      /begins with 23212f62696e2f73680a1b5b33316d \("#!\/bin\/sh\\u000a\\u001b\[31m"\)/,
    );
    expect(() => dump(Buffer.alloc(0))).toThrow(expect.objectContaining({ code: 'E_DAMAGED' }));
  });

  test('nothing, and a folder, are not found', () => {
    const disk = new SimulatedDisk();
    disk.makeFolder('/folder', 'TEST:FOLDER');
    for (const path of ['/folder', '/none']) {
      expect(() => dumpOn(disk, path)).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }));
    }
  });
});
