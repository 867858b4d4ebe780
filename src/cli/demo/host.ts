/**
 * The demo's host: writes and reads through whichever set takes its commands, and tells the witness
 * what was acknowledged. It knows the way to the next set, and takes it when its own one is sealed.
 */
import { volumeIndex } from '../../imageset/volumes.ts';
import { isZero } from '../../base/bytes.ts';
import { RcopyError, isRcopyError } from '../../base/errors.ts';
import { MIB } from '../../base/limits.ts';
import { readDevice, submitAndWait } from '../../device/device.ts';
import type { Device } from '../../device/device.ts';
import type { StorageNode } from '../../node/storage-node.ts';
import type { Environment } from '../../sys/environment.ts';
import type { FileHandle } from '../../sys/files.ts';
import type { ImageChange } from './images.ts';
import type { Witness } from './witness.ts';

/** The longest random write. */
const LENGTH_MAX = 1 * MIB;
/** Requests under way at once. */
const BURST_MAX = 4;
const BURST_EVERY_MS = 15;
/** How often it asks the next set again while the switch is under way, and for how long. */
const RETRY_MS = 1;
const HELD_MS_MAX = 60_000;

export interface HostParts {
  readonly environment: Environment;
  readonly witness: Witness;
  /** What the `db` volume becomes, in order. */
  readonly changes: readonly ImageChange[];
  /** Where its bytes are. */
  readonly later: FileHandle;
  /** How much of that is due now, from 0 to 1. */
  readonly due: () => number;
}

export interface HostCounts {
  writes: number;
  writtenBytes: number;
  reads: number;
  /** The longest that a burst waited for its answers, the one at the switch aside. */
  slowestMs: number;
  /** From the first refusal of the sealed set to the first answer of the next; 0 before. */
  pauseMs: number;
}

interface Change {
  readonly volume: 'db' | 'log';
  readonly offset: number;
  readonly length: number;
  /** Undefined for zeroes. */
  readonly data: Uint8Array | undefined;
}

interface Acknowledged {
  readonly line: string;
  readonly sequence: number;
  readonly data: Uint8Array | undefined;
}

interface Mark {
  readonly name: string;
  readonly resolve: (sequence: number) => void;
  readonly reject: (error: unknown) => void;
}

export class DemoHost {
  readonly counts: HostCounts = { writes: 0, writtenBytes: 0, reads: 0, slowestMs: 0, pauseMs: 0 };
  /** Never resolves; rejects when the host got an error. */
  readonly failed: Promise<never>;
  /** The set that takes its commands, as far as it knows. */
  current: StorageNode;
  /** Where to go when that one is sealed. */
  next: StorageNode | undefined;
  /** When the sealed set first refused; undefined while nothing is held. */
  heldSinceMs: number | undefined;
  private readonly parts: HostParts;
  private readonly running: Promise<void>;
  private readonly marks: Mark[] = [];
  private changesDone = 0;
  private bursts = 0;
  private stopping = false;

  /** Begins to write at once. */
  constructor(current: StorageNode, parts: HostParts) {
    this.current = current;
    this.parts = parts;
    this.running = this.run();
    this.failed = this.running.then(() => new Promise<never>(() => undefined));
    this.failed.catch(() => undefined);
  }

