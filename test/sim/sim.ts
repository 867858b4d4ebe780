/**
 * `npm run sim -- [--seeds N] [--from S] [--time T] [--jobs N] [--json FILE]`: whole systems in one
 * process each, on simulated clock, network and disks, broken in every way, by seed. No seed begins
 * after T (`90s`, `30m`, `2h`). Ends with 1 at the first seed that breaks a rule, with a short
 * command that repeats it: `--events 3,7` lets only these events of the seed's plan happen,
 * `--trace` says what happened. `--keep-going` looks for more, `--no-shrink` does not cut down.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { parseDuration } from '../../src/base/durations.ts';
import { RcopyError } from '../../src/base/errors.ts';
import { Crew } from './system/crew.ts';
import { planOf } from './system/plan.ts';
import { Tally, textOf } from './system/report.ts';
import type { RunOutcome } from './system/run.ts';
import { shrink } from './system/shrink.ts';

/** Runs that are spent on cutting a failing plan down. */
const SHRINK_TRIES_MAX = 120;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    time: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    events: { type: 'string' },
    json: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});

const from = wholeNumber('--from', values.from);
const only = values.events === undefined ? undefined : numbersIn(values.events);
const end = from + (only ? 1 : wholeNumber('--seeds', values.seeds));
const timeMs = values.time === undefined ? Number.POSITIVE_INFINITY : parseDuration(values.time);
const jobs = Math.min(wholeNumber('--jobs', values.jobs), end - from);
const crew = new Crew(jobs);
const tally = new Tally();
const startMs = performance.now();
const failures: RunOutcome[] = [];
let next = from;

await Promise.all(Array.from({ length: jobs }, () => lane()));
const [first] = failures.toSorted((one, other) => one.seed - other.seed);
if (first) await explain(first);
crew.end();
const report = tally.report(performance.now() - startMs);
print(textOf(report));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
process.exitCode = first ? 1 : 0;

/** One seed behind the other, until there is no more to do. */
async function lane(): Promise<void> {
  while (next < end && performance.now() - startMs < timeMs) {
    if (failures.length > 0 && !values['keep-going']) return;
    const seed = next;
    next += 1;
    const outcome = await crew.perform({ seed, only });
    tally.add(outcome);
    if (outcome.failure !== undefined) {
      failures.push(outcome);
      print(`seed ${seed}: ${outcome.failure}\n`);
    } else if (seed % 100 === 0) {
      print(`seed ${seed}: ${Math.round((performance.now() - startMs) / 1000)} s\n`);
    }
  }
}

/** What it takes to make a seed fail, and the command for it. */
async function explain(failure: RunOutcome): Promise<void> {
  const { seed, trace } = failure;
  const repeat = `npm run sim -- --from ${seed} --seeds 1 --trace`;
  if (values.trace || only) {
    print(`${trace.join('\n')}\n`);
    return;
  }
  print(`again: ${repeat}\n`);
  if (values['no-shrink']) return;
  const { events } = planOf(seed);
  const isSame = async (kept: readonly number[]) =>
    ruleOf((await crew.perform({ seed, only: kept })).failure) === ruleOf(failure.failure);
  const kept = await shrink(events.length, isSame, SHRINK_TRIES_MAX);
  for (const at of kept) print(`  ${String(at).padStart(3)}  ${JSON.stringify(events[at])}\n`);
  print(`shorter: npm run sim -- --from ${seed} --events ${kept.join(',')}\n`);
}

/** `[R1]` of a message; the first word of any other. */
function ruleOf(message: string | undefined): string | undefined {
  return message?.split(' ')[0];
}

function numbersIn(text: string): number[] {
  return text.split(',').map((each) => wholeNumber('--events', each, 0));
}

/** A campaign that plays nothing must not look like one that passed. */
function wholeNumber(flag: string, text: string, least = 1): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new RcopyError('E_USAGE', `${flag} ${text}: a whole number from ${least} on is needed`);
}

function print(text: string): void {
  process.stdout.write(text);
}
