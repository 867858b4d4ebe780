/** Failing and interrupting operations of a simulated disk, its limits, and a test's own doings. */
import { describe, expect, test } from '@jest/globals';
import type { FileHandle } from '../../src/sys/files.ts';
import { systemCode } from '../../src/sys/system-error.ts';
import { SimulatedClock } from './clock.ts';
import { SECTOR_BYTES } from './content.ts';
import type { Operation } from './device.ts';
import { SimulatedDisk } from './disk.ts';

const LABEL = 'TEST:DISK';
const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);
const MIB = 1 << 20;

function diskWithFile(seed = 0): { disk: SimulatedDisk; file: FileHandle } {
  const disk = new SimulatedDisk({ seed });
  disk.writeFile('/file', Buffer.alloc(4 * SECTOR_BYTES, 'a'));
  return { disk, file: disk.open('/file', 'write', LABEL) };
}

/** Every operation there is, by kind; whether it counts as mutating. */
const OPERATIONS: [string, boolean, (disk: SimulatedDisk, file: FileHandle) => unknown][] = [
  ['read', false, (_, file) => file.read(Buffer.alloc(1), 0, LABEL)],
  ['write', true, (_, file) => file.write([Buffer.from('x')], 0, LABEL)],
  ['zero', true, (_, file) => file.zero(0, 1, true, LABEL)],
  ['extent', false, (_, file) => file.nextExtent(0, 1, LABEL)],
  ['size', false, (_, file) => file.size(LABEL)],
  ['setSize', true, (_, file) => file.setSize(5, LABEL)],
  ['sync', true, async (_, file) => file.sync(LABEL)],
  ['open', false, (disk) => disk.open('/file', 'read', LABEL)],
  ['open', false, (disk) => disk.open('/file', 'write', LABEL)],
  ['open', true, (disk) => disk.open('/new', 'create', LABEL)],
  ['open', true, (disk) => disk.open('/new', 'replace', LABEL)],
  ['status', false, (disk) => disk.status('/file', LABEL)],
  ['list', false, (disk) => disk.list('/', LABEL)],
  ['makeFolder', true, (disk) => disk.makeFolder('/folder', LABEL)],
  ['rename', true, (disk) => disk.rename('/file', '/other', LABEL)],
  ['remove', true, (disk) => disk.remove('/file', LABEL)],
  ['syncFolder', true, async (disk) => disk.syncFolder('/', LABEL)],
  ['lock', false, (disk) => disk.tryLock('/file', LABEL)],
];

