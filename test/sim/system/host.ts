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
import { SECTOR_BYTES, SectorHistory } from './sector-history.ts';

export interface HostParts {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly name: string;
  readonly id: number;
  readonly volume: string;
  /** Its sectors of the volume: no other host touches them. */
  readonly firstSector: number;
  readonly sectors: number;
  /** Requests under way at a time. */
  readonly depth: number;
  readonly requestBytesMax: number;
  /** A stream to whoever serves the volume now. */
  dial(): Promise<ByteStream>;
  /** No controller leads it: it has to find the set that serves its volume by itself. */
  readonly isDirect: boolean;
  /** Told what broke a rule. */
  readonly tell: (error: unknown) => void;
}

/** How long a host waits before it connects again, in milliseconds. */
const RECONNECT_MS = 150;
/** How long one of its lanes rests between two requests at most: bursts, and quiet moments. */
const PAUSES_MS = [2, 5, 50, 500, 4000];
/** So many errors one behind the other, and a host without a controller looks for its disk anew. */
const ERRORS_MAX = 3;

export class Host {
  readonly name: string;
  readonly history: SectorHistory;
  /** It asks for something, again and again. */
  isWorking = false;
  /** Requests that were answered, and errors, by their messages. */
  answered = 0;
  readonly errors = new Map<string, number>();
  private readonly parts: HostParts;
  private client: NbdClient | undefined;
  private underWay = 0;
  private errorsInTurn = 0;
  /** Counts connections: answers of an earlier one count no more. */
  private connection = 0;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.name = parts.name;
    this.history = new SectorHistory(parts.id, parts.sectors);
    void this.connect();
    for (let lane = 0; lane < parts.depth; lane += 1) void this.lane();
  }

  get range(): { readonly offset: number; readonly length: number } {
    const { firstSector, sectors } = this.parts;
    return { offset: firstSector * SECTOR_BYTES, length: sectors * SECTOR_BYTES };
  }

  get volume(): string {
    return this.parts.volume;
  }

  get isIdle(): boolean {
    return this.underWay === 0;
  }

  get isConnected(): boolean {
    return this.client !== undefined;
  }

  /** Asks for a flush; resolves with whether it was answered. */
  async flush(): Promise<boolean> {
    const start = this.history.now();
    return (await this.submit({ kind: 'flush' }, () => this.history.flushedSince(start))).ok;
  }

  /** Reads everything; resolves with whether that was answered. */
  async readAll(): Promise<boolean> {
    return this.read(0, this.parts.sectors);
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
    const first = random.below(sectors);
    const most = Math.min(sectors - first, Math.floor(requestBytesMax / SECTOR_BYTES));
    const count = 1 + random.below(random.below(4) === 0 ? most : Math.min(most, 4));
    const choice = random.below(20);
    if (choice < 10) await this.write(first, count, choice === 0);
    else if (choice < 12) await this.zero(first, count, random.below(4) === 0);
    else if (choice < 14) await this.flush();
    else await this.read(first, count);
  }

  private async write(first: number, count: number, fua: boolean): Promise<void> {
    const change = this.history.ask(first, count, false);
    const data = [this.history.payload(change, first, count)];
    const request = { kind: 'write', ...this.placeOf(first, count), data, fua } as const;
    await this.submit(request, () => this.history.answered(change));
  }

  private async zero(first: number, count: number, fua: boolean): Promise<void> {
    const change = this.history.ask(first, count, true);
    const mayFree = this.parts.random.below(2) === 0;
    const request = { kind: 'zeroes', ...this.placeOf(first, count), fua, mayFree } as const;
    await this.submit(request, () => this.history.answered(change));
  }

  private async read(first: number, count: number): Promise<boolean> {
    const start = this.history.now();
    const answer = await this.submit({ kind: 'read', ...this.placeOf(first, count) }, ({ data }) =>
      this.history.check(first, Buffer.concat(data ?? []), start),
    );
    return answer.ok;
  }

  private placeOf(first: number, count: number): { offset: number; length: number } {
    const { firstSector } = this.parts;
    return { offset: (firstSector + first) * SECTOR_BYTES, length: count * SECTOR_BYTES };
  }

  private async submit(
    request: DeviceRequest,
    done: (completion: Completion & { ok: true }) => void,
  ): Promise<Completion> {
    const { client, connection } = this;
    if (!client) return { ok: false, error: new Error('not connected') };
    this.underWay += 1;
    return new Promise((resolve) => {
      client.submit(request, (completion) => {
        this.underWay -= 1;
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
      if (request.kind === 'flush') this.history.mayLoseUnflushed();
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
    this.history.mayLoseUnflushed();
    this.parts.clock.after(RECONNECT_MS, () => void this.connect());
  }
}
