/** What becomes of the names on a simulated disk when the power is lost. */
import { describe, expect, test } from '@jest/globals';
import { SimulatedDisk } from './disk.ts';
import {
  diskWith,
  exists,
  LABEL,
  letters,
  names,
  outcomes,
  put,
  sectors,
} from './disk-outcomes.ts';

describe('names', () => {
  test('of each folder a prefix of what was done survives', () => {
    const disk = new SimulatedDisk();
    for (const name of ['one', 'two', 'three']) put(disk, `/${name}`);
    disk.remove('/one', LABEL);
    expect(names(disk.survivors('lose', 0))).toBe('');
    expect(names(disk.survivors('keep', 0))).toBe('three two');
    expect(outcomes(disk, names)).toEqual(['', 'one', 'one three two', 'one two', 'three two']);
  });

  test('folders lose independently of one another', () => {
    const disk = new SimulatedDisk();
    disk.writeFile('/a/old', sectors('a'));
    disk.writeFile('/b/old', sectors('a'));
    disk.remove('/a/old', LABEL);
    disk.remove('/b/old', LABEL);
    const seen = outcomes(disk, (survivor) => `${names(survivor, '/a')}|${names(survivor, '/b')}`);
    expect(seen).toEqual(['old|old', 'old|', '|old', '|'].toSorted());
  });

  test('a folder that is lost takes with it what was synced in it', async () => {
    const disk = new SimulatedDisk();
    disk.makeFolder('/folder', LABEL);
    put(disk, '/folder/file');
    await disk.syncFolder('/folder', LABEL);
    expect(exists(disk.survivors('lose', 0), '/folder')).toBe(false);
    await disk.syncFolder('/', LABEL);
    expect(exists(disk.survivors('lose', 0), '/folder/file')).toBe(true);
  });

  test('a rename is old or new, never neither nor both', async () => {
    const disk = new SimulatedDisk();
    disk.writeFile('/set', sectors('o'));
    const file = disk.open('/set.new', 'create', LABEL);
    file.write([sectors('n')], 0, LABEL);
    await file.sync(LABEL);
    disk.rename('/set.new', '/set', LABEL);
    const see = (survivor: SimulatedDisk): string =>
      `${letters(survivor, '/set')} ${names(survivor)}`;
    expect(outcomes(disk, see)).toEqual(['n set', 'o set', 'o set set.new']);
    await disk.syncFolder('/', LABEL);
    expect(outcomes(disk, see)).toEqual(['n set']);
  });

  test('a rename before the sync of its file may leave an empty file', () => {
    const { disk } = diskWith('a');
    const file = disk.open('/new', 'create', LABEL);
    file.write([sectors('b')], 0, LABEL);
    disk.rename('/new', '/file', LABEL);
    expect(outcomes(disk, letters)).toContain('');
  });

  test.each(['/from', '/to'])(
    'a rename between folders is whole, also if %s is synced',
    async (path) => {
      const disk = new SimulatedDisk();
      disk.makeFolder('/from', LABEL);
      disk.makeFolder('/to', LABEL);
      await disk.syncFolder('/', LABEL);
      put(disk, '/from/file');
      disk.rename('/from/file', '/to/file', LABEL);
      put(disk, '/from/later');
      const see = (survivor: SimulatedDisk): string =>
        `${names(survivor, '/from')}|${names(survivor, '/to')}`;
      expect(outcomes(disk, see)).toEqual(['file|', 'later|file', '|', '|file']);
      await disk.syncFolder(path, LABEL);
      const later = path === '/from' ? 'later' : '';
      expect(see(disk.survivors('lose', 0))).toBe(`${later}|file`);
    },
  );

  test('a removal that is lost brings the file back with its durable bytes', () => {
    const { disk, file } = diskWith('a');
    file.write([sectors('b')], 0, LABEL);
    file.close();
    disk.remove('/file', LABEL);
    expect(letters(disk.survivors('lose', 0))).toBe('a');
    expect(exists(disk.survivors('keep', 0), '/file')).toBe(false);
  });
});
