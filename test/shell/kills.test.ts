// kill -9 of the real program: a share of `npm run kills`.
import { expect, test } from '@jest/globals';
import { killOnce, measureMigration } from './kills.ts';

const ROUNDS = 4;

test(`[R2] [R6] kill -9 of rcopy migrate, ${ROUNDS} moments, then resume`, async () => {
  const wholeMs = await measureMigration(1);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const delayMs = (wholeMs * (round - 0.5)) / ROUNDS;
    const report = await killOnce(round, delayMs);
    expect(report.state).toMatch(/^(not made|none|prepared|switching|copying|done)$/);
  }
});
