/**
 * What a host was told, and so what it may find after a crash: a model of every block that shares
 * no code with rcopy. Each change covers whole blocks, and is begun only where none is under way.
 *
 *   after kill -9     everything that was answered is there; what was under way, or not
 *   after power loss  what a flush (or FUA) covered is there, of what came later the beginning, in
 *                     the order of the answers, and each request whole or not at all
 */

/** One request that changes blocks; `version` tells its content. */
export interface Change {
  readonly version: number;
  readonly first: number;
  readonly count: number;
  readonly fua: boolean;
  /** When it was begun, and answered: counted in events of the host. */
  readonly begunAt: number;
  answeredAt: number | undefined;
}

export type Fault = 'kill' | 'power';

/** Whether these bytes are what this version left in this block. */
export type Holds = (block: number, version: number) => boolean;

const BEFORE_ALL: Change = {
  version: 0,
  first: 0,
  count: 0,
  fua: false,
  begunAt: 0,
  answeredAt: 0,
};

/** What one block showed: the changes that it may stand at, by their places in its list. */
interface Sight {
  readonly lowest: number;
  readonly highest: number;
}

export class HostHistory {
  readonly blockCount: number;
  /** Of each block: the change that is surely there, and all later ones, in order. */
  private readonly lists: Change[][];
  private events = 0;
  /** Everything that was answered before this event is durable. */
  private flushedAt = 0;

  constructor(blockCount: number) {
    this.blockCount = blockCount;
    this.lists = Array.from({ length: blockCount }, () => [BEFORE_ALL]);
  }

  /** Whether a change of this block is under way. */
  isBusy(block: number): boolean {
    return this.lists[block]?.at(-1)?.answeredAt === undefined;
  }

  /** No block from `first` on may be busy. */
  begin(first: number, count: number, version: number, fua: boolean): Change {
    const begunAt = this.next();
    const change: Change = { version, first, count, fua, begunAt, answeredAt: undefined };
    for (let block = first; block < first + count; block += 1) {
      const list = this.list(block);
      list.splice(0, this.safePlace(list));
      list.push(change);
    }
    return change;
  }

  answered(change: Change): void {
    change.answeredAt = this.next();
  }

  /** Returns what {@link flushed} is to be told when it is answered. */
  flushBegins(): number {
    return this.next();
  }

  flushed(begunAt: number): void {
    this.flushedAt = Math.max(this.flushedAt, begunAt);
  }

  /**
   * Looks at all blocks after a fault, nothing being under way. Returns what is wrong; what is
   * found is what must be there from now on.
   */
  check(fault: Fault, holds: Holds): string[] {
    const wrong: string[] = [];
    const sights = this.lists.map((list, block) => {
      const sight = this.look(list, block, fault, holds);
      if (typeof sight !== 'string') return sight;
      wrong.push(sight);
      return undefined;
    });
    wrong.push(...this.gaps(sights));
    for (const [block, sight] of sights.entries()) this.settle(block, sight);
    return wrong;
  }

  private look(list: Change[], block: number, fault: Fault, holds: Holds): Sight | string {
    const matching = list.flatMap(({ version }, place) => (holds(block, version) ? [place] : []));
    const least = fault === 'power' ? this.safePlace(list) : answeredPlace(list);
    const allowed = matching.filter((place) => place >= least);
    const [lowest] = allowed;
    const highest = allowed.at(-1);
    if (lowest !== undefined && highest !== undefined) return { lowest, highest };
    const known = list.map(({ version }) => version).join(', ');
    const older = matching.map((place) => list[place]?.version).join(', ');
    return (
      `block ${block} holds ${older === '' ? 'something else' : `version ${older}`}, ` +
      `must be at least at ${list[least]?.version} (of ${known})`
    );
  }

  /** Changes that are missing, whole or in part, although something that came later is there. */
  private gaps(sights: readonly (Sight | undefined)[]): string[] {
    let newestAt = 0;
    let newest = BEFORE_ALL;
    const missing = new Map<Change, number>();
    const present = new Set<Change>();
    for (const [block, sight] of sights.entries()) {
      if (!sight) continue;
      for (const [place, change] of this.list(block).entries()) {
        if (place <= sight.lowest) present.add(change);
        if (place > sight.highest) missing.set(change, block);
        if (place !== sight.lowest || change.begunAt <= newestAt) continue;
        newestAt = change.begunAt;
        newest = change;
      }
    }
    const wrong: string[] = [];
    for (const [change, block] of missing) {
      const { version, first, count, answeredAt } = change;
      const what = `version ${version} of blocks ${first} to ${first + count - 1}`;
      if (present.has(change)) wrong.push(`${what} is there in part: block ${block} lacks it`);
      else if (answeredAt !== undefined && answeredAt < newestAt) {
        wrong.push(`${what} is missing, but ${newest.version}, begun after its answer, is there`);
      }
    }
    return wrong;
  }

  /** What was found counts as durable; where nothing right was found, the newest is expected. */
  private settle(block: number, sight: Sight | undefined): void {
    const list = this.list(block);
    const found = sight ? list[sight.highest] : list[answeredPlace(list)];
    this.lists[block] = [{ ...(found ?? BEFORE_ALL), answeredAt: 0 }];
  }

  /** Where the newest change stands that must not be lost. */
  private safePlace(list: readonly Change[]): number {
    const place = list.findLastIndex(
      ({ answeredAt, fua }) => answeredAt !== undefined && (fua || answeredAt < this.flushedAt),
    );
    return Math.max(place, 0);
  }

  private list(block: number): Change[] {
    const list = this.lists[block];
    if (!list) throw new Error(`there is no block ${block}`);
    return list;
  }

  private next(): number {
    this.events += 1;
    return this.events;
  }
}

/** Where the newest change stands that was answered. */
function answeredPlace(list: readonly Change[]): number {
  return Math.max(
    list.findLastIndex(({ answeredAt }) => answeredAt !== undefined),
    0,
  );
}
