/** The folder of a path controller: who may have it, and what a crash at any operation leaves. */
import { describe, expect, test } from '@jest/globals';
import type { ControllerId, GroupId, SetId } from '../../src/base/ids.ts';
import type { PathFile, PathWay } from '../../src/format/path-file.ts';
import { HeldError } from '../../src/imageset/set-folder.ts';
import { PathFolder, readPathFile } from '../../src/node/path-store.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { sweepCrashes } from '../support/crash-sweep.ts';
import type { Trial } from '../support/crash-sweep.ts';
import { newWorld, worldOn } from '../support/image-sets.ts';
import type { World } from '../support/image-sets.ts';

const GATE = '/gate';
const OPTIONS = { lockWaitMs: 0, pid: 7, control: '/gate/control' };

function open({ environment }: World, folder = GATE): Promise<PathFolder> {
  return PathFolder.open(environment, folder, OPTIONS);
}

/** A way to a set that is called `name`. */
function way(name: string): PathWay {
  const set = { setId: 'a'.repeat(32) as SetId, name, address: `rcopy://${name}:7070` };
  return { set, groupId: 'b'.repeat(32) as GroupId, next: null, exports: [] };
}

function adding(name: string): (file: PathFile) => PathFile {
  return (file) => ({ ...file, ways: [...file.ways, way(name)] });
}

function namesIn(file: PathFile): string[] {
  return file.ways.map(({ set }) => set.name);
}

describe('a first start', () => {
  test('makes the folder, an identity, and counts itself', async () => {
    const world = newWorld();
    const store = await open(world, '/deep/gate');
    expect(store.file).toMatchObject({ name: 'gate', starts: 1, ways: [] });
    expect(store.file.controllerId).toMatch(/^[0-9a-f]{32}$/);
    expect(readPathFile(world.disk, '/deep/gate')).toEqual(store.file);
  });

  test('each further start counts one more, with the same identity', async () => {
    const world = newWorld();
    const ids = new Set<ControllerId>();
    for (const starts of [1, 2, 3]) {
      const store = await open(world);
      expect(store.file.starts).toBe(starts);
      ids.add(store.file.controllerId);
      await store.close();
    }
    expect(ids.size).toBe(1);
  });

  test('refuses a folder that is not empty, and leaves it as it was', async () => {
    const world = newWorld();
    world.disk.makeFolder('/full', 'TEST:MAKE');
    world.disk.open('/full/letter', 'create', 'TEST:MAKE').close();
    await expect(open(world, '/full')).rejects.toMatchObject({ code: 'E_NOT_EMPTY' });
    await expect(open(world, '/full/letter')).rejects.toMatchObject({ code: 'E_NOT_EMPTY' });
    expect(world.disk.list('/full', 'TEST:LIST')).toEqual(['letter']);
  });

  test('takes a folder that has settings in it, and nothing else', async () => {
    const world = newWorld();
    world.disk.makeFolder(GATE, 'TEST:MAKE');
    world.disk.open('/gate/rcopy.toml', 'create', 'TEST:MAKE').close();
    expect((await open(world)).file.starts).toBe(1);
  });

  test('refuses a name that nobody could type, before anything is made', async () => {
    const world = newWorld();
    await expect(open(world, '/-gate')).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(world.disk.status('/-gate', 'TEST:STATUS')).toBeUndefined();
  });
});

describe('one process has the folder', () => {
  test('another is told who, and counts no start; afterwards it is free', async () => {
    const world = newWorld();
    const store = await open(world);
    const refused = await open(world).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(HeldError);
    expect(refused).toMatchObject({
      code: 'E_HELD',
      message: '/gate is held by process 7',
      holder: { pid: 7, control: '/gate/control' },
    });
    await store.close();
    expect((await open(world)).file.starts).toBe(2);
  });

  test('[R8] a damaged paths.json is damage, no new controller; the lock is free', async () => {
    const world = newWorld();
    await (await open(world)).close();
    const handle = world.disk.open('/gate/paths.json', 'write', 'TEST:OPEN');
    handle.write([Buffer.from('x')], 40, 'TEST:WRITE');
    handle.close();
    for (let times = 0; times < 2; times += 1) {
      await expect(open(world)).rejects.toMatchObject({ code: 'E_DAMAGED' });
    }
  });

  test('a folder without paths.json is no controller', () => {
    const { disk } = newWorld();
    const read = () => readPathFile(disk, GATE);
    expect(read).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }));
  });
});

describe('saving', () => {
  test('goes one at a time, in order, each on top of the one before', async () => {
    const store = await open(newWorld());
    await Promise.all(['a', 'b', 'c'].map((name) => store.save(adding(name))));
    expect(namesIn(store.file)).toEqual(['a', 'b', 'c']);
  });

  test('[R2] what failed changes nothing, and what comes after it is saved whole', async () => {
    const world = newWorld();
    const store = await open(world);
    await store.save(adding('a'));
    world.disk.hook = ({ label }) => (label === 'PATH:SYNC' ? 'fail' : undefined);
    await expect(store.save(adding('lost'))).rejects.toMatchObject({ code: 'E_IO' });
    world.disk.hook = undefined;
    expect(namesIn(store.file)).toEqual(['a']);
    await store.save(adding('b'));
    const survivor = world.disk.survivors('lose', 1);
    expect(namesIn(readPathFile(survivor, GATE))).toEqual(['a', 'b']);
  });

  test('a change that throws is the failure of its own save only', async () => {
    const store = await open(newWorld());
    const broken = store.save(() => {
      throw new Error('no such change');
    });
    const next = store.save(adding('a'));
    await expect(broken).rejects.toThrow('no such change');
    await next;
    expect(namesIn(store.file)).toEqual(['a']);
  });
});

/** Two starts with changes: what was promised, and all that was ever asked for. */
class Life implements Trial {
  starts = 0;
  id: ControllerId | undefined;
  promised: string[] = [];
  private readonly world: World;

  constructor(disk: SimulatedDisk) {
    this.world = worldOn(disk);
  }

  async run(): Promise<void> {
    for (const names of [['a', 'b'], ['c']]) {
      const store = await open(this.world);
      this.id = store.file.controllerId;
      this.starts = store.file.starts;
      for (const name of names) {
        await store.save(adding(name));
        this.promised.push(name);
      }
      await store.close();
    }
  }
}

test('[R2] [R6] a crash at any file operation loses nothing that was saved', async () => {
  const points = await sweepCrashes({
    base: newWorld().disk,
    seed: 1,
    start: (disk) => new Life(disk),
    check: async (life, survivor) => {
      const { file } = await open(worldOn(survivor, 2));
      // A lower number would let streams of an earlier start pass for newer ones.
      expect(file.starts).toBeGreaterThan(life.starts);
      expect(file.controllerId).toBe(life.id ?? file.controllerId);
      const found = namesIn(file);
      expect(['a', 'b', 'c'].slice(0, found.length)).toEqual(found);
      expect(found.length).toBeGreaterThanOrEqual(life.promised.length);
    },
    recover: async (disk) => {
      await (await open(worldOn(disk, 2))).close();
    },
    recoveryCrashes: 1,
  });
  expect(points).toBeGreaterThan(100);
});
