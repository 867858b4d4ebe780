/**
 * Volumes of any size under any requests, against plain buffers: what hosts read, what stands in
 * the raw images, what is called a hole, with and without blocks that are not here yet.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { isZero } from '../../src/base/bytes.ts';
import { KIB, MIB } from '../../src/base/limits.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { createMaps } from '../../src/imageset/set-maps.ts';
import { assertSame, assertVolumes } from '../support/asserts.ts';
import {
  SET,
  SMALL_JOURNAL,
  VolumesModel,
  flush,
  newSet,
  newWorld,
  openSet,
  pattern,
  perform,
  rawImages,
  readAll,
  requestOf,
  write,
  zeroes,
} from '../support/image-sets.ts';
import type { Change, World } from '../support/image-sets.ts';
import { StillSource } from '../support/succession.ts';

const SIZES = [512, 4 * KIB, 5 * KIB + 512, 64 * KIB, 300 * KIB + 1, 1 * MIB + 512];
const { requestBytesMax } = SMALL_JOURNAL;

type Step = Change | 'flush' | 'drain' | 'reopen' | 'pass';

const lengths = fc.oneof(
  fc.integer({ min: 1, max: requestBytesMax }),
  fc.constantFrom(1, 511, 512, 4096, 4097, requestBytesMax),
);

/** A place in a volume, near its end now and then, and so much as fits there. */
function placesIn(sizeBytes: number) {
  const offsets = fc.oneof(
    fc.nat(sizeBytes - 1),
    fc.constantFrom(0, sizeBytes - 1, Math.max(0, sizeBytes - 4096)),
  );
  return fc.tuple(offsets, lengths).map(([offset, length]) => ({
    offset,
    length: Math.min(length, sizeBytes - offset),
  }));
}

function stepsOn(sizes: readonly number[]): fc.Arbitrary<Step[]> {
  const changes = sizes.flatMap((sizeBytes, volume) => [
    fc
      .tuple(placesIn(sizeBytes), fc.nat(255))
      .map(([{ offset, length }, id]): Step => write(volume, offset, length, id)),
    fc
      .tuple(placesIn(sizeBytes), fc.boolean())
      .map(([{ offset, length }, mayFree]): Step => zeroes(volume, offset, length, mayFree)),
  ]);
  const others = fc.constantFrom<Step[]>('flush', 'drain', 'reopen', 'pass');
  const steps = fc.oneof({ weight: 6, arbitrary: fc.oneof(...changes) }, others);
  return fc.array(steps, { minLength: 1, maxLength: 30 });
}

const lives = fc
  .uniqueArray(fc.constantFrom(...SIZES), { minLength: 1, maxLength: 2 })
  .chain((sizes) => stepsOn(sizes).map((steps) => ({ sizes, steps })));

async function takeStep(world: World, set: ImageSet, step: Step, model: VolumesModel) {
  switch (step) {
    case 'flush':
      await flush(set);
      return set;
    case 'drain':
      await set.drain();
      return set;
    case 'pass':
      await world.clock.pass(300);
      return set;
    case 'reopen':
      await set.close();
      return openSet(world);
    default:
      assertSame(await perform(set, step), model.apply(step));
      return set;
  }
}

/** Checks that extents tile each volume, and that what they call a hole reads as zeroes. */
function expectNoFalseHoles(set: ImageSet, contents: readonly Buffer[]): void {
  for (const [volume, bytes] of contents.entries()) {
    const device = set.volumes[volume];
    for (let at = 0; device && at < bytes.length;) {
      const extent = device.nextExtent(at, bytes.length);
      assertSame(extent.offset, at);
      expect(extent.length).toBeGreaterThan(0);
      expect(at + extent.length).toBeLessThanOrEqual(bytes.length);
      if (!extent.data) assertSame(isZero(bytes.subarray(at, at + extent.length)), true);
      at += extent.length;
    }
  }
}

