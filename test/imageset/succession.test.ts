/** How primaries follow each other: seals asked for again, epochs opened once, maps that end. */
import { describe, expect, test } from '@jest/globals';
import { encodeSeal } from '../../src/format/control-records.ts';
import { encodeRecord } from '../../src/format/record.ts';
import type { EpochId } from '../../src/base/ids.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { ensureEpoch, seal } from '../../src/imageset/succession.ts';
import { acceptHandover, finishMaps } from '../../src/imageset/acceptance.ts';
import { assertSame, assertVolumes } from '../support/asserts.ts';
import {
  TWO_VOLUMES,
  VolumesModel,
  SMALL_JOURNAL,
  flush,
  makeSet,
  newSet,
  newWorld,
  openSet,
  perform,
  readAll,
  slowWorld,
  worldOn,
  write,
} from '../support/image-sets.ts';
import type { Change, World } from '../support/image-sets.ts';
import {
  MIGRATION,
  OTHER_MIGRATION,
  SECONDARY,
  StillSource,
  migrationTo,
  peerOf,
  NO_MAPS,
} from '../support/succession.ts';

/** A sealed set and the one that took its group over, each on its own disk. */
async function handedOver(toWorld: World = newWorld(2)) {
  const fromWorld = newWorld(1);
  const from = await newSet(fromWorld, { folder: '/kobe' });
  const model = VolumesModel.blank(TWO_VOLUMES, SMALL_JOURNAL);
  for (const change of [write(0, 0, 40 * 1024 + 512, 1), write(1, 1000, 9000, 2)].flatMap(cut)) {
    expect(await perform(from, change)).toBe(model.apply(change));
  }
  await makeSet(toWorld, { folder: '/nara' });
  const to = await openSet(toWorld, '/nara');
  await to.identity.update((file) => ({ ...file, role: 'target' }));
  const entry = await seal(from, MIGRATION, peerOf(to));
  const source = new StillSource(model.now);
  const accept = async () => {
    to.contents.source = source;
    await acceptHandover(to, migrationTo(to, peerOf(from), entry), NO_MAPS);
  };
  return { from, fromWorld, to, toWorld, model, entry, source, accept };
}

/** A large write as requests that fit. */
function cut(change: Change): Change[] {
  if (change.kind !== 'write') return [change];
  const { volume, offset, data } = change;
  const parts: Change[] = [];
  for (let at = 0; at < data.length; at += SMALL_JOURNAL.requestBytesMax) {
    const part = data.subarray(at, at + SMALL_JOURNAL.requestBytesMax);
    parts.push({ kind: 'write', volume, offset: offset + at, data: part });
  }
  return parts;
}

