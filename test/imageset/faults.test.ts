/**
 * Full disks, failed syncs, huge volumes, copied folders: the set stops with a word, nobody waits
 * for ever, and the next start has everything that was promised.
 */
import { describe, expect, test } from '@jest/globals';
import { GIB, KIB, MIB, TIB } from '../../src/base/limits.ts';
import type { Label } from '../../src/sys/files.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import { assertVolumes } from '../support/asserts.ts';
import { immediate, sweepCrashes } from '../support/crash-sweep.ts';
import {
  SET,
  SMALL_JOURNAL,
  TINY_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  flush,
  makeSet,
  newSet,
  newWorld,
  openSet,
  perform,
  rawImages,
  readAll,
  worldOn,
  write,
  zeroes,
} from '../support/image-sets.ts';
import type { Change, World } from '../support/image-sets.ts';

const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error);

/** What a set did until it stopped. */
interface Stopped {
  readonly model: VolumesModel;
  readonly floor: number;
  /** Codes of all errors that anyone was told. */
  readonly errors: Set<string>;
  readonly failed: boolean;
}

const CHANGES: readonly Change[] = [
  write(0, 0, 12 * 1024, 1),
  write(1, 3, 5000, 2),
  zeroes(0, 4000, 9000),
  write(0, 30_000, 11 * 1024, 3),
  { kind: 'mark', name: 'noon' },
  write(1, 0, 12 * 1024, 4),
  write(0, 77, 12 * 1024, 5),
];

/** Opens, writes, flushes, applies, closes; goes on with the next step whatever failed. */
async function live(world: World): Promise<Stopped> {
  const model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  const errors = new Set<string>();
  let floor = 0;
  let set: ImageSet | undefined;
  const step = async (action: () => Promise<unknown>) => {
    try {
      await answered(action());
    } catch (error) {
      errors.add(codeOf(error));
    }
  };
  await step(async () => {
    set = await openSet(world);
  });
  if (!set) return { model, floor, errors, failed: true };
  const opened = set;
  const waits = opened.until(() => false).catch((error: unknown) => codeOf(error));
  for (const [index, change] of CHANGES.entries()) {
    if (!opened.failure) model.apply(change);
    await step(() => perform(opened, change, index === 1));
    if (errors.size === 0) floor = index === 1 ? model.newest : floor;
    if (index % 3 === 2) await step(() => opened.drain());
    if (index % 2 === 1) await step(() => flush(opened));
    if (errors.size === 0 && index % 2 === 1) floor = model.newest;
  }
  await step(() => opened.close());
  const failed = opened.failure !== undefined;
  expect(await answered(waits)).toMatch(/^E_/);
  return { model, floor, errors, failed };
}

/** What the promise comes to, without any help of time; throws when it never comes to anything. */
async function answered<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = () => {
    settled = true;
  };
  promise.then(mark, mark);
  for (let turn = 0; !settled && turn < 300; turn += 1) await immediate();
  if (!settled) throw new Error('somebody waits for ever');
  return promise;
}

/** Fails the n-th meeting of a label, once. */
function failOnce(world: World, label: Label, nth: number, errno: string): () => boolean {
  let met = 0;
  world.disk.hook = (operation) => {
    if (operation.label !== label) return undefined;
    met += 1;
    return met === nth ? { errno } : undefined;
  };
  return () => met >= nth;
}

/** Every label that a life meets, with the number of times, by kind of operation. */
async function labelsOf(kinds: readonly string[]): Promise<[Label, number][]> {
  const world = await ready();
  const met = new Map<Label, number>();
  world.disk.hook = ({ label, kind }) => {
    if (kinds.includes(kind)) met.set(label, (met.get(label) ?? 0) + 1);
  };
  await live(world);
  return [...met];
}

async function ready(): Promise<World> {
  const world = newWorld();
  await (await newSet(world, { journal: TINY_JOURNAL })).close();
  return world;
}

async function expectRecovered(world: World, { model, floor }: Stopped, label: string) {
  for (const disk of [world.disk.survivors('keep', 1), world.disk.survivors('lose', 1)]) {
    const set = await openSet(worldOn(disk));
    expect({ label, enough: set.newest >= floor }).toEqual({ label, enough: true });
    const expected = model.after(set.newest);
    assertVolumes(await readAll(set), expected);
    await set.close();
    assertVolumes(rawImages(disk), expected);
  }
}

