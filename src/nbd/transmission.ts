/**
 * A client's requests, after the handshake: taken out of the stream whole, given to the device, and
 * answered as they end.
 *
 * ```
 *   bytes --> header --> room? --> payload --> device --> reply --> outbox --> bytes
 *                          |                                          |
 *                          +-- no: the stream is paused, nothing      +-- full: the same
 *                              else is looked at until there is
 * ```
 *
 * A request counts on the server's memory budget from its header on until the client has taken its
 * reply, so neither half-sent payloads nor replies that nobody reads can add up (R9). Each request
 * is one request of the device: what a secondary answers shows one restored number.
 */
import { assert } from '../base/assert.ts';
import { RcopyError } from '../base/errors.ts';
import { KIB, NBD_REPLIES_BYTES_MAX } from '../base/limits.ts';
import type { Completion } from '../device/device.ts';
import type { Clock } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { answer, answerError } from './answers.ts';
import { blockStatus, statusOfExtents } from './block-status.ts';
import type { BudgetWaiter, MemoryBudget } from './budget.ts';
import type { Session } from './handshake.ts';
import { Outbox } from './outbox.ts';
import {
  COMMANDS,
  COMMAND_FLAGS,
  ERRNOS,
  REQUEST_HEADER_BYTES,
  REQUEST_MAGIC,
} from './protocol.ts';
import { CACHE_BYTES, ClientRequest } from './request.ts';

/** What a transmission needs of its connection. */
export interface TransmissionOptions {
  readonly stream: ByteStream;
  readonly session: Session;
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  readonly requestsInFlightMax: number;
  /** No request is under way and no reply waits any more, after DISC or {@link stop}. */
  readonly finished: () => void;
  /** The client broke the protocol. */
  readonly broken: (error: RcopyError) => void;
}

/** Of what is kept for payloads: how much else may be kept along with it before they are copied. */
const DEBT_BYTES_MAX = 256 * KIB;

const NOTHING = Buffer.alloc(0);

export class Transmission implements BudgetWaiter {
  readBytes = 0;
  writtenBytes = 0;
  /** Given to the device and not answered by it. */
  requestsInFlight = 0;
  private readonly options: TransmissionOptions;
  private readonly session: Session;
  private readonly budget: MemoryBudget;
  private readonly outbox: Outbox;
  private readonly free: ClientRequest[] = [];
  /** A header that came in pieces. */
  private readonly header = Buffer.alloc(REQUEST_HEADER_BYTES);
  private headerFilled = 0;
  /** The request whose payload is coming. */
  private current: ClientRequest | undefined;
  /** The request that there is no memory for yet, and whether there is now. */
  private asking: ClientRequest | undefined;
  private hasRoom = false;
  /** What was received and not looked at, while the stream is paused. */
  private rest: Buffer | undefined;
  /** How much more is kept in memory along with payloads than those themselves. */
  private debtBytes = 0;
  private receivedBytes = 0;
  private turnPlanned = false;
  /** No request is taken any more: after DISC they are ignored, after a stop refused. */
  private ending: 'no' | 'disconnect' | 'stop' = 'no';
  private closed = false;

  constructor(options: TransmissionOptions) {
    this.options = options;
    this.session = options.session;
    this.budget = options.budget;
    this.outbox = new Outbox(options.stream, (charge) => this.budget.give(charge));
  }

  /** Whether it holds memory that only its client can set free. */
  get holdsMemory(): boolean {
    return this.current !== undefined || this.outbox.untakenBytes > 0;
  }

  /** Bytes that its client sent or took so far. */
  get movedBytes(): number {
    return this.receivedBytes + this.outbox.takenBytes;
  }

  /** Bytes came from the client. */
  receive(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    if (this.ending === 'disconnect') return;
    if (this.rest === undefined) this.parse(chunk);
    else this.rest = Buffer.concat([this.rest, chunk]);
  }

  /** The stream has taken what was written. */
  drained(): void {
    this.outbox.drained();
    this.planTurn();
  }

  /** Memory was found for the request that waits. */
  granted(): void {
    this.hasRoom = true;
    this.planTurn();
  }

  /** Refuses what comes from now on; what is under way is finished. */
  stop(): void {
    if (this.ending === 'no') this.ending = 'stop';
    if (this.asking && !this.hasRoom) {
      this.budget.leave(this);
      this.asking.refuse(ERRNOS.ESHUTDOWN);
      this.asking.charge = 0;
      this.hasRoom = true;
    }
    this.planTurn();
  }

  /** The stream is gone. What the device has under way ends without an answer. */
  close(): void {
    this.closed = true;
    this.budget.leave(this);
    const { current, asking } = this;
    if (current) this.budget.give(current.charge);
    if (asking && this.hasRoom) this.budget.give(asking.charge);
    this.current = undefined;
    this.asking = undefined;
    this.rest = undefined;
    this.outbox.close();
    this.session.export.device.leave?.();
  }

  /** Takes requests out of `chunk` until it ends or the next one must wait. */
  private parse(chunk: Buffer): void {
    let at = 0;
    let kept = 0;
    const copies = this.debtBytes > DEBT_BYTES_MAX;
    while (at < chunk.length) {
      const request = this.current;
      if (request !== undefined) {
        const taken = request.takePayload(chunk, at, copies);
        if (request.refusal === 0) kept += taken;
        at += taken;
        if (request.missingBytes > 0) break;
        this.current = undefined;
        this.execute(request);
      } else if (this.mustWait()) {
        this.rest = chunk.subarray(at);
        break;
      } else {
        at += this.takeHeader(chunk, at);
        if (this.closed || this.ending === 'disconnect') return;
      }
    }
    this.countDebt(chunk.length, kept, copies);
    if (this.rest === undefined && this.mustWait() && this.current === undefined) {
      this.rest = NOTHING;
    }
    if (this.rest !== undefined) this.options.stream.pause();
  }

