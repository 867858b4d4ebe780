/** Ctrl-C and its kin: the first asks a command to stop in order, the second ends it at once. */
import { SIGNAL_EXIT_CODES } from './exit-codes.ts';
import { StoppedBySignal } from './failure.ts';
import type { StopSignal } from './failure.ts';

const SIGNALS = Object.keys(SIGNAL_EXIT_CODES) as StopSignal[];

/** What this needs of a process; a test gives its own. */
export interface SignalSource {
  on(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
  off(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
  exit(code: number): unknown;
}

/** A watch over the signals, from its making to `release`. */
export interface StopWatch {
  /** Never resolves; rejects with {@link StoppedBySignal} at the first signal. */
  readonly stopped: Promise<never>;
  release(): void;
}

/** Watches for signals; must be released. */
export function watchSignals(source: SignalSource): StopWatch {
  let asked = false;
  let stop: (reason: StoppedBySignal) => void;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  // It may come when nobody waits for it any more.
  stopped.catch(() => undefined);
  const onSignal = (signal: StopSignal): void => {
    if (asked) source.exit(SIGNAL_EXIT_CODES[signal]);
    asked = true;
    stop(new StoppedBySignal(signal));
  };
  for (const signal of SIGNALS) source.on(signal, onSignal);
  return {
    stopped,
    release: () => {
      for (const signal of SIGNALS) source.off(signal, onSignal);
    },
  };
}
