/** The network between simulated sites: one set of conditions, a middleman in every connection. */
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { FAIR, Middleman } from './middleman.ts';
import type { Conditions } from './middleman.ts';
import type { Sites } from './sites.ts';

export class Network {
  readonly conditions: Conditions = { ...FAIR };
  /** Connections that were tried, whether or not they came about. */
  dials = 0;
  /** When they were, in milliseconds of the simulated clock. */
  readonly dialledMs: number[] = [];
  /** The next connection breaks after so many bytes. */
  nextCutBytes: number | undefined;
  private readonly middlemen: Middleman[] = [];
  private readonly stuck: (() => void)[] = [];

  constructor(sites: Sites) {
    const { clock } = sites;
    sites.beforeDial = async () => {
      this.dials += 1;
      this.dialledMs.push(clock.monotonicMs());
      while (this.conditions.blackHole) {
        await new Promise<void>((resolve) => {
          this.stuck.push(resolve);
        });
      }
    };
    sites.wrap = (ends, address) => {
      const names = ['here', address] as const;
      const [right, accepted] = memoryStreamPair(clock, sites.random, { names });
      const cutAfterBytes = this.nextCutBytes;
      this.nextCutBytes = undefined;
      const { conditions } = this;
      this.middlemen.push(
        new Middleman({ clock, left: ends[1], right, conditions, cutAfterBytes }),
      );
      ends[1] = accepted;
    };
  }

  /** Bytes that arrived at whoever was dialled, over all connections. */
  get arrivedBytes(): number {
    return this.middlemen.reduce((sum, { arrivedRight }) => sum + arrivedRight, 0);
  }

  change(conditions: Partial<Conditions>): void {
    Object.assign(this.conditions, conditions);
    for (const middleman of this.middlemen) middleman.look();
    if (!this.conditions.blackHole) for (const wake of this.stuck.splice(0)) wake();
  }

  fair(): void {
    this.change(FAIR);
  }

  /** Breaks every connection. */
  cut(): void {
    for (const middleman of this.middlemen) middleman.cut();
  }
}
