/**
 * Remote acknowledgement (`--ack remote`): FLUSH and FUA are answered when the secondary, too, has
 * everything up to them durable without a gap. One cursor, its durable number, serves everyone who
 * waits. Where that cannot be had for a stated time, answers are given by the local sync alone
 * until the secondary has caught up; that is said (R9, R10).
 *
 *              the pair is in step                 silent for the stated time
 *     local ──────────────────────────► remote ──────────────────────────────► degraded
 *       ▲ ◄──────────────────────────────  ▲                                       │
 *         it is not in step any more       └───────────────────────────────────────┘
 *                                            the secondary has what it lacked then
 */
import { comparePositions } from '../base/position.ts';
import type { Position } from '../base/position.ts';
import type { SetFile } from '../format/set-file.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import { sealedError } from './refusals.ts';

/** What is needed of the set. */
export interface AckedSet {
  readonly clock: Clock;
  readonly file: () => SetFile;
  /** What the secondary has durable without a gap, by its last word. */
  readonly acknowledged: () => Position | undefined;
  /** The newest number given. */
  readonly newest: () => Position;
  /** How long FLUSH and FUA wait for a secondary that says nothing new, in milliseconds. */
  readonly timeoutMs: number;
}

type Link =
  /** Nobody sends: to wait for the secondary would be in vain. */
  | { readonly is: 'unwanted' }
  | { readonly is: 'down'; readonly sinceMs: number; readonly reason: string }
  | { readonly is: 'up' };

interface Waiter {
  readonly position: Position;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Degraded {
  readonly reason: string;
  /** Where the secondary has caught up, once it is there; undefined while the link is down. */
  readonly until: Position | undefined;
}

export class RemoteAck {
  private readonly set: AckedSet;
  private link: Link = { is: 'unwanted' };
  private readonly waiters: Waiter[] = [];
  /** The latest wait, for whoever waits for the same. */
  private last:
    | { readonly synced: Promise<void>; readonly position: Position; readonly done: Promise<void> }
    | undefined;
  private degraded: Degraded | undefined;
  /** When the cursor last moved, or somebody began to wait for it, on the monotonic clock. */
  private movedMs = 0;
  private seen: Position | undefined;
  private timer: Timer | undefined;
  private failure: Error | undefined;

  constructor(set: AckedSet) {
    this.set = set;
  }

  /** Whether FLUSH and FUA have to wait for the secondary now. */
  get isInForce(): boolean {
    const { pair, role } = this.set.file();
    return (
      pair?.ack === 'remote' &&
      pair.state === 'paired' &&
      role === 'primary' &&
      this.link.is !== 'unwanted' &&
      this.degraded === undefined
    );
  }

  /** Why a pair with remote acknowledgement answers by the local sync alone; empty if not so. */
  get whyLocal(): string {
    const { pair, role } = this.set.file();
    if (pair?.ack !== 'remote' || role !== 'primary') return '';
    if (pair.state !== 'paired') return `the pair is ${pair.state}`;
    if (this.link.is === 'unwanted') return 'nothing is being sent now';
    return this.degraded?.reason ?? '';
  }

  /**
   * When what was asked for before the local sync `synced` may be answered. Rejects when the set
   * stops or is sealed while somebody waits: a host must not take that for done.
   */
  after(synced: Promise<void>): Promise<void> {
    if (!this.isInForce) return synced;
    const position = this.set.newest();
    const { last } = this;
    if (last?.synced === synced && comparePositions(last.position, position) === 0) {
      return last.done;
    }
    const done = synced.then(() => this.reached(position));
    this.last = { synced, position, done };
    return done;
  }

  /** Resolves when all who wait now have their answer. */
  async settled(): Promise<void> {
    await this.last?.done.catch(() => undefined);
  }

  /** Somebody sees to it that the secondary is reached: until it is, the link is down. */
  linkWanted(): void {
    if (this.link.is === 'unwanted') this.linkDown('the secondary has not answered yet');
  }

