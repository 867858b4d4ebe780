/**
 * `npm run kills -- [rounds]`: kill -9 of the real `rcopy migrate` at random moments, each followed
 * by writes, `migrate resume`, and the proof. Prints in which state each kill found the migration.
 */
import { seededRandom } from '../sim/random.ts';
import { killOnce, measureMigration } from './kills.ts';

const rounds = Number(process.argv[2] ?? 50);
const random = seededRandom(rounds);
const wholeMs = await measureMigration(1);
const states = new Map<string, number>();
process.stdout.write(
  `an undisturbed rcopy migrate takes ${Math.round(wholeMs)} ms from making its target on\n`,
);
for (let round = 1; round <= rounds; round += 1) {
  const delayMs = (wholeMs * random.below(1100)) / 1000;
  const { state } = await killOnce(round, delayMs);
  states.set(state, (states.get(state) ?? 0) + 1);
}
const found = [...states].map(([state, count]) => `${count} ${state}`).join(', ');
process.stdout.write(`${rounds} kills, nothing lost; found: ${found}\n`);
