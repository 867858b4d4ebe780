/**
 * One client of a server, from its first byte to its last.
 *
 * ```
 *   handshake --GO--> transmission --DISC or a stop, all answered--> leaving --> closed
 *       |                                                               ^
 *       +-- ABORT, refused, or a stop ----------------------------------+
 * ```
 *
 * From each of them it goes straight to `closed` when the stream breaks, the client breaks the
 * protocol, or a time is up.
 */
import { asBuffer } from '../base/bytes.ts';
import { RcopyError } from '../base/errors.ts';
import { NBD_HANDSHAKE_MS, NBD_STOP_MS } from '../base/limits.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import type { MemoryBudget } from './budget.ts';
import type { NbdExports } from './exports.ts';
import { ServerHandshake } from './handshake.ts';
import type { Session, Step } from './handshake.ts';
import { Transmission } from './transmission.ts';

export interface ConnectionOptions {
  readonly stream: ByteStream;
  readonly clock: Clock;
  readonly exports: NbdExports;
  readonly budget: MemoryBudget;
  readonly requestsInFlightMax: number;
  /** Writes are answered with their numbers: {@link Session.numbered}. */
  readonly numbered?: boolean;
  /** The client chose an export. */
  readonly chosen: (session: Session) => void;
  /** Called once, last; `error` unless it ended in order. */
  readonly closed: (error: Error | undefined) => void;
}

type State =
  | { readonly kind: 'handshake'; readonly machine: ServerHandshake; rest: Buffer | undefined }
  | { readonly kind: 'transmission'; readonly transmission: Transmission }
  | { readonly kind: 'leaving' }
  | { readonly kind: 'closed' };

export class Connection {
  readonly peer: string;
  private readonly options: ConnectionOptions;
  private readonly stream: ByteStream;
  private state: State;
  /** The export that was chosen. */
  session: Session | undefined;
  /** Of the handshake, then of the farewell. */
  private timer: Timer | undefined;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.stream = options.stream;
    this.peer = options.stream.peer;
    const machine = new ServerHandshake(options.exports, options.numbered);
    this.state = { kind: 'handshake', machine, rest: undefined };
    this.limitTime(NBD_HANDSHAKE_MS, 'no export was chosen');
    this.stream.listen({
      data: (chunk) => this.receive(asBuffer(chunk)),
      drained: () => this.drained(),
      closed: (error) => this.close(error),
    });
    this.stream.write([machine.greeting()]);
  }

  get isInHandshake(): boolean {
    return this.state.kind === 'handshake';
  }

  /** What it does with an export, once one was chosen. */
  get transmission(): Transmission | undefined {
    return this.state.kind === 'transmission' ? this.state.transmission : undefined;
  }

  /** Takes no new request; leaves when what is under way is answered. */
  stop(): void {
    if (this.state.kind === 'handshake') this.leave();
    else if (this.state.kind === 'transmission') this.state.transmission.stop();
  }

  /** Ends at once. */
  drop(error: RcopyError): void {
    if (this.state.kind === 'closed') return;
    // What it holds is free at once, whenever the stream gets to tell of its end.
    if (this.state.kind === 'transmission') this.state.transmission.close();
    this.state = { kind: 'leaving' };
    this.stream.destroy(error);
  }

  private receive(chunk: Buffer): void {
    const { state } = this;
    switch (state.kind) {
      case 'handshake':
        this.shakeHands(state, chunk);
        return;
      case 'transmission':
        state.transmission.receive(chunk);
        return;
      case 'leaving': // nothing that it says now counts
      case 'closed':
    }
  }

  /** One option after the other, as long as the client takes the answers. */
  private shakeHands(state: State & { kind: 'handshake' }, chunk: Buffer): void {
    let bytes = state.rest === undefined ? chunk : Buffer.concat([state.rest, chunk]);
    state.rest = undefined;
    while (bytes.length > 0) {
      const step = state.machine.take(bytes);
      const writable = step.reply.length === 0 || this.stream.write([step.reply]);
      if (step.outcome) {
        this.conclude(step.outcome, step.rest);
        return;
      }
      bytes = step.rest;
      if (!writable) {
        state.rest = bytes;
        this.stream.pause();
        return;
      }
    }
  }

  private conclude(outcome: NonNullable<Step['outcome']>, rest: Buffer): void {
    this.timer?.cancel();
    if (outcome.kind === 'end') {
      if (outcome.reason === undefined) this.leave();
      else this.drop(new RcopyError('E_PROTOCOL', `the handshake failed: ${outcome.reason}`));
      return;
    }
    const { session } = outcome;
    const { stream, clock, budget, requestsInFlightMax } = this.options;
    const transmission = new Transmission({
      stream,
      session,
      clock,
      budget,
      requestsInFlightMax,
      finished: () => this.leave(),
      broken: (error) => this.drop(error),
    });
    this.session = session;
    this.state = { kind: 'transmission', transmission };
    this.options.chosen(session);
    if (rest.length > 0) transmission.receive(rest);
  }

  private drained(): void {
    const { state } = this;
    if (state.kind === 'transmission') state.transmission.drained();
    if (state.kind !== 'handshake' || state.rest === undefined) return;
    this.stream.resume();
    this.shakeHands(state, Buffer.alloc(0));
  }

  /** Everything is said: the client gets what is on its way to it, then the end. */
  private leave(): void {
    if (this.state.kind === 'transmission') this.state.transmission.close();
    this.state = { kind: 'leaving' };
    this.stream.resume();
    this.stream.end();
    this.limitTime(NBD_STOP_MS, 'it did not end the connection');
  }

  private limitTime(ms: number, what: string): void {
    this.timer?.cancel();
    this.timer = this.options.clock.after(ms, () => {
      this.drop(new RcopyError('E_TIMEOUT', `${what} within ${ms / 1000} s`));
    });
  }

  private close(error: Error | undefined): void {
    if (this.state.kind === 'closed') return;
    if (this.state.kind === 'transmission') this.state.transmission.close();
    this.timer?.cancel();
    this.state = { kind: 'closed' };
    this.options.closed(error);
  }
}
