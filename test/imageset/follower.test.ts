/** A secondary: records in order whoever sends them, copies under them, room for what is owed. */
import { describe, expect, test } from '@jest/globals';
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
import { Feed } from '../../src/imageset/feed.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { Overlay } from '../../src/imageset/overlay.ts';
import { assertSame, assertVolumes } from '../support/asserts.ts';
import {
  newWorld,
  openSet,
  peekAll,
  rawImages,
  readAll,
  worldOn,
  write,
} from '../support/image-sets.ts';
import type { Change } from '../support/image-sets.ts';
import { History, PRIMARY, newSecondary } from '../support/histories.ts';

/** Takes what the sender of an epoch has; false when there is no room for all of it. */
function give(set: ImageSet, records: readonly WholeRecord[]): boolean {
  const [first] = records;
  if (!first) return true;
  const { epoch } = first.header;
  if (first.header.kind === 'open' && !set.journal.run(epoch)) set.journal.startRun(first);
  const run = set.journal.run(epoch);
  if (!run) throw new Error('a sender begins with its open record');
  return appendFromPeer(set, run, records);
}

async function settle(set: ImageSet): Promise<void> {
  await set.journal.sync();
  await followJournal(set);
}

/** A whole copy as of the history's base. */
async function copyAll(set: ImageSet, history: History, sequence: number): Promise<void> {
  await beginCopy(set, history.rebase(history.positionBehind(sequence)), PRIMARY);
  for (const [volume, data] of history.model.after(sequence).entries()) {
    putCopyRange(set, { volume, offset: 0, length: data.length, asOf: sequence, data });
  }
  endCopy(set, sequence);
  await saveCopyProgress(set);
}

async function following(changes: readonly Change[] = [write(0, 0, 5000, 1)]) {
  const world = newWorld();
  const set = await newSecondary(world);
  const history = new History(set.file.groupId);
  history.add(...changes);
  await copyAll(set, history, history.next - 1);
  expect(set.usable).toBe(true);
  return { world, set, history };
}