describe('volumes', () => {
  test('hold what was written, whatever their size, at every moment', async () => {
    await fc.assert(
      fc.asyncProperty(lives, async ({ sizes, steps }) => {
        const volumes = sizes.map((sizeBytes, index) => ({ name: `v${index}`, sizeBytes }));
        const world = newWorld();
        let set = await newSet(world, { volumes, journal: SMALL_JOURNAL });
        const model = VolumesModel.blank(volumes, SMALL_JOURNAL);
        for (const step of steps) {
          set = await takeStep(world, set, step, model);
          assertVolumes(await readAll(set), model.now);
        }
        expectNoFalseHoles(set, model.now);
        await set.close();
        assertVolumes(rawImages(world.disk, SET, volumes), model.now);
      }),
      { numRuns: 40, seed: 31 },
    );
  });

  test('refuse what leaves them, and take nothing of it', async () => {
    const set = await newSet(newWorld());
    const [alpha] = set.volumes;
    const sizeBytes = alpha?.sizeBytes ?? 0;
    const refused = [
      write(0, sizeBytes - 1, 2, 1),
      write(0, sizeBytes, 1, 1),
      write(0, 0, requestBytesMax + 1, 1),
      write(0, -1, 1, 1),
      write(0, 5, 0, 1),
      zeroes(0, sizeBytes - 1, 2),
      zeroes(0, 0, 0),
    ];
    for (const change of refused) {
      await expect(perform(set, change)).rejects.toMatchObject({ code: 'E_RANGE' });
    }
    expect(set.newest).toBe(0);
    expect(await perform(set, write(0, sizeBytes - 1, 1, 1))).toBe(1);
    await expect(readDevice(set.volumes[0] as never, sizeBytes, 1)).rejects.toMatchObject({
      code: 'E_RANGE',
    });
    await set.close();
  });

  test('a request with fewer bytes than it says takes no number', async () => {
    const set = await newSet(newWorld());
    const [device] = set.volumes;
    const request = { ...requestOf(write(0, 0, 6000, 1)), length: 6001 };
    const answer = device ? submitAndWait(device, request) : Promise.resolve();
    await expect(answer).rejects.toMatchObject({ code: 'E_RANGE' });
    expect(set.failure).toBeUndefined();
    expect(await perform(set, write(0, 0, 10, 1))).toBe(1);
    await set.close();
  });

  test('requests that arrive together are journaled in their order', async () => {
    const set = await newSet(newWorld());
    const model = VolumesModel.blank(set.file.volumes, SMALL_JOURNAL);
    const changes = Array.from({ length: 20 }, (_, id) => write(id % 2, id * 100, 9000, id));
    const answers = await Promise.all(changes.map((change) => perform(set, change)));
    expect(answers).toEqual(changes.map((change) => model.apply(change)));
    assertVolumes(await readAll(set), model.now);
    await set.close();
  });

  test('[R9] tiny requests count for what they cost, not for their bytes alone', async () => {
    const set = await newSet(newWorld());
    for (let id = 0; id < 1000; id += 1) await perform(set, write(0, id * 2, 1, id));
    expect(set.contents.overlay.heldBytes).toBeGreaterThan(1000 * 64);
    await set.close();
    const other = await newSet(newWorld());
    for (let id = 0; id < 400; id += 1) await perform(other, zeroes(0, id * 2, 1));
    expect(other.contents.overlay.heldBytes).toBeGreaterThan(400 * 64);
    await other.close();
  });
});

describe('volumes with blocks that are not here yet', () => {
  const sizes = [9 * 4096 + 512, 3 * 4096];
  const below = sizes.map((sizeBytes, volume) => {
    const bytes = pattern(100 + volume, sizeBytes);
    bytes.fill(0, 4096, 8192);
    return bytes;
  });
  const fetching = fc.record({
    fetch: placesIn(sizes[0] ?? 0),
    reachable: fc.boolean(),
  });
  type Fetching = { fetch: { offset: number; length: number }; reachable: boolean };
  const steps = fc.array(
    fc.oneof({ weight: 3, arbitrary: stepsOn(sizes).map(([step]) => step as Step) }, fetching),
    { maxLength: 30 },
  );

  test('read as the source below what was written, and call no absent block a hole', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const volumes = sizes.map((sizeBytes, index) => ({ name: `v${index}`, sizeBytes }));
        const world = newWorld();
        let set = await newSet(world, { volumes });
        const model = new VolumesModel(below, 1, SMALL_JOURNAL.recordPayloadBytesMax);
        const source = new StillSource(below, 8192);
        await createMaps(set, set.contents.presence, { epoch: 1, sequence: 0 });
        await set.identity.update((file) => ({ ...file, maps: ['v0.present', 'v1.present'] }));
        for (const step of list) {
          set.contents.source = source;
          if (typeof step === 'object' && 'fetch' in step) await fetchSome(set, source, step);
          else set = await takeStep(world, set, step, model);
          expectNoFalseHoles(set, model.now);
        }
        set.contents.source = source;
        source.reachable = () => true;
        assertVolumes(await readAll(set), model.now);
        await set.close();
      }),
      { numRuns: 60, seed: 32 },
    );
  });

  async function fetchSome(set: ImageSet, source: StillSource, { fetch, reachable }: Fetching) {
    source.reachable = () => reachable;
    const { offset, length } = fetch;
    const fetched = set.contents.makePresent(0, offset, offset + length);
    await fetched.catch((error: { code?: string }) => assertSame(error.code, 'E_UNREACHABLE'));
    source.reachable = () => true;
  }
});
