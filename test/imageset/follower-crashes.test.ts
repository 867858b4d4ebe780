/**
 * A secondary, crashed at every operation of a copy and of two epochs that arrive at the same time,
 * the later one first: it calls itself usable only when it is, and is an exact prefix then.
 */
import { describe, expect, test } from '@jest/globals';
import type { GroupId } from '../../src/base/ids.ts';
import type { WholeRecord } from '../../src/format/record.ts';
import {
  appendFromPeer,
  becomeUsable,
  beginCopy,
  completeWithSeal,
  endCopy,
  followJournal,
  putCopyRange,
  saveCopyProgress,
} from '../../src/imageset/follower.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import type { Random } from '../../src/sys/random.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';
import { assertAtLeast, assertRejects, assertSame, assertVolumes } from '../support/asserts.ts';
import {
  CRASH_EVERY,
  CRASH_SEEDS,
  STRUCK_OPERATIONS,
  sweepCrashes,
} from '../support/crash-sweep.ts';
import type { Trial } from '../support/crash-sweep.ts';
import {
  TWO_VOLUMES,
  newWorld,
  openSet,
  peekAll,
  rawImages,
  readAll,
  worldOn,
  write,
  zeroes,
} from '../support/image-sets.ts';
import { History, PRIMARY, newSecondary } from '../support/histories.ts';

const FOLDER = '/sapporo';

/** Two epochs; the copy's base stands in the first one. */
function newHistory(group: GroupId): { history: History; base: number } {
  const history = new History(group);
  history.add(write(0, 10, 3000, 1), write(1, 0, 9000, 2));
  const base = history.next - 1;
  history.add(write(0, 5, 12 * 1024, 3), zeroes(0, 100, 20_000), write(1, 4000, 600, 4));
  history.add({ kind: 'mark', name: 'noon' }, write(0, 40_000, 1472, 5), write(1, 1, 7000, 6));
  history.succeed();
  history.add(write(0, 20_000, 9000, 7), write(1, 20_000, 480, 8), zeroes(1, 0, 5000, false));
  history.add(write(0, 0, 12 * 1024, 9), write(0, 12 * 1024, 12 * 1024, 10));
  return { history, base };
}

/** What both primaries do to a secondary, from whatever state it is in. */
class Feeding implements Trial {
  readonly history: History;
  /** The set was usable, and held everything up to here durably. */
  floor = -1;
  private readonly base: number;
  private readonly disk: SimulatedDisk;
  private readonly random: Random;

  constructor(disk: SimulatedDisk, group: GroupId, seed: number) {
    ({ history: this.history, base: this.base } = newHistory(group));
    this.disk = disk;
    this.random = seededRandom(seed);
  }

  async run(): Promise<void> {
    const set = await openSet(worldOn(this.disk), FOLDER);
    await this.bringUpToDate(set);
    await set.close();
  }

  /** Copies if need be, then gives everything that is missing; closes and opens now and then. */
  async bringUpToDate(set: ImageSet): Promise<void> {
    if (!set.usable && set.journal.runs.length === 0) {
      await beginCopy(set, this.history.rebase(this.history.positionBehind(this.base, 1)), PRIMARY);
    }
    if (set.copy && !set.copy.complete) await this.copy(set);
    await this.giveAll(set);
  }

  private async copy(set: ImageSet): Promise<void> {
    let asOf = set.copy?.asOf ?? 0;
    let { volume, offset } = set.copy ?? { volume: 0, offset: 0 };
    while (volume < TWO_VOLUMES.length) {
      const size = TWO_VOLUMES[volume]?.sizeBytes ?? 0;
      if (offset >= size) {
        volume += 1;
        offset = 0;
        continue;
      }
      if (this.random.below(3) === 0) this.giveSome(set, 1);
      // A range is read no earlier than what was sent before it, and at the end of a request.
      const sent = (set.journal.run(1)?.next ?? 1) - 1;
      const ends = this.history.model.ends.filter(
        (end) => end >= sent && end <= this.lastOfFirst(),
      );
      const at = ends[this.random.below(Math.min(3, ends.length))] ?? sent;
      const length = Math.min(size - offset, 4096 * (1 + this.random.below(4)));
      const data = this.history.model.after(at)[volume]?.subarray(offset, offset + length);
      putCopyRange(set, { volume, offset, length, asOf: at, data });
      asOf = Math.max(asOf, at);
      offset += length;
      if (this.random.below(3) === 0) await saveCopyProgress(set);
      if (this.random.below(4) === 0) await this.follow(set);
    }
    endCopy(set, asOf);
    await saveCopyProgress(set);
  }

