/** The sets of the demo, each with its daemon, and how they are started. */
import { join } from 'node:path';
import type { Site } from '../../control/site.ts';
import type { SetService } from '../../node/set-service.ts';
import type { Board } from './board.ts';
import type { Daemon, Daemons } from './daemons.ts';

export type PlayerName = 'tokyo' | 'osaka' | 'kyoto';

/** A set, its daemon, and the way to ask it. */
export interface Player extends Daemon {
  readonly folder: string;
  readonly set: SetService;
}

/** How the daemon of a set is started. */
export interface PlayerOptions {
  /** `HOST:PORT` where others know it. */
  readonly listen?: string;
  /** Bytes a second to its secondary. */
  readonly maxRate?: number;
}

export interface PlayersParts {
  readonly daemons: Daemons;
  readonly site: Site;
  readonly board: Board;
  /** Where their folders are. */
  readonly folder: string;
}

export class Players {
  private readonly parts: PlayersParts;

  constructor(parts: PlayersParts) {
    this.parts = parts;
  }

  /** The folder of a set. */
  place(name: PlayerName): string {
    return join(this.parts.folder, name);
  }

  /** Starts the daemon of a set; the board watches it from now on. */
  async start(name: PlayerName, how: PlayerOptions = {}): Promise<Player> {
    const { listen, maxRate } = how;
    const { daemons, site, board } = this.parts;
    const folder = this.place(name);
    const words = ['daemon', folder];
    if (maxRate !== undefined) words.push('--max-rate', String(maxRate));
    const daemon = await daemons.start({ name, words, listen });
    const set = await site.open(daemon.address);
    board.watch(name, set);
    return { ...daemon, folder, set };
  }

  /** Stops one in order; it is away until {@link startAgain}. */
  async stop({ name }: Player): Promise<void> {
    this.parts.board.watch(name, undefined);
    await this.parts.daemons.stop(name);
  }

  /** Starts one again where it was: others know it by its address. */
  startAgain(name: PlayerName, { address }: Player): Promise<Player> {
    return this.start(name, { listen: address.slice(address.indexOf('//') + 2) });
  }
}
