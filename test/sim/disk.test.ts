/** What survives a crash of a simulated disk, and what may not. */
import { describe, expect, test } from '@jest/globals';
import { SECTOR_BYTES } from './content.ts';
import { SimulatedDisk } from './disk.ts';
import type { Survival } from './disk.ts';
import { diskWith, LABEL, letters, names, outcomes, put, sectors, SEEDS } from './disk-outcomes.ts';

describe('bytes', () => {
  test('what was synced survives any crash; what was not is lost, kept, or either', async () => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.write([sectors('bbbb')], 0, LABEL);
    await file.sync(LABEL);
    file.write([sectors('cc')], 6 * SECTOR_BYTES, LABEL);
    expect(letters(disk.survivors('lose', 0))).toBe('bbbbaaaa');
    expect(letters(disk.survivors('keep', 0))).toBe('bbbbaacc');
    expect(outcomes(disk, letters)).toEqual(['bbbbaaaa', 'bbbbaaac', 'bbbbaaca', 'bbbbaacc']);
  });

  test('the same seed gives the same survivors', () => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.write([sectors('bbbbbbbb')], 0, LABEL);
    for (const seed of SEEDS) {
      const [first, second] = [disk.survivors('random', seed), disk.survivors('random', seed)];
      expect(letters(first)).toBe(letters(second));
    }
  });

  test('a sector written twice may be any of its versions', () => {
    const { disk, file } = diskWith('a');
    file.write([sectors('b')], 0, LABEL);
    file.write([sectors('c')], 0, LABEL);
    expect(outcomes(disk, letters)).toEqual(['a', 'b', 'c']);
  });

  test('a sector written in parts keeps the other part of its version', () => {
    const { disk, file } = diskWith('a');
    file.write([Buffer.from('b')], 0, LABEL);
    file.write([Buffer.from('c')], SECTOR_BYTES - 1, LABEL);
    const ends = (survivor: SimulatedDisk): string => {
      const bytes = Buffer.from(survivor.readFile('/file'));
      return bytes.toString('latin1', 0, 1) + bytes.toString('latin1', SECTOR_BYTES - 1);
    };
    expect(outcomes(disk, ends)).toEqual(['aa', 'ba', 'bc']);
  });

  test.each([true, false])('zeroes are as volatile as writes (kept allocated: %s)', (keep) => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.zero(0, 2 * SECTOR_BYTES, keep, LABEL);
    expect(letters(disk)).toBe('..aaaaaa');
    expect(letters(disk.survivors('lose', 0))).toBe('aaaaaaaa');
    expect(outcomes(disk, letters)).toEqual(['..aaaaaa', '.aaaaaaa', 'a.aaaaaa', 'aaaaaaaa']);
  });

  test('a synced hole stays one', async () => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.zero(0, 8 * SECTOR_BYTES, false, LABEL);
    await file.sync(LABEL);
    expect(letters(disk.survivors('lose', 0))).toBe('........');
    expect(disk.survivors('lose', 0).bytesAllocated).toBe(0);
  });

  test('the size is old or new, whatever becomes of the bytes', async () => {
    const { disk, file } = diskWith('a');
    file.write([sectors('b')], SECTOR_BYTES, LABEL);
    expect(letters(disk.survivors('lose', 0))).toBe('a');
    expect(outcomes(disk, letters)).toEqual(['a', 'a.', 'ab']);
    await file.sync(LABEL);
    file.setSize(0, LABEL);
    expect(outcomes(disk, letters)).toContain('');
    expect(outcomes(disk, letters)).toContain('ab');
  });

  test('what was cut off never comes back by a later growth that is synced', async () => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.setSize(100, LABEL);
    file.setSize(8 * SECTOR_BYTES, LABEL);
    await file.sync(LABEL);
    const bytes = disk.survivors('lose', 0).readFile('/file');
    expect(bytes.findLastIndex((byte) => byte !== 0)).toBe(99);
  });
});

