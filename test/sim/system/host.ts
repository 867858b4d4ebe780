/**
 * A host: an NBD client with a few requests under way, that connects again whenever its connection
 * ends, and holds every answer against the history of its sectors.
 */
import { isRcopyError } from '../../../src/base/errors.ts';
import type { Completion, DeviceRequest } from '../../../src/device/device.ts';
import { NbdClient } from '../../../src/nbd/client.ts';
import type { Random } from '../../../src/sys/random.ts';
import type { ByteStream } from '../../../src/sys/stream.ts';
import type { SimulatedClock } from '../clock.ts';
import { Broken } from './broken.ts';
import { SECTOR_BYTES } from './sector-history.ts';
import type { SectorHistory } from './sector-history.ts';

export interface HostParts {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly name: string;
  readonly id: number;
  readonly volume: string;
  readonly sectors: number;
  /** Of the volume: all hosts that have it write to all of it. */
  readonly history: SectorHistory;
  /** Requests under way at a time. */
  readonly depth: number;
  readonly requestBytesMax: number;
  /** Where everybody is at work now, in sectors; undefined for everywhere. */
  hotPlace(): { readonly first: number; readonly count: number } | undefined;
  /** A stream to whoever serves the volume now. */
  dial(): Promise<ByteStream>;
  /** No controller leads it: it has to find the set that serves its volume by itself. */
  readonly isDirect: boolean;
  /** For how long its controller has been without a set so far, in milliseconds. */
  readonly heldUpMs: () => number;
  /** Told what broke a rule. */
  readonly tell: (error: unknown) => void;
}

/** How long a host waits before it connects again, in milliseconds. */
const RECONNECT_MS = 150;
/** How long one of its lanes rests between two requests at most: bursts, and quiet moments. */
const PAUSES_MS = [2, 5, 50, 500, 4000];
/** Where every third request begins. */
const HOT_SECTORS = 6;
/** So many errors one behind the other, and a host without a controller looks for its disk anew. */
const ERRORS_MAX = 3;

