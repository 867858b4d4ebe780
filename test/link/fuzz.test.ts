/** A share of the malformed link streams; all of them are a script's. */
import { expect, test } from '@jest/globals';
import { fuzzLink } from './fuzz.ts';

const COUNT = Number(process.env['FUZZ_LINKS'] ?? 120);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);

test(`[R1] [R3] [R9] ${COUNT} broken link streams from seed ${SEED} on do no harm`, async () => {
  const counts = await fuzzLink(SEED, COUNT);
  process.stdout.write(`broken link streams from seed ${SEED}: ${JSON.stringify(counts)}\n`);
  expect(counts.cases).toBe(COUNT);
  // They are not all refused at the door.
  expect(counts.taken).toBeGreaterThan(COUNT / 10);
  expect(counts.ended).toBeGreaterThan(COUNT / 10);
});
