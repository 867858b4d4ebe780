/**
 * The hosts' way to one image set, at a path controller: the requests to all its exports go through
 * one switch, so that all connections move at one barrier.
 *
 * ```
 *   away ──────► replaying ──release──► open ──hold──► holding
 *    ▲  connect      │                   │                │
 *    └───────────────┴──────── lose ─────┴────────────────┘
 * ```
 *
 * - **away**: there is no set; requests wait.
 * - **replaying**: a set is there, and only what an earlier one has lost goes to it, in turn.
 * - **open**: requests go on at once, each to be answered by the set.
 * - **holding**: requests wait; what is under way is answered.
 *
 * A request that gets no answer (the stream broke, or the set is leaving) is not answered here
 * either: it goes out again, in its old place, at the next release. Each host request is answered
 * exactly once; one that waits for longer than the hold limit gets an error and is forgotten.
 * Whoever owns the switch sees to it that an old set can do nothing any more before it connects the
 * next one (the fence).
 */
import { assert } from '../base/assert.ts';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { Completion, Device, DeviceRequest, Done } from '../device/device.ts';
import { submitAndWait } from '../device/device.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import { PathExport } from './path-export.ts';
import type { PathHost, PathOwner } from './path-export.ts';
import { Retained } from './retained.ts';
import type { Kept } from './retained.ts';

export interface PathLimits {
  /** How long a host waits while no set answers, in milliseconds. */
  readonly holdMs: number;
  /** Answered writes that a set may still lose: above it, a flush is asked for and hosts wait. */
  readonly retainedBytes: number;
}

export type PathState = 'away' | 'replaying' | 'open' | 'holding';

/** A host's request, from its arrival until its answer. Used again for later ones. */
class HostRequest {
  /** Undefined while it is not in use. */
  done: Done | undefined;
  request: DeviceRequest;
  host: PathHost;
  isSent = false;
  /** A flush that was sent: the newest number that it makes durable, in the reign of that set. */
  covers = 0;
  /** When it would have begun to wait had it not been sent meanwhile, on the monotonic clock. */
  waitsSinceMs = 0;
  /** How long it had waited when it was sent last. */
  waitedMs = 0;
  readonly answered: Done;

  constructor(
    request: DeviceRequest,
    host: PathHost,
    answered: (self: HostRequest, completion: Completion) => void,
  ) {
    this.request = request;
    this.host = host;
    this.answered = (completion) => answered(this, completion);
  }
}

export class PathSwitch implements PathOwner {
  /** Called when a set refused or lost a request: its owner looks where the set went. */
  onSetAside: (() => void) | undefined;
  /** How long hosts were held up last, from `hold` or `lose` to `release`, in milliseconds. */
  lastPauseMs: number | undefined;
  /** The longest that any request waited here, in milliseconds. */
  longestWaitMs = 0;
  private readonly clock: Clock;
  private readonly limits: PathLimits;
  private current: PathState = 'away';
  private readonly exports = new Map<string, PathExport>();
  /** In the order in which they came; those that were sent and not answered come first. */
  private readonly requests = new Set<HostRequest>();
  private readonly free: HostRequest[] = [];
  private readonly retained = new Retained<PathExport>();
  private sentCount = 0;
  private quiet: (() => void)[] = [];
  private timer: Timer | undefined;
  private pausedSinceMs: number | undefined;
  private flushing = false;

  constructor(clock: Clock, limits: PathLimits) {
    this.clock = clock;
    this.limits = limits;
  }

  get isOpen(): boolean {
    return this.current === 'open';
  }

  get state(): PathState {
    return this.current;
  }

  /** Requests without an answer. */
  get requestsInHand(): number {
    return this.requests.size;
  }

  /** Requests of hosts that wait here, not sent to any set. */
  get requestsWaiting(): number {
    return this.requests.size - this.sentCount;
  }

  get retainedBytes(): number {
    return this.retained.bytes;
  }

  get retainedWrites(): number {
    return this.retained.count;
  }

