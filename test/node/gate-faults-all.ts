/**
 * `npm run live-faults -- [seeds] [every]`: migrations under live hosts in each of the six ways,
 * with every blow at every so many steps. Prints counts and time; fails if any case does.
 */
import { WAYS } from '../support/sites.ts';
import { BLOWS, liveMigration } from './gate-faults.ts';

const seeds = Number(process.argv[2] ?? 1);
const every = Number(process.argv[3] ?? 20);
const startMs = Date.now();
const outcomes = new Map<string, number>();
let cases = 0;
let broken = 0;

for (let seed = 1; seed <= seeds; seed += 1) {
  for (const way of WAYS) {
    const { steps } = await liveMigration({ seed, ...way, step: 0 });
    for (const blow of BLOWS) {
      for (let step = seed % every; step < steps; step += every) {
        cases += 1;
        try {
          const { state } = await liveMigration({ seed, ...way, blow, step });
          outcomes.set(state, (outcomes.get(state) ?? 0) + 1);
        } catch (error) {
          broken += 1;
          process.stdout.write(
            `broken: ${JSON.stringify({ seed, ...way, blow, step })}: ${String(error)}\n`,
          );
        }
      }
    }
    process.stdout.write(`seed ${seed}, ${way.mode} ${way.copy}: ${steps} steps; ${cases} cases\n`);
  }
}

const minutes = ((Date.now() - startMs) / 60_000).toFixed(1);
const ends = [...outcomes].map(([state, count]) => `${count} ${state}`).join(', ');
process.stdout.write(`${cases} cases (${ends}), ${broken} broken, ${minutes} minutes\n`);
process.exitCode = broken === 0 ? 0 : 1;