  /** Nobody sends any more. Who waits is answered by what is durable here. */
  linkUnwanted(): void {
    this.link = { is: 'unwanted' };
    this.degraded = undefined;
    this.look();
  }

  linkUp(): void {
    this.link = { is: 'up' };
    if (this.degraded) this.degraded = { ...this.degraded, until: this.set.newest() };
    this.look();
  }

  linkDown(reason: string): void {
    const sinceMs = this.link.is === 'down' ? this.link.sinceMs : this.set.clock.monotonicMs();
    this.link = { is: 'down', sinceMs, reason };
    if (this.degraded) this.degraded = { reason, until: undefined };
    this.look();
  }

  /** To be called after anything moved. */
  look(): void {
    const { pair, seal } = this.set.file();
    if (this.waiters.length === 0 && pair?.ack !== 'remote') return;
    const acknowledged = this.set.acknowledged();
    if (!samePosition(acknowledged, this.seen)) {
      this.seen = acknowledged;
      this.movedMs = this.set.clock.monotonicMs();
    }
    const until = this.degraded?.until;
    if (until && this.isThere(until)) this.degraded = undefined;
    if (seal) this.rejectAll(sealedError(this.set.file()));
    else if (!this.isInForce) this.resolveAll();
    else
      for (
        let [first] = this.waiters;
        first && this.isThere(first.position);
        [first] = this.waiters
      ) {
        this.waiters.shift();
        first.resolve();
      }
    this.arm();
  }

  /** Everyone who waits gets this error, and whoever comes later. */
  stop(error: Error): void {
    this.failure ??= error;
    this.rejectAll(error);
    this.timer?.cancel();
    this.timer = undefined;
  }

  private reached(position: Position): Promise<void> | undefined {
    if (this.failure) throw this.failure;
    if (this.set.file().seal && !this.isThere(position)) throw sealedError(this.set.file());
    if (!this.isInForce || this.isThere(position)) return undefined;
    if (this.waiters.length === 0) this.movedMs = this.set.clock.monotonicMs();
    return new Promise((resolve, reject) => {
      this.waiters.push({ position, resolve, reject });
      this.arm();
    });
  }

  private isThere(position: Position): boolean {
    const acknowledged = this.set.acknowledged();
    return acknowledged !== undefined && comparePositions(acknowledged, position) >= 0;
  }

  private resolveAll(): void {
    for (const { resolve } of this.waiters.splice(0)) resolve();
  }

  private rejectAll(error: Error): void {
    for (const { reject } of this.waiters.splice(0)) reject(error);
  }

  /** When it is given up to wait for the secondary; undefined while nothing is waited for. */
  private deadlineMs(): number | undefined {
    if (!this.isInForce || this.failure) return undefined;
    const { timeoutMs } = this.set;
    // A link that comes and goes is no progress: what counts is the cursor.
    const stalled = this.waiters.length > 0 ? this.movedMs : Number.POSITIVE_INFINITY;
    const down = this.link.is === 'down' ? this.link.sinceMs : Number.POSITIVE_INFINITY;
    const sinceMs = Math.min(stalled, down);
    return Number.isFinite(sinceMs) ? sinceMs + timeoutMs : undefined;
  }

  private arm(): void {
    const deadlineMs = this.deadlineMs();
    if (deadlineMs === undefined || this.timer) return;
    const { clock } = this.set;
    this.timer = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      this.timer = undefined;
      const dueMs = this.deadlineMs();
      if (dueMs !== undefined && dueMs <= clock.monotonicMs()) this.degrade();
      else this.arm();
    });
  }

  private degrade(): void {
    const { link } = this;
    const seconds = this.set.timeoutMs / 1000;
    this.degraded =
      link.is === 'down'
        ? { reason: link.reason, until: undefined }
        : {
            reason: `the secondary has made nothing durable for ${seconds} s`,
            until: this.set.newest(),
          };
    this.look();
  }
}

function samePosition(one: Position | undefined, other: Position | undefined): boolean {
  if (!one || !other) return one === other;
  return comparePositions(one, other) === 0;
}