describe('a full disk', () => {
  test('[R2] at each write: every waiter is told, and all is there afterwards', async () => {
    const labels = await labelsOf(['write', 'zero', 'setSize']);
    expect(labels.map(([label]) => label)).toEqual(
      expect.arrayContaining(['JOURNAL:APPEND', 'IMAGE:WRITE', 'IMAGE:ZERO', 'CURSORS:WRITE']),
    );
    for (const [label, times] of labels) {
      if (label === 'SET:LOCK-NOTE') continue; // a courtesy
      for (let nth = 1; nth <= times; nth += 1) {
        const world = await ready();
        const failed = failOnce(world, label, nth, 'ENOSPC');
        const stopped = await live(world);
        world.disk.hook = undefined;
        if (!failed()) continue;
        expect({ label, nth, failed: stopped.failed, errors: [...stopped.errors] }).toMatchObject({
          label,
          nth,
          failed: true,
          errors: expect.arrayContaining(['E_NO_SPACE']),
        });
        await expectRecovered(world, stopped, `${label} ${nth}`);
      }
    }
  });

  test('that stays full stops the set in order, and room brings everything back', async () => {
    const world = await ready();
    world.disk.capacityBytes = world.disk.bytesAllocated + 24 * KIB;
    const stopped = await live(world);
    expect([...stopped.errors]).toEqual(['E_NO_SPACE']);
    world.disk.capacityBytes = GIB;
    await expectRecovered(world, stopped, 'capacity');
  });
});

test('[R3] the beginning of a request that is not journaled gets into no image', async () => {
  const world = newWorld();
  const { disk, clock } = world;
  const set = await newSet(world, { journal: TINY_JOURNAL });
  const model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  const first = write(0, 0, 5000, 1);
  model.apply(first);
  await clock.run(whenDone(perform(set, first)));
  await clock.run(whenDone(flush(set)));
  // The rest of this request needs another segment, for which there is no room.
  disk.capacityBytes = disk.bytesAllocated;
  await clock.run(whenDone(perform(set, write(0, 100, 12 * KIB, 2)).catch(() => 0)));
  expect(set.failure?.code).toBe('E_NO_SPACE');
  disk.capacityBytes = GIB;
  await clock.pass(10_000); // what is applied later on is applied now
  const again = worldOn(disk.survivors('keep', 1));
  const recovered = await openSet(again);
  assertVolumes(await readAll(recovered), model.after(recovered.newest));
  await recovered.close();
});

describe('a sync that fails once', () => {
  test('[R2] at each place: the set stops, and nothing promised is lost', async () => {
    const labels = await labelsOf(['sync', 'syncFolder']);
    expect(labels.map(([label]) => label)).toEqual(
      expect.arrayContaining(['JOURNAL:SYNC', 'JOURNAL:SYNC-FOLDER', 'IMAGE:SYNC', 'CURSORS:SYNC']),
    );
    for (const [label, times] of labels) {
      for (let nth = 1; nth <= times; nth += 1) {
        const world = await ready();
        const failed = failOnce(world, label, nth, 'EIO');
        const stopped = await live(world);
        world.disk.hook = undefined;
        if (!failed()) continue;
        const { errors } = stopped;
        expect({ label, nth, failed: stopped.failed, io: errors.has('E_IO') }).toEqual({
          label,
          nth,
          failed: true,
          io: true,
        });
        await expectRecovered(world, stopped, `${label} ${nth}`);
      }
    }
  });
});

