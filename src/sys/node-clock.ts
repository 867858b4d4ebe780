/** The real time behind {@link Clock}. */
import type { Clock, Timer } from './clock.ts';

/** The longest delay of a node timer; a longer one would fire at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** Time of the machine that this process runs on. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, action) => startTimer(delayMs, action, (timeout) => timeout.unref()),
  alarm: (delayMs, action) => startTimer(delayMs, action, () => undefined),
  soon: (action) => {
    setImmediate(action);
  },
  sleep: (delayMs) =>
    new Promise((wake) => {
      startTimer(delayMs, wake, () => undefined);
    }),
};

/** A timer of any length: long ones are run in stages. `prepare` sees each stage's timeout. */
function startTimer(
  delayMs: number,
  action: () => void,
  prepare: (timeout: NodeJS.Timeout) => void,
): Timer {
  let timeout: NodeJS.Timeout;
  const startStage = (leftMs: number): void => {
    const stageMs = Math.min(leftMs, DELAY_MS_MAX);
    const next = stageMs === leftMs ? action : () => startStage(leftMs - stageMs);
    timeout = setTimeout(next, stageMs);
    prepare(timeout);
  };
  // node cuts fractions off, which would be early.
  startStage(Math.ceil(delayMs));
  return { cancel: () => clearTimeout(timeout) };
}
