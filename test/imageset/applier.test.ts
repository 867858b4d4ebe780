/** The applier where disks are slow: rounds and checkpoints that overtake each other. */
import { expect, test } from '@jest/globals';
import { APPLY_IDLE_MS } from '../../src/base/limits.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { createMaps, namesWith } from '../../src/imageset/set-maps.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';
import { driven } from '../support/driven.ts';
import {
  SMALL_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  difference,
  newSet,
  openSet,
  pattern,
  perform,
  readAll,
  write,
} from '../support/image-sets.ts';
import type { World } from '../support/image-sets.ts';
import { StillSource } from '../support/succession.ts';

/** A set for hosts on a disk that is slow where images are synced. */
async function slowlySynced(): Promise<{ world: World; set: ImageSet }> {
  const clock = new SimulatedClock();
  let syncMs = 1;
  const disk = new SimulatedDisk({ seed: 1, defer: (action) => void clock.after(syncMs, action) });
  const world = { disk, clock, environment: { files: disk, clock, random: seededRandom(1) } };
  const set = await driven(clock, newSet(world));
  // The sync of an image takes longer than a quiet moment lasts.
  disk.hook = ({ label }) => {
    syncMs = label === 'IMAGE:SYNC' ? 2_000 : 1;
  };
  return { world, set };
}

/** Writes number 1 to the first volume; returns in the midst of the sync of its image. */
async function syncingTheFirst({ world, set }: { world: World; set: ImageSet }): Promise<void> {
  await driven(world.clock, perform(set, write(0, 0, 4096, 1)));
  const before = world.disk.labels.get('IMAGE:SYNC') ?? 0;
  await world.clock.run(() => (world.disk.labels.get('IMAGE:SYNC') ?? 0) > before);
}

/** The power goes when the checkpoint is done, before the next one begins: what is found then. */
async function withoutPower({ world, set }: { world: World; set: ImageSet }): Promise<ImageSet> {
  await world.clock.run(() => set.applied.sequence > 0);
  await world.clock.pass(APPLY_IDLE_MS / 2); // the cursors have it
  world.disk.crash();
  set.fail(new Error('the power is gone'));
  const disk = world.disk.survivors('lose', 0);
  const environment = { ...world.environment, files: disk };
  return driven(world.clock, openSet({ ...world, disk, environment }));
}

test('[R10] what was written during a slow checkpoint gets one of its own, by itself', async () => {
  const { world, set } = await slowlySynced();
  const { clock } = world;
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

test('[R2] what came into the images while they were synced is not called applied', async () => {
  const slow = await slowlySynced();
  const { world, set } = slow;
  const model = VolumesModel.blank(TWO_VOLUMES, SMALL_JOURNAL);
  model.apply(write(0, 0, 4096, 1));
  await syncingTheFirst(slow);
  model.apply(write(1, 0, 4096, 2));
  await driven(world.clock, perform(set, write(1, 0, 4096, 2)));
  await driven(world.clock, set.applier.write());
  const found = await withoutPower(slow);
  expect(difference(await readAll(found), model.now)).toBeUndefined();
  expect(set.applied.sequence).toBe(1);
});

test('[R7] a block that came while the images were synced is not yet called present', async () => {
  const slow = await slowlySynced();
  const { world, set } = slow;
  const { clock } = world;
  const { contents, identity } = set;
  const below = TWO_VOLUMES.map(({ sizeBytes }, volume) => pattern(50 + volume, sizeBytes));
  contents.source = new StillSource(below);
  await driven(clock, createMaps(set, contents.presence, set.applied));
  await driven(
    clock,
    identity.update((file) => ({ ...file, maps: namesWith(file, contents.presence) })),
  );
  await syncingTheFirst(slow);
  await driven(clock, contents.makePresent(1, 0, 4096));
  expect(contents.presence.of(1)?.has(0)).toBe(true);
  const found = await withoutPower(slow);
  found.contents.source = contents.source;
  const model = new VolumesModel(below, 1, SMALL_JOURNAL.recordPayloadBytesMax);
  model.apply(write(0, 0, 4096, 1));
  expect(difference(await readAll(found), model.now)).toBeUndefined();
});
