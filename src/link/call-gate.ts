/**
 * Bounds what other sets can make this one do at once (R9): a call counts from its arrival until
 * its answer has gone out. A link that may not ask more now is not read; in turn, oldest first.
 */
import { LINK_CALLS_MAX, NODE_CALLS_MAX } from '../base/limits.ts';

/** One link as the gate knows it. */
export interface CallingLink {
  /** Stops reading until `resume`. */
  pause(): void;
  resume(): void;
}

export class CallGate {
  private readonly perLink: number;
  private readonly total: number;
  private readonly underWay = new Map<CallingLink, number>();
  private readonly waiting = new Set<CallingLink>();
  private count = 0;

  constructor(perLink = LINK_CALLS_MAX, total = NODE_CALLS_MAX) {
    this.perLink = perLink;
    this.total = total;
  }

  /** Calls whose answers have not gone out. */
  get calls(): number {
    return this.count;
  }

  /** Links that are not read because they have asked enough, or all together have. */
  get heldLinks(): number {
    return this.waiting.size;
  }

  /** A call has come: it is taken in any case, and the link is read on only if there is room. */
  begin(link: CallingLink): void {
    this.underWay.set(link, (this.underWay.get(link) ?? 0) + 1);
    this.count += 1;
    if (this.mayAsk(link)) return;
    this.waiting.add(link);
    link.pause();
  }

  /** The answer has gone out, or the link has ended with it. */
  end(link: CallingLink): void {
    const left = (this.underWay.get(link) ?? 1) - 1;
    if (left > 0) this.underWay.set(link, left);
    else this.underWay.delete(link);
    this.count -= 1;
    for (const other of [...this.waiting]) {
      if (this.count >= this.total) return;
      if (!this.mayAsk(other)) continue;
      this.waiting.delete(other);
      other.resume();
    }
  }

  /** The link is gone: it waits for nothing any more. */
  forget(link: CallingLink): void {
    this.waiting.delete(link);
  }

  private mayAsk(link: CallingLink): boolean {
    return this.count < this.total && (this.underWay.get(link) ?? 0) < this.perLink;
  }
}