  /** The export of a volume; its size never changes. Made at the first call. */
  export(volume: string, sizeBytes: number): PathExport {
    const known = this.exports.get(volume);
    if (known) {
      assert(known.sizeBytes === sizeBytes, 'what was agreed on with hosts does not change');
      return known;
    }
    const made = new PathExport(volume, sizeBytes, this);
    this.exports.set(volume, made);
    return made;
  }

  /**
   * A set is there: `devices` are its volumes by name, one for each export. Nothing is sent yet.
   * Throws `E_STATE` when it offers less than hosts were promised; nothing has changed then.
   */
  connect(devices: ReadonlyMap<string, Device>): void {
    assert(this.current === 'away', 'the set before is out of reach');
    for (const each of this.exports.values()) each.check(devices.get(each.volume));
    for (const each of this.exports.values()) each.upstream = devices.get(each.volume);
    this.current = 'replaying';
  }

  /** What was answered and is lost in a set that has the history up to `recovered`: its numbers. */
  lostAbove(recovered: number): number[] {
    // The numbers behind it are given anew.
    for (const each of this.exports.values()) each.newest = Math.min(each.newest, recovered);
    return this.retained.lostAbove(recovered);
  }

  /** What is lost and was not written again yet: its numbers. */
  get lost(): number[] {
    return this.retained.lost;
  }

  /**
   * The set has written the first `count` of them again, though it could not answer: under numbers
   * that are known no better than that `newest` was the last.
   */
  noteReplayed(count: number, newest: number): void {
    const taken = this.retained.lostUpTo(Number.MAX_SAFE_INTEGER).slice(0, count);
    for (const [index, kept] of taken.entries()) {
      const most = newest - (taken.length - 1 - index);
      // What others write again behind these must not get a lower number than is thought of here.
      const sequence = Math.min(kept.sequence, most);
      this.retained.writtenAgain(kept, sequence);
      kept.owner.newest = Math.max(kept.owner.newest, sequence);
    }
  }

  /**
   * Writes again what is lost and has a number of at most `upTo`, in order: one volume after the
   * other where they alternate, so that the order of dependent writes stays. Rejects when the set
   * goes away, or refuses.
   */
  async replay(upTo: number): Promise<void> {
    const lost = this.retained.lostUpTo(upTo);
    for (let from = 0; from < lost.length;) {
      let end = from + 1;
      while (end < lost.length && lost[end]?.owner === lost[from]?.owner) end += 1;
      await Promise.all(lost.slice(from, end).map((kept) => this.replayOne(kept)));
      from = end;
    }
  }

  /** All that was lost was written again, and is durable with everything up to `sequence`. */
  settle(sequence: number): void {
    assert(this.lost.length === 0, 'what is lost is written again or abandoned');
    this.retained.settle(sequence);
  }

  /** What is lost stays lost: the next flush of each host that was connected fails once. */
  abandonLost(): void {
    for (const owner of this.retained.abandon()) owner.noteLoss();
  }

  /** Another history goes on behind `sequence`: what was answered later is lost, durable or not. */
  noteHistoryEnd(sequence: number): void {
    for (const each of this.exports.values()) {
      if (each.newest > sequence) each.noteLoss();
    }
  }

  /** The set has everything up to `sequence` durable. */
  noteDurable(sequence: number): void {
    const wasFull = this.isFull;
    this.retained.noteDurable(sequence);
    if (wasFull && !this.isFull && this.current === 'open') this.sendWaiting();
  }

  /** Lets everything go to the set that is connected: what has no answer first, in order. */
  release(): void {
    assert(this.current === 'replaying' || this.current === 'holding', 'a set is connected');
    this.current = 'open';
    if (this.pausedSinceMs !== undefined) {
      this.lastPauseMs = this.clock.monotonicMs() - this.pausedSinceMs;
      this.pausedSinceMs = undefined;
    }
    this.sendWaiting();
  }

