/** The applier where disks are slow: rounds and checkpoints that overtake each other. */
import { expect, test } from '@jest/globals';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';
import { newSet, perform, write } from '../support/image-sets.ts';

test('[R10] what was written during a slow checkpoint gets one of its own, by itself', async () => {
  const clock = new SimulatedClock();
  let syncMs = 1;
  const disk = new SimulatedDisk({ seed: 1, defer: (action) => void clock.after(syncMs, action) });
  const environment = { files: disk, clock, random: seededRandom(1) };
  const opening = newSet({ disk, clock, environment });
  await clock.pass(3_000);
  const set = await opening;
  // The sync of an image takes longer than a quiet moment lasts.
  disk.hook = ({ label }) => {
    syncMs = label === 'IMAGE:SYNC' ? 2_000 : 1;
  };
  const first = perform(set, write(0, 0, 4096, 1));
  await clock.pass(700);
  const second = perform(set, write(0, 8192, 4096, 2));
  await clock.pass(20_000);
  await Promise.all([first, second]);
  expect(set.applied.sequence).toBe(set.newest);
  const closing = set.close();
  await clock.pass(10_000);
  await closing;
});
