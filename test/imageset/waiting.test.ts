/** Nobody waits for ever: requests without room, waits on a set that stops or closes, failures. */
import { describe, expect, test } from '@jest/globals';
import type { Completion } from '../../src/device/device.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { seal } from '../../src/imageset/succession.ts';
import { immediate } from '../support/crash-sweep.ts';
import {
  TINY_JOURNAL,
  makeSet,
  newSet,
  newWorld,
  openSet,
  perform,
  readAll,
  requestOf,
  slowWorld,
  worldOn,
  write,
} from '../support/image-sets.ts';
import type { WriteChange } from '../support/image-sets.ts';

/** Submits without waiting; `ends` fills with what became of each request. */
function submitAll(set: ImageSet, changes: readonly WriteChange[]): string[] {
  const ends: string[] = changes.map(() => 'waits');
  for (const [index, change] of changes.entries()) {
    set.volumes[change.volume]?.submit(requestOf(change), (completion) => {
      ends[index] = endOf(completion);
    });
  }
  return ends;
}

function endOf(completion: Completion): string {
  if (completion.ok) return 'ok';
  return (completion.error as { code?: string }).code ?? 'an error';
}

/** What a promise came to within the time that microtasks and immediates take. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = 'waits';
  promise.then(
    () => {
      state = 'resolved';
    },
    (error: { code?: string }) => {
      state = error.code ?? 'rejected';
    },
  );
  for (let turn = 0; turn < 20; turn += 1) await immediate();
  return state;
}

/** Makes a set owe its records to a secondary that never comes. */
async function pairUp(set: ImageSet): Promise<void> {
  const id = 'ab'.repeat(16) as never;
  await set.identity.update((file) => ({
    ...file,
    pair: {
      id,
      peer: { setId: id, name: 'osaka', address: '/osaka' },
      ack: 'local',
      state: 'paired',
      reason: '',
      copyBase: null,
      formerBases: [],
      lineage: [],
      behindSinceMs: null,
    },
  }));
}

const large = (count: number) =>
  Array.from({ length: count }, (_, id) => write(0, 0, 12 * 1024, id));

test('[R9] a journal that hosts filled to the brim has room for a long seal', async () => {
  const set = await newSet(newWorld(), { journal: TINY_JOURNAL });
  await pairUp(set);
  for (const length of [12 * 1024, 2048, 512, 1]) {
    // Each as often as it finds room: in the end not even one byte does.
    while ((await stateOf(perform(set, write(0, 0, length, 1)))) === 'resolved');
  }
  const address = `${'osaka.'.repeat(42)}:7000`;
  await seal(set, 'cd'.repeat(16) as never, {
    setId: 'ab'.repeat(16) as never,
    name: 'osaka',
    address,
  });
  expect(set.journal.bytes).toBe(set.journal.capacityBytes);
  await set.close();
});

describe('requests that wait for room', () => {
  test('[R9] a burst of many times the journal goes through when nobody is owed it', async () => {
    const set = await newSet(newWorld(), { journal: TINY_JOURNAL });
    const ends = submitAll(set, large(40));
    for (let turn = 0; turn < 500; turn += 1) await immediate();
    expect(ends).toEqual(ends.map(() => 'ok'));
    await set.close();
  });

  test('[R9] find room after a crash between the applied number and the trimming', async () => {
    const world = newWorld();
    const set = await newSet(world, { journal: TINY_JOURNAL });
    for (const change of large(6)) await perform(set, change); // one more would have to wait
    world.disk.hook = ({ label }) => {
      if (label === 'JOURNAL:RETIRE') world.disk.crash();
    };
    await set.drain();
    expect(set.failure).toBeDefined();
    const again = await openSet(worldOn(world.disk.survivors('lose', 1)));
    const ends = submitAll(again, large(1));
    for (let turn = 0; turn < 500; turn += 1) await immediate();
    expect(ends).toEqual(['ok']);
    await again.close();
  });

  test('[R9] are refused when the secondary is owed all of it and nobody can send', async () => {
    const set = await newSet(newWorld(), { journal: TINY_JOURNAL });
    await pairUp(set);
    const ends = submitAll(set, large(40));
    for (let turn = 0; turn < 500; turn += 1) await immediate();
    expect(ends).not.toContain('waits');
    expect(ends.filter((end) => end === 'ok').length).toBeGreaterThan(2);
    expect(ends.at(-1)).toBe('E_JOURNAL_FULL');
    await set.close();
  });

  test('[R9] are told after the stated time, and those who come later after theirs', async () => {
    const world = newWorld();
    const set = await newSet(world, { journal: TINY_JOURNAL }, { roomWaitMs: 5000 });
    await pairUp(set);
    const ends = submitAll(set, large(10));
    await world.clock.pass(4000);
    expect(ends).toContain('waits');
    await world.clock.pass(1100);
    expect(ends).not.toContain('waits');
    expect(ends).toContain('E_JOURNAL_FULL');
    await set.close();
  });

  test('[R9] one that waits alone is told as well', async () => {
    const world = newWorld();
    const set = await newSet(world, { journal: TINY_JOURNAL }, { roomWaitMs: 5000 });
    await pairUp(set);
    let ends: string[] = [];
    do {
      ends = submitAll(set, large(1));
      await world.clock.pass(1000);
    } while (!ends.includes('waits'));
    await world.clock.pass(4100);
    expect(ends).toEqual(['E_JOURNAL_FULL']);
    await set.close();
  });

  test('are told when the set closes', async () => {
    const world = newWorld();
    const set = await newSet(world, { journal: TINY_JOURNAL }, { roomWaitMs: 60_000 });
    await pairUp(set);
    const ends = submitAll(set, large(10));
    await set.drain();
    expect(ends).toContain('waits');
    await set.close();
    expect(ends).not.toContain('waits');
    expect(ends).toContain('E_STOPPED');
  });

  test('[R9] are told when room cannot be made since blocks below are out of reach', async () => {
    const set = await newSet(newWorld(), { journal: TINY_JOURNAL });
    set.contents.overlay.freeze();
    set.contents.partlyCovered = () => [{ volume: 0, range: { start: 0, end: 4096 } }];
    const ends = submitAll(set, large(20));
    for (let turn = 0; turn < 200; turn += 1) await immediate();
    expect(ends).not.toContain('waits');
    await set.close();
  });
});

