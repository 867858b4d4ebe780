/**
 * Both ends of a handover, crashed at every operation: A is sealed for good or not at all, B takes
 * the group over and never shows a block that is stale, lost or not there yet.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { MAP_BLOCK_BYTES } from '../../src/base/limits.ts';
import { isZero } from '../../src/base/bytes.ts';
import type { MigrationEntry, SealEntry } from '../../src/format/set-file.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { ensureEpoch, seal } from '../../src/imageset/succession.ts';
import { acceptHandover, finishMaps } from '../../src/imageset/acceptance.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { assertAtLeast, assertSame, assertVolumes } from '../support/asserts.ts';
import {
  CRASH_EVERY,
  CRASH_SEEDS,
  STRUCK_OPERATIONS,
  sweepCrashes,
  untilCrashed,
} from '../support/crash-sweep.ts';
import type { Trial } from '../support/crash-sweep.ts';
import {
  TINY_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  flush,
  makeSet,
  newSet,
  newWorld,
  openSet,
  pattern,
  perform,
  rawImages,
  readAll,
  worldOn,
  write,
  zeroes,
} from '../support/image-sets.ts';
import type { Change } from '../support/image-sets.ts';
import {
  MIGRATION,
  OTHER_MIGRATION,
  SECONDARY,
  StillSource,
  migrationTo,
  peerOf,
  NO_MAPS,
} from '../support/succession.ts';

const codeOf = (error: unknown) => (error as { code?: string }).code;

/** A life that ends with a seal. */
class Sealing implements Trial {
  readonly model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  entry: SealEntry | undefined;
  aborted = false;
  floor = 0;
  private readonly disk: SimulatedDisk;

  constructor(disk: SimulatedDisk) {
    this.disk = disk;
  }

  async run(): Promise<void> {
    const set = await openSet(worldOn(this.disk));
    for (const each of [write(0, 3, 9000, 1), zeroes(1, 100, 4000)]) {
      const expected = this.model.apply(each);
      assertSame(await perform(set, each), expected);
    }
    await flush(set);
    this.floor = this.model.newest;
    const late = write(1, 5, 700, 2);
    this.model.apply(late);
    await perform(set, late);
    await set.identity.update((file) => ({ ...file, abortedMigrations: [OTHER_MIGRATION] }));
    this.aborted = true;
    this.entry = await seal(set, MIGRATION, SECONDARY);
    this.floor = this.model.newest;
    assertSame(await seal(set, MIGRATION, SECONDARY), this.entry);
    await set.close();
  }
}

async function checkSealing(trial: Sealing, disk: SimulatedDisk): Promise<void> {
  const set = await openSet(worldOn(disk));
  assertAtLeast(set.newest, trial.floor);
  if (trial.aborted && !set.file.seal) {
    const late = await seal(set, OTHER_MIGRATION, SECONDARY).catch(codeOf);
    assertSame(late, 'E_STATE');
  }
  if (!set.file.seal) {
    assertSame(trial.entry, undefined);
    const model = trial.model.from(set.newest);
    const change = write(0, 0, 100, 9);
    assertSame(await perform(set, change, true), model.apply(change));
    const lost = await openSet(worldOn(disk.survivors('lose', 1)));
    assertVolumes(await readAll(lost), model.now);
    assertVolumes(await readAll(set), model.now);
    assertSame((await seal(set, MIGRATION, SECONDARY)).nextSequence, model.newest + 1);
    await set.close();
    return;
  }
  const entry = await seal(set, MIGRATION, SECONDARY);
  assertSame(entry.nextSequence, trial.model.newest + 1);
  if (trial.entry) assertSame(entry, trial.entry);
  assertSame(await perform(set, write(0, 0, 1, 1)).catch(codeOf), 'E_SEALED');
  await set.close();
  assertVolumes(rawImages(disk), trial.model.now);
  const again = await openSet(worldOn(disk));
  assertSame(await seal(again, MIGRATION, SECONDARY), entry);
  await again.close();
}

