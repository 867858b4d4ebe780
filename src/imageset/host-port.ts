/**
 * The way of a host request into the set (DESIGN: check → number → journal → overlay → answer).
 * Requests that arrive together are journaled with one writev. Where there is no room the host
 * waits, in order, and is told after a stated time (R9).
 */
import { counted } from '../base/words.ts';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { OVERLAY_BYTES } from '../base/limits.ts';
import type {
  Completion,
  DeviceRequest,
  Done,
  WriteRequest,
  ZeroesRequest,
} from '../device/device.ts';
import type { NewRecord, Run } from '../journal/run.ts';
import type { Journal } from '../journal/journal.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { Contents } from './contents.ts';

/** What the port needs to know of its set. */
export interface HostPortSet {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly contents: Contents;
  /** The run that takes host writes now; undefined while the epoch is being opened. */
  writableRun(): Run | undefined;
  /** Why host commands of this kind are refused now, if they are. */
  refusal(kind: 'read' | 'write'): RcopyError | undefined;
  /** Opens the epoch that hosts write to, if it is this set's to write. */
  wantRun(): void;
  /** Told when a request could not be journaled. */
  failed(error: unknown): void;
  /** Told after requests went into the overlay. */
  inserted(): void;
  /** Resolves when what was journaled before the call is as durable as FLUSH and FUA promise. */
  makeDurable(): Promise<void>;
  /** Makes room if it can: applies and trims. */
  wantRoom(): void;
  /** How long a request may wait for room before it fails; 0: until {@link HostPort.giveUp}. */
  readonly roomWaitMs: number;
}

type Change = WriteRequest | ZeroesRequest;

/** A range of a volume, in bytes. */
export interface HostRange {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

interface Waiting {
  readonly volume: number;
  readonly request: Change;
  readonly done: Done;
}

interface Answer {
  readonly done: Done;
  readonly sequence: number;
  readonly fua: boolean;
}

/** How soon absent blocks are asked for again whose holder was away. */
const ABSENT_RETRY_MS = 100;

const DONE: Completion = { ok: true };

export class HostPort {
  private readonly set: HostPortSet;
  private readonly waiting: Waiting[] = [];
  private batch: Answer[] = [];
  private batchRun: Run | undefined;
  private batchBytes = 0;
  private flushScheduled = false;
  private waitTimer: Timer | undefined;
  private takingIn = false;
  private readonly watches = new Set<{ readonly range: HostRange; changed: boolean }>();
  private holds = 0;
  /** How many requests were journaled so far. */
  takenRequests = 0;

  constructor(set: HostPortSet) {
    this.set = set;
  }

  /** How many requests wait for room. */
  get waitingRequests(): number {
    return this.waiting.length;
  }

  /** How many numbers they will take. */
  get waitingNumbers(): number {
    const { recordPayloadBytesMax } = this.set.journal.sizes;
    return this.waiting.reduce(
      (sum, { request }) => sum + payloadLengths(request, recordPayloadBytesMax).length,
      0,
    );
  }

  submit(volume: number, request: DeviceRequest, done: Done): void {
    const kind = request.kind === 'read' ? 'read' : 'write';
    const refusal = this.set.refusal(kind) ?? this.outOfRange(volume, request);
    if (refusal) {
      done({ ok: false, error: refusal });
      return;
    }
    switch (request.kind) {
      case 'read':
        this.read(volume, request.offset, request.length, done);
        return;
      case 'flush':
        this.flush(done);
        return;
      case 'write':
      case 'zeroes':
        this.change({ volume, request, done });
    }
  }

  /** Whether the journal takes a mark now. */
  hasRoomForMark(payload: Uint8Array): boolean {
    const run = this.set.writableRun();
    return run !== undefined && this.set.journal.admits(run, [payload.length], 'host');
  }

  /** A numbered record without data: a mark. Durable when it resolves. */
  async mark(payload: Uint8Array): Promise<number> {
    const refusal = this.set.refusal('write');
    if (refusal) throw refusal;
    const run = this.set.writableRun();
    if (!run || !this.hasRoomForMark(payload)) throw journalFull();
    this.writeBatch();
    const record: NewRecord = {
      kind: 'mark',
      volume: 0,
      offset: 0,
      length: 0,
      payload: [payload],
      payloadLength: payload.length,
      endOfRequest: true,
      mayFree: false,
    };
    const sequence = this.set.journal.append(run, record);
    this.set.contents.overlay.endRequest({ epoch: run.epoch, sequence, chain: run.chain });
    this.set.journal.write(run, payload.length);
    this.set.inserted();
    await this.set.journal.sync();
    return sequence;
  }

  /** Whether changes are held up, by somebody who lets go of them soon. */
  get isHeld(): boolean {
    return this.holds > 0;
  }

  /** Changes wait, as for room, until what comes back is called; reads and flushes go on. */
  hold(): () => void {
    this.holds += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.holds -= 1;
      this.roomChanged();
    };
  }