  /** A mark between two bursts, when nothing is under way: a moment that means something. */
  mark(name: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.marks.push({ name, resolve, reject });
    });
  }

  /** Writes what is still due, and ends. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    try {
      while (!this.stopping) {
        await this.burst([...this.dueChanges(this.parts.due()), ...this.randomChanges()]);
        await this.takeMarks();
        await this.parts.environment.clock.sleep(BURST_EVERY_MS);
      }
      for (let rest = this.dueChanges(1); rest.length > 0; rest = this.dueChanges(1)) {
        await this.burst(rest);
      }
      await this.takeMarks();
      await this.atWhoeverAnswers(({ set }) =>
        submitAndWait(deviceOf(set.volumes, 0), { kind: 'flush' }),
      );
    } catch (error) {
      for (const { reject } of this.marks.splice(0)) reject(error);
      throw error;
    }
  }

  /** A few writes at once; now and then durable ones, a flush, a look at what was written. */
  private async burst(changes: readonly Change[]): Promise<void> {
    const { clock, random } = this.parts.environment;
    this.bursts += 1;
    const startMs = clock.monotonicMs();
    const paused = this.counts.pauseMs;
    const acknowledged = await Promise.all(changes.map((change) => this.change(change)));
    if (this.counts.pauseMs === paused) {
      const tookMs = clock.monotonicMs() - startMs;
      this.counts.slowestMs = Math.max(this.counts.slowestMs, tookMs);
    }
    for (const { line, data } of acknowledged.toSorted(
      (one, other) => one.sequence - other.sequence,
    )) {
      await this.parts.witness.tell(line, data);
    }
    if (this.bursts % 8 === 0) await this.look();
    if (random.below(16) === 0) {
      await this.atWhoeverAnswers(({ set }) =>
        submitAndWait(deviceOf(set.volumes, 0), { kind: 'flush' }),
      );
    }
  }

  private async change({ volume, offset, length, data }: Change): Promise<Acknowledged> {
    const { random } = this.parts.environment;
    const fua = random.below(24) === 0;
    const { sequence, name } = await this.atWhoeverAnswers(async ({ set }) => {
      const device = deviceOf(set.volumes, volumeIndex(set.file, volume));
      const completion = await submitAndWait(
        device,
        data
          ? { kind: 'write', offset, length, data: [data], fua }
          : { kind: 'zeroes', offset, length, fua, mayFree: length % 2 === 0 },
      );
      const number = completion.ok ? completion.sequence : undefined;
      if (number === undefined) throw new RcopyError('E_INTERNAL', 'a write was given no number');
      return { sequence: number, name: set.file.name };
    });
    this.counts.writes += 1;
    this.counts.writtenBytes += length;
    const line = `${data ? 'write' : 'zeroes'} ${name} ${sequence} ${volume} ${offset} ${length}`;
    return { line, sequence, data };
  }

  /** Reads somewhere, also where the next set has to fetch it first; the witness knows better. */
  private async look(): Promise<void> {
    const volume = this.bursts % 16 === 0 ? 'db' : 'log';
    const { sizeBytes } = deviceOf(
      this.current.set.volumes,
      volumeIndex(this.current.set.file, volume),
    );
    const { offset, length } = this.somewhere(sizeBytes);
    const data = await this.atWhoeverAnswers(({ set }) =>
      readDevice(deviceOf(set.volumes, volumeIndex(set.file, volume)), offset, length),
    );
    this.counts.reads += 1;
    await this.parts.witness.tell(`read ${volume} ${offset} ${length}`, data);
  }

  private async takeMarks(): Promise<void> {
    for (const mark of this.marks.splice(0)) {
      try {
        const { sequence, name } = await this.atWhoeverAnswers(async (node) => ({
          ...(await node.mark(mark.name)),
          name: node.set.file.name,
        }));
        await this.parts.witness.tell(`mark ${name} ${sequence}`);
        mark.resolve(sequence);
      } catch (error) {
        mark.reject(error);
        throw error;
      }
    }
  }

  /**
   * What a path controller does for a host without being asked: a command that the sealed set
   * refuses goes to its successor, which says no until it has taken over.
   */
  private async atWhoeverAnswers<T>(command: (node: StorageNode) => Promise<T>): Promise<T> {
    const { clock } = this.parts.environment;
    const startMs = clock.monotonicMs();
    for (;;) {
      const node = this.current;
      try {
        const answer = await command(node);
        if (node === this.next) this.released();
        return answer;
      } catch (error) {
        if (!this.next) throw error;
        if (isRcopyError(error, 'E_SEALED') && node !== this.next) {
          this.heldSinceMs ??= startMs;
          this.current = this.next;
        } else if (isRcopyError(error, 'E_ROLE') && clock.monotonicMs() - startMs < HELD_MS_MAX) {
          await clock.sleep(RETRY_MS);
        } else {
          throw error;
        }
      }
    }
  }

  /** The first answer after the switch ends the pause. */
  private released(): void {
    if (this.heldSinceMs === undefined) return;
    this.counts.pauseMs = this.parts.environment.clock.monotonicMs() - this.heldSinceMs;
    this.heldSinceMs = undefined;
  }

  /** The next changes of `db`, as many as are due. */
  private dueChanges(due: number): Change[] {
    const { changes, later } = this.parts;
    const wanted = Math.min(changes.length, Math.floor(changes.length * due));
    const taken = changes.slice(this.changesDone, Math.min(wanted, this.changesDone + BURST_MAX));
    this.changesDone += taken.length;
    return taken.map(({ offset, length }) => {
      const data = Buffer.alloc(length);
      later.read(data, offset, 'DEMO:READ');
      return { volume: 'db', offset, length, data: isZero(data) ? undefined : data };
    });
  }

  /** Anything anywhere in `log`, now and then zeroes. */
  private randomChanges(): Change[] {
    const { random } = this.parts.environment;
    const { set } = this.current;
    const { sizeBytes } = deviceOf(set.volumes, volumeIndex(set.file, 'log'));
    return Array.from({ length: 1 + random.below(BURST_MAX) }, () => {
      const { offset, length } = this.somewhere(sizeBytes);
      const data = random.below(8) === 0 ? undefined : random.bytes(length);
      return { volume: 'log', offset, length, data };
    });
  }

  /** From one byte to a mebibyte, at any offset; small ones come more often. */
  private somewhere(sizeBytes: number): { offset: number; length: number } {
    const { random } = this.parts.environment;
    const share = random.below(1_000_001) / 1_000_000;
    const length = Math.floor(LENGTH_MAX ** (share ** 1.5));
    return { offset: random.below(sizeBytes - length + 1), length };
  }
}

function deviceOf(volumes: readonly Device[], index: number): Device {
  const device = volumes[index];
  if (!device) throw new RcopyError('E_INTERNAL', `volume number ${index} has a device`);
  return device;
}