describe('sync', () => {
  test('covers what was written before the call, not after it', async () => {
    const { disk, file } = diskWith('aa');
    file.write([sectors('b')], 0, LABEL);
    const sync = file.sync(LABEL);
    file.write([sectors('cc')], 0, LABEL);
    await sync;
    expect(letters(disk.survivors('lose', 0))).toBe('ba');
  });

  test('that has not resolved at the crash never does, and may have done nothing', async () => {
    const { disk, file } = diskWith('a');
    file.write([sectors('b')], 0, LABEL);
    const sync = file.sync(LABEL);
    disk.crash();
    await expect(sync).rejects.toMatchObject({ code: 'ECRASHED' });
    expect(letters(disk.survivors('lose', 0))).toBe('a');
  });

  test('of the file does not keep its name, nor the other way round', async () => {
    const disk = new SimulatedDisk();
    for (const path of ['/bytes', '/name']) {
      const file = disk.open(path, 'create', LABEL);
      file.write([sectors('a')], 0, LABEL);
      if (path === '/name') await disk.syncFolder('/', LABEL);
      else await file.sync(LABEL);
    }
    // `/bytes` came before the sync of the folder, so make another one after it.
    const late = disk.open('/late', 'create', LABEL);
    late.write([sectors('a')], 0, LABEL);
    await late.sync(LABEL);
    const survivor = disk.survivors('lose', 0);
    expect(names(survivor)).toBe('bytes name');
    expect(letters(survivor, '/bytes')).toBe('a');
    expect(letters(survivor, '/name')).toBe('');
  });

  test('of a folder covers what was done before the call, and only that folder', async () => {
    const disk = new SimulatedDisk();
    disk.makeFolder('/a/b', LABEL);
    await disk.syncFolder('/', LABEL);
    await disk.syncFolder('/a', LABEL);
    put(disk, '/a/in-parent');
    const sync = disk.syncFolder('/a', LABEL);
    put(disk, '/a/after-the-call');
    put(disk, '/a/b/in-child');
    await sync;
    const survivor = disk.survivors('lose', 0);
    expect(names(survivor, '/a')).toBe('b in-parent');
    expect(names(survivor, '/a/b')).toBe('');
  });

  test('that failed leaves bytes that reads show and that no later sync saves', async () => {
    const { disk, file } = diskWith('aaa');
    file.write([sectors('b')], 0, LABEL);
    disk.hook = ({ kind }) => (kind === 'sync' ? 'fail' : undefined);
    await expect(file.sync(LABEL)).rejects.toMatchObject({ code: 'EIO' });
    disk.hook = undefined;
    file.write([sectors('c')], SECTOR_BYTES, LABEL);
    await file.sync(LABEL);
    expect(letters(disk)).toBe('bca');
    expect(letters(disk.survivors('lose', 0))).toBe('aca');
    expect(letters(disk.survivors('keep', 0))).toBe('bca');
    expect(outcomes(disk, letters)).toEqual(['aca', 'bca']);
    // Written anew, it is as good as any other write.
    file.write([sectors('b')], 0, LABEL);
    await file.sync(LABEL);
    expect(outcomes(disk, letters)).toEqual(['bca']);
  });
});

describe('survivors', () => {
  test('of kill -9 still lose to a power loss what was never synced', async () => {
    const { disk, file } = diskWith('aa');
    put(disk, '/name');
    file.write([sectors('b')], 0, LABEL);
    const killed = disk.survivors('keep', 0);
    expect([letters(killed), names(killed)]).toEqual(['ba', 'file name']);
    const dark = killed.survivors('lose', 0);
    expect([letters(dark), names(dark)]).toEqual(['aa', 'file']);
    await killed.open('/file', 'write', LABEL).sync(LABEL);
    await killed.syncFolder('/', LABEL);
    const synced = killed.survivors('lose', 0);
    expect([letters(synced), names(synced)]).toEqual(['ba', 'file name']);
  });

  test.each<Survival>(['lose', 'keep', 'random'])(
    '(%s) stand apart from their original',
    (mode) => {
      const { disk } = diskWith('a');
      const lock = disk.tryLock('/file', LABEL);
      const inode = disk.status('/file', LABEL)?.inode;
      disk.crash();
      const survivor = disk.survivors(mode, 0);
      expect(survivor.crashed).toBe(false);
      expect(survivor.tryLock('/file', LABEL)).toBeDefined();
      expect(survivor.status('/file', LABEL)?.inode).toBe(inode);
      survivor.open('/file', 'write', LABEL).write([sectors('z')], 0, LABEL);
      expect(letters(disk)).toBe('a');
      lock?.release();
      expect(survivor.tryLock('/file', LABEL)).toBeUndefined();
    },
  );

  test('of a power loss are durable as they are', () => {
    const { disk, file } = diskWith('aaaaaaaa');
    file.write([sectors('bbbbbbbb')], 0, LABEL);
    for (const seed of SEEDS) {
      const survivor = disk.survivors('random', seed);
      expect(letters(survivor.survivors('lose', 0))).toBe(letters(survivor));
    }
  });
});