export class Host {
  readonly name: string;
  readonly id: number;
  readonly history: SectorHistory;
  /** It asks for something, again and again. */
  isWorking = false;
  /** Requests that were answered, and errors, by their messages. */
  answered = 0;
  readonly errors = new Map<string, number>();
  private readonly parts: HostParts;
  private client: NbdClient | undefined;
  /** When each request that is under way was asked for, the oldest first. */
  private readonly underWay = new Set<{ readonly sinceMs: number; readonly heldUpMs: number }>();
  /** On this connection, a flush has to fail before one is answered: a takeover lost its writes. */
  private ignorantOn: number | undefined;
  private errorsInTurn = 0;
  /** When this connection began, by the history: nobody remembers what was answered before it. */
  private connectedAt = 0;
  /** Counts connections: answers of an earlier one count no more. */
  private connection = 0;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.name = parts.name;
    this.id = parts.id;
    this.history = parts.history;
    void this.connect();
    for (let lane = 0; lane < parts.depth; lane += 1) void this.lane();
  }

  get volume(): string {
    return this.parts.volume;
  }

  get isIdle(): boolean {
    return this.underWay.size === 0;
  }

  get isConnected(): boolean {
    return this.client !== undefined;
  }

  /** For how long its oldest request waits, in milliseconds. */
  get waitsMs(): number {
    const [oldest] = this.underWay;
    return oldest ? this.parts.clock.monotonicMs() - oldest.sinceMs : 0;
  }

  /** For how long its oldest request waits at a controller that has no set, in milliseconds. */
  get heldMs(): number {
    const [oldest] = this.underWay;
    return oldest ? this.parts.heldUpMs() - oldest.heldUpMs : 0;
  }

  /** A write that it was `answered` then is lost with a takeover: its controller has to say so. */
  mustLearnOfLoss(answered: number): void {
    if (answered === Number.POSITIVE_INFINITY || answered < this.connectedAt) return;
    if (this.client && !this.parts.isDirect) this.ignorantOn = this.connection;
  }

  /** Its set is gone, which it may not have noticed yet; nobody but a controller keeps anything. */
  setIsGone(): void {
    if (this.parts.isDirect) this.history.mayLoseUnflushed(this.id);
  }

  /** Writes to every sector: a copy that lacks one is seen then. */
  async fill(): Promise<void> {
    const { sectors, requestBytesMax } = this.parts;
    const most = Math.floor(requestBytesMax / SECTOR_BYTES);
    for (let first = 0; first < sectors; first += most) {
      await this.write(first, Math.min(most, sectors - first), false);
    }
  }

  /** Asks for a flush; resolves with whether it was answered. */
  async flush(): Promise<boolean> {
    const start = this.history.now();
    const ignorantOn = this.ignorantOn;
    const { ok } = await this.submit({ kind: 'flush' }, () => {
      if (ignorantOn === this.connection && ignorantOn === this.ignorantOn) {
        throw new Broken('R2', `${this.name} flushes over what a takeover lost`);
      }
      this.history.flushedSince(this.id, start);
    });
    return ok;
  }

  /** Reads everything; resolves with whether that was answered. */
  async readAll(): Promise<boolean> {
    return this.read(0, this.parts.sectors);
  }

  /** Writes so often, one request behind the other, to where everybody does. */
  async burst(writes: number): Promise<void> {
    const { random } = this.parts;
    for (let left = writes; left > 0 && this.isWorking && this.client; left -= 1) {
      await this.write(random.below(HOT_SECTORS), 1 + random.below(2), false);
    }
  }

  /** One request behind the other, as long as the host lives. */
  private async lane(): Promise<void> {
    const { clock, random } = this.parts;
    for (;;) {
      if (this.isWorking && this.client) await this.one();
      const longest = PAUSES_MS[random.below(PAUSES_MS.length)] ?? 1;
      await clock.sleep(random.below(longest));
    }
  }

  private async one(): Promise<void> {
    const { random, sectors, requestBytesMax } = this.parts;
    const hot = random.below(12) > 0 ? this.parts.hotPlace() : undefined;
    // Some places are written again and again: a log, a superblock.
    const often = random.below(3) === 0 ? HOT_SECTORS : sectors;
    const first = hot ? hot.first + random.below(hot.count) : random.below(often);
    const most = Math.min(sectors - first, Math.floor(requestBytesMax / SECTOR_BYTES));
    const count = 1 + random.below(random.below(4) === 0 ? most : Math.min(most, 4));
    const choice = random.below(20);
    if (choice < 10) await this.write(first, count, choice === 0);
    else if (choice < 12) await this.zero(first, count, random.below(4) === 0);
    else if (choice < 14) await this.flush();
    else await this.read(first, count);
  }

  private async write(first: number, count: number, fua: boolean): Promise<void> {
    const change = this.history.ask(this.id, first, count, false);
    const data = [this.history.payload(change, first, count)];
    const request = { kind: 'write', ...placeOf(first, count), data, fua } as const;
    await this.submit(request, () => this.history.answered(change));
  }

  private async zero(first: number, count: number, fua: boolean): Promise<void> {
    const change = this.history.ask(this.id, first, count, true);
    const mayFree = this.parts.random.below(2) === 0;
    const request = { kind: 'zeroes', ...placeOf(first, count), fua, mayFree } as const;
    await this.submit(request, () => this.history.answered(change));
  }

  private async read(first: number, count: number): Promise<boolean> {
    const { start, ends } = this.history.beginRead();
    const { ok } = await this.submit({ kind: 'read', ...placeOf(first, count) }, ({ data }) =>
      this.history.check(first, Buffer.concat(data ?? []), start),
    );
    ends();
    return ok;
  }

  private async submit(
    request: DeviceRequest,
    done: (completion: Completion & { ok: true }) => void,
  ): Promise<Completion> {
    const { client, connection } = this;
    if (!client) return { ok: false, error: new Error('not connected') };
    const { clock, heldUpMs } = this.parts;
    const asked = { sinceMs: clock.monotonicMs(), heldUpMs: heldUpMs() };
    this.underWay.add(asked);
    return new Promise((resolve) => {
      client.submit(request, (completion) => {
        this.underWay.delete(asked);
        if (connection === this.connection || !completion.ok) this.note(request, completion, done);
        resolve(completion);
      });
    });
  }

  private note(
    request: DeviceRequest,
    completion: Completion,
    done: (completion: Completion & { ok: true }) => void,
  ): void {
    try {
      if (completion.ok) {
        this.answered += 1;
        this.errorsInTurn = 0;
        done(completion);
        return;
      }
      const { error } = completion;
      const what = isRcopyError(error) ? error.code : error.message;
      this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
      this.errorsInTurn += 1;
      if (this.parts.isDirect && this.errorsInTurn === ERRORS_MAX) void this.client?.close();
      // A flush that failed says that what was answered before it may be lost.
      if (request.kind === 'flush') {
        this.ignorantOn = undefined;
        this.history.mayLoseUnflushed(this.id);
      }
      if (isRcopyError(error, 'E_INTERNAL')) throw new Broken('host', `${this.name}: ${what}`);
    } catch (error) {
      this.parts.tell(error);
    }
  }

  private async connect(): Promise<void> {
    const { clock, volume } = this.parts;
    for (;;) {
      try {
        const stream = await this.parts.dial();
        this.connection += 1;
        this.connectedAt = this.history.now();
        this.errorsInTurn = 0;
        this.client = await NbdClient.open(stream, {
          clock,
          exportName: volume,
          onEnd: () => this.disconnected(),
        });
        return;
      } catch {
        await clock.sleep(RECONNECT_MS);
      }
    }
  }

  /** Nobody keeps for this host what it was answered on that connection and did not flush. */
  private disconnected(): void {
    this.client = undefined;
    this.connection += 1;
    this.history.mayLoseUnflushed(this.id);
    this.parts.clock.after(RECONNECT_MS, () => void this.connect());
  }
}

function placeOf(first: number, count: number): { offset: number; length: number } {
  return { offset: first * SECTOR_BYTES, length: count * SECTOR_BYTES };
}