describe('the first write of a set', () => {
  test('opens its first epoch by itself', async () => {
    const world = newWorld();
    await makeSet(world);
    const set = await openSet(world);
    expect(await stateOf(perform(set, write(0, 0, 100, 1)))).toBe('resolved');
    await set.close();
  });
});

describe('until', () => {
  test('rejects when the set closes', async () => {
    const set = await newSet(newWorld());
    const never = set.until(() => false);
    never.catch(() => undefined);
    await set.close();
    expect(await stateOf(never)).toBe('E_STOPPED');
    expect(await stateOf(set.until(() => false))).toBe('E_STOPPED');
  });

  test('rejects when a sync fails that nobody asked for', async () => {
    const world = newWorld();
    const set = await newSet(world);
    const never = set.until(() => false);
    never.catch(() => undefined);
    await perform(set, write(0, 0, 100, 1));
    world.disk.hook = ({ label }) => (label === 'JOURNAL:SYNC' ? 'fail' : undefined);
    await world.clock.pass(100);
    expect(await stateOf(never)).toBe('E_IO');
    expect(await stateOf(readAll(set))).toBe('E_IO');
    await expect(set.close()).rejects.toMatchObject({ code: 'E_IO' });
  });
});

describe('a journal that cannot be written', () => {
  test.each(['JOURNAL:APPEND', 'JOURNAL:CREATE', 'JOURNAL:SEGMENT-HEADER'])(
    '[R2] stops the set at once, and every request is answered: %s',
    async (failing) => {
      const world = newWorld();
      const set = await newSet(world, { journal: TINY_JOURNAL });
      world.disk.hook = ({ label }) => (label === failing ? { errno: 'ENOSPC' } : undefined);
      const ends = submitAll(set, large(4));
      await immediate();
      expect(ends).not.toContain('waits');
      expect(ends).toContain('E_NO_SPACE');
      expect(await stateOf(readAll(set))).toBe('E_NO_SPACE');
      expect(set.failure?.code).toBe('E_NO_SPACE');
      await expect(set.close()).rejects.toMatchObject({ code: 'E_NO_SPACE' });
    },
  );
});

describe('cursors and set.json that cannot be written', () => {
  test('[R2] stop the set: a failed sync is never simply tried again', async () => {
    for (const failing of ['CURSORS:SYNC', 'CURSORS:WRITE', 'SET:SYNC-FOLDER', 'SET:RENAME']) {
      const world = newWorld();
      const set = await newSet(world);
      let failed = false;
      world.disk.hook = ({ label }) => {
        if (failed || label !== failing) return undefined;
        failed = true;
        return 'fail';
      };
      const saved = failing.startsWith('SET')
        ? set.identity.update((file) => file)
        : set.saveCursors();
      expect(await stateOf(saved)).toBe('E_IO');
      expect(set.failure?.code).toBe('E_IO');
      expect(await stateOf(perform(set, write(0, 0, 1, 1)))).toBe('E_IO');
      await expect(set.close()).rejects.toMatchObject({ code: 'E_IO' });
    }
  });
});

describe('closing', () => {
  test('[R4] ends what is being written; nothing is written afterwards', async () => {
    const world = slowWorld(5);
    const events: string[] = [];
    const work = (async () => {
      const set = await newSet(world);
      const answers = [perform(set, write(0, 0, 5000, 1)), set.drain()];
      const last = set.identity.update((file) => ({ ...file, name: 'kyoto' }));
      const noted = last.then(() => events.push('written'));
      await set.close();
      events.push('closed');
      await Promise.all([...answers, noted]);
      await expect(set.identity.update((file) => file)).rejects.toMatchObject({
        code: 'E_STOPPED',
      });
      const again = await openSet(world);
      events.push(again.file.name);
      await again.close();
    })();
    let over = false;
    work.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    await world.clock.run(() => over);
    await work;
    expect(events).toEqual(['written', 'closed', 'kyoto']);
  });
});

describe('draining under load', () => {
  test('ends though hosts never stop writing', async () => {
    const world = slowWorld(5);
    const made = newSet(world);
    let set: ImageSet | undefined;
    made.then(
      (opened) => {
        set = opened;
      },
      () => undefined,
    );
    await world.clock.run(() => set !== undefined);
    const busy = set as ImageSet;
    let id = 0;
    const again = () => {
      id += 1;
      if (id < 20_000) busy.volumes[0]?.submit(requestOf(write(0, 0, 512, id)), () => undefined);
      if (id < 20_000) world.clock.after(1, again);
    };
    again();
    let drained = false;
    busy.drain().then(
      () => {
        drained = true;
      },
      () => undefined,
    );
    await world.clock.pass(500);
    expect(drained).toBe(true);
    id = 20_000;
    let closed = false;
    busy.close().then(
      () => {
        closed = true;
      },
      () => undefined,
    );
    await world.clock.run(() => closed);
  });
});
