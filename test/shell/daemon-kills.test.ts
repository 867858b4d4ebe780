// kill -9 of daemons under load: a share of `npm run daemon-kills`.
import { expect, test } from '@jest/globals';
import { killDaemons } from './daemon-kills.ts';

test('[R2] [R6] kill -9 of A, of C, of both loses nothing; replication goes on', async () => {
  const report = await killDaemons(7, ['a', 'c', 'both']);
  expect(report.kills).toEqual({ a: 1, c: 1, both: 1 });
  expect(report.answered).toBeGreaterThan(0);
  expect(report.flushes).toBeGreaterThan(0);
}, 120_000);
