/**
 * Keeps something going that a daemon wants for ever: tries it, tries it again after a while that
 * grows, and, where it was refused for a reason that needs a person, waits until that reason may be
 * gone.
 *
 *     idle ──purpose──► trying ──ends──► idle until the purpose changes
 *       ▲                │  ▲
 *       │                │  └── 250 ms, 500 ms … 30 s, jittered: out of reach, stopped; at most 1 s
 *       │                │      once it was reached, and the first one again once it worked
 *       └── no purpose ──┘  └── 60 s, or another purpose: refused
 */
import { isRcopyError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { RETRY_FIRST_MS, RETRY_LAST_MS, RETRY_REFUSED_MS } from '../base/limits.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { Random } from '../sys/random.ts';

export interface KeptTask {
  /**
   * What is to be kept going, as text: when it becomes another one, it is tried at once. Undefined
   * while there is nothing to do.
   */
  purpose(): string | undefined;
  /** One try. Resolves when the purpose is fulfilled; rejects with why it ended. */
  attempt(): Promise<void>;
}

/** Errors that pass by themselves: the peer, the network or its disk comes back. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'E_UNREACHABLE',
  'E_TIMEOUT',
  'E_STOPPED',
  'E_HELD',
  'E_IO',
  'E_NO_SPACE',
  'E_JOURNAL_FULL',
  'E_PROTOCOL', // bytes that were garbled on the way
]);

/** Whether what failed may work when it is tried again soon. */
export function passesByItself(error: unknown): boolean {
  return isRcopyError(error) && PASSING.has(error.code);
}

/** How long to wait before try number `attempt`, counted from 1: half of it is left to chance. */
export function retryDelayMs(attempt: number, random: Random): number {
  const whole = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt - 1, 20));
  return whole / 2 + random.below(whole / 2 + 1);
}

export class Keeper {
  private readonly task: KeptTask;
  private readonly clock: Clock;
  private readonly random: Random;
  private failures = 0;
  private timer: Timer | undefined;
  private trying: Promise<void> | undefined;
  /** The purpose of the last try. */
  private purpose: string | undefined;
  private holds = 0;
  private stopped = false;

  constructor(task: KeptTask, { clock, random }: { clock: Clock; random: Random }) {
    this.task = task;
    this.clock = clock;
    this.random = random;
  }

  /** Whether a try is under way. */
  get isTrying(): boolean {
    return this.trying !== undefined;
  }

  /** To be called when the purpose may have changed: tries at once if it has. */
  look(): void {
    if (this.stopped || this.holds > 0 || this.trying) return;
    const purpose = this.task.purpose();
    if (purpose === this.purpose) return;
    this.purpose = purpose;
    this.failures = 0;
    this.cancel();
    if (purpose !== undefined) this.begin();
  }

  /** Tries at once if it waits: somebody asks for it. */
  tryNow(): void {
    if (!this.timer || this.holds > 0) return;
    this.cancel();
    this.begin();
  }

  /** What is wanted can be reached: the next failure is tried again within a second. */
  reached(): void {
    this.failures = Math.min(this.failures, 2);
  }

  /** It works: the next failure is the first one. */
  succeeded(): void {
    this.failures = 0;
  }

  /** Nothing is tried until what comes back is called; then everything is looked at anew. */
  hold(): () => void {
    this.holds += 1;
    this.cancel();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.holds -= 1;
      this.purpose = undefined;
      this.look();
    };
  }

  /** Tries no more. A try that is under way is the owner's to end. */
  stop(): void {
    this.stopped = true;
    this.cancel();
  }

  private begin(): void {
    this.trying = this.task.attempt().then(
      () => this.ended(undefined),
      (error: unknown) => this.ended(error),
    );
  }

  private ended(error: unknown): void {
    this.trying = undefined;
    if (this.stopped || this.holds > 0) return;
    const purpose = this.task.purpose();
    if (purpose !== this.purpose) return this.look();
    if (error === undefined || purpose === undefined) return;
    this.failures += 1;
    const delayMs = passesByItself(error)
      ? retryDelayMs(this.failures, this.random)
      : RETRY_REFUSED_MS;
    this.timer = this.clock.after(delayMs, () => {
      this.timer = undefined;
      this.begin();
    });
  }

  private cancel(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }
}
