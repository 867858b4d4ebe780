/** A TCP proxy that does to connections what networks do: a middleman in each of them. */
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { formatAddress, parseAddress } from '../../src/sys/network.ts';
import type { Listening } from '../../src/sys/network.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { FAIR, Middleman } from './middleman.ts';
import type { Conditions } from './middleman.ts';

export class TcpProxy {
  readonly conditions: Conditions = { ...FAIR };
  /** The next connection breaks after so many bytes; every one of them in turn. */
  readonly cuts: number[] = [];
  private readonly target: string;
  private readonly middlemen = new Set<Middleman>();
  private listening: Listening | undefined;

  /** `target` is `HOST:PORT`; it need not be there yet. */
  static async start(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    const anywhere = parseAddress('127.0.0.1:0');
    proxy.listening = await nodeNetwork.listen(anywhere, (stream) => proxy.accept(stream));
    return proxy;
  }

  private constructor(target: string) {
    this.target = target;
  }

  /** `HOST:PORT` at which it listens. */
  get address(): string {
    return this.listening ? formatAddress(this.listening.address) : '';
  }

  /** Bytes that arrived at the target, over all connections. */
  get arrivedBytes(): number {
    return [...this.middlemen].reduce((sum, { arrivedRight }) => sum + arrivedRight, 0);
  }

  change(conditions: Partial<Conditions>): void {
    Object.assign(this.conditions, conditions);
    for (const middleman of this.middlemen) middleman.look();
  }

  cut(): void {
    for (const middleman of this.middlemen) middleman.cut();
  }

  async close(): Promise<void> {
    this.change(FAIR);
    this.cut();
    await this.listening?.close();
  }

  private accept(left: ByteStream): void {
    nodeNetwork.dial(parseAddress(this.target)).then(
      (right) => {
        const { conditions } = this;
        const cutAfterBytes = this.cuts.shift();
        const parts = { clock: nodeClock, left, right, conditions, cutAfterBytes };
        this.middlemen.add(new Middleman(parts));
      },
      (error: Error) => {
        left.listen({ data: ignore, closed: ignore, drained: ignore });
        left.destroy(error);
      },
    );
  }
}

function ignore(): void {
  // Nobody is there whom it could be told.
}