  /** Nothing new goes out. Resolves when what is under way is answered, or the set has gone. */
  async hold(): Promise<void> {
    if (this.current === 'open') {
      this.current = 'holding';
      this.pausedSinceMs ??= this.clock.monotonicMs();
    }
    if (this.sentCount === 0) return;
    await new Promise<void>((resolve) => {
      this.quiet.push(resolve);
    });
  }

  /**
   * The set is out of reach. To be called when its devices have failed everything that they had
   * under way, and can do nothing any more.
   */
  lose(): void {
    assert(this.sentCount === 0, 'a device that is gone has failed what it had under way');
    this.pausedSinceMs ??= this.clock.monotonicMs();
    this.current = 'away';
    for (const each of this.exports.values()) each.upstream = undefined;
    this.planTimeout();
  }

  /** The volume of an export that was added while a set is connected: its device there. */
  join(volume: string, device: Device): void {
    const joined = this.exports.get(volume);
    if (!joined || this.current === 'away') return;
    joined.check(device);
    joined.upstream = device;
    if (this.current === 'open') this.sendWaiting();
  }

  /**
   * Ends one export: whoever waits there, and whoever comes, gets `error`; what is under way when
   * it is through. Nobody is left who could be told of what it loses.
   */
  remove(volume: string, error: RcopyError): void {
    const gone = this.exports.get(volume);
    if (!gone) return;
    this.exports.delete(volume);
    gone.end(error);
    this.retained.forget(gone);
    for (const waiting of [...this.requests]) {
      if (waiting.host.path === gone && !waiting.isSent) this.finish(waiting, { ok: false, error });
    }
  }

  /** Ends the way: whoever waits gets `error`. */
  close(error: RcopyError): void {
    for (const each of this.exports.values()) each.end(error);
    for (const waiting of [...this.requests]) {
      if (!waiting.isSent) this.finish(waiting, { ok: false, error });
    }
    this.stopTimer();
  }

  /** Takes a host's request. */
  submit(host: PathHost, request: DeviceRequest, done: Done): void {
    const taken = this.free.pop() ?? new HostRequest(request, host, this.completed);
    taken.request = request;
    taken.host = host;
    taken.done = done;
    taken.waitedMs = 0;
    this.requests.add(taken);
    if (this.current === 'open' && !this.mustWait(request)) this.send(taken);
    else this.wait(taken);
  }

  forgetLeft(): void {
    for (const waiting of [...this.requests]) {
      if (!waiting.isSent && waiting.host.hasLeft) this.finish(waiting, LEFT);
    }
  }

  private get isFull(): boolean {
    return this.retained.bytes >= this.limits.retainedBytes;
  }

  /** A write for which nothing can be kept waits until the set has made some durable. */
  private mustWait({ kind }: DeviceRequest): boolean {
    if (!this.isFull || kind === 'read' || kind === 'flush') return false;
    this.askForFlush();
    return true;
  }

  private send(request: HostRequest): void {
    const { upstream } = request.host.path;
    if (!upstream) return this.wait(request);
    request.isSent = true;
    this.sentCount += 1;
    request.covers = this.retained.newest;
    upstream.submit(request.request, request.answered);
  }

  private sendWaiting(): void {
    for (const request of this.requests) {
      if (this.current !== 'open') return;
      if (request.isSent || this.mustWait(request.request)) continue;
      request.waitedMs = this.clock.monotonicMs() - request.waitsSinceMs;
      this.longestWaitMs = Math.max(this.longestWaitMs, request.waitedMs);
      this.send(request);
    }
  }

  private wait(request: HostRequest): void {
    request.waitsSinceMs = this.clock.monotonicMs() - request.waitedMs;
    if (request.waitedMs > 0) this.stopTimer(); // its time may be up before that of all others
    this.planTimeout();
  }

