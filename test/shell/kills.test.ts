// kill -9 of the real program: a share of `npm run kills`, both ways to copy.
import { expect, test } from '@jest/globals';
import { WAYS } from '../support/sites.ts';
import { killOnce, measureMigration, wayOf } from './kills.ts';

/** Drain behind the switch; handoff ahead of it. */
const SHARE = WAYS.map(({ mode, copy }, seed) => [mode, copy, seed] as const).filter(
  ([mode, copy]) => (mode === 'drain') === (copy === 'post') && mode !== 'bitmap',
);

let wholeMs: number | undefined;

test.each(SHARE)(
  '[R2] [R6] kill -9 of rcopy migrate --mode %s --copy %s, then resume',
  async (mode, copy, seed) => {
    expect(wayOf(seed)).toEqual({ mode, copy });
    // Once: either way takes about as long.
    wholeMs ??= await measureMigration(seed);
    const report = await killOnce(seed, (wholeMs * (seed + 0.5)) / WAYS.length);
    expect(report.state).toMatch(/^(not made|none|prepared|precopying|switching|copying|done)$/);
  },
);
