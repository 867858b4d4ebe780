/**
 * An NBD client: a connection to a server as a {@link Device}. Many requests are under way at once,
 * each under a cookie of our own; their answers come in any order. When the stream ends, each
 * request that has no answer fails with `E_UNREACHABLE`: nobody knows then whether it was done.
 */
import { asBuffer } from '../base/bytes.ts';
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { Extent } from '../base/extent.ts';
import {
  NBD_HANDSHAKE_MS,
  NBD_REQUESTS_IN_FLIGHT_MAX,
  NBD_STOP_MS,
  NBD_STRETCH_BYTES_MAX,
} from '../base/limits.ts';
import type { Completion, Device, DeviceRequest, Done } from '../device/device.ts';
import type { Clock } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { ClientHandshake } from './client-handshake.ts';
import type { ServerSession } from './client-handshake.ts';
import { outOfRange, refusalOf } from './client-refusals.ts';
import { InFlight, decodeStatus, encodeHeader, readCompletion } from './client-requests.ts';
import type { Pending } from './client-requests.ts';
import { errorOf } from './errno.ts';
import { COMMANDS, REQUEST_HEADER_BYTES, TRANSMISSION_FLAGS as FLAGS, nameIn } from './protocol.ts';
import { ReplyReader } from './reply-reader.ts';

export interface NbdClientOptions {
  readonly clock: Clock;
  /** '' asks for the server's default export. */
  readonly exportName: string;
  /** More are kept back until some are answered. */
  readonly requestsInFlightMax?: number;
  /** Told once when the connection is over: undefined after {@link NbdClient.close}. */
  readonly onEnd?: (error: RcopyError | undefined) => void;
}

const DONE: Completion = { ok: true };

export class NbdClient implements Device {
  readonly peer: string;
  readonly session: ServerSession;
  private readonly stream: ByteStream;
  private readonly options: NbdClientOptions;
  private readonly inFlight: InFlight;
  private readonly reader: ReplyReader<Pending>;
  /** What is not sent yet. The stream's mark and the bound on requests keep it back. */
  private queue: Pending[] = [];
  private writable = true;
  private turnPlanned = false;
  private closing: (() => void) | undefined;
  private end: { readonly error: RcopyError } | undefined;

  private constructor(stream: ByteStream, session: ServerSession, options: NbdClientOptions) {
    this.peer = stream.peer;
    this.stream = stream;
    this.session = session;
    this.options = options;
    this.inFlight = new InFlight(options.requestsInFlightMax ?? NBD_REQUESTS_IN_FLIGHT_MAX);
    this.reader = new ReplyReader(
      {
        find: (high, low) => this.inFlight.find(high, low),
        completed: (pending) => this.completed(pending),
      },
      session.structured,
    );
  }

  /**
   * Agrees with the server on an export. Rejects with `E_NOT_FOUND` or `E_STATE` when the server
   * refuses it, `E_PROTOCOL` when it does not speak fixed newstyle NBD, `E_TIMEOUT` when it does
   * not answer, `E_UNREACHABLE` when the stream ends. The stream is the client's from now on.
   */
  static open(stream: ByteStream, options: NbdClientOptions): Promise<NbdClient> {
    const machine = new ClientHandshake(options.exportName);
    return new Promise((resolve, reject) => {
      let client: NbdClient | undefined;
      const fail = (error: RcopyError) => {
        timer.cancel();
        stream.destroy(error);
        reject(error);
      };
      const timer = options.clock.after(NBD_HANDSHAKE_MS, () => {
        const seconds = NBD_HANDSHAKE_MS / 1000;
        fail(new RcopyError('E_TIMEOUT', `${stream.peer} did not agree within ${seconds} s`));
      });
      stream.listen({
        data: (chunk) => {
          if (client) client.receive(asBuffer(chunk));
          else client = shakeHands(asBuffer(chunk));
        },
        drained: () => client?.drained(),
        closed: (error) => {
          if (client) client.closed(error);
          else fail(unreachable(stream.peer, error));
        },
      });
      const shakeHands = (chunk: Buffer): NbdClient | undefined => {
        try {
          const { send, session, rest } = machine.take(chunk);
          if (send.length > 0) stream.write([send]);
          if (!session) return undefined;
          timer.cancel();
          const opened = new NbdClient(stream, session, options);
          if (rest.length > 0) opened.receive(rest);
          resolve(opened);
          return opened;
        } catch (error) {
          fail(asError(error));
          return undefined;
        }
      };
    });
  }

