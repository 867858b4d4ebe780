/** The cursors file across processes that are killed and machines that lose their power. */
import { describe, expect, test } from '@jest/globals';
import type { Cursors } from '../../src/format/cursors.ts';
import { CursorsStore } from '../../src/imageset/cursors-store.ts';
import { SimulatedDisk } from '../sim/disk.ts';

const PATH = '/cursors';

/** Cursors as of number `sequence`, longer than one sector. */
function cursorsAt(sequence: number): Cursors {
  const marks = Array.from({ length: 8 }, (_, index) => ({
    name: String.fromCharCode(97 + sequence).repeat(60),
    epoch: 1,
    sequence: sequence + index,
  }));
  return {
    applied: { epoch: 1, sequence, chain: 0 },
    epochs: [],
    secondary: null,
    usable: false,
    copy: null,
    marks,
    clean: false,
  };
}

describe('the cursors', () => {
  test('[R2] never fall behind the last save, though a sync fails, then the power', async () => {
    const found = new Set<number>();
    for (let seed = 0; seed < 60; seed += 1) {
      const disk = new SimulatedDisk({ seed });
      const store = await CursorsStore.create(disk, PATH, cursorsAt(0));
      await disk.syncFolder('/', 'TEST:SYNC');
      for (const sequence of [1, 2, 3, 4]) await store.save(() => cursorsAt(sequence));
      disk.hook = ({ label }) => (label === 'CURSORS:SYNC' ? 'fail' : undefined);
      await expect(store.save(() => cursorsAt(5))).rejects.toMatchObject({ code: 'E_IO' });
      disk.hook = undefined;
      const { store: again } = CursorsStore.open(disk, PATH);
      disk.crashAt(disk.operations + (seed % 4));
      await expect(again.save(() => cursorsAt(6))).rejects.toMatchObject({ code: 'E_IO' });
      const { file } = CursorsStore.open(disk.survivors('random', seed), PATH);
      found.add(file.cursors.applied.sequence);
    }
    expect(found).toEqual(new Set([4, 5, 6]));
  });
});
