/** Sets that are given up for a new part with `--overwrite`. */
import { expect, test } from '@jest/globals';
import { Site } from '../../src/control/site.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import { SMALL_JOURNAL, TWO_VOLUMES, newWorld } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE } from '../support/sites.ts';

const OVERWRITE = { create: false, overwrite: true };

function commands() {
  const world = newWorld();
  const run = async <T>(work: (site: Site) => Promise<T>): Promise<T> => {
    const site = new Site(world.environment, { lockWaitMs: 0 });
    let over = false;
    const result = (async () => {
      try {
        return await work(site);
      } finally {
        await site.close();
      }
    })();
    const done = () => {
      over = true;
    };
    result.then(done, done);
    await world.clock.run(() => over);
    return result;
  };
  const create = (folder: string) =>
    run(() =>
      makeSetFolder(world.environment, folder, {
        name: folder.slice(1),
        volumes: TWO_VOLUMES,
        journal: SMALL_JOURNAL,
      }),
    );
  const paired = async () => {
    for (const folder of [A, B, C]) await create(folder);
    await run(async (site) => (await site.open(A)).createPair({ secondary: C }));
    await run(async (site) => (await site.open(A)).replicate(REPLICATE));
  };
  return { run, paired };
}

test('after a forced takeover the former primary is made the secondary', async () => {
  const { run, paired } = commands();
  await paired();
  await run(async (site) => (await site.open(C)).takeOver({ force: true }));
  await run(async (site) => (await site.open(C)).deletePair({ local: true }));
  await run((site) => site.createPair(C, A, OVERWRITE));
  const { state } = await run(async (site) => (await site.open(C)).replicate(REPLICATE));
  expect(state).toBe('paired');
});

test('a target that gave its epoch back can be migrated to again', async () => {
  const { run, paired } = commands();
  await paired();
  await run((site) => site.migrate(B, { ...MIGRATE, detach: true }, OVERWRITE));
  await run(async (site) => (await site.open(B)).abortMigration());
  await run(async (site) => (await site.open(A)).replicate(REPLICATE));
  const answer = await run((site) => site.migrate(B, MIGRATE, OVERWRITE));
  expect(answer.state).toBe('done');
});
