/**
 * `npm run flips -- [every] [from] [to]`: every bit flip and every truncation of the live bytes of
 * small sets that were closed in order; with a number, every so many of them; with places, only of
 * those sets, counted from 1. Prints the counts; fails if any was missed. All of them take about an
 * hour on one core.
 */
import { faultsOf, liveFiles, makeSamples, strike } from './flips.ts';
import type { Fault } from './flips.ts';

const [every = 1, from = 1, to = Number.POSITIVE_INFINITY] = process.argv.slice(2).map(Number);
if (!(every >= 1 && from >= 1 && to >= from)) throw new Error('flips: wrong numbers');
const began = Date.now();
const counts = { flip: 0, truncation: 0 };
let missed = 0;
let index = 0;
for (const sample of (await makeSamples()).slice(from - 1, to)) {
  process.stdout.write(`${sample.name}\n`);
  for (const file of liveFiles(sample)) {
    const before = counts.flip + counts.truncation;
    const misses: { fault: Fault; problem: string }[] = [];
    for (const fault of faultsOf(file)) {
      index += 1;
      if (index % every > 0) continue;
      counts[fault.kind] += 1;
      const problem = await strike(sample, fault);
      if (problem !== undefined) misses.push({ fault, problem });
    }
    const taken = counts.flip + counts.truncation - before;
    missed += misses.length;
    process.stdout.write(`  ${file.path}: ${taken} faults, ${misses.length} missed\n`);
    for (const { fault, problem } of misses.slice(0, 10)) {
      process.stdout.write(`    ${JSON.stringify(fault)}: ${problem}\n`);
    }
  }
}
const seconds = Math.round((Date.now() - began) / 1000);
process.stdout.write(
  `${counts.flip} flips and ${counts.truncation} truncations in ${seconds} s, ${missed} missed\n`,
);
process.exitCode = missed === 0 ? 0 : 1;