  get sizeBytes(): number {
    return this.session.sizeBytes;
  }

  get readOnly(): boolean {
    return (this.session.flags & FLAGS.READ_ONLY) !== 0;
  }

  /** Requests without an answer, those not sent yet included. */
  get requestsInFlight(): number {
    return this.inFlight.count + this.queue.length;
  }

  submit(request: DeviceRequest, done: Done): void {
    const refusal = this.refusal(request);
    if (refusal) {
      done({ ok: false, error: refusal });
      return;
    }
    if (request.kind === 'zeroes' && request.length > NBD_STRETCH_BYTES_MAX) {
      this.zeroesInPieces(request, done);
      return;
    }
    this.send(this.inFlight.make(request, done));
  }

  /** The server is asked by {@link allocation}; what was not asked is data, for all we know. */
  nextExtent(offset: number, end: number): Extent {
    return { offset, length: end - offset, data: true };
  }

  /**
   * Data and holes from `offset` on, at least the first stretch of them and none behind `end`: ask
   * again behind the last one. Rejects with the server's error.
   */
  allocation(offset: number, end: number): Promise<Extent[]> {
    const context = this.session.allocationContext;
    const length = Math.min(end - offset, NBD_STRETCH_BYTES_MAX);
    if (context === undefined) return Promise.resolve([this.nextExtent(offset, end)]);
    return new Promise((resolve, reject) => {
      const failure = this.end?.error ?? outOfRange(offset, length, this.sizeBytes);
      if (failure) {
        reject(failure);
        return;
      }
      const pending = this.inFlight.makeStatus(offset, length, (completion) => {
        if (!completion.ok) {
          reject(completion.error);
          return;
        }
        try {
          resolve(decodeStatus(pending, context));
        } catch (error) {
          this.fail(asError(error));
          reject(asError(error));
        }
      });
      this.send(pending);
    });
  }

  /** Waits for every answer, then ends the connection in order; bounded in time. */
  async close(): Promise<void> {
    if (this.end) return;
    const ended = new Promise<void>((resolve) => {
      this.closing = resolve;
    });
    const timer = this.options.clock.after(NBD_STOP_MS, () => {
      this.fail(new RcopyError('E_STOPPED', `the connection to ${this.peer} was closed`));
    });
    this.planTurn();
    await ended;
    timer.cancel();
  }

  /** Ends the connection at once; what is under way fails with `error`. */
  destroy(error: RcopyError): void {
    this.fail(error);
  }

  private send(pending: Pending): void {
    this.queue.push(pending);
    this.planTurn();
  }

  private planTurn(): void {
    if (this.turnPlanned) return;
    this.turnPlanned = true;
    this.options.clock.soon(this.turn);
  }

  /** Once in a turn of the loop: sends everything that may go in one write. */
  private readonly turn = (): void => {
    this.turnPlanned = false;
    if (this.end) return;
    if (this.writable) this.sendQueued();
    if (this.closing && this.requestsInFlight === 0) this.disconnect();
  };

