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
  readonly conditions: Conditions;
  /** It is held up while its wire is sound. */
  isStale: boolean;
}

interface Wire {
  readonly conditions: Conditions;
  connections: Connection[];
  /** Dials that wait for the end of a black hole. */
  readonly stuck: (() => void)[];
}

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
    for (const { middleman } of this.wire(one, other).connections.splice(0)) middleman.cut();
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
    const { connections, conditions } = this.wire(one, other);
    for (const connection of connections) {
      connection.isStale = false;
      Object.assign(connection.conditions, conditions);
      connection.middleman.look();
    }
  }

  /** Turns over a bit of what passes next. */
  lie(one: string, other: string): void {
    for (const { middleman } of this.wire(one, other).connections) middleman.spoil();
  }

  /** Ends everything that is wrong with it, and makes it fast. */
  heal(): void {
    this.linkBytesPerSecond = undefined;
    for (const key of this.wires.keys()) {
      const [one = '', other = ''] = key.split('|');
      this.freshen(one, other);
      this.mend(one, other);
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
    wire.connections = wire.connections.filter((each) => !each.middleman.isOver);
    wire.connections.push({ middleman, conditions, isStale: false });
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
    const wire = { conditions: this.soundConditions(one, other), connections: [], stuck: [] };
    this.wires.set(key, wire);
    return wire;
  }
}
