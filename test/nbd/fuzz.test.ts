/** A share of the malformed NBD streams, and the seeds that once found something. */
import { expect, test } from '@jest/globals';
import { fuzzNbd } from './fuzz.ts';

/** Seeds that found something: here two requests with one cookie, which the model took apart. */
const KEPT: readonly number[] = [635, 6376];

const WORLDS = Number(process.env['FUZZ_NBD'] ?? 200);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);

test(`[R9] damaged NBD streams of ${WORLDS} worlds from seed ${SEED} on do no harm`, async () => {
  const counts = await fuzzNbd(SEED, WORLDS);
  process.stdout.write(`damaged NBD streams from seed ${SEED}: ${JSON.stringify(counts)}\n`);
  // They get everywhere: to requests, past them, and some are broken off.
  expect(counts.streams).toBeGreaterThanOrEqual(WORLDS);
  expect(counts.entered).toBeGreaterThan(WORLDS / 2);
  expect(counts.refused).toBeGreaterThan(WORLDS / 2);
  expect(counts.broken).toBeGreaterThan(WORLDS / 2);
});

test('[R9] seeds that once found something', async () => {
  for (const seed of KEPT) expect((await fuzzNbd(seed, 1)).streams).toBeGreaterThan(0);
});
