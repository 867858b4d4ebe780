/** The rate of a migration (`--max-rate`) holds back the contents that the target fetches. */
import { expect, test } from '@jest/globals';
import { MIB } from '../../src/base/limits.ts';
import { StoryWorld } from '../story/world.ts';

const DATA_BYTES = 8 * MIB;

async function secondsOfMigration(maxRate: number | undefined): Promise<number> {
  const world = new StoryWorld({ kind: 'none' }, 1);
  const volumes = [{ name: 'db', sizeBytes: 2 * DATA_BYTES }];
  const request = { folder: '/a', volumes, journalBytes: 256 * MIB, ifMissing: false };
  await world.command((site) => site.create(request));
  await world.command(async (site) => {
    const data = [Buffer.alloc(DATA_BYTES, 'x')];
    await (await site.openHere('/a')).write({ volume: 'db', offset: 0, data, sync: true });
    await site.makeLike('/c', '/a');
    await (await site.openHere('/a')).createPair({ secondary: '/c' });
  });
  await world.command(async (site) =>
    (await site.openHere('/a')).replicate({ timeoutMs: undefined, maxRate: undefined }),
  );
  const startMs = world.clock.monotonicMs();
  const answer = await world.command(async (site) => {
    await site.makeLike('/b', '/a');
    const move = { mode: 'drain', copy: 'post', maxRate, detach: false } as const;
    return (await site.openHere('/b')).migrate({ from: '/a', ...move });
  });
  expect(answer).toMatchObject({ state: 'done', copiedBytes: DATA_BYTES });
  return (world.clock.monotonicMs() - startMs) / 1000;
}

test('contents come no faster than the rate', async () => {
  const seconds = await secondsOfMigration(MIB);
  // A quarter of a second may go at once.
  expect(seconds).toBeGreaterThan(DATA_BYTES / MIB - 0.5);
  expect(seconds).toBeLessThan(DATA_BYTES / MIB + 2);
});

test('without a rate they do not wait', async () => {
  expect(await secondsOfMigration(undefined)).toBeLessThan(2);
});
