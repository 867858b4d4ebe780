/**
 * The newest content of byte ranges of one volume: sorted extents that do not overlap. An insert
 * cuts what it covers. Holds references to the payload slices, never copies.
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
const EXTENT_BYTES = 128;

export class ExtentMap {
  /** Sorted by start; disjoint. */
  readonly extents: ContentExtent[] = [];
  /** Payload bytes that the extents refer to. */
  dataBytes = 0;

  /** Payload bytes and what it costs to keep track of them. */
  get heldBytes(): number {
    return this.dataBytes + this.extents.length * EXTENT_BYTES;
  }

  /** Puts `data` (or zeroes, when undefined) at `start`. */
  insert(start: number, length: number, data: Uint8Array | undefined, mayFree: boolean): void {
    const end = start + length;
    const from = this.firstEndingAfter(start);
    let to = from;
    const pieces: ContentExtent[] = [];
    for (let extent = this.extents[to]; extent && extent.start < end; extent = this.extents[to]) {
      if (extent.start < start) pieces.push(this.cut(extent, extent.start, start));
      this.dataBytes -= extent.data?.length ?? 0;
      to += 1;
    }
    pieces.push({ start, end, data, mayFree });
    const last = this.extents[to - 1];
    if (to > from && last && last.end > end) pieces.push(this.cut(last, end, last.end));
    for (const piece of pieces) this.dataBytes += piece.data?.length ?? 0;
    this.extents.splice(from, to - from, ...pieces);
  }

  /** Calls `visit` for each extent that touches the range, in order. */
  forEachIn(start: number, end: number, visit: (extent: ContentExtent) => void): void {
    for (let index = this.firstEndingAfter(start); index < this.extents.length; index += 1) {
      const extent = this.extents[index];
      if (!extent || extent.start >= end) return;
      visit(extent);
    }
  }

  /** The first extent that touches the range. */
  firstIn(start: number, end: number): ContentExtent | undefined {
    const extent = this.extents[this.firstEndingAfter(start)];
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

  private cut(extent: ContentExtent, start: number, end: number): ContentExtent {
    return {
      start,
      end,
      data: extent.data?.subarray(start - extent.start, end - extent.start),
      mayFree: extent.mayFree,
    };
  }

  /** Index of the first extent whose end lies behind `position`. */
  private firstEndingAfter(position: number): number {
    let low = 0;
    let high = this.extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const extent = this.extents[middle];
      if (extent && extent.end <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
