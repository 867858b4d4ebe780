/**
 * Stands between the two ends of a connection and does to it what networks do: delays, throttles,
 * cuts at any byte, swallows everything (a black hole: nothing arrives any more, not even that the
 * connection ended). It knows only byte streams: in memory under a simulated clock, or sockets.
 *
 *   dialler ── left │ middleman │ right ── acceptor
 */
import type { Clock, Timer } from '../../src/sys/clock.ts';
import type { ByteStream } from '../../src/sys/stream.ts';

/** How the network is now; a test changes it while connections are up. */
export interface Conditions {
  /** How long each byte is on its way, in milliseconds. */
  delayMs: number;
  /** Bytes a second, each way; undefined for as fast as it goes. */
  bytesPerSecond: number | undefined;
  /**
   * Nothing arrives, both ways, or only what the dialler, or the acceptor, sends (the connection is
   * half open); what is on its way does when that is over, as TCP would bring it.
   */
  blackHole: boolean | 'from dialler' | 'from acceptor';
}

export const FAIR: Readonly<Conditions> = {
  delayMs: 0,
  bytesPerSecond: undefined,
  blackHole: false,
};

/** More than this on its way in one direction, and its source is not read. */
const QUEUE_BYTES_MAX = 256 * 1024;

export interface MiddlemanParts {
  readonly clock: Clock;
  readonly left: ByteStream;
  readonly right: ByteStream;
  readonly conditions: Readonly<Conditions>;
  /** The connection breaks when so many bytes, both ways together, have arrived. */
  readonly cutAfterBytes?: number | undefined;
}

export class Middleman {
  /** Bytes that arrived: at the right, and at the left. */
  arrivedRight = 0;
  arrivedLeft = 0;
  private readonly parts: MiddlemanParts;
  private readonly toRight: Pipe;
  private readonly toLeft: Pipe;
  private over = false;
  private spoils = false;
  /** One bit of every so many bytes is turned over, and how many have passed since the last one. */
  private lies: { readonly everyBytes: number; passed: number } | undefined;
  /** Since when the dialler, and the acceptor, know that it is over, in milliseconds. */
  private readonly known: { left?: number; right?: number } = {};

  constructor(parts: MiddlemanParts) {
    this.parts = parts;
    const { left, right } = parts;
    this.toRight = new Pipe(parts, left, right, {
      admit: (bytes) => this.admit('arrivedRight', bytes),
      carry: (chunk) => this.carry(chunk),
      hole: 'from dialler',
      ended: (by) => this.learn(by === 'from' ? 'left' : 'right'),
    });
    this.toLeft = new Pipe(parts, right, left, {
      admit: (bytes) => this.admit('arrivedLeft', bytes),
      carry: (chunk) => this.carry(chunk),
      hole: 'from acceptor',
      ended: (by) => this.learn(by === 'from' ? 'right' : 'left'),
    });
    for (const [from, there, back] of [
      [left, this.toRight, this.toLeft],
      [right, this.toLeft, this.toRight],
    ] as const) {
      from.listen({
        data: (chunk) => there.push(chunk),
        closed: (error) => there.end(error),
        drained: () => back.goOn(),
      });
    }
  }

  /** The connection was cut here. */
  get isOver(): boolean {
    return this.over;
  }

  /** Whether the dialler, or the acceptor, has known for so long that it is over. */
  isKnownOver(side: 'left' | 'right', sinceMs: number): boolean {
    return this.parts.clock.monotonicMs() - (this.known[side] ?? Infinity) >= sinceMs;
  }

  private learn(side: 'left' | 'right'): void {
    this.known[side] ??= this.parts.clock.monotonicMs();
  }

  /** To be called when the conditions have changed. */
  look(): void {
    this.toRight.goOn();
    this.toLeft.goOn();
  }

  /** Turns over a bit of what passes next, in the direction in which something passes first. */
  spoil(): void {
    this.spoils = true;
  }

  /** From now on one bit of every so many bytes is turned over; undefined ends that. */
  spoilEvery(bytes: number | undefined): void {
    this.lies = bytes === undefined ? undefined : { everyBytes: bytes, passed: 0 };
  }

  /** Breaks the connection for both; in a black hole nobody hears of it. */
  cut(): void {
    if (this.over) return;
    this.over = true;
    this.learn('left');
    this.learn('right');
    const broken = new Error('the network cut the connection');
    for (const end of [this.parts.left, this.parts.right]) end.destroy(broken);
  }

  /** The chunk as it arrives. */
  private carry(chunk: Uint8Array): Uint8Array {
    if (this.lies) return this.lied(chunk, this.lies);
    if (!this.spoils) return chunk;
    this.spoils = false;
    return withoutTruth(chunk, Math.floor(chunk.length / 2));
  }

  private lied(chunk: Uint8Array, lies: { readonly everyBytes: number; passed: number }) {
    const at = lies.everyBytes - lies.passed;
    lies.passed += chunk.length;
    if (at >= chunk.length) return chunk;
    lies.passed = 0;
    return withoutTruth(chunk, at);
  }

