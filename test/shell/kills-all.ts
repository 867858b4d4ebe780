/**
 * `npm run kills -- [rounds]`: kill -9 of the real `rcopy migrate` at random moments, in every way
 * to migrate, each followed by writes, `migrate resume`, and the proof. Prints in which state each
 * kill found the migration.
 */
import { seededRandom } from '../sim/random.ts';
import { WAYS } from '../support/sites.ts';
import { killOnce, measureMigration, wayOf } from './kills.ts';

const rounds = Number(process.argv[2] ?? 50);
const random = seededRandom(rounds);
const states = new Map<string, number>();
const wholeMs = new Map<object, number>();
for (const seed of WAYS.keys()) wholeMs.set(wayOf(seed), await measureMigration(seed));
for (let round = 1; round <= rounds; round += 1) {
  const delayMs = ((wholeMs.get(wayOf(round)) ?? 0) * random.below(1100)) / 1000;
  const { state } = await killOnce(round, delayMs);
  states.set(state, (states.get(state) ?? 0) + 1);
}
const found = [...states].map(([state, count]) => `${count} ${state}`).join(', ');
process.stdout.write(`${rounds} kills, nothing lost; found: ${found}\n`);