describe('opening', () => {
  test('[R9] costs what is unapplied, however large the volume and long its history', async () => {
    const world = newWorld();
    const volumes = [{ name: 'huge', sizeBytes: TIB }];
    await makeSet(world, { volumes, journal: SMALL_JOURNAL });
    let set = await openSet(world);
    for (let id = 0; id < 10_000; id += 1) {
      const offset = ((id * 7919) % 4096) * 64 * MIB;
      await perform(set, { kind: 'write', volume: 0, offset, data: Buffer.alloc(300, id) });
      if (id % 500 === 499) await set.drain();
    }
    expect(world.disk.labels.get('JOURNAL:RECYCLE')).toBeGreaterThan(10);
    await set.close();
    const { disk } = world;
    const before = { read: disk.bytesRead, written: disk.bytesWritten };
    set = await openSet(world);
    expect(disk.bytesRead - before.read).toBeLessThan(512 * KIB);
    expect(disk.bytesWritten - before.written).toBeLessThan(32 * KIB);
    expect(set.newest).toBe(10_000);
    await perform(set, { kind: 'write', volume: 0, offset: TIB - 5, data: Buffer.alloc(5, 9) });
    expect(set.contents.readNow(0, TIB - 6, 6)).toEqual(Buffer.from([0, 9, 9, 9, 9, 9]));
    await flush(set);
    const crashed = worldOn(disk.survivors('lose', 1));
    const recovered = await openSet(crashed);
    expect(crashed.disk.bytesRead).toBeLessThan(1 * MIB);
    expect(crashed.disk.bytesWritten).toBeLessThan(256 * KIB);
    expect(recovered.newest).toBe(10_001);
    await recovered.close();
    await set.close();
  });

  test('[R5] a copy of a set is refused, and adopted when told to', async () => {
    const world = newWorld();
    const set = await newSet(world);
    await perform(set, write(0, 0, 100, 1));
    await set.close();
    world.disk.copyFolder(SET, '/copy');
    await expect(openSet(world, '/copy')).rejects.toMatchObject({ code: 'E_COPIED' });
    const adopted = await openSet(world, '/copy', { adoptCopy: true });
    await adopted.close();
    await (await openSet(world, '/copy')).close();
    await (await openSet(world)).close();
  });

  test('a set that is open is held; a failed opening lets it go', async () => {
    const world = newWorld();
    const set = await newSet(world);
    await expect(openSet(world)).rejects.toMatchObject({ code: 'E_HELD' });
    await set.close();
    world.disk.hook = ({ label }) => (label === 'SET:LOCK-NOTE' ? { errno: 'ENOSPC' } : undefined);
    await (await openSet(world)).close();
    for (const label of ['CURSORS:READ', 'IMAGE:OPEN', 'JOURNAL:SCAN', 'CURSORS:SYNC'] as const) {
      world.disk.hook = (operation) => (operation.label === label ? 'fail' : undefined);
      await expect(openSet(world)).rejects.toMatchObject({ code: 'E_IO' });
      world.disk.hook = undefined;
      await world.clock.pass(1000);
    }
    await (await openSet(world)).close();
  });

  test('[R8] an image that is missing or has another size is damage', async () => {
    const world = newWorld();
    await makeSet(world);
    const { disk } = world;
    disk.truncate(`${SET}/volumes/beta.img`, 20 * KIB - 1);
    await expect(openSet(world)).rejects.toMatchObject({ code: 'E_DAMAGED' });
    disk.remove(`${SET}/volumes/beta.img`, 'TEST:REMOVE');
    await expect(openSet(world)).rejects.toMatchObject({ code: 'E_DAMAGED' });
  });
});

describe('making a set', () => {
  test('[R6] crashed anywhere can be done again, or is done', async () => {
    const shape = { name: 'tokyo', volumes: TWO_VOLUMES, journal: SMALL_JOURNAL };
    const points = await sweepCrashes({
      base: newWorld().disk,
      seed: 1,
      start: (disk) => ({ run: () => makeSetFolder(worldOn(disk).environment, SET, shape) }),
      check: async (_trial, disk) => {
        const world = worldOn(disk);
        const opened = await openSet(world).catch(codeOf);
        if (opened === 'E_NOT_FOUND') await makeSetFolder(world.environment, SET, shape);
        else if (typeof opened === 'string') throw new Error(opened);
        else await opened.close();
        const set = await openSet(world);
        await perform(set, write(0, 0, 100, 1));
        await set.close();
      },
    });
    expect(points).toBeGreaterThan(60);
  });

  test('[R5] refuses a folder with anything in it', async () => {
    const world = newWorld();
    world.disk.writeFile(`${SET}/precious.txt`, Buffer.from('x'));
    await expect(makeSet(world)).rejects.toMatchObject({ code: 'E_NOT_EMPTY' });
    await makeSet(world, { folder: '/other' });
    await expect(makeSet(world, { folder: '/other' })).rejects.toMatchObject({
      code: 'E_NOT_EMPTY',
    });
  });
});

function whenDone(work: Promise<unknown>): () => boolean {
  let isDone = false;
  void work.finally(() => {
    isDone = true;
  });
  return () => isDone;
}