describe('a secondary', () => {
  test('[R1] follows over many recycled segments, a record at a time', async () => {
    const { set, history } = await following();
    for (let id = 0; id < 120; id += 1) {
      const from = history.next;
      history.add(write(id % 2, id * 7, 2000, id));
      expect(give(set, history.of(1, from))).toBe(true);
      await settle(set);
      if (id % 5 === 4) await set.drain();
    }
    expect(set.newest).toBe(history.next - 1);
    assertVolumes(await readAll(set), history.model.now);
    await set.close();
  });

  test('[R9] C’s journal full of later-epoch records when the earlier ones arrive', async () => {
    const { world, set, history } = await following();
    const first = history.next;
    for (let id = 0; id < 12; id += 1) history.add(write(0, id * 100, 12 * 1024, id));
    history.succeed();
    for (let id = 0; id < 40; id += 1) history.add(write(1, id * 100, 12 * 1024, id + 50));
    const [open, ...later] = history.of(2);
    expect(give(set, open ? [open] : [])).toBe(true);
    let stored = 0;
    while (stored < later.length && give(set, later.slice(stored, stored + 6))) stored += 6;
    expect(stored).toBeGreaterThan(6);
    expect(stored).toBeLessThan(later.length);
    await settle(set);
    expect(set.newest).toBe(first - 1);
    // The whole of the earlier epoch in one piece: what has no room now is given again.
    const owed = history.of(1, first);
    for (let attempt = 0; !give(set, owed); attempt += 1) {
      expect(attempt).toBeLessThan(20);
      await settle(set);
      await set.drain();
    }
    for (let from = stored; from < later.length;) {
      await settle(set);
      await set.drain();
      if (give(set, later.slice(from, from + 6))) from += 6;
    }
    await settle(set);
    expect(set.newest).toBe(history.next - 1);
    expect(set.file.epoch).toBe(2);
    assertVolumes(await readAll(set), history.model.now);
    await set.close();
    assertVolumes(rawImages(world.disk, '/sapporo'), history.model.now);
  });

  test('[R4] completes an epoch with the seal that its successor shows', async () => {
    const { set, history } = await following();
    const first = history.next;
    history.add(write(0, 9, 300, 2));
    history.succeed();
    history.add(write(1, 8, 300, 3));
    give(set, history.of(2));
    await settle(set);
    expect(completeWithSeal(set)).toBe(false);
    give(
      set,
      history.of(1, first).filter(({ header }) => header.kind !== 'seal'),
    );
    await settle(set);
    expect(set.newest).toBe(first);
    expect(completeWithSeal(set)).toBe(true);
    await settle(set);
    expect(set.newest).toBe(first + 1);
    expect(set.file.pair?.peer).toMatchObject({ address: '/nara' });
    assertVolumes(await readAll(set), history.model.now);
    await set.close();
  });

  test('[R1] stops for good at a damaged record, and applies nothing of its request', async () => {
    const { world, set, history } = await following();
    const first = history.next;
    history.add(write(0, 0, 6000, 2));
    give(set, history.of(1, first));
    await set.journal.sync();
    const names = world.disk.list('/sapporo/journal', 'TEST:LIST');
    const path = `/sapporo/journal/${names.findLast((name) => /^\d/.test(name))}`;
    const { length } = world.disk.readFile(path);
    world.disk.flipBit(path, length - 1000, 3);
    await expect(followJournal(set)).rejects.toMatchObject({ code: 'E_DAMAGED' });
    expect(set.failure?.code).toBe('E_DAMAGED');
    await world.clock.pass(1000);
    assertVolumes(rawImages(world.disk, '/sapporo'), history.model.after(first - 1));
    await expect(set.close()).rejects.toMatchObject({ code: 'E_DAMAGED' });
  });

  test('takes nothing more in once it is being closed, however often that is asked', async () => {
    const { set, history } = await following();
    const first = history.next;
    history.add(write(0, 9, 300, 2));
    let closed = 0;
    const closing = [set.close(), set.close()].map(async (each) => {
      await each;
      closed += 1;
    });
    expect(() => give(set, history.of(1, first))).toThrow(/closed/);
    await Promise.race(closing);
    await expect(set.until(() => false)).rejects.toMatchObject({ code: 'E_STOPPED' });
    await Promise.all(closing);
    expect(closed).toBe(2);
  });

  test('two calls at once follow as one', async () => {
    const { set, history } = await following();
    const first = history.next;
    history.add(write(0, 9, 300, 2));
    history.succeed();
    history.add(write(0, 9, 300, 3), write(0, 10, 20, 4));
    give(set, history.of(1, first));
    give(set, history.of(2));
    await set.journal.sync();
    await Promise.all([followJournal(set), followJournal(set), followJournal(set)]);
    assertVolumes(await readAll(set), history.model.now);
    await set.drain();
    expect(set.applied).toMatchObject({ epoch: 2, sequence: history.next - 1 });
    await set.close();
  });

  test('[R9] is full only when there is more to take in than the budget allows', async () => {
    const { set, history } = await following();
    const first = history.next;
    history.add(write(0, 9, 300, 2), write(1, 9, 300, 3));
    give(set, history.of(1, first));
    await set.journal.sync();
    const overlay = new Overlay(2);
    const feed = new Feed(set.journal, overlay, set.feed.position, 1, () => undefined);
    expect(feed.pull().state).toBe('full');
    expect(feed.position.sequence).toBe(first);
    overlay.freeze();
    overlay.release();
    expect(feed.pull().state).toBe('caught-up');
    expect(feed.position.sequence).toBe(first + 1);
    expect(feed.pull().state).toBe('caught-up');
    feed.close();
    await set.close();
  });

  test('[R7] nothing is trimmed before the applied number is durable', async () => {
    const { world, set, history } = await following();
    for (let id = 0; id < 6; id += 1) {
      const from = history.next;
      history.add(write(0, id, 12 * 1024, id));
      give(set, history.of(1, from));
    }
    await settle(set);
    let crashed: ReturnType<typeof world.disk.survivors> | undefined;
    world.disk.hook = ({ label }) => {
      if (label !== 'CURSORS:WRITE' || crashed) return undefined;
      // The cursors are about to be written: whoever asks for a trim now must find nothing.
      set.noteSecondary({
        durable: { epoch: 0, sequence: 0 },
        restored: { epoch: 0, sequence: 0 },
      });
      crashed = world.disk.survivors('keep', 1);
      return undefined;
    };
    await set.drain();
    expect(crashed).toBeDefined();
    if (!crashed) return;
    const again = await openSet(worldOn(crashed), '/sapporo');
    assertVolumes(await readAll(again), history.model.now);
    await again.close();
    world.disk.hook = undefined;
    await set.close();
  });
});

