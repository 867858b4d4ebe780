/**
 * `npm run sweep -- [seeds] [plot] [every]`: every story (or one) with a crash at every file
 * operation (or every so many), in every way of surviving, and a cut at every message, both ways.
 * Prints the counts and the time; fails if any point does.
 */
import { PLOT_NAMES } from './story.ts';
import type { Plot } from './story.ts';
import { countPoints, crashes, cuts, sweep } from './sweep.ts';
import type { Fault } from './world.ts';

const seeds = Number(process.argv[2] ?? 1);
const asked = process.argv[3] ?? 'all';
const every = Number(process.argv[4] ?? 1);
const plots = PLOT_NAMES.filter((plot) => asked === 'all' || plot === asked);
let points = 0;
let broken = 0;
const startMs = Date.now();

for (let seed = 1; seed <= seeds; seed += 1) for (const plot of plots) await strike(seed, plot);

const minutes = ((Date.now() - startMs) / 60_000).toFixed(1);
process.stdout.write(`${points} points, ${broken} broken, ${minutes} minutes\n`);
process.exitCode = broken === 0 && plots.length > 0 ? 0 : 1;

async function strike(seed: number, plot: Plot): Promise<void> {
  const counted = await countPoints(seed, plot);
  const faults: Fault[] = [
    ...crashes(counted, 'lose', every, seed % every),
    ...crashes(counted, 'keep', every, seed % every),
    ...crashes(counted, 'random', every, seed % every),
    ...cuts(counted, true, every, seed % every),
    ...cuts(counted, false, every, seed % every),
  ];
  const failed = await sweep(faults, seed, plot);
  points += faults.length;
  broken += failed.length;
  const { operations, messages } = counted;
  process.stdout.write(
    `${plot}, seed ${seed}: ${operations} file operations × 3, ${messages} messages × 2: ` +
      `${faults.length} points, ${failed.length} broken\n`,
  );
  for (const { fault, error } of failed) {
    process.stdout.write(`  ${JSON.stringify(fault)}: ${String(error)}\n`);
  }
}