  private async giveAll(set: ImageSet): Promise<void> {
    for (let turn = 0; !this.isComplete(set); turn += 1) {
      if (turn > 300) throw new Error('no end of giving');
      // The successor is ahead: its records come before the last ones of the first epoch.
      this.giveSome(set, this.random.below(3) === 0 ? 1 : 2);
      if (this.random.below(2) === 0) {
        await set.journal.sync();
        this.noteFloor(set);
      }
      if (this.random.below(3) === 0) completeWithSeal(set);
      if (this.random.below(2) === 0) await this.follow(set);
      if (this.random.below(4) === 0) await set.drain();
    }
    await this.follow(set);
    await set.drain();
    await becomeUsable(set);
    this.noteFloor(set);
  }

  private async follow(set: ImageSet): Promise<void> {
    await set.journal.sync();
    await followJournal(set);
    await becomeUsable(set);
    this.noteFloor(set);
  }

  private noteFloor(set: ImageSet): void {
    if (set.usable) this.floor = Math.max(this.floor, set.feed.position.sequence);
  }

  private isComplete(set: ImageSet): boolean {
    return set.journal.run(2)?.next === this.history.next && set.applied.epoch === 2;
  }

  private lastOfFirst(): number {
    return (this.history.of(2)[0]?.header.sequence ?? 1) - 1;
  }

  private giveSome(set: ImageSet, epoch: number): void {
    const records = this.history.of(epoch);
    const [head] = records;
    if (epoch === 2 && head && !set.journal.run(2)) set.journal.startRun(head);
    const run = set.journal.run(epoch);
    if (!run || run.seal) return;
    const fresh = records.filter(
      ({ header }) => header.kind !== 'open' && isNext(run.next, header),
    );
    appendFromPeer(set, run, fresh.slice(0, 1 + this.random.below(6)));
  }
}

const isNext = (next: number, header: WholeRecord['header']) => header.sequence >= next;

async function checkFollowing(trial: Feeding, disk: SimulatedDisk, seed: number): Promise<void> {
  const set = await openSet(worldOn(disk), FOLDER);
  const { history } = trial;
  if (trial.floor >= 0) assertSame(set.usable, true);
  if (set.usable) {
    assertAtLeast(set.newest, trial.floor);
    assertVolumes(await readAll(set), history.model.after(set.newest));
    assertSame(set.file.pair?.state, 'paired');
    assertSame(set.file.epoch, set.applied.epoch);
  } else {
    await assertRejects(readAll(set), 'E_STATE');
  }
  const newest = set.newest;
  const contents = peekAll(set);
  await set.close();
  const again = await openSet(worldOn(disk), FOLDER);
  assertSame(again.newest, newest);
  assertVolumes(peekAll(again), contents);
  const rest = new Feeding(disk, again.file.groupId, seed);
  await rest.bringUpToDate(again);
  assertSame(again.usable, true);
  assertSame(again.newest, history.next - 1);
  await again.close();
  assertVolumes(rawImages(disk, FOLDER), history.model.now);
}

describe(`a secondary, crashed at ${STRUCK_OPERATIONS}`, () => {
  test.each(CRASH_SEEDS)('[R1] [R6] [R9] is a prefix when it says so, seed %i', async (seed) => {
    const world = newWorld();
    const made = await newSecondary(world);
    const group = made.file.groupId;
    await made.close();
    const points = await sweepCrashes({
      base: world.disk,
      seed,
      every: CRASH_EVERY,
      start: (disk) => new Feeding(disk, group, seed),
      check: (trial, disk) => checkFollowing(trial, disk, seed + 5),
      recover: async (disk) => (await openSet(worldOn(disk), FOLDER)).close(),
      recoveryCrashes: 1,
    });
    process.stdout.write(`crash points of a secondary, seed ${seed}: ${points}\n`);
    expect(points).toBeGreaterThan(150 / CRASH_EVERY);
  });
});
