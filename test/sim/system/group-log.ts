/**
 * What a group's volumes must hold, told by a plain list: hosts' requests in the order of the
 * numbers that they were answered with. It shares no code with what it judges.
 *
 * A set takes its hosts' requests one behind the other, and each takes as many numbers as it has
 * records. So a request that is not answered yet, though others may see its records already, has
 * its place in the list too: behind those that came before it at the same set.
 */
import { Broken } from './broken.ts';

export interface Change {
  readonly kind: 'write' | 'zeroes' | 'mark';
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Of a write. */
  readonly data: Buffer | undefined;
  /** The numbers that it takes. */
  readonly records: number;
}

interface Entry {
  readonly change: Change;
  readonly first: number;
  readonly last: number;
  readonly epoch: number;
  readonly site: string;
}

/** A change that a set was asked for, and what became of it. */
export interface Asked {
  readonly change: Change;
  readonly site: string;
  /** The epoch that the set was in when it was asked. */
  readonly epoch: number;
  entry: Entry | undefined;
  answered: boolean;
}

/** The volumes as of one number, moved on as that number grows. */
interface Snapshot {
  /** How many entries are in it. */
  entries: number;
  readonly volumes: Buffer[];
}

export class GroupLog {
  /** The highest number that was answered as durable. */
  flushed = 0;
  /** Changes that sets refused so far. */
  refused = 0;
  private readonly sizes: readonly number[];
  private readonly entries: Entry[] = [];
  /** What each set was asked for and has no number yet, oldest first. */
  private readonly asked = new Map<string, Asked[]>();
  private readonly snapshots = new Map<string, Snapshot>();

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
  }

  /** The newest number that is known to be taken. */
  get newest(): number {
    return this.entries.at(-1)?.last ?? 0;
  }

  /** Requests in the list. */
  get count(): number {
    return this.entries.length;
  }

  /** The highest number that a host was answered with. */
  newestAnswered = 0;

  /** A set was asked for a change. */
  ask(site: string, epoch: number, change: Change): Asked {
    const asked = this.unlisted(site, epoch, change);
    const line = this.asked.get(site);
    if (line) line.push(asked);
    else this.asked.set(site, [asked]);
    return asked;
  }

  /** The set answered it with this number. */
  answer(asked: Asked, sequence: number, epoch: number): void {
    const line = this.asked.get(asked.site) ?? [];
    if (!asked.entry) this.othersFirst(line, asked, sequence);
    while (!asked.entry && line.length > 0) this.number(line, epoch);
    const last = asked.entry?.last;
    if (last !== sequence) {
      throw new Broken('R4', `${asked.site} answered number ${sequence}, ${last} was its turn`);
    }
    asked.answered = true;
    this.newestAnswered = Math.max(this.newestAnswered, sequence);
  }

  /**
   * It was refused by a set that has given numbers up to `newest`: it may have one, where only
   * its durability was not to be had. Behind a crash, nobody knows.
   */
  refuse(asked: Asked, newest: number): void {
    this.refused += 1;
    this.numberUpTo(asked.site, newest);
    const line = this.asked.get(asked.site) ?? [];
    const at = line.indexOf(asked);
    if (at >= 0) line.splice(at, 1);
  }

  /** A mark took this number at once, ahead of what waits for room. */
  mark(site: string, sequence: number, epoch: number): void {
    this.numbersUpTo(site, sequence - 1, epoch);
    const change = { kind: 'mark', volume: 0, offset: 0, length: 0, data: undefined, records: 1 };
    this.number([this.unlisted(site, epoch, change as Change)], epoch);
    if (this.newest !== sequence) {
      throw new Broken('R4', `a mark at ${site} took ${sequence}, ${this.newest} was its turn`);
    }
  }

  /** A set says that so many numbers are taken: they are, by what it was asked for, in order. */
  numbersUpTo(site: string, newest: number, epoch: number): void {
    this.numberUpTo(site, newest, epoch);
    if (this.newest < newest) {
      throw new Broken('R4', `${site} gave numbers up to ${newest}, asked for ${this.newest}`);
    }
  }

  /** A secondary has this number: who gave it has taken it, though it lost its power since. */
  wasSent(sequence: number, epoch: number): void {
    for (const [site, [first]] of this.asked) {
      if (first?.epoch === epoch && this.newest < sequence) this.numberUpTo(site, sequence);
    }
  }

  /**
   * The set that takes the writes was opened again and has everything up to `newest`, which must
   * be the end of a request; what it was asked for and has not is lost.
   */
  reopened(site: string, newest: number, epoch: number): void {
    this.numbersUpTo(site, newest, epoch);
    this.asked.delete(site);
    this.cutBehind(newest);
  }

  /** A set takes no writes any more: what it had taken up to `newest` has its numbers. */
  settle(site: string, newest: number): void {
    this.numberUpTo(site, newest);
    this.forget(site);
  }

  /** Whoever asked this set will not be answered. */
  forget(site: string): void {
    this.asked.delete(site);
  }

  /** What stood behind a number is lost, and given back: allowed for what was never flushed. */
  cutBehind(newest: number): readonly Change[] {
    const lost: Change[] = [];
    while (this.newest > newest) {
      const entry = this.entries.pop();
      if (entry) lost.push(entry.change);
    }
    if (this.newest !== newest) {
      throw new Broken('R1', `number ${newest} is in the midst of a request`);
    }
    if (newest < this.flushed) {
      throw new Broken('R2', `number ${this.flushed} was flushed, only ${newest} is there`);
    }
    this.newestAnswered = Math.min(this.newestAnswered, newest);
    for (const [reader, { entries }] of this.snapshots) {
      if (entries > this.entries.length) this.snapshots.delete(reader);
    }
    return lost;
  }

  /** The same where losing what was flushed is what was asked for: a takeover by force. */
  fallBackTo(newest: number, taker: string): readonly Change[] {
    this.flushed = Math.min(this.flushed, newest);
    for (const site of this.asked.keys()) if (site !== taker) this.asked.delete(site);
    return this.cutBehind(newest);
  }

  /**
   * The volumes after the numbers 1 to `sequence`, which must end a request; valid until the next
   * call for the same reader. Quick for a reader whose numbers grow.
   */
  at(sequence: number, reader: string): readonly Buffer[] {
    let snapshot = this.snapshots.get(reader);
    const reached = snapshot ? (this.entries[snapshot.entries - 1]?.last ?? 0) : 0;
    if (!snapshot || reached > sequence) {
      snapshot = { entries: 0, volumes: this.sizes.map((size) => Buffer.alloc(size)) };
      this.snapshots.set(reader, snapshot);
    }
    for (;;) {
      const next = this.entries[snapshot.entries];
      if (!next || next.last > sequence) break;
      apply(next.change, snapshot.volumes);
      snapshot.entries += 1;
    }
    const last = this.entries[snapshot.entries - 1]?.last ?? 0;
    if (last !== sequence) throw new Broken('R1', `number ${sequence} ends no request`);
    return snapshot.volumes;
  }

  /** The set that gives, or gave, the numbers of an epoch; undefined before it gave one. */
  giverOfEpoch(epoch: number): string | undefined {
    return this.entries.findLast((entry) => entry.epoch === epoch)?.site;
  }

  private unlisted(site: string, epoch: number, change: Change): Asked {
    return { change, site, epoch, entry: undefined, answered: false };
  }

  private numberUpTo(site: string, newest: number, epoch?: number): void {
    const line = this.asked.get(site) ?? [];
    for (let [next] = line; next; [next] = line) {
      if (this.newest + next.change.records > newest) break;
      this.number(line, epoch ?? next.epoch);
    }
  }

  /** What a set takes over behind another one: that one had taken all before it. */
  private othersFirst(line: readonly Asked[], asked: Asked, sequence: number): void {
    let before = sequence;
    for (const { change } of line.slice(0, line.indexOf(asked) + 1)) before -= change.records;
    for (const site of this.asked.keys()) {
      if (site !== asked.site && this.newest < before) this.numberUpTo(site, before);
    }
  }

  private number(line: Asked[], epoch: number): void {
    const asked = line.shift();
    if (!asked) return;
    const { change, site } = asked;
    const before = this.entries.at(-1);
    if (before && before.epoch > epoch) {
      throw new Broken('R4', `${site} writes in epoch ${epoch}, ${before.epoch} has begun`);
    }
    if (before && before.epoch === epoch && before.site !== site) {
      throw new Broken('R4', `${site} and ${before.site} both write in epoch ${epoch}`);
    }
    const first = this.newest + 1;
    asked.entry = { change, first, last: this.newest + change.records, epoch, site };
    this.entries.push(asked.entry);
  }
}

function apply({ kind, volume, offset, length, data }: Change, volumes: readonly Buffer[]): void {
  if (kind === 'mark') return;
  const target = volumes[volume];
  if (data) data.copy(target ?? data, offset);
  else target?.fill(0, offset, offset + length);
}
