/**
 * `npm run torture -- [--minutes M] [--from SEED] [--only KIND] [--json FILE] [--keep]`: real
 * processes under a host's verified load that are killed, cut off, moved, and lose their power,
 * round after round, each from a seed of its own. Prints one line a round and a report; ends with 1
 * at the first loss, with the command that does that round again.
 *
 * It is shown to find faults: in a copy of the project, take away one `await ….sync(…)` of
 * journal/committer.ts, journal/tail-rewrite.ts or imageset/cursors-store.ts, or `syncImages()` in
 * imageset/applier.ts, and `npm run torture -- --only power` fails within its first rounds.
 */
import { writeFileSync } from 'node:fs';
import { messageOf } from '../../src/base/errors.ts';
import { KINDS, kindOf, optionsFrom } from './options.ts';
import type { Kind, TortureOptions } from './options.ts';
import { reportOf, reportText, roundLine } from './report.ts';
import type { Round, Skipped } from './report.ts';
import { beginRound, problemOf } from './rounds.ts';
import type { RunningRound } from './rounds.ts';
import { checkPowerDisk } from './self-check.ts';

/** The first Ctrl-C ends the round that is under way in order, and the second one the process. */
class Stop {
  asked = false;
  private round: RunningRound | undefined;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (this.asked) process.exit(130);
        this.asked = true;
        process.stderr.write('stopping, in order\n');
        this.round?.stop();
      });
    }
  }

  async during<T>(round: RunningRound, ended: Promise<T>): Promise<T> {
    this.round = round;
    try {
      return await ended;
    } finally {
      this.round = undefined;
    }
  }
}

async function runRound(kind: Kind, seed: number, keep: boolean, stop: Stop): Promise<Round> {
  const startMs = performance.now();
  const seconds = (): number => (performance.now() - startMs) / 1000;
  const running = beginRound(kind, seed, keep);
  try {
    const counts = await stop.during(running, running.ended);
    const round = { seed, kind, seconds: seconds(), ...counts };
    return stop.asked ? { ...round, stopped: true } : round;
  } catch (error) {
    const round = { seed, kind, seconds: seconds(), ...running.counts };
    // What was torn down by us has lost nothing.
    return stop.asked ? { ...round, stopped: true } : { ...round, failure: messageOf(error) };
  }
}

async function runRounds(
  options: TortureOptions,
  can: ReadonlySet<Kind>,
  stop: Stop,
): Promise<Round[]> {
  const rounds: Round[] = [];
  const endMs = performance.now() + options.minutes * 60_000;
  for (let seed = options.from; !stop.asked; seed += 1) {
    const kind = options.only ?? kindOf(seed, can);
    if (!kind || !can.has(kind)) break;
    const round = await runRound(kind, seed, options.keep, stop);
    rounds.push(round);
    process.stdout.write(`${roundLine(round)}\n`);
    if (round.failure !== undefined || performance.now() >= endMs) break;
  }
  return rounds;
}

async function torture(options: TortureOptions, stop: Stop): Promise<void> {
  const wanted = options.only ? [options.only] : KINDS;
  const skipped: Skipped = wanted.flatMap((kind) => {
    const why = problemOf(kind);
    return why === undefined ? [] : [{ kind, why }];
  });
  const can = new Set(wanted.filter((kind) => !skipped.some((each) => each.kind === kind)));
  for (const { kind, why } of skipped) process.stdout.write(`skipped: ${kind}, ${why}\n`);
  const startMs = performance.now();
  if (can.has('power')) await checkPowerDisk();
  const rounds = await runRounds(options, can, stop);
  const seconds = (performance.now() - startMs) / 1000;
  const report = reportOf(rounds, { seconds, skipped, stopped: stop.asked });
  const whole = { ...report, each: rounds };
  if (options.json) writeFileSync(options.json, `${JSON.stringify(whole, null, 2)}\n`);
  process.stdout.write(reportText(report));
  process.exitCode = report.failure ? 1 : 0;
}

try {
  await torture(optionsFrom(process.argv.slice(2)), new Stop());
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