describe('a seal', () => {
  test('[R4] asked for twice at once is one seal', async () => {
    const set = await newSet(newWorld());
    await perform(set, write(0, 0, 100, 1));
    const [one, other] = await Promise.all([
      seal(set, MIGRATION, SECONDARY),
      seal(set, MIGRATION, SECONDARY),
    ]);
    expect(other).toEqual(one);
    expect(one.nextSequence).toBe(2);
    expect(set.failure).toBeUndefined();
    await set.close();
  });

  test('[R4] for another migration while the first one is under way is refused', async () => {
    const set = await newSet(newWorld());
    const first = seal(set, MIGRATION, SECONDARY);
    await expect(seal(set, OTHER_MIGRATION, SECONDARY)).rejects.toMatchObject({ code: 'E_SEALED' });
    expect((await first).nextSequence).toBe(1);
    await set.close();
  });

  test('[R4] a late request for a migration that was aborted seals nothing', async () => {
    const set = await newSet(newWorld());
    await set.identity.update((file) => ({ ...file, abortedMigrations: [MIGRATION] }));
    await expect(seal(set, MIGRATION, SECONDARY)).rejects.toMatchObject({ code: 'E_STATE' });
    expect(await perform(set, write(0, 0, 1, 1))).toBe(1);
    await set.close();
  });

  test('[R4] an abort that is being written when the seal is asked for comes first', async () => {
    const set = await newSet(newWorld());
    const aborted = set.identity.update((file) => ({ ...file, abortedMigrations: [MIGRATION] }));
    await expect(seal(set, MIGRATION, SECONDARY)).rejects.toMatchObject({ code: 'E_STATE' });
    await aborted;
    expect(await perform(set, write(0, 0, 1, 1))).toBe(1);
    await set.close();
  });

  test('[R4] refuses every host command afterwards, also after a restart', async () => {
    const world = newWorld();
    const set = await newSet(world);
    await perform(set, write(0, 0, 100, 1));
    const entry = await seal(set, MIGRATION, SECONDARY);
    const refuses = async (each: ImageSet) => {
      await expect(perform(each, write(0, 0, 1, 1))).rejects.toMatchObject({ code: 'E_SEALED' });
      await expect(flush(each)).rejects.toMatchObject({ code: 'E_SEALED' });
      await expect(readAll(each)).rejects.toMatchObject({ code: 'E_SEALED' });
      await expect(each.mark('late')).rejects.toMatchObject({ code: 'E_SEALED' });
      expect(await seal(each, MIGRATION, SECONDARY)).toEqual(entry);
    };
    await refuses(set);
    await refuses(await reopened(world, set));
  });

  test('[R4] any one of journal, cursors and set.json keeps the set sealed', async () => {
    const world = newWorld();
    const set = await newSet(world);
    await perform(set, write(0, 0, 100, 1));
    const before = readSetFiles(world);
    const entry = await seal(set, MIGRATION, SECONDARY);
    await set.close();
    const after = readSetFiles(world);
    const keeps = async (kept: readonly (keyof typeof after)[]) => {
      const disk = world.disk.survivors('lose', 1);
      const taken = (name: keyof typeof after) => (kept.includes(name) ? after : before);
      disk.writeFile('/tokyo/set.json', taken('set').set);
      disk.writeFile('/tokyo/cursors', taken('cursors').cursors);
      for (const [name, bytes] of taken('journal').journal) {
        disk.writeFile(`/tokyo/journal/${name}`, bytes);
      }
      const again = await openSet(worldOn(disk)).catch((error: { code?: string }) =>
        String(error.code),
      );
      // Damage is as good: what must never be is a set that takes host writes.
      if (typeof again === 'string') return again;
      const answer = await perform(again, write(0, 0, 1, 1)).then(
        () => 'written',
        (error: { code?: string }) => error.code,
      );
      if (answer === 'E_SEALED') assertSame(await seal(again, MIGRATION, SECONDARY), entry);
      return answer;
    };
    expect(await keeps([])).toBe('written');
    expect(await keeps(['journal'])).toBe('E_SEALED');
    expect(await keeps(['set'])).toBe('E_SEALED');
    expect(await keeps(['cursors'])).toBe('E_DAMAGED');
    expect(await keeps(['cursors', 'journal'])).toBe('E_SEALED');
  });
});

function readSetFiles({ disk }: World) {
  const journal = disk.list('/tokyo/journal', 'TEST:LIST').filter((name) => /^\d/.test(name));
  return {
    set: disk.readFile('/tokyo/set.json'),
    cursors: disk.readFile('/tokyo/cursors'),
    journal: journal.map((name) => [name, disk.readFile(`/tokyo/journal/${name}`)] as const),
  };
}

async function reopened(world: World, set: ImageSet): Promise<ImageSet> {
  await set.close();
  return openSet(worldOn(world.disk.survivors('lose', 1)), set.folder);
}

describe('an epoch', () => {
  test('is opened once, however many ask at the same time', async () => {
    const world = slowWorld(3);
    let done = false;
    const work = (async () => {
      await makeSet(world);
      const set = await openSet(world);
      await Promise.all([ensureEpoch(set), ensureEpoch(set), perform(set, write(0, 0, 10, 1))]);
      await set.drain();
      expect(set.applied).toMatchObject({ epoch: 1, sequence: 1 });
      await set.close();
      done = true;
    })();
    work.catch(() => undefined);
    await world.clock.run(() => done);
    await work;
  });

  test('[R1] that comes back to a set leaves nothing of its former one behind', async () => {
    const world = newWorld();
    const set = await newSet(world);
    const model = VolumesModel.blank(TWO_VOLUMES, SMALL_JOURNAL);
    for (const change of [write(0, 5, 9000, 1), write(1, 0, 20 * 1024, 2)]) {
      expect(await perform(set, change)).toBe(model.apply(change));
    }
    const entry = await seal(set, MIGRATION, SECONDARY);
    const back = sealBack(set, entry.nextSequence);
    await set.identity.update((file) => ({
      ...file,
      epoch: 3,
      seal: null,
      parentSeal: back,
    }));
    const between = world.disk.survivors('lose', 1);
    await ensureEpoch(set);
    for (const disk of [between, world.disk.survivors('lose', 1)]) {
      const again = await openSet(worldOn(disk));
      expect(again.applied.epoch).toBe(3);
      assertVolumes(await readAll(again), model.now);
      const goesOn = model.from(model.newest);
      const change = write(0, 0, 20, 3);
      expect(await perform(again, change)).toBe(goesOn.apply(change));
      await again.close();
    }
  });
});

