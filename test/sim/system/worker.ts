/** A process of its own that lives through the runs that it is told of, one at a time. */
import { planOf } from './plan.ts';
import { liveThrough } from './run.ts';
import type { RunOutcome } from './run.ts';

export interface Task {
  readonly seed: number;
  /** Places of the events that happen; all of them unless told. */
  readonly only?: readonly number[] | undefined;
}

let stray: string | undefined;
process.on('unhandledRejection', (error) => {
  stray ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
});
process.on('disconnect', () => process.exit());
process.on('message', ({ seed, only }: Task) => void perform(seed, only));

async function perform(seed: number, only: readonly number[] | undefined): Promise<void> {
  stray = undefined;
  const outcome = await liveThrough(planOf(seed), only);
  const unheard = stray as string | undefined;
  const failure = outcome.failure ?? (unheard && `[bug] nobody heard of it: ${unheard}`);
  const trace = failure === undefined ? [] : outcome.trace;
  process.send?.({ ...outcome, failure, trace } satisfies RunOutcome);
}
