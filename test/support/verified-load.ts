/**
 * A host that knows what it must find: writes, zeroes and flushes through a device, many at once,
 * never two on one block, and a model of every block that shares no code with rcopy. After a crash
 * each block must hold the last write that was answered, or the one that was under way.
 */
import type { Completion, Device } from '../../src/device/device.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { Random } from '../../src/sys/random.ts';

export const BLOCK_BYTES = 4096;
const BLOCKS_PER_WRITE_MAX = 16;
const DEPTH = 16;
const READ_BYTES = 1024 * 1024;

/** What a block may hold: the version answered last, and one whose answer did not come. */
interface Block {
  answered: number;
  underWay: number | undefined;
}

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
  private readonly blocks: Block[];
  private version = 0;
  private inFlight = 0;
  private running = false;
  private failure: Error | undefined;
  private idle: (() => void) | undefined;

  constructor(random: Random, sizeBytes: number) {
    this.random = random;
    const count = Math.floor(sizeBytes / BLOCK_BYTES);
    this.blocks = Array.from({ length: count }, () => ({ answered: 0, underWay: undefined }));
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

  /** Reads everything. Returns what is wrong; what is found counts as answered from now on. */
  async check(device: Device): Promise<string[]> {
    const wrong: string[] = [];
    const perRead = READ_BYTES / BLOCK_BYTES;
    for (let first = 0; first < this.blocks.length; first += perRead) {
      const count = Math.min(perRead, this.blocks.length - first);
      const bytes = await readDevice(device, first * BLOCK_BYTES, count * BLOCK_BYTES);
      for (let index = 0; index < count; index += 1) {
        const at = index * BLOCK_BYTES;
        const problem = this.checkBlock(first + index, bytes.subarray(at, at + BLOCK_BYTES));
        if (problem) wrong.push(problem);
      }
    }
    return wrong;
  }

  private checkBlock(index: number, bytes: Buffer): string | undefined {
    const block = this.blocks[index];
    if (!block) return `block ${index} is none`;
    const { answered, underWay } = block;
    block.underWay = undefined;
    if (bytes.equals(contentOf(index, answered))) return undefined;
    if (underWay !== undefined && bytes.equals(contentOf(index, underWay))) {
      block.answered = underWay;
      return undefined;
    }
    const found = `${bytes.readUInt32LE(0)}/${bytes.readUInt32LE(4)}`;
    return `block ${index} holds ${found}, not version ${answered} or ${underWay}`;
  }

  private next(device: Device): void {
    if (!this.running) {
      if (this.inFlight === 0) this.idle?.();
      return;
    }
    this.inFlight += 1;
    if (this.random.below(20) === 0) {
      device.submit({ kind: 'flush' }, (completion) => {
        if (completion.ok) this.counts.flushes += 1;
        this.ended(device, completion);
      });
      return;
    }
    this.change(device);
  }

  /** One write or zeroes, on blocks that nothing else is under way on. */
  private change(device: Device): void {
    const { random, blocks } = this;
    let first = random.below(blocks.length);
    while (blocks[first]?.underWay !== undefined) first = random.below(blocks.length);
    const most = Math.min(1 + random.below(BLOCKS_PER_WRITE_MAX), blocks.length - first);
    let count = 1;
    while (count < most && blocks[first + count]?.underWay === undefined) count += 1;
    this.version += 1;
    const zeroes = random.below(6) === 0;
    const version = zeroes ? -this.version : this.version;
    const touched = blocks.slice(first, first + count);
    for (const block of touched) block.underWay = version;
    const done = (completion: Completion): void => {
      if (completion.ok) {
        this.counts.answered += 1;
        for (const block of touched)
          Object.assign(block, { answered: version, underWay: undefined });
      } else this.counts.unanswered += 1;
      this.ended(device, completion);
    };
    const offset = first * BLOCK_BYTES;
    const length = count * BLOCK_BYTES;
    const fua = random.below(10) === 0;
    if (zeroes) device.submit({ kind: 'zeroes', offset, length, fua, mayFree: true }, done);
    else {
      const data = touched.map((_, index) => contentOf(first + index, version));
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