/** The seal with which a successor that wrote nothing gives the group back. */
function sealBack(set: ImageSet, next: number): string {
  const payload = encodeSeal({
    epochId: '22'.repeat(16) as EpochId,
    group: set.file.groupId,
    set: SECONDARY.setId,
    successor: set.file.setId,
    migration: OTHER_MIGRATION,
    successorAddress: set.folder,
  });
  const fields = {
    kind: 'seal',
    endOfRequest: true,
    mayFree: false,
    chain: 77,
    epoch: 2,
    volume: 0,
    sequence: next,
    offset: 0,
    length: 0,
    timeMs: 0,
    durableSequence: next - 1,
  } as const;
  return encodeRecord(fields, payload).bytes.toString('hex');
}

describe('presence', () => {
  test('a reader gets absent blocks from the source, a writer need not wait', async () => {
    const { to, accept, model, source } = await handedOver();
    await accept();
    const change = write(0, 8192, 4096, 7);
    expect(await perform(to, change)).toBe(model.apply(change));
    expect(source.fetches).toBe(0);
    expect(to.contents.isComplete).toBe(false);
    assertVolumes(await readAll(to), model.now);
    expect(to.contents.isComplete).toBe(true);
    await finishMaps(to);
    expect(to.file.maps).toEqual([]);
    assertVolumes(await readAll(to), model.now);
    await to.close();
  });

  test('a block is fetched once, however many fragments lie in it', async () => {
    const { to, accept, source } = await handedOver();
    await accept();
    for (let piece = 0; piece < 8; piece += 1) await perform(to, write(1, piece * 512, 100, piece));
    await to.drain();
    expect(source.fetches).toBe(1);
    await to.close();
  });

  test('a source that gives less than it says makes nothing present', async () => {
    const { to, accept } = await handedOver();
    await accept();
    to.contents.source = {
      fetch: async (_volume, _offset, length) => ({ length, data: Buffer.alloc(length - 1) }),
    };
    await expect(readAll(to)).rejects.toMatchObject({ code: 'E_PROTOCOL' });
    expect(to.contents.present(0)?.count).toBe(0);
    await to.close();
  });

  test('[R9] a source out of reach is asked now and then, not all the time', async () => {
    const { to, toWorld, accept, source } = await handedOver();
    await accept();
    source.reachable = () => false;
    await perform(to, write(0, 1, 10, 3));
    Object.defineProperty(to.contents.overlay, 'waitingBytes', { get: () => 64 * 1024 * 1024 });
    await toWorld.clock.pass(2000);
    for (let id = 0; id < 50; id += 1) await perform(to, write(0, 1, 10, id));
    expect(source.fetches).toBeGreaterThan(3);
    expect(source.fetches).toBeLessThan(20);
    await to.close();
  });

  test('its maps end under load', async () => {
    const world = slowWorld(4, 2);
    let set: ImageSet | undefined;
    let over = false;
    const work = (async () => {
      const { to, accept, model } = await handedOver(world);
      set = to;
      await accept();
      await readAll(to);
      let ended = false;
      const finished = finishMaps(to).finally(() => {
        ended = true;
      });
      for (let id = 0; !ended && id < 300; id += 1) {
        const change = write(1, id, 600, id);
        model.apply(change);
        await perform(to, change);
        to.applier.drain().catch(() => undefined);
        await world.clock.sleep(1);
      }
      await finished;
      expect(to.failure).toBeUndefined();
      assertVolumes(await readAll(to), model.now);
      await to.close();
      over = true;
    })();
    work.catch(() => {
      over = true;
    });
    await world.clock.run(() => over);
    await work;
    expect(set?.file.maps).toEqual([]);
  });
});