  /** Sees whether hosts change a range, until its end. */
  watch(range: HostRange): { readonly changed: boolean; end(): void } {
    const watch = { range, changed: false, end: () => void this.watches.delete(watch) };
    this.watches.add(watch);
    return watch;
  }

  /** Room may have been made: takes in what waits. */
  roomChanged(): void {
    if (this.takingIn) return; // an answer led here: the loop below goes on anyway
    this.takingIn = true;
    try {
      while (this.takeFirst());
    } catch (error) {
      this.set.failed(error);
    } finally {
      this.takingIn = false;
    }
    const refusal = this.waiting.length > 0 ? this.set.refusal('write') : undefined;
    if (refusal) this.failWaiting(refusal);
    else if (this.waiting.length > 0) this.armWait();
  }

  /** Whether the first of those who wait could be taken in. */
  private takeFirst(): boolean {
    const [first] = this.waiting;
    if (!first || this.isHeld || this.set.refusal('write') || !this.take(first)) return false;
    this.takenRequests += 1;
    if (this.waiting[0] === first) this.waiting.shift();
    this.waitTimer?.cancel();
    this.waitTimer = undefined;
    return true;
  }

  /** Nobody can make room now: everyone who waits for it is told. */
  giveUp(reason: RcopyError | undefined): void {
    if (this.waiting.length > 0) this.failWaiting(reason ?? journalFull());
  }

  /** Ends the port: everyone who waits gets this error. */
  stop(error: RcopyError): void {
    this.failWaiting(error);
    const answers = this.batch;
    this.batch = [];
    for (const { done } of answers) done({ ok: false, error });
  }

  /** Journals what was taken in and answers it. Everything before it is then in the journal. */
  writeBatch(): void {
    const { batch: answers, batchRun: run, batchBytes } = this;
    this.batch = [];
    this.batchBytes = 0;
    if (!run || answers.length === 0) return;
    try {
      this.set.journal.write(run, batchBytes);
    } catch (error) {
      for (const { done } of answers) done({ ok: false, error: error as Error });
      this.set.failed(error);
      return;
    }
    const durable: Answer[] = [];
    for (const answer of answers) {
      if (answer.fua) durable.push(answer);
      else answer.done({ ok: true, sequence: answer.sequence });
    }
    if (durable.length > 0) this.answerDurably(durable);
    this.set.inserted();
  }

  private read(volume: number, offset: number, length: number, done: Done): void {
    const { contents } = this.set;
    if (!contents.absentIn(volume, offset, offset + length)) {
      done(attempt(() => contents.readNow(volume, offset, length)));
      return;
    }
    this.readAbsent({ volume, offset, length }, done, this.set.clock.monotonicMs());
  }

  /** What holds absent blocks may be away for a while: the host waits as it does for room. */
  private readAbsent(range: HostRange, done: Done, sinceMs: number): void {
    const { clock, contents, roomWaitMs } = this.set;
    contents.read(range.volume, range.offset, range.length).then(
      (data) => done({ ok: true, data: [data] }),
      (error: Error) => {
        const mayWait = clock.monotonicMs() - sinceMs < roomWaitMs;
        const failure = this.set.refusal('read') ?? (isAway(error) && mayWait ? undefined : error);
        if (failure) done({ ok: false, error: failure });
        else clock.after(ABSENT_RETRY_MS, () => this.readAbsent(range, done, sinceMs));
      },
    );
  }

  private flush(done: Done): void {
    this.writeBatch();
    this.set.makeDurable().then(
      () => done(DONE),
      (error: Error) => done({ ok: false, error }),
    );
  }

  private answerDurably(answers: readonly Answer[]): void {
    this.set.makeDurable().then(
      () => {
        for (const { done, sequence } of answers) done({ ok: true, sequence });
      },
      (error: Error) => {
        for (const { done } of answers) done({ ok: false, error });
      },
    );
  }

  private change(waiting: Waiting): void {
    this.waiting.push(waiting);
    this.roomChanged();
  }

  /** Numbers the request and puts it into the batch; false when there is no room for it now. */
  private take({ volume, request, done }: Waiting): boolean {
    const { journal, contents } = this.set;
    const run = this.set.writableRun();
    if (!run) {
      this.set.wantRun();
      return false;
    }
    const payloads = payloadLengths(request, journal.sizes.recordPayloadBytesMax);
    const full = contents.overlay.heldBytes >= OVERLAY_BYTES;
    if (full || !journal.admits(run, payloads, 'host')) {
      this.writeBatch();
      this.set.wantRoom();
      return false;
    }
    if (this.batchRun !== run) this.writeBatch();
    if (this.watches.size > 0) this.tellWatches(volume, request);
    this.batchRun = run;
    const sequence =
      request.kind === 'write'
        ? this.appendWrite(run, volume, request, payloads)
        : this.appendZeroes(run, volume, request);
    contents.overlay.endRequest({ epoch: run.epoch, sequence, chain: run.chain });
    this.batch.push({ done, sequence, fua: request.fua });
    this.batchBytes += request.kind === 'write' ? request.length : 0;
    if (!this.flushScheduled) {
      this.flushScheduled = true;
      queueMicrotask(() => {
        this.flushScheduled = false;
        this.writeBatch();
      });
    }
    return true;
  }

