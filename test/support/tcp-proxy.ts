/**
 * The middleman between real sockets: it listens at an address of its own, and passes what comes on
 * to another one, under conditions that a test changes.
 */
import type { Clock } from '../../src/sys/clock.ts';
import type { Listening, Network, NetworkAddress } from '../../src/sys/network.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { FAIR, Middleman } from './middleman.ts';
import type { Conditions } from './middleman.ts';

export class TcpProxy {
  readonly conditions: Conditions = { ...FAIR };
  /** Where to dial instead of where it goes. */
  readonly address: NetworkAddress;
  /** The next connection breaks after so many bytes, both ways together. */
  nextCutBytes: number | undefined;
  private readonly network: Network;
  private readonly clock: Clock;
  private readonly to: NetworkAddress;
  private readonly listening: Listening;
  private readonly middlemen: Middleman[] = [];

  private constructor(parts: {
    readonly network: Network;
    readonly clock: Clock;
    readonly to: NetworkAddress;
    readonly listening: Listening;
  }) {
    this.network = parts.network;
    this.clock = parts.clock;
    this.to = parts.to;
    this.listening = parts.listening;
    this.address = parts.listening.address;
  }

  /** Listens on a free port of this machine. `to` is dialled for each connection that comes. */
  static async start(network: Network, clock: Clock, to: NetworkAddress): Promise<TcpProxy> {
    const waiting: ByteStream[] = [];
    const made: { proxy?: TcpProxy } = {};
    const listening = await network.listen(
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      (stream) => {
        if (made.proxy) made.proxy.pass(stream);
        else waiting.push(stream);
      },
    );
    const proxy = new TcpProxy({ network, clock, to, listening });
    made.proxy = proxy;
    for (const stream of waiting) proxy.pass(stream);
    return proxy;
  }

  /** Bytes that arrived behind it, over all connections. */
  get arrivedBytes(): number {
    return this.middlemen.reduce((sum, { arrivedRight }) => sum + arrivedRight, 0);
  }

  change(conditions: Partial<Conditions>): void {
    Object.assign(this.conditions, conditions);
    for (const middleman of this.middlemen) middleman.look();
  }

  fair(): void {
    this.change(FAIR);
  }

  /** Breaks every connection. */
  cut(): void {
    for (const middleman of this.middlemen) middleman.cut();
  }

  async close(): Promise<void> {
    await this.listening.close();
    this.cut();
  }

  private pass(left: ByteStream): void {
    const { network, clock, conditions, nextCutBytes: cutAfterBytes } = this;
    this.nextCutBytes = undefined;
    left.pause();
    network.dial(this.to).then(
      (right) => {
        this.middlemen.push(new Middleman({ clock, left, right, conditions, cutAfterBytes }));
        left.resume();
      },
      (error: Error) => left.destroy(error),
    );
  }
}
