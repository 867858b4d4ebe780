/**
 * Writes that a set has answered and may still lose: kept, in the order of their numbers, until the
 * set says that they are durable. After a set has lost its tail exactly these are written again, so
 * that a later FLUSH never covers up a loss. Pure.
 */
import { assert } from '../base/assert.ts';
import type { WriteRequest, ZeroesRequest } from '../device/device.ts';

/** One answered write. `Owner` is what it was written to. */
export interface Kept<Owner> {
  readonly owner: Owner;
  readonly request: WriteRequest | ZeroesRequest;
  /** The number by which the set knows it; another one once it was written again. */
  sequence: number;
  /** The set has lost it, and it was not written again yet. */
  isLost: boolean;
}

/** What an entry costs beside its data, in bytes. */
const ENTRY_BYTES = 256;

export class Retained<Owner> {
  /** Data and bookkeeping of all that is kept, in bytes. */
  bytes = 0;
  /** The highest number that was ever kept. */
  newest = 0;
  private entries: Kept<Owner>[] = [];
  /** How many of the first entries are gone; they are dropped together, for shifting costs. */
  private gone = 0;
  private durable = 0;

  get count(): number {
    return this.entries.length - this.gone;
  }

  /** Keeps a write that was answered with `sequence`, unless it is durable by now. */
  add(owner: Owner, request: WriteRequest | ZeroesRequest, sequence: number): void {
    this.newest = Math.max(this.newest, sequence);
    if (sequence <= this.durable) return;
    const { entries } = this;
    // Answers come nearly in order: look from the end.
    let at = entries.length;
    while (at > this.gone && (entries[at - 1]?.sequence ?? 0) > sequence) at -= 1;
    const kept = { owner, request, sequence, isLost: false };
    if (at === entries.length) entries.push(kept);
    else entries.splice(at, 0, kept);
    this.bytes += costOf(kept);
  }

  /** Everything up to `sequence` is durable at the set; what it has lost is not meant. */
  noteDurable(sequence: number): void {
    this.durable = Math.max(this.durable, sequence);
    for (let kept = this.entries[this.gone]; kept; kept = this.entries[this.gone]) {
      if (kept.sequence > this.durable || kept.isLost) break;
      this.bytes -= costOf(kept);
      this.gone += 1;
    }
    if (this.gone * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.gone);
      this.gone = 0;
    }
  }

  /**
   * Another set, or the same one after a restart, has the history up to `recovered` and no more:
   * what was answered behind that is lost, also when it was lost before. Returns the numbers of
   * what is lost, in order. What was to be written again under a number of at most `recovered` was:
   * lost writes are written again in the order of their numbers and before all others, so each gets
   * its old number or a lower one.
   */
  lostAbove(recovered: number): number[] {
    for (const kept of this.live()) kept.isLost = kept.sequence > recovered;
    this.durable = recovered; // the numbers behind it are given anew
    this.newest = recovered;
    this.noteDurable(recovered);
    return this.live().map(({ sequence }) => sequence);
  }

  /** The numbers of what is lost and was not written again yet, in order. */
  get lost(): number[] {
    return this.lostUpTo(Number.MAX_SAFE_INTEGER).map(({ sequence }) => sequence);
  }

  /** What is lost and has a number of at most `upTo`, in order. */
  lostUpTo(upTo: number): Kept<Owner>[] {
    return this.live().filter(({ isLost, sequence }) => isLost && sequence <= upTo);
  }

  /** A lost write was written again; `sequence`: its new number, or its old one, not below that. */
  writtenAgain(kept: Kept<Owner>, sequence: number): void {
    assert(kept.isLost, 'only what is lost is written again');
    kept.sequence = sequence;
    kept.isLost = false;
    this.newest = Math.max(this.newest, sequence);
  }

  /** Lets all go that is lost; returns whose it was. */
  abandon(): Set<Owner> {
    return this.drop(({ isLost }) => isLost);
  }

  /**
   * Nothing is lost any more, and all that is kept is durable: what comes has higher numbers than
   * `sequence`. The number of what was written again without an answer is known no better.
   */
  settle(sequence: number): void {
    this.drop(() => true);
    this.durable = sequence;
    this.newest = sequence;
  }

  /** Lets all go that was written to `owner`. */
  forget(owner: Owner): void {
    this.drop((kept) => kept.owner === owner);
  }

  private drop(isDropped: (kept: Kept<Owner>) => boolean): Set<Owner> {
    const owners = new Set<Owner>();
    const left: Kept<Owner>[] = [];
    for (const kept of this.live()) {
      if (!isDropped(kept)) left.push(kept);
      else {
        owners.add(kept.owner);
        this.bytes -= costOf(kept);
      }
    }
    this.entries = left;
    return owners;
  }

  private live(): Kept<Owner>[] {
    if (this.gone > 0) {
      this.entries = this.entries.slice(this.gone);
      this.gone = 0;
    }
    return this.entries;
  }
}

function costOf<Owner>({ request }: Kept<Owner>): number {
  return ENTRY_BYTES + (request.kind === 'write' ? request.length : 0);
}