describe('a copy', () => {
  test('is usable only when everything that its ranges reflect is applied', async () => {
    const world = newWorld();
    const set = await newSecondary(world);
    const history = new History(set.file.groupId);
    history.add(write(0, 0, 5000, 1));
    const base = history.positionBehind(history.next - 1);
    history.add(write(0, 0, 300, 2), write(1, 0, 300, 3));
    await beginCopy(set, history.rebase(base), PRIMARY);
    for (const [volume, data] of history.model.now.entries()) {
      putCopyRange(set, { volume, offset: 0, length: data.length, asOf: history.next - 1, data });
    }
    endCopy(set, history.next - 1);
    await saveCopyProgress(set);
    expect(set.usable).toBe(false);
    give(set, history.of(1, base.sequence + 1));
    await settle(set);
    await becomeUsable(set);
    expect(set.usable).toBe(false);
    await set.drain();
    await becomeUsable(set);
    expect(set.usable).toBe(true);
    expect(set.file.pair?.state).toBe('paired');
    assertVolumes(await readAll(set), history.model.now);
    await set.close();
  });

  test('[R5] a range that is shorter or longer than it says is refused', async () => {
    const { set, history } = await following();
    await beginCopy(set, history.rebase(history.positionBehind(history.next - 1)), PRIMARY);
    const range = { volume: 1, offset: 20 * 1024 - 512, length: 512, asOf: 1 };
    for (const data of [Buffer.alloc(511), Buffer.alloc(513)]) {
      expect(() => putCopyRange(set, { ...range, data })).toThrow(/range/);
    }
    await set.close();
  });

  test('[R6] begins again after a crash in its first steps, whatever ran ahead', async () => {
    const { world, set, history } = await following();
    const behind = history.next - 1;
    history.add(...Array.from({ length: 5 }, (_, id) => write(0, id, 12 * 1024, id)));
    give(set, history.of(1, behind + 1));
    history.succeed();
    history.add(write(1, 0, 900, 70));
    const [open, one] = history.of(2);
    give(set, open && one ? [open, one] : []);
    await set.journal.sync();
    history.add(write(0, 30_000, 900, 71));
    const base = history.positionBehind(history.next - 1);
    const head = history.rebase(base);
    const start = world.disk.operations;
    const trial = world.disk.survivors('keep', 5);
    await beginCopy(set, head, PRIMARY);
    const operations = world.disk.operations - start;
    expect(operations).toBeGreaterThan(10);
    let points = 0;
    for (let index = 0; index < operations + 5; index += 1) {
      const disk = trial.survivors('keep', index);
      const world2 = worldOn(disk);
      const doomed = await openSet(world2, '/sapporo');
      disk.crashAt(disk.operations + index);
      await beginCopy(doomed, head, PRIMARY).catch(() => undefined);
      for (const survival of ['lose', 'keep', 'random'] as const) {
        const again = await openSet(worldOn(disk.survivors(survival, index)), '/sapporo');
        if (!again.usable) {
          await beginCopy(again, head, PRIMARY);
          for (const [volume, data] of history.model.now.entries()) {
            const { length } = data;
            putCopyRange(again, { volume, offset: 0, length, asOf: base.sequence, data });
          }
          endCopy(again, base.sequence);
          await saveCopyProgress(again);
          assertSame(again.journal.run(2)?.next, base.sequence + 1);
          assertVolumes(await readAll(again), history.model.now);
        } else {
          assertVolumes(peekAll(again), history.model.after(again.newest));
        }
        await again.close();
        points += 1;
      }
    }
    process.stdout.write(`crash points of a copy's beginning: ${points}\n`);
    expect(points).toBeGreaterThan(50);
    await set.close();
  });
});
