/** Sparse bytes: only pages that were ever written take room, so a file of 1 TiB may be cheap. */
import type { Extent } from '../../src/base/extent.ts';
import { systemError } from '../../src/sys/system-error.ts';

export const PAGE_BYTES = 4096;

/** How many pages a disk has, and how many are taken. */
export class Space {
  pagesUsed = 0;
  capacityBytes: number;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  take(): void {
    if ((this.pagesUsed + 1) * PAGE_BYTES > this.capacityBytes) {
      throw systemError('ENOSPC', 'no space left on the simulated disk');
    }
    this.pagesUsed += 1;
  }

  give(pages: number): void {
    this.pagesUsed -= pages;
  }
}

/** One stretch of bytes inside one page. */
export interface PagePiece {
  readonly page: number;
  /** From and to, counted from the beginning of the page. */
  readonly from: number;
  readonly to: number;
}

/** The pages that hold a range, piece by piece. */
export function* piecesOf(position: number, length: number): Generator<PagePiece> {
  const end = position + length;
  for (let offset = position; offset < end;) {
    const page = Math.floor(offset / PAGE_BYTES);
    const start = page * PAGE_BYTES;
    const to = Math.min(PAGE_BYTES, end - start);
    yield { page, from: offset - start, to };
    offset = start + to;
  }
}

/** The pages of one file. What was never written, or was freed, reads as zeroes. */
export class Pages {
  private readonly space: Space;
  private readonly pages = new Map<number, Uint8Array>();

  constructor(space: Space) {
    this.space = space;
  }

  get count(): number {
    return this.pages.size;
  }

  get(page: number): Uint8Array | undefined {
    return this.pages.get(page);
  }

  /** The page, taken from the disk's space if it was a hole. */
  allocate(page: number): Uint8Array {
    const present = this.pages.get(page);
    if (present !== undefined) return present;
    this.space.take();
    const fresh = new Uint8Array(PAGE_BYTES);
    this.pages.set(page, fresh);
    return fresh;
  }

  free(page: number): void {
    if (this.pages.delete(page)) this.space.give(1);
  }

  /** The pieces of a range that are not holes; quick for a huge range with little in it. */
  presentPieces(position: number, length: number): PagePiece[] {
    if (length / PAGE_BYTES <= this.pages.size) {
      return [...piecesOf(position, length)].filter(({ page }) => this.pages.has(page));
    }
    const end = position + length;
    return [...this.pages.keys()]
      .toSorted((a, b) => a - b)
      .map((page) => {
        const start = page * PAGE_BYTES;
        return {
          page,
          from: Math.max(0, position - start),
          to: Math.min(PAGE_BYTES, end - start),
        };
      })
      .filter(({ from, to }) => from < to);
  }

  nextExtent(position: number, end: number): Extent {
    const first = Math.floor(position / PAGE_BYTES);
    const data = this.pages.has(first);
    const next = data ? this.nextHole(first) : this.nextPage(first);
    return { offset: position, length: Math.min(end, next * PAGE_BYTES) - position, data };
  }

  copyInto(space: Space): Pages {
    const copy = new Pages(space);
    for (const [page, bytes] of this.pages) copy.allocate(page).set(bytes);
    return copy;
  }

  private nextHole(from: number): number {
    let page = from;
    while (this.pages.has(page)) page += 1;
    return page;
  }

  /** The first page at or after `from`; Infinity when there is none. */
  private nextPage(from: number): number {
    // Most often it is near; looking at all pages is for the others.
    for (let page = from; page < from + 64; page++) if (this.pages.has(page)) return page;
    let nearest = Number.POSITIVE_INFINITY;
    for (const page of this.pages.keys()) if (page >= from && page < nearest) nearest = page;
    return nearest;
  }
}