describe(`A, crashed at ${STRUCK_OPERATIONS}`, () => {
  test.each(CRASH_SEEDS)(
    '[R4] is sealed for good, or is not and stays writable, seed %i',
    async (seed) => {
      const world = newWorld();
      await (await newSet(world, { journal: TINY_JOURNAL })).close();
      const points = await sweepCrashes({
        base: world.disk,
        seed,
        every: CRASH_EVERY,
        start: (disk) => new Sealing(disk),
        check: checkSealing,
        recover: async (disk) => (await openSet(worldOn(disk))).close(),
        recoveryCrashes: 2,
      });
      process.stdout.write(`crash points of a seal, seed ${seed}: ${points}\n`);
      expect(points).toBeGreaterThan(90 / CRASH_EVERY);
    },
  );
});

const TARGET = '/nara';

/** What the source holds: some blocks all zero, none alike. */
const SOURCE = TWO_VOLUMES.map(({ sizeBytes }, volume) => {
  const bytes = pattern(200 + volume, sizeBytes);
  bytes.fill(0, 8192, 16_384);
  return bytes;
});

type Step =
  | { readonly do: 'change'; readonly change: Change; readonly fua?: boolean }
  | { readonly do: 'reachable'; readonly is: boolean }
  | { readonly do: 'flush' | 'drain' | 'read' | 'fetch-one' | 'fetch-all' | 'reopen' | 'finish' };

const change = (each: Change, fua = false): Step => ({ do: 'change', change: each, fua });

const TAKING_OVER: readonly Step[] = [
  { do: 'reachable', is: false },
  change(write(0, 100, 300, 1)), // a part of an absent block
  change(write(0, 4096, 4096, 2)), // a whole one
  { do: 'drain' },
  change(zeroes(1, 4000, 5000), true),
  { do: 'reachable', is: true },
  { do: 'drain' },
  change(write(0, 200, 10_000, 3)),
  { do: 'fetch-one' },
  { do: 'flush' },
  { do: 'drain' },
  change(write(0, 40_000, 900, 4)),
  { do: 'read' },
  { do: 'reopen' },
  change(write(0, 40_960, 512, 5)),
  change(write(1, 12_288, 1, 6)),
  { do: 'drain' },
  { do: 'fetch-one' },
  change(write(1, 0, 12 * 1024, 7)),
  { do: 'drain' },
  { do: 'fetch-all' },
  change(write(0, 30_000, 10, 8)),
  { do: 'finish' },
  change(write(0, 1, 12 * 1024, 9)),
];

/** B's life from the acceptance to the end of its presence maps. */
class TakingOver implements Trial {
  readonly model: VolumesModel;
  readonly migration: MigrationEntry;
  accepted = false;
  floor: number;
  private answered: number;
  private readonly disk: SimulatedDisk;
  private readonly source = new StillSource(SOURCE, 8192);

  constructor(disk: SimulatedDisk, migration: MigrationEntry) {
    this.disk = disk;
    this.migration = migration;
    const next = migration.handover?.nextSequence ?? 0;
    this.model = new VolumesModel(SOURCE, next, TINY_JOURNAL.recordPayloadBytesMax);
    this.floor = next - 1;
    this.answered = next - 1;
  }