describe.each(OPERATIONS)('%s (mutating: %s)', (kind, mutating, run) => {
  const outcome = async (disk: SimulatedDisk, file: FileHandle): Promise<unknown> => {
    try {
      await run(disk, file);
      return undefined;
    } catch (error) {
      return error;
    }
  };

  test('is counted, and told to the hook', async () => {
    const { disk, file } = diskWithFile();
    const told: Operation[] = [];
    disk.hook = (operation) => {
      told.push(operation);
    };
    expect(await outcome(disk, file)).toBeUndefined();
    expect(told).toEqual([{ index: 0, label: LABEL, kind, path: expect.stringMatching(/^\//) }]);
    expect(disk.operations).toBe(mutating ? 1 : 0);
    expect(disk.labels.get(LABEL)).toBe(2);
  });

  test('fails as the hook says, and changes nothing', async () => {
    const { disk, file } = diskWithFile();
    disk.hook = () => 'fail';
    expect(await outcome(disk, file)).toMatchObject({ code: 'EIO' });
    disk.hook = () => ({ errno: 'ENOSPC' });
    expect(await outcome(disk, file)).toMatchObject({ code: 'ENOSPC' });
    disk.hook = undefined;
    expect(disk.list('/', LABEL)).toEqual(['file']);
    expect(disk.readFile('/file').every((byte) => byte === 97)).toBe(true);
    expect(disk.readFile('/file').length).toBe(4 * SECTOR_BYTES);
  });

  test('fails after a crash', async () => {
    const { disk, file } = diskWithFile();
    disk.crash();
    expect(await outcome(disk, file)).toMatchObject({ code: 'ECRASHED' });
  });

  test('crashes if it is the chosen one', async () => {
    const { disk, file } = diskWithFile();
    disk.crashAt(0);
    const error = await outcome(disk, file);
    expect(systemCode(error)).toBe(mutating ? 'ECRASHED' : undefined);
    expect(disk.crashed).toBe(mutating);
  });
});

describe('a crash in the midst', () => {
  /** What `see` finds after a crash within `run`, over all seeds. */
  function outcomes(
    run: (disk: SimulatedDisk, file: FileHandle) => void,
    see: (disk: SimulatedDisk) => unknown,
  ): Set<unknown> {
    const seen = new Set<unknown>();
    for (const seed of SEEDS) {
      const { disk, file } = diskWithFile(seed);
      disk.crashAt(0);
      expect(() => run(disk, file)).toThrow(expect.objectContaining({ code: 'ECRASHED' }));
      seen.add(see(disk.survivors('keep', 0)));
    }
    return seen;
  }

  test('tears a write at the border of a sector', () => {
    const written = outcomes(
      (_, file) => file.write([Buffer.alloc(1000, 'b'), Buffer.alloc(500, 'b')], 100, LABEL),
      (disk) => disk.readFile('/file').filter((byte) => byte === 98).length,
    );
    expect(written).toEqual(new Set([0, 412, 924, 1436, 1500]));
  });

  test('does a rename or not', () => {
    const names = outcomes(
      (disk) => disk.rename('/file', '/other', LABEL),
      (disk) => disk.list('/', LABEL).join(' '),
    );
    expect(names).toEqual(new Set(['file', 'other']));
  });

  test('makes some of the folders, removes some of the files', () => {
    const made = outcomes(
      (disk) => disk.makeFolder('/x/y', LABEL),
      (disk) => ['/x', '/x/y'].filter((path) => disk.status(path, LABEL) !== undefined).length,
    );
    expect(made).toEqual(new Set([0, 1, 2]));
    const left = outcomes(
      (disk) => {
        disk.writeFile('/x/1', Buffer.alloc(1));
        disk.writeFile('/x/2', Buffer.alloc(1));
        disk.remove('/x', LABEL);
      },
      (disk) => (disk.status('/x', LABEL) === undefined ? -1 : disk.list('/x', LABEL).length),
    );
    expect(left).toEqual(new Set([-1, 0, 1, 2]));
  });

  test('lets a sync take effect or not, without saying so', async () => {
    const seen = new Set<number | undefined>();
    for (const seed of SEEDS) {
      const { disk, file } = diskWithFile(seed);
      file.write([Buffer.from('b')], 0, LABEL);
      disk.crashAt(1);
      await expect(file.sync(LABEL)).rejects.toMatchObject({ code: 'ECRASHED' });
      seen.add(disk.survivors('lose', 0).readFile('/file')[0]);
    }
    expect(seen).toEqual(new Set([97, 98]));
  });
});

describe('limits and counters', () => {
  test('a full disk writes what fits and says ENOSPC; freed room can be used again', () => {
    const disk = new SimulatedDisk({ capacityBytes: 8192 });
    const file = disk.open('/file', 'create', LABEL);
    const write = (): void => file.write([Buffer.alloc(3 * 4096, 1)], 0, LABEL);
    const full = expect.objectContaining({ code: 'ENOSPC' });
    expect(write).toThrow(full);
    expect(file.size(LABEL)).toBe(8192);
    file.zero(0, 8192, true, LABEL);
    expect(disk.bytesAllocated).toBe(8192);
    file.zero(0, 4096, false, LABEL);
    expect(disk.bytesAllocated).toBe(4096);
    disk.remove('/file', LABEL);
    expect(disk.bytesAllocated).toBe(4096);
    file.close();
    expect(disk.bytesAllocated).toBe(0);
    expect(disk.survivors('lose', 0).capacityBytes).toBe(8192);
  });

  test('a file that is replaced gives its room back', () => {
    const disk = new SimulatedDisk();
    disk.writeFile('/a', Buffer.alloc(4096));
    disk.writeFile('/b', Buffer.alloc(4096));
    disk.rename('/a', '/b', LABEL);
    expect(disk.bytesAllocated).toBe(4096);
  });

  test('bytes read and written are counted', () => {
    const { disk, file } = diskWithFile();
    file.write([Buffer.alloc(10), Buffer.alloc(5)], 0, LABEL);
    file.read(Buffer.alloc(1 << 16), 4 * SECTOR_BYTES - 7, LABEL);
    expect([disk.bytesWritten, disk.bytesRead]).toEqual([15, 7]);
  });

  test('a file of 1 TiB costs its pages, also to shorten and to zero', async () => {
    const disk = new SimulatedDisk();
    const file = disk.open('/file', 'create', LABEL);
    file.setSize(2 ** 40, LABEL);
    for (let index = 0; index < 20; index++) file.write([Buffer.from('x')], index * MIB, LABEL);
    file.zero(5 * MIB, 2 ** 40 - 5 * MIB, false, LABEL);
    expect(disk.bytesAllocated).toBe(5 * 4096);
    file.setSize(2 * MIB, LABEL);
    await file.sync(LABEL);
    await disk.syncFolder('/', LABEL);
    expect(disk.survivors('random', 0).bytesAllocated).toBe(2 * 4096);
  });

  test('a slow disk syncs when its clock says so', async () => {
    const clock = new SimulatedClock();
    const disk = new SimulatedDisk({ defer: (action) => clock.after(7, action) });
    let done = false;
    const work = async (): Promise<void> => {
      await disk.open('/file', 'create', LABEL).sync(LABEL);
      done = true;
    };
    const worked = work();
    await clock.run(() => done);
    await worked;
    expect(clock.monotonicMs()).toBe(7);
  });
});

describe('what tests do themselves', () => {
  test('is durable at once, and meets no hook', () => {
    const disk = new SimulatedDisk();
    disk.hook = () => 'fail';
    disk.writeFile('/a/b/file', Buffer.from('text'));
    disk.truncate('/a/b/file', 3);
    disk.flipBit('/a/b/file', 0, 1);
    disk.copyFolder('/a', '/copy');
    const survivor = disk.survivors('lose', 0);
    expect(Buffer.from(survivor.readFile('/a/b/file')).toString()).toBe('vex');
    expect(Buffer.from(survivor.readFile('/copy/b/file')).toString()).toBe('vex');
    expect(survivor.status('/copy/b', LABEL)?.inode).not.toBe(
      survivor.status('/a/b', LABEL)?.inode,
    );
    expect(disk.operations).toBe(0);
  });

  test('a flipped bit is wrong in every version that may survive', () => {
    const { disk, file } = diskWithFile();
    file.write([Buffer.from('b')], 0, LABEL);
    disk.flipBit('/file', 0, 7);
    const first = (survivor: SimulatedDisk): number | undefined => survivor.readFile('/file')[0];
    expect(first(disk)).toBe(98 + 128);
    expect(first(disk.survivors('lose', 0))).toBe(97 + 128);
    expect(first(disk.survivors('keep', 0))).toBe(98 + 128);
  });
});
