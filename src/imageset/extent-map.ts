/**
 * The newest content of byte ranges of one volume: sorted extents that do not overlap. An insert
 * cuts what it covers. Holds references to the payload slices, never copies.
 *
 * The extents lie in leaves of bounded length, one sorted list cut into pieces, so that an insert
 * anywhere moves a few entries, however many there are.
 */

/** A stretch of new content: its bytes, or zeroes. */
export interface ContentExtent {
  readonly start: number;
  readonly end: number;
  /** `end - start` bytes; undefined for zeroes. */
  readonly data: Uint8Array | undefined;
  /** Zeroes only: whether the image may give the space back. */
  readonly mayFree: boolean;
}

/** About what one extent costs in memory beside its payload (R9). */
export const EXTENT_BYTES = 128;

/** A leaf that grows beyond this is cut in two. Small enough for an insert to move little. */
const LEAF_EXTENTS_MAX = 64;

/** Sorted by start; disjoint. Never empty, but for the only leaf of an empty map. */
type Leaf = ContentExtent[];

export class ExtentMap {
  /** In order; the extents of one lie before those of the next. */
  private readonly leaves: Leaf[] = [[]];
  private readonly leafExtentsMax: number;
  /** How many extents there are. */
  count = 0;
  /** Payload bytes that the extents refer to. */
  dataBytes = 0;

  /** Payload bytes and what it costs to keep track of them. */
  get heldBytes(): number {
    return this.dataBytes + this.count * EXTENT_BYTES;
  }

  /** `leafExtentsMax` is at least 2; a test takes few, so that there are many leaves. */
  constructor(leafExtentsMax = LEAF_EXTENTS_MAX) {
    this.leafExtentsMax = leafExtentsMax;
  }

  /** Every extent, in order. Not to be used across an insert. */
  *extents(): Generator<ContentExtent> {
    for (const leaf of this.leaves) for (const extent of leaf) yield extent;
  }

  /** Puts `data` (or zeroes, when undefined) at `start`. */
  insert(start: number, length: number, data: Uint8Array | undefined, mayFree: boolean): void {
    const end = start + length;
    const extent = { start, end, data, mayFree };
    const at = this.leafEndingAfter(start);
    const leaf = this.leaves[at] ?? [];
    const from = firstEndingAfter(leaf, start);
    const found = leaf[from];
    if (!found || found.start >= end) {
      leaf.splice(from, 0, extent);
      this.note(extent, 1);
    } else if (found?.start === start && found.end === end) {
      leaf[from] = extent;
      this.note(found, -1);
      this.note(extent, 1);
    } else {
      this.replace(at, from, extent);
    }
    if (leaf.length > this.leafExtentsMax) this.split(at, leaf);
  }

  /** Calls `visit` for each extent that touches the range, in order. */
  forEachIn(start: number, end: number, visit: (extent: ContentExtent) => void): void {
    let at = this.leafEndingAfter(start);
    let leaf = this.leaves[at];
    let index = leaf ? firstEndingAfter(leaf, start) : 0;
    while (leaf) {
      const extent = leaf[index];
      if (extent) {
        if (extent.start >= end) return;
        visit(extent);
        index += 1;
      } else {
        at += 1;
        leaf = this.leaves[at];
        index = 0;
      }
    }
  }

  /** The first extent that touches the range. */
  firstIn(start: number, end: number): ContentExtent | undefined {
    const leaf = this.leaves[this.leafEndingAfter(start)] ?? [];
    const extent = leaf[firstEndingAfter(leaf, start)];
    return extent && extent.start < end ? extent : undefined;
  }

  /** Whether the whole range has new content. */
  covers(start: number, end: number): boolean {
    let at = start;
    this.forEachIn(start, end, (extent) => {
      if (extent.start <= at) at = Math.max(at, extent.end);
    });
    return at >= end;
  }

  /** Puts `extent` in place of all that it covers, from `index` of the leaf `at` on. */
  private replace(at: number, index: number, extent: ContentExtent): void {
    const { start, end } = extent;
    const pieces = [extent];
    this.forEachIn(start, end, (covered) => {
      if (covered.start < start) pieces.unshift(cut(covered, covered.start, start));
      if (covered.end > end) pieces.push(cut(covered, end, covered.end));
    });
    this.removeIn(at, index, end);
    for (const piece of pieces) this.note(piece, 1);
    this.leaves[at]?.splice(index, 0, ...pieces);
  }

  /** Takes out what begins before `end`, from `index` of the leaf `at` on. */
  private removeIn(at: number, index: number, end: number): void {
    let from = index;
    for (let next = at; ; from = 0) {
      const leaf = this.leaves[next];
      if (!leaf) return;
      let to = from;
      for (let covered = leaf[to]; covered && covered.start < end; covered = leaf[to]) {
        this.note(covered, -1);
        to += 1;
      }
      const isOver = to < leaf.length;
      leaf.splice(from, to - from);
      if (isOver) return;
      if (leaf.length === 0 && next > at) this.leaves.splice(next, 1);
      else next += 1;
    }
  }

  private split(at: number, leaf: Leaf): void {
    this.leaves.splice(at + 1, 0, leaf.splice(leaf.length >>> 1));
  }

  private note({ data }: ContentExtent, sign: 1 | -1): void {
    this.count += sign;
    if (data) this.dataBytes += sign * data.length;
  }

  /** Index of the first leaf with an extent that ends behind `position`; else of the last one. */
  private leafEndingAfter(position: number): number {
    let low = 0;
    let high = this.leaves.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = this.leaves[middle]?.at(-1);
      if (last && last.end <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Index in a leaf of the first extent whose end lies behind `position`. */
function firstEndingAfter(leaf: Leaf, position: number): number {
  let low = 0;
  let high = leaf.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const extent = leaf[middle];
    if (extent && extent.end <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function cut(extent: ContentExtent, start: number, end: number): ContentExtent {
  return {
    start,
    end,
    data: extent.data?.subarray(start - extent.start, end - extent.start),
    mayFree: extent.mayFree,
  };
}
