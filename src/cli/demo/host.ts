/**
 * The demo's host: writes and reads over NBD, several requests at once, and tells the witness what
 * was acknowledged, in the order in which it was. It knows two volumes and no image set.
 */
import type { DeviceRequest } from '../../device/device.ts';
import type { Clock } from '../../sys/clock.ts';
import type { HostConnections } from './connections.ts';
import type { Change, Traffic } from './traffic.ts';
import type { Witness } from './witness.ts';

const BURST_EVERY_MS = 20;
const LOOK_EVERY_BURSTS = 8;

export interface HostParts {
  readonly clock: Clock;
  readonly connections: HostConnections;
  readonly traffic: Traffic;
  readonly witness: Witness;
}

export interface HostCounts {
  writes: number;
  writtenBytes: number;
  reads: number;
}

/** A change that was acknowledged. */
interface Acknowledged {
  readonly line: string;
  readonly data: Uint8Array | undefined;
}

export class DemoHost {
  readonly counts: HostCounts = { writes: 0, writtenBytes: 0, reads: 0 };
  /** Never resolves; rejects when the host got an error. */
  readonly failed: Promise<never>;
  private readonly parts: HostParts;
  private readonly running: Promise<void>;
  private readonly pauses: (() => Promise<void>)[] = [];
  private bursts = 0;
  private stopping = false;

  /** Begins to write at once. */
  constructor(parts: HostParts) {
    this.parts = parts;
    this.running = this.run();
    this.failed = this.running.then(() => new Promise<never>(() => undefined));
    this.failed.catch(() => undefined);
  }

  /** Runs `action` between two bursts, when nothing is under way: a moment that means something. */
  between<T>(action: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.pauses.push(() => action().then(resolve, reject));
    });
  }

  /** Resolves when it has written so often since now. */
  async untilWritten(writes: number): Promise<void> {
    const wanted = this.counts.writes + writes;
    while (this.counts.writes < wanted) await this.between(async () => undefined);
  }

  /** The longest wait for an answer since it was taken last, cut between two bursts. */
  takeLongestMs(): Promise<number> {
    return this.between(async () => this.parts.connections.takeLongestMs());
  }

  /** The longest wait for an answer since it was taken last. */
  get longestSinceMs(): number {
    return this.parts.connections.longestMs;
  }

  /** Writes what is still due, and flushes; it stays connected. */
  async finish(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** Ends the connections of a host that has finished. */
  async leave(): Promise<void> {
    await this.parts.connections.close();
  }

  private async run(): Promise<void> {
    const { clock, traffic } = this.parts;
    while (!this.stopping) {
      await this.burst(traffic.burst());
      await this.pause();
      await clock.sleep(BURST_EVERY_MS);
    }
    for (let rest = traffic.rest(); rest.length > 0; rest = traffic.rest()) await this.burst(rest);
    await this.pause();
    await this.flush();
  }

  /** A few writes at once; now and then durable ones, a flush, a look at what was written. */
  private async burst(changes: readonly Change[]): Promise<void> {
    const { traffic, witness } = this.parts;
    this.bursts += 1;
    const acknowledged: Acknowledged[] = [];
    await Promise.all(changes.map((change) => this.change(change, acknowledged)));
    for (const { line, data } of acknowledged) await witness.tell(line, data);
    if (this.bursts % LOOK_EVERY_BURSTS === 0) await this.look();
    if (traffic.flushes()) await this.flush();
  }

  private async change(change: Change, acknowledged: Acknowledged[]): Promise<void> {
    const { volume, offset, length, data } = change;
    await this.parts.connections.ask(volume, requestOf(change));
    this.counts.writes += 1;
    this.counts.writtenBytes += length;
    acknowledged.push({ line: `${data ? 'write' : 'zeroes'} ${volume} ${offset} ${length}`, data });
  }

  /** The witness knows what has to be there. */
  private async look(): Promise<void> {
    const { connections, traffic, witness } = this.parts;
    const { volume, offset, length } = traffic.look();
    const data = await connections.ask(volume, { kind: 'read', offset, length });
    this.counts.reads += 1;
    await witness.tell(`read ${volume} ${offset} ${length}`, data);
  }

  /** Of the whole set, whatever volume it is asked of. */
  private async flush(): Promise<void> {
    await this.parts.connections.ask('db', { kind: 'flush' });
  }

  private async pause(): Promise<void> {
    for (const action of this.pauses.splice(0)) await action();
  }
}

function requestOf({ offset, length, data, fua }: Change): DeviceRequest {
  return data
    ? { kind: 'write', offset, length, data: [data], fua }
    : { kind: 'zeroes', offset, length, fua, mayFree: length % 2 === 0 };
}