  async run(): Promise<void> {
    let set = await this.open();
    await acceptHandover(set, this.migration, NO_MAPS);
    this.accepted = true;
    for (const step of TAKING_OVER) {
      switch (step.do) {
        case 'change': {
          const expected = this.model.apply(step.change);
          assertSame(await perform(set, step.change, step.fua), expected);
          this.answered = expected;
          if (step.fua) this.floor = expected;
          break;
        }
        case 'reachable':
          this.source.reachable = () => step.is;
          break;
        case 'flush':
          await flush(set);
          this.floor = this.answered;
          break;
        case 'drain':
          await set.drain().catch((error: unknown) => {
            if (codeOf(error) !== 'E_UNREACHABLE') throw error;
          });
          break;
        case 'read':
          assertVolumes(await readAll(set), this.model.now);
          break;
        case 'fetch-one':
          await fetchNext(set);
          break;
        case 'fetch-all':
          while (await fetchNext(set));
          break;
        case 'finish':
          await finishMaps(set);
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
    const set = await openSet(worldOn(this.disk), TARGET);
    set.contents.source = this.source;
    return set;
  }
}

/** Moves the next absent range over, as the copier in the background does. */
async function fetchNext(set: ImageSet): Promise<boolean> {
  for (const [volume, { sizeBytes }] of set.file.volumes.entries()) {
    const range = set.contents.absentIn(volume, 0, sizeBytes);
    if (!range) continue;
    await set.contents.fetchBase(volume, range);
    return true;
  }
  return false;
}

async function checkTakingOver(
  trial: TakingOver,
  disk: SimulatedDisk,
  label: string,
): Promise<void> {
  const source = new StillSource(SOURCE, 4096);
  const set = await openSet(worldOn(disk), TARGET);
  set.contents.source = source;
  if (set.file.role === 'target') {
    assertSame(trial.accepted, false);
    await acceptHandover(set, trial.migration, NO_MAPS);
  }
  await ensureEpoch(set);
  const { newest } = set;
  assertAtLeast(newest, trial.floor);
  const expected = trial.model.after(newest);
  assertSame(holesThatAreNone(set, expected), []);
  const model = trial.model.from(newest);
  // Above blocks that are still absent, so that fragments and bases meet once more.
  for (const each of [write(0, 700, 100, 90), write(1, 4095, 2, 91)]) {
    assertSame(await perform(set, each), model.apply(each));
  }
  assertVolumes(await readAll(set), model.now);
  const killed = label.includes('keep');
  if (killed) {
    await flush(set);
    await checkAfterPowerLoss(disk.survivors('lose', 1), model);
  }
  await set.drain();
  if (killed) await checkAfterPowerLoss(disk.survivors('lose', 1), model);
  if (set.file.maps.length > 0) await finishMaps(set);
  await set.close();
  assertVolumes(rawImages(disk, TARGET), model.now);
  const again = await openSet(worldOn(disk), TARGET);
  assertVolumes(await readAll(again), model.now);
  await again.close();
}

/** Whatever was durable only in appearance when the set was opened: a flush made it so. */
async function checkAfterPowerLoss(disk: SimulatedDisk, model: VolumesModel): Promise<void> {
  const set = await openSet(worldOn(disk), TARGET);
  set.contents.source = new StillSource(SOURCE);
  assertSame(set.file.role, 'primary');
  assertSame(set.newest, model.newest);
  assertVolumes(await readAll(set), model.now);
  await set.close();
}

/** Places that the set calls holes though hosts would not read zeroes there. */
function holesThatAreNone(set: ImageSet, expected: readonly Buffer[]): string[] {
  const found: string[] = [];
  for (const [volume, bytes] of expected.entries()) {
    for (let at = 0; at < bytes.length;) {
      const extent = set.contents.nextExtent(volume, at, bytes.length);
      const end = at + extent.length;
      if (!extent.data && !isZero(bytes.subarray(at, end)))
        found.push(`${volume}: ${at} to ${end}`);
      at = end;
    }
  }
  return found;
}

describe(`B, crashed at ${STRUCK_OPERATIONS}`, () => {
  let disk: SimulatedDisk;
  let migration: MigrationEntry;

  beforeAll(async () => {
    const from = await newSet(newWorld(3), { folder: '/kobe', journal: TINY_JOURNAL });
    await perform(from, write(0, 0, 100, 1));
    const world = newWorld(4);
    await makeSet(world, { folder: TARGET, journal: TINY_JOURNAL });
    const to = await openSet(world, TARGET);
    await to.identity.update((file) => ({ ...file, role: 'target' }));
    migration = migrationTo(to, peerOf(from), await seal(from, MIGRATION, peerOf(to)));
    // Old content of a target that may be overwritten: it must never be read.
    for (const [volume, { sizeBytes }] of TWO_VOLUMES.entries()) {
      to.contents.putRange(volume, 0, sizeBytes, pattern(250 + volume, sizeBytes));
    }
    await to.contents.syncImages();
    await to.close();
    ({ disk } = world);
  });

  test.each(CRASH_SEEDS)(
    '[R1] [R2] a presence bit lost or too early: never stale, never zeroes, seed %i',
    async (seed) => {
      const points = await sweepCrashes({
        base: disk,
        seed,
        every: CRASH_EVERY,
        start: (copy) => new TakingOver(copy, migration),
        check: checkTakingOver,
        recover: async (copy) => {
          const set = await openSet(worldOn(copy), TARGET);
          set.contents.source = new StillSource(SOURCE);
          await set.close();
        },
        recoveryCrashes: 1,
      });
      process.stdout.write(`crash points of a taking over, seed ${seed}: ${points}\n`);
      expect(points).toBeGreaterThan(250 / CRASH_EVERY);
    },
  );

  test('[R1] a partial write to an absent block, then a crash', async () => {
    const world = worldOn(disk.survivors('keep', 1));
    const set = await openSet(world, TARGET);
    const source = new StillSource(SOURCE);
    source.reachable = () => false;
    set.contents.source = source;
    await acceptHandover(set, migration, NO_MAPS);
    const first = migration.handover?.nextSequence ?? 0;
    const model = new VolumesModel(SOURCE, first, TINY_JOURNAL.recordPayloadBytesMax);
    const fragment = write(0, 1000, 50, 1);
    expect(await perform(set, fragment, true)).toBe(model.apply(fragment));
    await expect(set.drain()).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    expect(rawImages(world.disk, TARGET)[0]?.subarray(1000, 1050)).not.toEqual(
      fragment.kind === 'write' ? fragment.data : undefined,
    );
    const again = await openSet(worldOn(world.disk.survivors('lose', 1)), TARGET);
    await expect(readAll(again)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    expect(again.contents.readNow(0, 1000, 50)).toEqual(pattern(1, 50));
    expect(again.contents.absentIn(0, 1000, 1050)).toBeUndefined();
    expect(again.contents.absentIn(0, 0, 1000)).toEqual({ start: 0, end: MAP_BLOCK_BYTES });
    again.contents.source = new StillSource(SOURCE);
    assertVolumes(await readAll(again), model.now);
    await again.close();
  });

  // The old content of such a block is still at the source: a bit lost would bring it back.
  test.each(['lose', 'random', 'keep'] as const)(
    '[R7] a block changed, shipped and trimmed while a map lags, a presence bit lost: %s',
    async (survival) => {
      let points = 0;
      for (let crashed = true; crashed; points += 1) {
        const world = worldOn(disk.survivors('keep', 1));
        const set = await openSet(world, TARGET);
        set.contents.source = new StillSource(SOURCE);
        await acceptHandover(set, migration, NO_MAPS);
        const first = migration.handover?.nextSequence ?? 0;
        const model = new VolumesModel(SOURCE, first, TINY_JOURNAL.recordPayloadBytesMax);
        let flushed = first - 1;
        world.disk.crashAt(world.disk.operations + points);
        const shipAndTrim = async () => {
          for (let round = 0; round < 4; round += 1) {
            const whole = write(0, round * 8192, 8192, round + 1);
            model.apply(whole);
            const sequence = await perform(set, whole);
            await flush(set);
            flushed = sequence;
            // C has it at once: only what is durable here keeps the record now.
            const shipped = { epoch: set.file.epoch, sequence };
            set.noteSecondary({ durable: shipped, restored: shipped });
            await set.drain();
          }
        };
        await untilCrashed(world.disk, shipAndTrim());
        crashed = world.disk.crashed;
        const again = await openSet(worldOn(world.disk.survivors(survival, points)), TARGET);
        again.contents.source = new StillSource(SOURCE);
        expect(again.newest).toBeGreaterThanOrEqual(flushed);
        assertVolumes(await readAll(again), model.after(again.newest));
        again.release();
      }
      expect(points).toBeGreaterThan(40);
    },
  );
});