  /** How many of `bytes` still arrive; the connection is cut behind them where they are not all. */
  private admit(side: 'arrivedRight' | 'arrivedLeft', bytes: number): number {
    const { cutAfterBytes = Number.POSITIVE_INFINITY } = this.parts;
    const left = cutAfterBytes - this.arrivedRight - this.arrivedLeft;
    const arrives = Math.min(bytes, Math.max(0, left));
    this[side] += arrives;
    if (arrives < bytes || arrives === left) this.parts.clock.soon(() => this.cut());
    return arrives;
  }
}

/** The chunk with one bit turned over. */
function withoutTruth(chunk: Uint8Array, at: number): Uint8Array {
  const spoilt = Uint8Array.from(chunk);
  spoilt[at] = (spoilt[at] ?? 0) ^ 0x10;
  return spoilt;
}

type Item =
  | { readonly dueMs: number; readonly chunk: Uint8Array }
  | { readonly dueMs: number; readonly end: Error | undefined };

interface Direction {
  /** How many of so many bytes still arrive. */
  readonly admit: (bytes: number) => number;
  /** What becomes of bytes on their way. */
  readonly carry: (chunk: Uint8Array) => Uint8Array;
  /** The black hole that swallows this direction only. */
  readonly hole: Conditions['blackHole'];
  /** One of its two ends knows that the connection is over. */
  readonly ended: (by: 'from' | 'to') => void;
}

/** One direction. */
class Pipe {
  private readonly parts: MiddlemanParts;
  private readonly from: ByteStream;
  private readonly to: ByteStream;
  private readonly direction: Direction;
  private readonly items: Item[] = [];
  private bytes = 0;
  private freeMs = 0;
  private timer: Timer | undefined;
  private blocked = false;
  private paused = false;

  constructor(parts: MiddlemanParts, from: ByteStream, to: ByteStream, direction: Direction) {
    this.parts = parts;
    this.from = from;
    this.to = to;
    this.direction = direction;
  }

  push(chunk: Uint8Array): void {
    const { clock, conditions } = this.parts;
    this.items.push({ dueMs: clock.monotonicMs() + conditions.delayMs, chunk });
    this.bytes += chunk.length;
    if (!this.paused && this.bytes > QUEUE_BYTES_MAX) {
      this.paused = true;
      this.from.pause();
    }
    this.pump();
  }

  end(error: Error | undefined): void {
    const { clock, conditions } = this.parts;
    this.direction.ended('from');
    this.items.push({ dueMs: clock.monotonicMs() + conditions.delayMs, end: error });
    this.pump();
  }

  goOn(): void {
    this.blocked = false;
    this.timer?.cancel();
    this.timer = undefined;
    this.pump();
  }

  private pump(): void {
    const { clock, conditions } = this.parts;
    for (let [item] = this.items; item && !this.blocked; [item] = this.items) {
      const { blackHole } = conditions;
      if (blackHole === true || blackHole === this.direction.hole) return;
      const waitMs = Math.max(item.dueMs, this.freeMs) - clock.monotonicMs();
      if (waitMs > 0) {
        this.timer ??= clock.after(waitMs, () => {
          this.timer = undefined;
          this.pump();
        });
        return;
      }
      this.items.shift();
      if ('chunk' in item) this.pass(this.piece(item.dueMs, item.chunk));
      else this.finish(item.end);
    }
  }

  /** What came before the end arrives before it, also where the sender has given up. */
  private finish(error: Error | undefined): void {
    this.direction.ended('to');
    if (error) this.parts.clock.after(1, () => this.to.destroy(error));
    else this.to.end();
  }

  /** At a rate bytes trickle: as much as comes in a twentieth of a second, and the rest behind. */
  private piece(dueMs: number, chunk: Uint8Array): Uint8Array {
    const { bytesPerSecond = Number.POSITIVE_INFINITY } = this.parts.conditions;
    const most = Math.max(1, Math.ceil(bytesPerSecond / 20));
    if (chunk.length <= most) return chunk;
    this.items.unshift({ dueMs, chunk: chunk.subarray(most) });
    return chunk.subarray(0, most);
  }

  private pass(chunk: Uint8Array): void {
    const { clock, conditions } = this.parts;
    const arrives = this.direction.admit(chunk.length);
    this.bytes -= chunk.length;
    if (conditions.bytesPerSecond !== undefined) {
      const startMs = Math.max(this.freeMs, clock.monotonicMs());
      this.freeMs = startMs + (arrives / conditions.bytesPerSecond) * 1000;
    }
    if (arrives > 0) {
      const piece = this.direction.carry(chunk.subarray(0, arrives));
      if (!this.to.write([piece])) this.blocked = true;
    }
    if (this.paused && this.bytes <= QUEUE_BYTES_MAX / 2) {
      this.paused = false;
      this.from.resume();
    }
  }
}
