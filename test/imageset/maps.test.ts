/**
 * Block maps in memory and on disk: pages, slots, torn writes and decayed ones. Random bits are in
 * maps.properties.test.ts.
 */
import { describe, expect, test } from '@jest/globals';
import { KIB, TIB } from '../../src/base/limits.ts';
import { MAP_PAGE_BLOCKS, MAP_SLOT_BYTES } from '../../src/format/map.ts';
import { BlockMap } from '../../src/imageset/block-map.ts';
import { MapFile } from '../../src/imageset/map-file.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { sweepCrashes } from '../support/crash-sweep.ts';

const BLOCK = 4 * KIB;

describe('a block map', () => {
  const blocks = 2 * MAP_PAGE_BLOCKS + 100;

  test('a full map of several pages is full, and its last page has no bits behind the end', () => {
    const map = new BlockMap(blocks * BLOCK);
    map.addRange(0, blocks);
    expect(map.isFull).toBe(true);
    const last = map.bytes(2);
    expect(last.subarray(13).every((byte) => byte === 0)).toBe(true);
    expect([last[11], last[12]]).toEqual([0xff, 0x0f]);
  });

  test('[R9] of a huge volume that is empty or full costs next to nothing', () => {
    const map = new BlockMap(TIB);
    map.addRange(0, map.blocks);
    expect(map.isFull).toBe(true);
    map.remove(5);
    expect(map.next(0, map.blocks, false)).toBe(5);
    expect(map.next(6, map.blocks, false)).toBe(map.blocks);
  });

  test('gives each changed page once', () => {
    const map = new BlockMap(blocks * BLOCK);
    map.add(3);
    map.add(MAP_PAGE_BLOCKS);
    expect([...map.takeChanged().keys()]).toEqual([0, 1]);
    map.add(3);
    expect(map.takeChanged().size).toBe(0);
    map.remove(3);
    expect([...map.takeChanged().keys()]).toEqual([0]);
  });
});

const PATH = '/map';
const SIZE = (MAP_PAGE_BLOCKS + 50) * BLOCK;
const STAMP = { epoch: 2, sequence: 7 };

async function newMap(disk = new SimulatedDisk()): Promise<{ disk: SimulatedDisk; file: MapFile }> {
  const file = await MapFile.create(disk, PATH, 'presence', SIZE, STAMP);
  await disk.syncFolder('/', 'TEST:SYNC');
  return { disk, file };
}

const open = (disk: SimulatedDisk) => MapFile.open(disk, PATH, 'presence', SIZE);

async function save(file: MapFile, sequence: number, ...blocks: number[]): Promise<void> {
  for (const block of blocks) file.map.add(block);
  await file.save(file.map.takeChanged(), { epoch: 2, sequence });
}

function bitsOf(file: MapFile): number[] {
  const bits: number[] = [];
  for (let at = file.map.next(0, file.map.blocks, true); at < file.map.blocks;) {
    bits.push(at);
    at = file.map.next(at + 1, file.map.blocks, true);
  }
  return bits;
}

