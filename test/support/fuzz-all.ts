/**
 * `npm run fuzz -- [count] [seed]`: so many seeds (10,000 unless told), from that one on (1), of
 * damaged streams against each place that takes bytes from strangers. Prints the counts, and the
 * seeds that failed; those become named tests.
 */
import { existsSync } from 'node:fs';
import { messageOf } from '../../src/base/errors.ts';

/** Runs so many cases from a seed on; rejects when one does harm. */
type Fuzz = (seed: number, count: number) => Promise<Record<string, number>>;

const FUZZERS = [
  { name: 'NBD', path: '../nbd/fuzz.ts', run: 'fuzzNbd' },
  { name: 'link', path: '../link/fuzz.ts', run: 'fuzzLink' },
];
const FAILURES_SHOWN = 10;

const count = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);

/** Runs all seeds; returns how many failed. */
async function campaign(name: string, fuzz: Fuzz): Promise<number> {
  const began = Date.now();
  const totals = new Map<string, number>();
  let failed = 0;
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
    try {
      const counts = await fuzz(seed, 1);
      for (const [what, more] of Object.entries(counts)) {
        totals.set(what, (totals.get(what) ?? 0) + more);
      }
    } catch (error) {
      failed += 1;
      if (failed <= FAILURES_SHOWN) process.stdout.write(`  ${messageOf(error)}\n`);
    }
  }
  const seconds = Math.round((Date.now() - began) / 1000);
  const told = Array.from(totals, ([what, total]) => `${total} ${what}`).join(', ');
  const seeds = `seeds ${firstSeed} to ${firstSeed + count - 1}`;
  process.stdout.write(`${name}, ${seeds}: ${told}; ${failed} failed, ${seconds} s\n`);
  return failed;
}

let failed = 0;
for (const { name, path, run } of FUZZERS) {
  const place = new URL(path, import.meta.url);
  if (!existsSync(place)) continue;
  const module = (await import(place.href)) as Readonly<Record<string, Fuzz>>;
  const fuzz = module[run];
  if (!fuzz) throw new Error(`${path} has no ${run}`);
  failed += await campaign(name, fuzz);
}
process.exitCode = failed === 0 ? 0 : 1;
