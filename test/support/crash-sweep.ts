/**
 * Runs a scenario again and again, each time with the power cut in the midst of another mutating
 * operation, and looks at what is found afterwards, and after crashes of the recovery too.
 * Long sweeps strike a share of the operations in `npm test`, all of them in `npm run crashes`.
 */
import type { SimulatedDisk, Survival } from '../sim/disk.ts';

/** One run of a scenario over one disk. */
export interface Trial {
  /** Goes on until the scenario ends or the power is cut; must not be waited for after that. */
  run(): Promise<void>;
}

export interface Sweep<T extends Trial> {
  /** The disk before the scenario; each run gets a copy. */
  readonly base: SimulatedDisk;
  readonly seed: number;
  /** One of so many operations is struck; each one unless told. */
  readonly every?: number;
  start(disk: SimulatedDisk): T;
  /** Looks at what one crash left behind; `label` names the point. */
  check(trial: T, survivor: SimulatedDisk, label: string): Promise<void>;
  /** Told of each crashed disk before anything is lost. */
  crashed?(trial: T, disk: SimulatedDisk, label: string): Promise<void>;
  /** A recovery to be interrupted as well: runs over what the first crash left. */
  readonly recover?: (disk: SimulatedDisk) => Promise<void>;
  /** How many crashes of the recovery are tried for each crash of the scenario. */
  readonly recoveryCrashes?: number;
}

/** The share of operations that long sweeps strike: one of so many; CRASH_EVERY=1 for all. */
export const CRASH_EVERY = Number(process.env['CRASH_EVERY'] ?? 6);

/** Which operations are struck, for the names of tests. */
export const STRUCK_OPERATIONS =
  CRASH_EVERY === 1 ? 'every operation' : `one of ${CRASH_EVERY} operations`;

/** One unless CRASH_SEEDS says how many. */
export const CRASH_SEEDS: readonly number[] = Array.from(
  { length: Number(process.env['CRASH_SEEDS'] ?? 1) },
  (_, index) => index + 1,
);

const SURVIVALS: readonly Survival[] = ['lose', 'keep', 'random'];
/** What differs most from seed to seed; the rest has been seen with the first one. */
const SURVIVALS_AGAIN: readonly Survival[] = ['random'];

/** Returns the number of points that were looked at. */
export async function sweepCrashes<T extends Trial>(sweep: Sweep<T>): Promise<number> {
  const whole = sweep.base.survivors('keep', sweep.seed);
  const wholeTrial = sweep.start(whole);
  await wholeTrial.run();
  let points = 0;
  const { every = 1 } = sweep;
  for (let index = (sweep.seed * 2) % every; index < whole.operations; index += every) {
    const disk = sweep.base.survivors('keep', sweep.seed + index);
    const trial = sweep.start(disk);
    disk.crashAt(index);
    await untilCrashed(disk, trial.run());
    await sweep.crashed?.(trial, disk, `crash at ${index}`);
    const survivals = sweep.seed === 1 ? SURVIVALS : SURVIVALS_AGAIN;
    for (const [variant, survival] of survivals.entries()) {
      const seed = sweep.seed * 1000 + index * 10 + variant;
      const label = `crash at ${index}, ${survival}, seed ${seed}`;
      await labelled(label, () => sweep.check(trial, disk.survivors(survival, seed), label));
      points += 1;
    }
    points += await sweepRecovery(sweep, trial, disk, index);
  }
  return points;
}

async function sweepRecovery<T extends Trial>(
  sweep: Sweep<T>,
  trial: T,
  crashed: SimulatedDisk,
  index: number,
): Promise<number> {
  const { recover, recoveryCrashes = 0, seed } = sweep;
  if (!recover || recoveryCrashes === 0) return 0;
  const found = (variant: number) =>
    crashed.survivors(variant % 2 === 0 ? 'keep' : 'random', seed * 77 + index * 5 + variant);
  let points = 0;
  for (let attempt = 0; attempt < recoveryCrashes; attempt += 1) {
    const whole = found(attempt);
    await recover(whole);
    const at = (index * 7 + attempt * 13 + seed) % Math.max(1, whole.operations);
    const disk = found(attempt);
    disk.crashAt(at);
    await untilCrashed(disk, recover(disk));
    for (const survival of seed === 1 ? SURVIVALS : SURVIVALS_AGAIN) {
      const label = `crash at ${index}, then at ${at} of recovery ${attempt}, ${survival}`;
      const survivor = disk.survivors(survival, seed + index + attempt);
      await labelled(label, () => sweep.check(trial, survivor, label));
      points += 1;
    }
  }
  return points;
}

/** Resolves when the power is cut or the work is over; what is left of the work is nobody's. */
export async function untilCrashed(disk: SimulatedDisk, work: Promise<void>): Promise<void> {
  let over = false;
  let failure: unknown;
  work.then(
    () => {
      over = true;
    },
    (error: unknown) => {
      over = true;
      failure = error;
    },
  );
  while (!over && !disk.crashed) await immediate();
  if (failure !== undefined && !disk.crashed) throw failure as Error;
}

export function immediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function labelled(label: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const message = (error as { message?: string } | null)?.message ?? String(error);
    throw new Error(`${label}: ${message}`, { cause: error });
  }
}