  private sendQueued(): void {
    const { queue } = this;
    const count = Math.min(queue.length, this.inFlight.room);
    if (count === 0) return;
    const headers = Buffer.allocUnsafe(count * REQUEST_HEADER_BYTES);
    const parts: Uint8Array[] = [];
    let headersFrom = 0;
    for (let index = 0; index < count; index += 1) {
      const pending = queue[index];
      if (!pending) break;
      this.inFlight.add(pending);
      const at = index * REQUEST_HEADER_BYTES;
      encodeHeader(pending, headers, at);
      if (pending.payload.length === 0) continue;
      parts.push(headers.subarray(headersFrom, at + REQUEST_HEADER_BYTES), ...pending.payload);
      headersFrom = at + REQUEST_HEADER_BYTES;
    }
    if (headersFrom < headers.length) parts.push(headers.subarray(headersFrom));
    this.queue = queue.slice(count);
    this.writable = this.stream.write(parts);
  }

  private disconnect(): void {
    const header = Buffer.alloc(REQUEST_HEADER_BYTES);
    encodeHeader(this.inFlight.makeDisconnect(), header, 0);
    this.stream.write([header]);
    this.stream.end();
  }

  private receive(chunk: Buffer): void {
    if (this.end) return;
    try {
      this.reader.take(chunk);
    } catch (error) {
      this.fail(asError(error));
    }
  }

  private drained(): void {
    this.writable = true;
    this.planTurn();
  }

  private completed(pending: Pending): void {
    this.inFlight.remove(pending);
    if (this.queue.length > 0 || this.closing) this.planTurn();
    if (pending.errno !== 0) {
      const what = `${nameIn(COMMANDS, pending.code)} at offset ${pending.offset}`;
      const error = errorOf(pending.errno, what, this.peer, pending.message);
      pending.done({ ok: false, error });
      return;
    }
    const { command, sequence } = pending;
    if (command === 'read') pending.done(readCompletion(pending));
    else pending.done(sequence === undefined ? DONE : { ok: true, sequence });
  }

  private closed(error: Error | undefined): void {
    const inOrder = error === undefined && this.closing && this.requestsInFlight === 0;
    if (inOrder) this.finish(unreachable(this.peer, undefined), undefined);
    else this.fail(unreachable(this.peer, error));
  }

  private fail(error: RcopyError): void {
    if (this.end) return;
    this.stream.destroy(error);
    this.finish(error, error);
  }

  private finish(error: RcopyError, told: RcopyError | undefined): void {
    if (this.end) return;
    this.end = { error };
    const waiting = [...this.inFlight.clear(), ...this.queue];
    this.queue = [];
    for (const { done } of waiting) done({ ok: false, error });
    this.closing?.();
    this.options.onEnd?.(told);
  }

  /** A request of more than 32 bits of length, as several; the first error is the answer. */
  private zeroesInPieces(request: DeviceRequest & { kind: 'zeroes' }, done: Done): void {
    let missing = Math.ceil(request.length / NBD_STRETCH_BYTES_MAX);
    let answer: Completion = DONE;
    const pieceDone = (completion: Completion) => {
      missing -= 1;
      if (!completion.ok && answer.ok) answer = completion;
      if (missing === 0) done(answer);
    };
    const end = request.offset + request.length;
    for (let { offset } = request; offset < end; offset += NBD_STRETCH_BYTES_MAX) {
      const length = Math.min(NBD_STRETCH_BYTES_MAX, end - offset);
      this.send(this.inFlight.make({ ...request, offset, length }, pieceDone));
    }
  }

  private refusal(request: DeviceRequest): RcopyError | undefined {
    if (this.end) return this.end.error;
    if (this.closing) return new RcopyError('E_STOPPED', `${this.peer} is being left`);
    return refusalOf(request, this.session, this.peer);
  }
}

function asError(error: unknown): RcopyError {
  if (isRcopyError(error)) return error;
  return new RcopyError('E_INTERNAL', messageOf(error), { cause: error });
}

function unreachable(peer: string, error: Error | undefined): RcopyError {
  if (isRcopyError(error, 'E_UNREACHABLE')) return error;
  const why = error === undefined ? 'ended' : `broke: ${error.message}`;
  return new RcopyError('E_UNREACHABLE', `the connection to ${peer} ${why}`, { cause: error });
}