  /** The set is through with a request. */
  private readonly completed = (request: HostRequest, completion: Completion): void => {
    request.isSent = false;
    this.sentCount -= 1;
    const { ended } = request.host.path;
    if (ended && !completion.ok) this.finish(request, { ok: false, error: ended });
    else if (request.host.hasLeft && !completion.ok) this.finish(request, LEFT);
    else if (!completion.ok && isWithoutAnswer(completion.error)) {
      // It keeps its place. Others that come now would be told the same.
      if (this.current === 'open') {
        this.current = 'holding';
        this.pausedSinceMs ??= this.clock.monotonicMs();
      }
      this.wait(request);
      this.onSetAside?.();
    } else {
      this.requests.delete(request); // what follows may send others
      if (completion.ok) this.keep(request, completion.sequence);
      this.finish(request, completion);
    }
    if (this.sentCount === 0) for (const resolve of this.quiet.splice(0)) resolve();
  };

  /** An answered write may still be lost, unless it was written through. */
  private keep({ request, host, covers }: HostRequest, sequence: number | undefined): void {
    const target = host.path;
    if (request.kind === 'flush') this.noteDurable(covers);
    if (sequence === undefined || request.kind === 'read' || request.kind === 'flush') return;
    target.newest = Math.max(target.newest, sequence);
    if (request.fua) this.noteDurable(sequence);
    else if (!target.ended) this.retained.add(target, copyOf(request), sequence);
  }

  private finish(request: HostRequest, completion: Completion): void {
    const { done } = request;
    request.done = undefined;
    this.requests.delete(request);
    this.free.push(request);
    done?.(completion);
  }

  private askForFlush(): void {
    if (this.flushing) return;
    const first = [...this.exports.values()].find(({ upstream }) => upstream);
    if (!first?.upstream) return;
    this.flushing = true;
    const covered = this.retained.newest;
    first.upstream.submit({ kind: 'flush' }, ({ ok }) => {
      this.flushing = false;
      if (ok) this.noteDurable(covered);
    });
  }

  private async replayOne(kept: Kept<PathExport>): Promise<void> {
    const { upstream } = kept.owner;
    if (!upstream) throw new RcopyError('E_UNREACHABLE', 'the set went away');
    const completion = await submitAndWait(upstream, kept.request);
    const sequence = completion.ok ? completion.sequence : undefined;
    if (sequence === undefined) throw new RcopyError('E_PROTOCOL', 'a write came without a number');
    this.retained.writtenAgain(kept, sequence);
    kept.owner.newest = Math.max(kept.owner.newest, sequence);
  }

  /** Looks again when the one that waits for the longest will have waited long enough. */
  private planTimeout(): void {
    if (this.timer || this.requestsWaiting === 0) return;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { isSent, waitsSinceMs } of this.requests) {
      if (!isSent) oldestMs = Math.min(oldestMs, waitsSinceMs);
    }
    const leftMs = oldestMs + this.limits.holdMs - this.clock.monotonicMs();
    this.timer = this.clock.after(Math.max(1, leftMs), () => {
      this.timer = undefined;
      this.failOverdue();
      this.planTimeout();
    });
  }

  private stopTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private failOverdue(): void {
    const latestMs = this.clock.monotonicMs() - this.limits.holdMs;
    for (const request of [...this.requests]) {
      if (request.isSent || request.waitsSinceMs > latestMs) continue;
      const seconds = this.limits.holdMs / 1000;
      const error = new RcopyError('E_TIMEOUT', `no image set answered for ${seconds} s`);
      this.finish(request, { ok: false, error });
    }
  }
}

const LEFT: Completion = {
  ok: false,
  error: new RcopyError('E_STOPPED', 'the host has left'),
};

/** Nobody answered it: the stream broke, or the set is leaving and did not do it. */
function isWithoutAnswer(error: Error): boolean {
  return (
    isRcopyError(error, 'E_UNREACHABLE') ||
    isRcopyError(error, 'E_STOPPED') ||
    isRcopyError(error, 'E_SEALED')
  );
}

/** The request object is its sender's again once it is answered; its slices stay. */
function copyOf(request: DeviceRequest & { kind: 'write' | 'zeroes' }): Kept<unknown>['request'] {
  const { offset, length } = request;
  return request.kind === 'write'
    ? { kind: 'write', offset, length, data: request.data, fua: false }
    : { kind: 'zeroes', offset, length, fua: false, mayFree: request.mayFree };
}
