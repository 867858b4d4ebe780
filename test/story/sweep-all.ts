/**
 * `npm run sweep -- [seeds]`: the story with a crash at every file operation, in every way of
 * surviving, and a cut at every message, both ways. Prints the counts; fails if any point does.
 */
import { countPoints, crashes, cuts, sweep } from './sweep.ts';
import type { Fault } from './world.ts';

const seeds = Number(process.argv[2] ?? 1);
let points = 0;
let broken = 0;
for (let seed = 1; seed <= seeds; seed += 1) {
  const counted = await countPoints(seed);
  const faults: Fault[] = [
    ...crashes(counted, 'lose', 1, 0),
    ...crashes(counted, 'keep', 1, 0),
    ...crashes(counted, 'random', 1, 0),
    ...cuts(counted, true, 1, 0),
    ...cuts(counted, false, 1, 0),
  ];
  const failed = await sweep(faults, seed);
  points += faults.length;
  broken += failed.length;
  const { operations, messages } = counted;
  process.stdout.write(
    `seed ${seed}: ${operations} file operations × 3, ${messages} messages × 2: ` +
      `${faults.length} points, ${failed.length} broken\n`,
  );
  for (const { fault, error } of failed) {
    process.stdout.write(`  ${JSON.stringify(fault)}: ${String(error)}\n`);
  }
}
process.stdout.write(`${points} points, ${broken} broken\n`);
process.exitCode = broken === 0 ? 0 : 1;