  private tellWatches(volume: number, { offset, length }: Change): void {
    for (const watch of this.watches) {
      const { range } = watch;
      const touches = offset < range.offset + range.length && range.offset < offset + length;
      if (volume === range.volume && touches) watch.changed = true;
    }
  }

  /** Returns the last number that the request took. */
  private appendWrite(
    run: Run,
    volume: number,
    request: WriteRequest,
    payloads: readonly number[],
  ): number {
    const { journal, contents } = this.set;
    const slices = new SliceTaker(request.data);
    let offset = request.offset;
    let sequence = 0;
    for (const [index, payloadLength] of payloads.entries()) {
      const payload = slices.take(payloadLength);
      sequence = journal.append(run, {
        kind: 'write',
        volume,
        offset,
        length: payloadLength,
        payload,
        payloadLength,
        endOfRequest: index === payloads.length - 1,
        mayFree: false,
      });
      for (const part of payload) {
        contents.overlay.insert(volume, offset, part.length, part, false);
        offset += part.length;
      }
    }
    return sequence;
  }

  private appendZeroes(run: Run, volume: number, request: ZeroesRequest): number {
    const { offset, length, mayFree } = request;
    const { journal, contents } = this.set;
    const sequence = journal.append(run, {
      kind: 'zeroes',
      volume,
      offset,
      length,
      payload: [],
      payloadLength: 0,
      endOfRequest: true,
      mayFree,
    });
    contents.overlay.insert(volume, offset, length, undefined, mayFree);
    return sequence;
  }

  private outOfRange(volume: number, request: DeviceRequest): RcopyError | undefined {
    if (request.kind === 'flush') return undefined;
    const { sizeBytes, name } = this.set.contents.image(volume);
    const { requestBytesMax } = this.set.journal.sizes;
    if (request.kind === 'write' && bytesIn(request.data) !== request.length) {
      return new RcopyError(
        'E_RANGE',
        `a write of ${request.length} bytes has another number of them`,
      );
    }
    if (request.kind === 'write' && request.length > requestBytesMax) {
      return new RcopyError(
        'E_RANGE',
        `a write of ${request.length} bytes is over ${requestBytesMax}`,
      );
    }
    const { offset, length } = request;
    if (length > 0 && offset >= 0 && offset + length <= sizeBytes) return undefined;
    return new RcopyError(
      'E_RANGE',
      `${counted(length, 'byte')} at offset ${offset} leave volume ${name} of ${sizeBytes} bytes`,
    );
  }

  private armWait(): void {
    const waitMs = this.set.roomWaitMs;
    if (waitMs === 0) return;
    this.waitTimer ??= this.set.clock.after(waitMs, () => {
      this.waitTimer = undefined;
      this.failWaiting(journalFull());
    });
  }

  private failWaiting(error: RcopyError): void {
    this.waitTimer?.cancel();
    this.waitTimer = undefined;
    for (const { done } of this.waiting.splice(0)) done({ ok: false, error });
  }
}

function isAway(error: Error): boolean {
  return isRcopyError(error, 'E_UNREACHABLE') || isRcopyError(error, 'E_TIMEOUT');
}

function bytesIn(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) sum += part.length;
  return sum;
}

function attempt(read: () => Buffer): Completion {
  try {
    return { ok: true, data: [read()] };
  } catch (error) {
    return { ok: false, error: error as Error };
  }
}

function journalFull(): RcopyError {
  return new RcopyError('E_JOURNAL_FULL', 'the journal has no room for this request', {
    hint: 'it keeps what the secondary lacks: run `rcopy replicate`, or end the pair',
  });
}

/** Payload lengths of the records that a request becomes. */
export function payloadLengths(request: Change, payloadBytesMax: number): number[] {
  if (request.kind === 'zeroes') return [0];
  const lengths: number[] = [];
  for (let left = request.length; left > 0; left -= payloadBytesMax) {
    lengths.push(Math.min(left, payloadBytesMax));
  }
  return lengths;
}

/** Cuts a list of slices into lists of stated lengths, without copying. */
class SliceTaker {
  private readonly parts: readonly Uint8Array[];
  private index = 0;
  private offset = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.parts = parts;
  }

  take(length: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let left = length; left > 0;) {
      const part = this.parts[this.index];
      if (!part) throw new RcopyError('E_INTERNAL', 'a request is shorter than it says');
      const isWhole = this.offset === 0 && part.length <= left;
      const slice = isWhole ? part : part.subarray(this.offset, this.offset + left);
      taken.push(slice);
      left -= slice.length;
      this.offset += slice.length;
      if (this.offset === part.length) {
        this.index += 1;
        this.offset = 0;
      }
    }
    return taken;
  }
}