describe('a map file', () => {
  test('keeps bits and stamp', async () => {
    const { disk, file } = await newMap();
    expect(bitsOf(open(disk))).toEqual([]);
    await save(file, 8, 1, MAP_PAGE_BLOCKS + 2);
    await save(file, 9, 2);
    await save(file, 10);
    const again = open(disk);
    expect(bitsOf(again)).toEqual([1, 2, MAP_PAGE_BLOCKS + 2]);
    expect(again.stamp).toEqual({ epoch: 2, sequence: 10 });
  });

  test('[R8] missing, for another volume, of another kind, cut off: damage', async () => {
    const { disk } = await newMap();
    expect(() => MapFile.open(disk, '/none', 'presence', SIZE)).toThrow(/names this map/);
    expect(() => MapFile.open(disk, PATH, 'presence', SIZE - BLOCK)).toThrow(/another volume/);
    expect(() => MapFile.open(disk, PATH, 'dirty', SIZE)).toThrow(/damaged/);
    disk.truncate(PATH, 4 * MAP_SLOT_BYTES + 100);
    expect(() => open(disk)).toThrow(/page 2 of the map is damaged/);
    disk.truncate(PATH, 0);
    expect(() => open(disk)).toThrow(/page 0/);
  });

  test('[R8] a slot that decayed is seen wherever its content counts', async () => {
    const { disk, file } = await newMap();
    await save(file, 8, 1, MAP_PAGE_BLOCKS + 2);
    await save(file, 9, 3);
    await save(file, 10, MAP_PAGE_BLOCKS + 4);
    file.close();
    const slots = disk.readFile(PATH).length / MAP_SLOT_BYTES;
    const outcomes: string[] = [];
    for (let slot = 0; slot < slots; slot += 1) {
      for (const offset of [0, 9, 13, 17, 25, 40, MAP_SLOT_BYTES - 1]) {
        const copy = disk.survivors('lose', 1);
        copy.flipBit(PATH, slot * MAP_SLOT_BYTES + offset, 2);
        outcomes.push(
          `${slot}: ${verdict(copy, [1, 3, MAP_PAGE_BLOCKS + 2, MAP_PAGE_BLOCKS + 4])}`,
        );
      }
    }
    // The newest slots are 1 of the head, 2 of page 1 and 4 of page 2. Without the newest head the
    // map is as of the save before, and says so with its stamp: applied numbers are above that.
    expect([...new Set(outcomes)]).toEqual([
      '0: intact',
      `1: as of 9 with bits 1,3,${MAP_PAGE_BLOCKS + 2}`,
      '2: damaged',
      '3: intact',
      '4: damaged',
      '5: intact',
    ]);
  });

  test('[R8] what is wrong with slots that do not count is said, and healed', async () => {
    const { disk, file } = await newMap();
    await save(file, 8, 1, MAP_PAGE_BLOCKS + 2);
    await save(file, 9, 3);
    file.close();
    expect(open(disk).flaws).toEqual([]);
    // Slots 0 of the head, 2 of page 1 and 5 of page 2 count.
    for (const slot of [1, 3, 4]) {
      for (const damage of ['flip', 'zeroes'] as const) {
        const copy = disk.survivors('lose', 1);
        const bytes = Buffer.from(copy.readFile(PATH));
        if (damage === 'zeroes') bytes.fill(0, slot * MAP_SLOT_BYTES, (slot + 1) * MAP_SLOT_BYTES);
        copy.writeFile(PATH, bytes);
        if (damage === 'flip') copy.flipBit(PATH, slot * MAP_SLOT_BYTES + 50, 2);
        const map = open(copy);
        expect(map.flaws).toMatchObject([{ file: PATH, offset: slot * MAP_SLOT_BYTES }]);
        await map.heal();
        map.close();
        expect(MapFile.check(copy, PATH, SIZE)).toEqual([]);
        expect(bitsOf(open(copy))).toEqual([1, 3, MAP_PAGE_BLOCKS + 2]);
      }
    }
  });

  test('[R8] a file that is too short or too long is said, and healed', async () => {
    const { disk, file } = await newMap();
    file.close();
    const bytes = disk.readFile(PATH).length;
    for (const size of [bytes - MAP_SLOT_BYTES, bytes - 100, bytes + 1]) {
      disk.truncate(PATH, size);
      const map = open(disk);
      expect(map.flaws).toMatchObject([{ file: PATH, offset: size }]);
      await map.heal();
      map.close();
      expect(MapFile.check(disk, PATH, SIZE)).toEqual([]);
    }
  });

  test('[R2] a save whose sync failed is written anew before it is built upon', async () => {
    const { disk, file } = await newMap();
    await save(file, 8, 1);
    disk.hook = ({ label }) => (label === 'MAP:SYNC' ? 'fail' : undefined);
    await expect(save(file, 9, 2, MAP_PAGE_BLOCKS + 3)).rejects.toMatchObject({ code: 'E_IO' });
    let syncs = 0;
    disk.hook = ({ label }) => {
      syncs += label === 'MAP:SYNC' ? 1 : 0;
      return syncs === 2 ? 'fail' : undefined;
    };
    const second = open(disk);
    await expect(save(second, 10, 4)).rejects.toMatchObject({ code: 'E_IO' });
    disk.hook = undefined;
    const third = open(disk);
    const bits = bitsOf(third);
    await save(third, 11, 5);
    const lost = open(disk.survivors('lose', 1));
    expect(bitsOf(lost)).toEqual([...bits, 5]);
    expect(lost.stamp.sequence).toBe(11);
  });

  test('[R2] a head whose sync failed is written anew before what is below it goes', async () => {
    const { disk, file } = await newMap();
    let syncs = 0;
    disk.hook = ({ label }) => {
      syncs += label === 'MAP:SYNC' ? 1 : 0;
      return syncs === 2 ? 'fail' : undefined; // that of the head, behind that of its pages
    };
    await expect(save(file, 8, 1, MAP_PAGE_BLOCKS + 1)).rejects.toMatchObject({ code: 'E_IO' });
    let pagesWritten = false;
    disk.hook = ({ label }) => {
      if (label === 'MAP:PAGE') pagesWritten = true;
      if (label === 'MAP:HEAD' && pagesWritten) disk.crash();
    };
    await expect(save(open(disk), 9, 2)).rejects.toMatchObject({ code: 'E_IO' });
    expect(disk.crashed).toBe(true);
    expect(bitsOf(open(disk.survivors('lose', 1)))).toEqual([1, MAP_PAGE_BLOCKS + 1]);
  });

  test('[R2] torn anywhere it has the bits of the last save, or of the next', async () => {
    const { disk, file } = await newMap();
    await save(file, 8, 1, MAP_PAGE_BLOCKS + 2);
    await save(file, 9, 3);
    file.close();
    class Saves {
      saved = 9;
      readonly disk: SimulatedDisk;
      constructor(copy: SimulatedDisk) {
        this.disk = copy;
      }
      async run(): Promise<void> {
        const map = open(this.disk);
        for (let sequence = 10; sequence < 16; sequence += 1) {
          await save(map, sequence, ...bitsOfSave(sequence));
          this.saved = sequence;
        }
      }
    }
    const bitsOfSave = (sequence: number) => [
      sequence % 3 === 0 ? MAP_PAGE_BLOCKS + sequence : sequence,
      MAP_PAGE_BLOCKS + 20 + sequence,
    ];
    const bitsAt = (saved: number) =>
      Array.from({ length: saved - 9 }, (_, index) => bitsOfSave(10 + index)).flat();
    const points = await sweepCrashes({
      base: disk,
      seed: 1,
      start: (copy) => new Saves(copy),
      check: async (trial, copy) => {
        const map = open(copy);
        const bits = bitsOf(map);
        expect(map.stamp.sequence).toBeGreaterThanOrEqual(trial.saved);
        expect(bits).toEqual(expect.arrayContaining([1, 3, ...bitsAt(trial.saved)]));
        expect([1, 3, MAP_PAGE_BLOCKS + 2, ...bitsAt(trial.saved + 1)]).toEqual(
          expect.arrayContaining(bits),
        );
        // It goes on from there, over whatever the torn save left behind.
        await save(map, 20, 30);
        map.close();
        const again = open(copy);
        expect(bitsOf(again)).toEqual([...bits, 30].toSorted((one, other) => one - other));
        await save(again, 21, 31, MAP_PAGE_BLOCKS + 45);
        const last = open(copy.survivors('lose', 1));
        expect(last.map.count).toBe(bits.length + 3);
      },
      recover: async (copy) => {
        const map = open(copy);
        await save(map, 16, 40, MAP_PAGE_BLOCKS + 40);
      },
    });
    expect(points).toBeGreaterThan(60);
  });
});

function verdict(disk: SimulatedDisk, expected: readonly number[]): string {
  try {
    const file = open(disk);
    const bits = bitsOf(file);
    if (JSON.stringify(bits) === JSON.stringify(expected)) return 'intact';
    return `as of ${file.stamp.sequence} with bits ${bits.join(',')}`;
  } catch (error) {
    return (error as { code?: string }).code === 'E_DAMAGED' ? 'damaged' : String(error);
  }
}
