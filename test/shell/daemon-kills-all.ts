/**
 * `npm run daemon-kills -- [kills] [seed]`: kill -9 of daemons at random moments under a host's
 * verified load: A, C, or both. Prints the counts; ends with 1, and the seed, at the first loss.
 */
import { seededRandom } from '../sim/random.ts';
import { VICTIMS, killDaemons } from './daemon-kills.ts';
import type { Victim } from './daemon-kills.ts';

const kills = Number(process.argv[2] ?? 200);
const seed = Number(process.argv[3] ?? 1);
/** Of one pair, so that a failure is near the seed that it names. */
const KILLS_PER_PAIR = 20;

const sum = { a: 0, c: 0, both: 0, answered: 0, flushes: 0, unanswered: 0 };
const startMs = performance.now();
for (let done = 0; done < kills; done += KILLS_PER_PAIR) {
  const round = seed + done / KILLS_PER_PAIR;
  const random = seededRandom(round);
  const count = Math.min(KILLS_PER_PAIR, kills - done);
  const victims = Array.from(
    { length: count },
    (): Victim => VICTIMS[random.below(VICTIMS.length)] ?? 'a',
  );
  const report = await killDaemons(round, victims);
  for (const victim of VICTIMS) sum[victim] += report.kills[victim];
  for (const key of ['answered', 'flushes', 'unanswered'] as const) sum[key] += report[key];
  process.stdout.write(`seed ${round}: ${done + count} kills, nothing lost\n`);
}
const seconds = Math.round((performance.now() - startMs) / 1000);
process.stdout.write(
  `${kills} kills (${sum.a} of A, ${sum.c} of C, ${sum.both} of both) in ${seconds} s, ` +
    `nothing lost; ${sum.answered} requests answered, ${sum.flushes} flushes, ` +
    `${sum.unanswered} cut off\n`,
);