  /**
   * A slice of a payload keeps the whole chunk in memory that it came in. Usually chunks are little
   * else than payload; of a client that sends much else between, payloads are copied.
   */
  private countDebt(length: number, kept: number, copies: boolean): void {
    if (kept === 0) return;
    const alongside = copies ? 0 : length - kept;
    this.debtBytes = Math.max(0, this.debtBytes + alongside - kept);
  }

  private mustWait(): boolean {
    return (
      this.asking !== undefined ||
      this.requestsInFlight >= this.options.requestsInFlightMax ||
      this.outbox.untakenBytes >= NBD_REPLIES_BYTES_MAX
    );
  }

  /** Takes a header, or a piece of one; returns how many bytes that was. */
  private takeHeader(chunk: Buffer, at: number): number {
    const { header } = this;
    if (this.headerFilled === 0 && chunk.length - at >= REQUEST_HEADER_BYTES) {
      this.begin(chunk, at);
      return REQUEST_HEADER_BYTES;
    }
    const copied = chunk.copy(header, this.headerFilled, at);
    this.headerFilled += copied;
    if (this.headerFilled === REQUEST_HEADER_BYTES) {
      this.headerFilled = 0;
      this.begin(header, 0);
    }
    return copied;
  }

  private begin(bytes: Buffer, at: number): void {
    if (bytes.readUInt32BE(at) !== REQUEST_MAGIC) {
      const error = new RcopyError('E_PROTOCOL', 'a request does not begin with its magic');
      this.options.broken(error);
      return;
    }
    const request = this.free.pop() ?? new ClientRequest(this.completed);
    request.begin(bytes, at, this.session);
    if (request.command === COMMANDS.DISC) {
      this.free.push(request);
      this.ending = 'disconnect';
      this.planTurn();
      return;
    }
    if (this.ending === 'stop') request.refuse(ERRNOS.ESHUTDOWN);
    if (this.budget.take(request.charge, this)) this.admit(request);
    else this.asking = request;
  }

  private admit(request: ClientRequest): void {
    if (request.missingBytes > 0) this.current = request;
    else this.execute(request);
  }

  private execute(request: ClientRequest): void {
    if (request.refusal !== 0) {
      answerError(this.outbox, request, request.refusal, '', this.session.structured);
      this.recycle(request);
      return;
    }
    const { device } = this.session.export;
    this.requestsInFlight += 1;
    switch (request.command) {
      case COMMANDS.BLOCK_STATUS:
        this.allocation(request);
        return;
      case COMMANDS.CACHE:
        this.cache(request, request.offset);
        return;
      default:
        device.submit(request, request.done);
    }
  }

  private allocation(request: ClientRequest): void {
    const { device } = this.session.export;
    const { offset, length, done } = request;
    const single = (request.flags & COMMAND_FLAGS.REQ_ONE) !== 0;
    if (device.allocation) {
      device.allocation(offset, offset + length).then(
        (extents) => done({ ok: true, data: [statusOfExtents(extents, single)] }),
        (error: Error) => done({ ok: false, error }),
      );
      return;
    }
    let status: Buffer;
    try {
      status = blockStatus(device, offset, length, single);
    } catch (error) {
      done({ ok: false, error: error as Error });
      return;
    }
    done({ ok: true, data: [status] });
  }

  /** Reads the range piece by piece, for nobody: what is absent is fetched on the way. */
  private cache(request: ClientRequest, offset: number): void {
    const end = request.offset + request.length;
    const length = Math.min(CACHE_BYTES, end - offset);
    this.session.export.device.submit({ kind: 'read', offset, length }, (completion) => {
      if (!completion.ok || offset + length === end || this.closed) request.done(completion);
      else this.options.clock.soon(() => this.cache(request, offset + length));
    });
  }

  /** The device is through with a request. */
  private readonly completed = (request: ClientRequest, completion: Completion): void => {
    this.requestsInFlight -= 1;
    assert(this.requestsInFlight >= 0, 'a device answers each request once');
    if (this.closed) {
      this.budget.give(request.charge);
      return;
    }
    if (answer(this.outbox, request, completion, this.session)) {
      if (request.command === COMMANDS.READ) this.readBytes += request.length;
      if (request.command === COMMANDS.WRITE) this.writtenBytes += request.length;
    }
    this.recycle(request);
  };

  /** The reply is in the outbox, which owns the charge now. */
  private recycle(request: ClientRequest): void {
    this.outbox.settle(request.charge);
    request.forget();
    this.free.push(request);
    this.planTurn();
  }

  private planTurn(): void {
    if (this.turnPlanned || this.closed) return;
    this.turnPlanned = true;
    this.options.clock.soon(this.turn);
  }

  /** Once in a turn of the loop: sends what became ready, goes on with what had to wait. */
  private readonly turn = (): void => {
    this.turnPlanned = false;
    if (this.closed) return;
    this.outbox.flush();
    if (this.asking && this.hasRoom) {
      const request = this.asking;
      this.asking = undefined;
      this.hasRoom = false;
      this.admit(request);
    }
    this.goOn();
    if (this.ending !== 'no') this.finish();
  };

  private goOn(): void {
    const { rest } = this;
    if (rest === undefined || (this.mustWait() && this.current === undefined)) return;
    this.rest = undefined;
    if (rest.length > 0) this.parse(rest);
    if (this.rest === undefined && !this.closed) this.options.stream.resume();
  }

  private finish(): void {
    const underWay = this.requestsInFlight > 0 || this.current !== undefined;
    if (!underWay && this.outbox.untakenBytes === 0 && !this.closed) this.options.finished();
  }
}
