/**
 * The main story under faults: a share of the whole sweep (`npm run sweep`), another one for each
 * survival mode and each way of cutting.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { countPoints, crashes, cuts, sweep } from './sweep.ts';
import { tellStory } from './story.ts';
import { StoryWorld } from './world.ts';
import type { Fault } from './world.ts';

const SEED = 1;

describe(`write → replicate → migrate → write, seed ${SEED}`, () => {
  test('[R6] without a fault, one full copy is sent and no more', async () => {
    const points = await countPoints(SEED);
    expect(points.operations).toBeGreaterThan(500);
    expect(points.messages).toBeGreaterThan(100);
  });

  test.each(['lose', 'keep', 'random'] as const)(
    '[R1] [R2] [R3] [R6] a crash at every 12th file operation, unsynced data: %s',
    async (survival) => {
      const points = await countPoints(SEED);
      const first = { lose: 0, keep: 4, random: 8 }[survival];
      expect(await tell(crashes(points, survival, 12, first))).toEqual([]);
    },
  );

  test.each([true, false])(
    '[R6] a cut at every 3rd message, which arrives: %s',
    async (arrives) => {
      const points = await countPoints(SEED);
      expect(await tell(cuts(points, arrives, 3, arrives ? 0 : 1))).toEqual([]);
    },
  );
});

let told = 0;

function tell(faults: readonly Fault[]) {
  told += faults.length;
  return sweep(faults, SEED);
}

afterAll(() => {
  process.stdout.write(`points at which the story was struck, seed ${SEED}: ${told}\n`);
});

describe('other seeds, without a fault', () => {
  test.each([2, 3, 4, 5, 6, 7, 8, 9])('seed %d', async (seed) => {
    const { copies } = await tellStory(new StoryWorld({ kind: 'none' }, seed), seed);
    expect(copies).toBe(1);
  });
});
