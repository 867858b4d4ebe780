/** Waiting for what takes simulated time. */
import type { SimulatedClock } from '../sim/clock.ts';

/** Waits for `work` while simulated time goes on. */
export async function driven<T>(clock: SimulatedClock, work: Promise<T>): Promise<T> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  work.then(done, done);
  await clock.run(() => settled);
  return work;
}
