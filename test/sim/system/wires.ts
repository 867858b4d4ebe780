/**
 * The network between all machines: each pair of them has conditions of its own, and a middleman
 * stands in each connection.
 */
import { memoryStreamPair } from '../../../src/sys/memory-stream.ts';
import type { Random } from '../../../src/sys/random.ts';
import type { ByteStream } from '../../../src/sys/stream.ts';
import { FAIR, Middleman } from '../../support/middleman.ts';
import type { Conditions } from '../../support/middleman.ts';
import type { Sites } from '../../support/sites.ts';

/** One connection over a wire. */
interface Connection {
  readonly middleman: Middleman;
  readonly dialler: string;
  readonly conditions: Conditions;
  /** It is held up while its wire is sound. */
  isStale: boolean;
}

interface Wire {
  readonly conditions: Conditions;
  connections: Connection[];
  /** Dials that wait for the end of a black hole. */
  readonly stuck: (() => void)[];
  /** A bit of every so many bytes of each connection is turned over. */
  liesEvery: number | undefined;
  /** When it last held something back, on the monotonic clock. */
  heldMs: number;
}

/** So soon everybody knows that a connection is over who was told. */
const NEWS_MS = 100;

/** As much as there is at a time. */
const WHOLE: Random = { below: (bound) => bound - 1, bytes: (length) => new Uint8Array(length) };

/** Bytes arrive mostly as they were sent: cutting all of them would take most of the time. */
function seldomCut(random: Random): Random {
  return {
    below: (bound) => (random.below(CUT_ONE_OF) === 0 ? random.below(bound) : bound - 1),
    bytes: (length) => random.bytes(length),
  };
}
const CUT_ONE_OF = 6;

export class Wires {
  private readonly sites: Sites;
  private linkBytesPerSecond: number | undefined;
  private readonly wires = new Map<string, Wire>();

  /** Links between sites carry so much until `heal`. */
  constructor(sites: Sites, linkBytesPerSecond: number | undefined) {
    this.sites = sites;
    this.linkBytesPerSecond = linkBytesPerSecond;
    sites.chunks = seldomCut(sites.random);
    sites.beforeDial = (address, from) => this.passable(from, address);
    sites.wrap = (ends, address, from) => this.wrap(ends, from, address);
  }

  /** Two ends of a new connection; rejects never, but may wait for the network. */
  async connect(from: string, to: string): Promise<[dialled: ByteStream, accepted: ByteStream]> {
    await this.passable(from, to);
    const { clock } = this.sites;
    const names = { names: [from, to] as const };
    const ends = memoryStreamPair(clock, this.sites.chunks, names);
    this.wrap(ends, from, to);
    return ends;
  }

  change(one: string, other: string, conditions: Partial<Conditions>): void {
    const wire = this.wire(one, other);
    this.noteHeld(wire);
    Object.assign(wire.conditions, conditions);
    for (const { middleman, conditions: own, isStale } of wire.connections) {
      if (!isStale) Object.assign(own, conditions);
      middleman.look();
    }
    if (wire.conditions.blackHole === false) for (const wake of wire.stuck.splice(0)) wake();
  }

  /** It is as sound as it was. */
  mend(one: string, other: string): void {
    this.change(one, other, this.soundConditions(one, other));
  }

  cut(one: string, other: string): void {
    for (const { middleman } of this.wire(one, other).connections) middleman.cut();
  }

  /** What is connected now swallows everything until `freshen`; new connections are sound. */
  stale(one: string, other: string): void {
    for (const connection of this.wire(one, other).connections) {
      connection.isStale = true;
      connection.conditions.blackHole = true;
    }
  }

  /** Ends that: what was on its way arrives. */
  freshen(one: string, other: string): void {
    const wire = this.wire(one, other);
    const { connections, conditions } = wire;
    this.noteHeld(wire);
    for (const connection of connections) {
      connection.isStale = false;
      Object.assign(connection.conditions, conditions);
      connection.middleman.look();
    }
  }

  /** Turns over a bit of every so many bytes that pass, on each connection; undefined ends that. */
  lie(one: string, other: string, everyBytes: number | undefined): void {
    const wire = this.wire(one, other);
    wire.liesEvery = everyBytes;
    for (const { middleman } of wire.connections) middleman.spoilEvery(everyBytes);
  }

  /** Whether, as far as `one` can know, there is any connection between the two. */
  isConnected(one: string, other: string): boolean {
    return this.wire(one, other).connections.some(
      ({ middleman, dialler }) =>
        !middleman.isKnownOver(dialler === one ? 'left' : 'right', NEWS_MS),
    );
  }

  /** For how long nothing was held back between the two, in milliseconds. */
  passesSinceMs(one: string, other: string): number {
    const wire = this.wire(one, other);
    this.noteHeld(wire);
    return this.sites.clock.monotonicMs() - wire.heldMs;
  }

  private noteHeld(wire: Wire): void {
    const isHeld = wire.connections.some(({ conditions }) => conditions.blackHole !== false);
    if (isHeld || wire.conditions.blackHole !== false) {
      wire.heldMs = this.sites.clock.monotonicMs();
    }
  }

  /** Ends everything that is wrong with it, and makes it fast. */
  heal(): void {
    this.linkBytesPerSecond = undefined;
    for (const key of this.wires.keys()) {
      const [one = '', other = ''] = key.split('|');
      this.freshen(one, other);
      this.mend(one, other);
      this.lie(one, other, undefined);
    }
  }

  private async passable(from: string, to: string): Promise<void> {
    const wire = this.wire(from, to);
    while (wire.conditions.blackHole !== false) {
      await new Promise<void>((resolve) => {
        wire.stuck.push(resolve);
      });
    }
  }

  private wrap(ends: [ByteStream, ByteStream], from: string, to: string): void {
    const { clock } = this.sites;
    const wire = this.wire(from, to);
    // Bytes were cut and joined on the way to the middleman already.
    const [right, accepted] = memoryStreamPair(clock, WHOLE, { names: [from, to] });
    const conditions = { ...wire.conditions };
    const middleman = new Middleman({ clock, left: ends[1], right, conditions });
    middleman.spoilEvery(wire.liesEvery);
    wire.connections = wire.connections.filter(
      (each) => !each.middleman.isKnownOver('left', NEWS_MS) || !each.middleman.isOver,
    );
    wire.connections.push({ middleman, dialler: from, conditions, isStale: false });
    ends[1] = accepted;
  }

  private soundConditions(one: string, other: string): Conditions {
    const isLink = one.startsWith('/') && other.startsWith('/');
    return { ...FAIR, bytesPerSecond: isLink ? this.linkBytesPerSecond : undefined };
  }

  private wire(one: string, other: string): Wire {
    const key = [one, other].toSorted().join('|');
    const known = this.wires.get(key);
    if (known) return known;
    const wire: Wire = {
      conditions: this.soundConditions(one, other),
      connections: [],
      stuck: [],
      liesEvery: undefined,
      heldMs: Number.NEGATIVE_INFINITY,
    };
    this.wires.set(key, wire);
    return wire;
  }
}
