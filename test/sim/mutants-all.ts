/**
 * `npm run mutants -- [--only NAME] [--seeds N] [--json FILE]`: tries every mutant, or those of one
 * name or rule, against the simulator, and says at which seed it was caught, and by which rule.
 * First the tree as it is has to pass. Fails if a mutant is not caught.
 *
 *     --only NAME     a mutant's name, or a rule; may be given several times
 *     --seeds N       at most so many seeds a mutant, from seed 1 (200)
 *     --json FILE     the outcomes as JSON
 *     --minutes N     time limit of one mutant (15)
 *     --at-once N     mutants at a time, 1 or 2 (2)
 */
import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutantsFor } from './mutants/all.ts';
import type { Mutant } from './mutants/mutant.ts';
import { lineOf, outcomeOf, tableOf } from './mutants/report.ts';
import type { Outcome } from './mutants/report.ts';
import { compileError, inScratch, simulate, testFailure } from './mutants/workshop.ts';
import type { Finding } from './mutants/workshop.ts';

/** Seeds that the tree as it is has to pass before any mutant is tried. */
const SOUND_SEEDS = 5;
const MUTANTS_AT_ONCE_MAX = 2;

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    seeds: { type: 'string', default: '200' },
    json: { type: 'string' },
    minutes: { type: 'string', default: '15' },
    'at-once': { type: 'string', default: String(MUTANTS_AT_ONCE_MAX) },
  },
});
const seeds = Number(values.seeds);
const limitMs = Number(values.minutes) * 60_000;
const atOnce = Math.min(MUTANTS_AT_ONCE_MAX, Math.max(1, Number(values['at-once'])));
const mutants = mutantsFor(values.only);

process.exitCode = (await isSound()) ? await tryAll() : 1;

/** A simulator that finds faults where there are none finds nothing. */
async function isSound(): Promise<boolean> {
  const finding = await inScratch(root, undefined, (folder) => judge(folder, SOUND_SEEDS));
  if (finding.kind === 'passed') return true;
  say(`the tree as it is does not pass ${SOUND_SEEDS} seeds: ${JSON.stringify(finding)}`);
  return false;
}

async function tryAll(): Promise<number> {
  if (mutants.length === 0) {
    say(`no mutant is called so: ${values.only.join(', ')}`);
    return 1;
  }
  const outcomes = new Map<Mutant, Outcome>();
  const queue = [...mutants];
  const work = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const outcome = await tryOne(mutant);
      outcomes.set(mutant, outcome);
      say(lineOf(outcome));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, () => work()));
  const all = mutants.flatMap((mutant) => outcomes.get(mutant) ?? []);
  const count = (wanted: Outcome['verdict']) =>
    all.filter(({ verdict }) => verdict === wanted).length;
  const bySeeds = count('caught');
  const caught = bySeeds + count('caught by a test');
  say(`\n${tableOf(all)}\n`);
  say(`${caught} of ${all.length} mutants caught, ${bySeeds} by at most ${seeds} seeds each`);
  if (values.json !== undefined) {
    await writeFile(resolve(values.json), `${JSON.stringify(all, undefined, 2)}\n`);
  }
  return caught === all.length ? 0 : 1;
}

async function tryOne(mutant: Mutant): Promise<Outcome> {
  const startMs = Date.now();
  const finding = await inScratch(root, mutant, async (folder) => {
    const found = await judge(folder, seeds);
    const message =
      found.kind === 'passed' && mutant.test && (await testFailure(folder, mutant.test));
    return message ? ({ kind: 'tested', message } as const) : found;
  });
  return outcomeOf(mutant, finding, (Date.now() - startMs) / 1000);
}

/** A compiler is no simulator: what it refuses would never have come so far. */
async function judge(folder: string, seedsMax: number): Promise<Finding> {
  const reason = await compileError(folder);
  return reason === undefined ? simulate(folder, seedsMax, limitMs) : { kind: 'broken', reason };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
