/**
 * A primary with two volumes, crashed at every operation of a scripted life, and in the midst of
 * its recoveries: what is found afterwards is the state after some whole request, never before the
 * last one that was promised to be durable.
 */
import { describe, expect, test } from '@jest/globals';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { assertAtLeast, assertSame, assertVolumes } from '../support/asserts.ts';
import {
  CRASH_EVERY,
  CRASH_SEEDS,
  STRUCK_OPERATIONS,
  sweepCrashes,
} from '../support/crash-sweep.ts';
import type { Trial } from '../support/crash-sweep.ts';
import {
  TINY_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  flush,
  makeSet,
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
import { ensureEpoch } from '../../src/imageset/succession.ts';
import { strayByte } from '../support/write-ahead.ts';

type Step =
  | { readonly do: 'change'; readonly changes: readonly Change[]; readonly fua?: boolean }
  | { readonly do: 'flush' | 'drain' | 'reopen' }
  | { readonly do: 'pass'; readonly ms: number };

const change = (...changes: Change[]): Step => ({ do: 'change', changes });
const durably = (...changes: Change[]): Step => ({ do: 'change', changes, fua: true });

/** Odd sizes and places, overlaps, one sequence over two volumes, trims, recycled segments. */
const LIFE: readonly Step[] = [
  change(write(0, 0, 1, 1), write(1, 511, 700, 2)),
  change(write(0, 3000, 5000, 3)),
  { do: 'flush' },
  change(write(0, 40 * 1024, 512, 4), zeroes(0, 3500, 1000)),
  durably(write(1, 100, 9000, 5)),
  { do: 'drain' },
  change(write(0, 4095, 2, 6), write(0, 0, 12 * 1024, 7)),
  { do: 'pass', ms: 60 },
  change({ kind: 'mark', name: 'noon' }),
  change(zeroes(1, 0, 20 * 1024, false)),
  { do: 'pass', ms: 300 },
  change(write(1, 20 * 1024 - 3, 3, 8), write(0, 9000, 12 * 1024, 9)),
  { do: 'flush' },
  change(write(0, 20_000, 12 * 1024, 10)),
  { do: 'reopen' },
  change(write(0, 12_345, 10_000, 11), write(1, 5000, 5000, 12)),
  { do: 'drain' },
  change(write(0, 1, 12 * 1024, 13)),
  { do: 'flush' },
  change(write(0, 2, 12 * 1024, 14), write(1, 3, 1, 15)),
];

/** One life: what was given to the set, and what it promised. */
class Life implements Trial {
  readonly model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  /** Everything up to here was promised to be durable. */
  floor = 0;
  private answered = 0;
  private readonly world: World;

  constructor(disk: SimulatedDisk) {
    this.world = worldOn(disk);
  }

  async run(): Promise<void> {
    let set = await this.open();
    for (const step of LIFE) {
      switch (step.do) {
        case 'change':
          await this.change(set, step.changes, step.fua ?? false);
          break;
        case 'flush': {
          const { answered } = this;
          await flush(set);
          this.floor = Math.max(this.floor, answered);
          break;
        }
        case 'drain':
          await set.drain();
          break;
        case 'pass':
          await this.world.clock.pass(step.ms);
          break;
        case 'reopen':
          await set.close();
          this.floor = this.answered;
          set = await this.open();
      }
    }
    await set.close();
  }

  private async open(): Promise<ImageSet> {
    const set = await openSet(this.world);
    await ensureEpoch(set);
    return set;
  }

  private async change(set: ImageSet, changes: readonly Change[], fua: boolean): Promise<void> {
    const answers = changes.map(async (each) => {
      const expected = this.model.apply(each);
      const sequence = await perform(set, each, fua);
      assertSame(sequence, expected);
      this.answered = Math.max(this.answered, sequence);
      if (fua || each.kind === 'mark') this.floor = Math.max(this.floor, sequence);
    });
    await Promise.all(answers);
  }
}

async function newDisk(): Promise<SimulatedDisk> {
  const world = newWorld();
  await makeSet(world, { journal: TINY_JOURNAL });
  return world.disk;
}

/** The set after a crash: an exact prefix, not too short, that goes on where it ends. */
async function checkRecovered(life: Life, disk: SimulatedDisk, killed: boolean): Promise<void> {
  const set = await openSet(worldOn(disk));
  const { newest } = set;
  assertAtLeast(newest, life.floor);
  assertVolumes(await readAll(set), life.model.after(newest));
  await ensureEpoch(set);
  const model = life.model.from(newest);
  for (const more of [write(0, 777, 5000, 90), write(1, 0, 1, 91)]) {
    assertSame(await perform(set, more), model.apply(more));
  }
  assertVolumes(await readAll(set), model.now);
  if (killed) {
    await flush(set); // from here on, what was durable only in appearance is durable indeed
    const lost = await openSet(worldOn(disk.survivors('lose', 1)));
    assertSame(lost.newest, model.newest);
    assertVolumes(await readAll(lost), model.now);
  }
  await set.close();
  assertVolumes(rawImages(disk), model.now);
  const again = await openSet(worldOn(disk));
  assertSame(again.newest, model.newest);
  assertVolumes(await readAll(again), model.now);
  await again.close();
}

/** The raw images may hold nothing that a power loss would take out of the journal. */
async function checkWriteAhead(life: Life, disk: SimulatedDisk): Promise<void> {
  const images = rawImages(disk.survivors('keep', 0));
  const set = await openSet(worldOn(disk.survivors('lose', 0)));
  const durable = set.newest;
  await set.close();
  expect(strayByte(images, life.model.upTo(durable))).toBeUndefined();
}

describe(`a crash at ${STRUCK_OPERATIONS} of a life`, () => {
  test.each(CRASH_SEEDS)('[R1] [R2] [R3] loses no more than it may, seed %i', async (seed) => {
    const points = await sweepCrashes({
      base: await newDisk(),
      seed,
      every: CRASH_EVERY,
      start: (disk) => new Life(disk),
      check: (life, disk, label) => checkRecovered(life, disk, label.includes('keep')),
      crashed: (life, disk) => checkWriteAhead(life, disk),
      recover: async (disk) => {
        await (await openSet(worldOn(disk))).close();
      },
      recoveryCrashes: 2,
    });
    process.stdout.write(`crash points of a primary's life, seed ${seed}: ${points}\n`);
    expect(points).toBeGreaterThan(1000 / CRASH_EVERY);
  });
});
