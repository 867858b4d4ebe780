/**
 * A host that knows what it must find: writes, zeroes and flushes through a device, many at once,
 * never two on one block. What it may find after a crash is said by a {@link HostHistory}.
 */
import type { Completion, Device } from '../../src/device/device.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { Random } from '../../src/sys/random.ts';
import { HostHistory } from './host-history.ts';
import type { Fault } from './host-history.ts';

export const BLOCK_BYTES = 4096;
const BLOCKS_PER_WRITE_MAX = 16;
const DEPTH = 16;
const READ_BYTES = 1024 * 1024;

export interface LoadCounts {
  answered: number;
  flushes: number;
  /** Requests without an answer when the connection ended. */
  unanswered: number;
}

/** Version 0, and every version of a zeroes request, which is negative, is all zero. */
function contentOf(block: number, version: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  if (version <= 0) return bytes;
  for (let at = 0; at < BLOCK_BYTES; at += 16) {
    bytes.writeUInt32LE(block, at);
    bytes.writeUInt32LE(version, at + 4);
    bytes.writeUInt32LE((block * 2_654_435_761 + version) >>> 0, at + 8);
    bytes.writeUInt32LE(at, at + 12);
  }
  return bytes;
}

export class VerifiedLoad {
  readonly counts: LoadCounts = { answered: 0, flushes: 0, unanswered: 0 };
  private readonly random: Random;
  private readonly history: HostHistory;
  private version = 0;
  private inFlight = 0;
  private running = false;
  private failure: Error | undefined;
  private idle: (() => void) | undefined;

  constructor(random: Random, sizeBytes: number) {
    this.random = random;
    this.history = new HostHistory(Math.floor(sizeBytes / BLOCK_BYTES));
  }

  /** Keeps requests under way until `stop`, or until one fails. */
  start(device: Device): void {
    this.running = true;
    this.failure = undefined;
    for (let depth = 0; depth < DEPTH; depth += 1) this.next(device);
  }

  /** Why a request failed, if one did: the load has ended then. */
  get error(): Error | undefined {
    return this.failure;
  }

  /** Resolves when nothing is under way, with why a request failed, if one did. */
  async stop(): Promise<Error | undefined> {
    this.running = false;
    if (this.inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.idle = resolve;
      });
    }
    return this.failure;
  }

  /**
   * Reads everything after a fault. Returns what is wrong; what is found must be there from now on.
   */
  async check(device: Device, fault: Fault = 'kill'): Promise<string[]> {
    const { blockCount } = this.history;
    const bytes = Buffer.alloc(blockCount * BLOCK_BYTES);
    for (let at = 0; at < bytes.length; at += READ_BYTES) {
      const length = Math.min(READ_BYTES, bytes.length - at);
      bytes.set(await readDevice(device, at, length), at);
    }
    return this.history.check(fault, (block, version) => {
      const from = block * BLOCK_BYTES;
      // Most versions are told apart by their number.
      if (bytes.readUInt32LE(from + 4) !== Math.max(version, 0)) return false;
      const content = contentOf(block, version);
      return content.compare(bytes, from, from + BLOCK_BYTES) === 0;
    });
  }

  private next(device: Device): void {
    if (!this.running) {
      if (this.inFlight === 0) this.idle?.();
      return;
    }
    this.inFlight += 1;
    if (this.random.below(20) === 0) {
      const begunAt = this.history.flushBegins();
      device.submit({ kind: 'flush' }, (completion) => {
        if (completion.ok) {
          this.counts.flushes += 1;
          this.history.flushed(begunAt);
        }
        this.ended(device, completion);
      });
      return;
    }
    this.change(device);
  }

  /** One write or zeroes, on blocks that nothing else is under way on. */
  private change(device: Device): void {
    const { random, history } = this;
    let first = random.below(history.blockCount);
    while (history.isBusy(first)) first = random.below(history.blockCount);
    const most = Math.min(1 + random.below(BLOCKS_PER_WRITE_MAX), history.blockCount - first);
    let count = 1;
    while (count < most && !history.isBusy(first + count)) count += 1;
    this.version += 1;
    const zeroes = random.below(6) === 0;
    const version = zeroes ? -this.version : this.version;
    const fua = random.below(10) === 0;
    const change = history.begin(first, count, version, fua);
    const done = (completion: Completion): void => {
      if (completion.ok) {
        this.counts.answered += 1;
        history.answered(change);
      } else this.counts.unanswered += 1;
      this.ended(device, completion);
    };
    const offset = first * BLOCK_BYTES;
    const length = count * BLOCK_BYTES;
    if (zeroes) device.submit({ kind: 'zeroes', offset, length, fua, mayFree: true }, done);
    else {
      const data = Array.from({ length: count }, (_, index) => contentOf(first + index, version));
      device.submit({ kind: 'write', offset, length, data, fua }, done);
    }
  }

  private ended(device: Device, completion: Completion): void {
    this.inFlight -= 1;
    if (!completion.ok) {
      this.failure ??= completion.error;
      this.running = false;
    }
    // Not from inside of the answer: a device may answer at once.
    setImmediate(() => this.next(device));
  }
}

/** Everything that was answered is durable when this resolves. */
export async function flush(device: Device): Promise<void> {
  await submitAndWait(device, { kind: 'flush' });
}
