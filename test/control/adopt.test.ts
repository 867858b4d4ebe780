/**
 * Folders that were copied and taken for the set itself (`Site.adopt`), used beside the original:
 * where two histories meet, the second one is refused and nothing of it is applied (R5).
 */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { Site } from '../../src/control/site.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import {
  SMALL_JOURNAL,
  TWO_VOLUMES,
  difference,
  newWorld,
  pattern,
  peekAll,
} from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE } from '../support/sites.ts';

const COPY = '/copy';

/** One machine with folders on which commands work one after the other. */
class Folders {
  readonly disk;
  private readonly world = newWorld();

  constructor() {
    this.disk = this.world.disk;
  }

  /** One command: a site of its own, closed in order at its end. */
  async run<T>(work: (site: Site) => Promise<T>): Promise<T> {
    const site = new Site(this.world.environment, { lockWaitMs: 0 });
    let over = false;
    const done = () => {
      over = true;
    };
    const result = inSite(site, work);
    result.then(done, done);
    await this.world.clock.run(() => over);
    return result;
  }

  async refusal(work: (site: Site) => Promise<unknown>): Promise<RcopyError> {
    const error: unknown = await this.run(work).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (error instanceof RcopyError) return error;
    throw new Error(`not refused in order: ${String(error)}`);
  }

  async create(folder: string): Promise<void> {
    const { environment } = this.world;
    const set = { name: folder.slice(1), volumes: TWO_VOLUMES, journal: SMALL_JOURNAL };
    await this.run(() => makeSetFolder(environment, folder, set));
  }

  write(folder: string, id: number, count = 1): Promise<void> {
    return this.run(async (site) => {
      const node = await site.openHere(folder);
      for (let at = 0; at < count; at += 1) {
        const data = [pattern(id + at, 3000)];
        await node.write({ volume: 'alpha', offset: at * 2000, data, sync: true });
      }
    });
  }

  replicate(folder: string) {
    return this.run(async (site) => (await site.openHere(folder)).replicate(REPLICATE));
  }

  /** What a set holds, and at which number it stands. */
  look(folder: string): Promise<{ contents: Buffer[]; newest: number }> {
    return this.run(async (site) => {
      const { set } = await site.openHere(folder);
      return { contents: peekAll(set), newest: set.newest };
    });
  }

  async paired(): Promise<this> {
    await this.create(A);
    await this.write(A, 1);
    await this.create(C);
    await this.run(async (site) => (await site.openHere(A)).createPair({ secondary: C }));
    await this.replicate(A);
    return this;
  }

  async adopt(folder: string): Promise<void> {
    await this.run((site) => site.adopt(folder));
  }

  /** Puts one folder in the place of another, which is put aside. */
  exchange(folder: string, by: string): void {
    this.disk.rename(folder, `${folder}-aside`, 'TEST:RENAME');
    this.disk.rename(by, folder, 'TEST:RENAME');
  }
}

async function inSite<T>(site: Site, work: (site: Site) => Promise<T>): Promise<T> {
  try {
    return await work(site);
  } finally {
    await site.close();
  }
}

const replicate = (folder: string) => async (site: Site) =>
  (await site.openHere(folder)).replicate(REPLICATE);

describe('[R5] a copy of the primary that is used beside it', () => {
  test('is refused until it is adopted', async () => {
    const folders = await new Folders().paired();
    folders.disk.copyFolder(A, COPY);
    const error = await folders.refusal((site) => site.openHere(COPY));
    expect(error.code).toBe('E_COPIED');
    await folders.adopt(COPY);
    await folders.write(COPY, 5);
  });

  test.each([1, 2, 3, 8])(
    'with %d writes where the original made two: the second one that sends is refused',
    async (count) => {
      for (const order of [
        [A, COPY],
        [COPY, A],
      ] as const) {
        const folders = await new Folders().paired();
        folders.disk.copyFolder(A, COPY);
        await folders.adopt(COPY);
        await folders.write(A, 20, 2);
        await folders.write(COPY, 40, count);
        const [first, second] = order;
        await folders.replicate(first);
        const before = await folders.look(C);
        const error = await folders.refusal(replicate(second));
        expect(error.code).toBe('E_SPLIT_BRAIN');
        const after = await folders.look(C);
        expect(after.newest).toBe(before.newest);
        expect(difference(after.contents, before.contents)).toBeUndefined();
        // The first one goes on.
        await folders.write(first, 60);
        await folders.replicate(first);
        const { contents } = await folders.look(first);
        expect(difference((await folders.look(C)).contents, contents)).toBeUndefined();
      }
    },
  );

  test('from before the switch of a migration: C follows the successor, and says so', async () => {
    const folders = await new Folders().paired();
    folders.disk.copyFolder(A, COPY);
    await folders.create(B);
    await folders.run(async (site) => (await site.openHere(B)).migrate(MIGRATE));
    await folders.adopt(COPY);
    await folders.write(COPY, 40);
    const before = await folders.look(C);
    const error = await folders.refusal(replicate(COPY));
    expect(error).toMatchObject({ code: 'E_SPLIT_BRAIN' });
    expect(error.message).toMatch(/never sealed/);
    expect((await folders.look(C)).newest).toBe(before.newest);
    await folders.write(B, 50);
    await folders.replicate(B);
  });
});

describe('[R5] a copy of the secondary in its place', () => {
  test('from before what was acknowledged: the primary notices, and nothing is sent', async () => {
    const folders = await new Folders().paired();
    folders.disk.copyFolder(C, COPY);
    await folders.write(A, 20, 2);
    await folders.replicate(A);
    folders.exchange(C, COPY);
    await folders.adopt(C);
    await folders.write(A, 30);
    const before = await folders.look(C);
    const error = await folders.refusal(replicate(A));
    expect(error.code).toBe('E_SPLIT_BRAIN');
    expect(error.message).toMatch(/rolled back, or is a copy/);
    expect((await folders.look(C)).newest).toBe(before.newest);
    // The true one comes back.
    folders.disk.rename(C, COPY, 'TEST:RENAME');
    folders.disk.rename(`${C}-aside`, C, 'TEST:RENAME');
    await folders.run(async (site) => {
      const node: StorageNode = await site.openHere(A);
      await node.replicate(REPLICATE);
    });
    const { contents } = await folders.look(A);
    expect(difference((await folders.look(C)).contents, contents)).toBeUndefined();
  });

  test('that was hosts’ own group meanwhile is no secondary any more', async () => {
    const folders = await new Folders().paired();
    folders.disk.copyFolder(A, COPY);
    await folders.adopt(COPY);
    // The copy of the primary ends the pair; the original does not know.
    await folders.run(async (site) => (await site.openHere(COPY)).deletePair());
    await folders.write(C, 70);
    const before = await folders.look(C);
    await folders.write(A, 20);
    expect((await folders.refusal(replicate(A))).code).toBe('E_ROLE');
    const after = await folders.look(C);
    expect(difference(after.contents, before.contents)).toBeUndefined();
  });
});
