/**
 * A bitmap over the 4 KiB blocks of one volume, in memory by pages: a page that is all zero or all
 * one costs nothing. Remembers which pages changed since they were last taken for writing.
 */
import { assert } from '../base/assert.ts';
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import { MAP_PAGE_BLOCKS, MAP_PAGE_BYTES, mapPages } from '../format/map.ts';

const NONE = Buffer.alloc(MAP_PAGE_BYTES);
const ALL = Buffer.alloc(MAP_PAGE_BYTES, 0xff);
/** How many bits are set in each byte. */
const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count += 1;
  return count;
});

export class BlockMap {
  readonly blocks: number;
  private readonly pages: Buffer[];
  private readonly changed = new Set<number>();
  private setBlocks = 0;

  constructor(sizeBytes: number) {
    this.blocks = Math.ceil(sizeBytes / MAP_BLOCK_BYTES);
    this.pages = Array.from({ length: mapPages(this.blocks) }, () => NONE);
  }

  /** How many blocks are set. */
  get count(): number {
    return this.setBlocks;
  }

  /** Whether a page changed since they were last taken. */
  get hasChanged(): boolean {
    return this.changed.size > 0;
  }

  get isFull(): boolean {
    return this.setBlocks === this.blocks;
  }

  has(block: number): boolean {
    const page = this.page(block);
    if (page === NONE) return false;
    if (page === ALL) return true;
    const bit = block % MAP_PAGE_BLOCKS;
    return ((page[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  add(block: number): void {
    if (this.has(block)) return;
    const page = this.writablePage(block);
    const bit = block % MAP_PAGE_BLOCKS;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) | (1 << (bit & 7));
    this.setBlocks += 1;
  }

  /** Adds all blocks from `from` up to, not including, `end`; whole pages at once. */
  addRange(from: number, end: number): void {
    for (let block = from; block < end;) {
      const pageEnd = (Math.floor(block / MAP_PAGE_BLOCKS) + 1) * MAP_PAGE_BLOCKS;
      if (block % MAP_PAGE_BLOCKS === 0 && pageEnd <= end && this.page(block) === NONE) {
        const index = block / MAP_PAGE_BLOCKS;
        this.changed.add(index);
        this.pages[index] = ALL;
        this.setBlocks += MAP_PAGE_BLOCKS;
        block = pageEnd;
      } else {
        for (const stop = Math.min(pageEnd, end); block < stop; block += 1) this.add(block);
      }
    }
  }

  /** Adds every block that a range of bytes touches. */
  addBytes(start: number, end: number): void {
    this.addRange(Math.floor(start / MAP_BLOCK_BYTES), Math.ceil(end / MAP_BLOCK_BYTES));
  }

  /** Removes all blocks from `from` up to, not including, `end`. */
  removeRange(from: number, end: number): void {
    for (let block = this.next(from, end, true); block < end;) {
      this.remove(block);
      block = this.next(block + 1, end, true);
    }
  }

  remove(block: number): void {
    if (!this.has(block)) return;
    const page = this.writablePage(block);
    const bit = block % MAP_PAGE_BLOCKS;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) & ~(1 << (bit & 7));
    this.setBlocks -= 1;
  }

  /** The first block from `from` on whose state is `set`; `end` when there is none below that. */
  next(from: number, end: number, set: boolean): number {
    const skippedPage = set ? NONE : ALL;
    const skippedByte = set ? 0 : 0xff;
    for (let block = from; block < end;) {
      const page = this.page(block);
      const bit = block % MAP_PAGE_BLOCKS;
      if (page === skippedPage) block += MAP_PAGE_BLOCKS - bit;
      else if ((bit & 7) === 0 && page[bit >>> 3] === skippedByte) block += 8;
      else if (this.has(block) === set) return block;
      else block += 1;
    }
    return end;
  }

  /** Counts a page as changed though no bit of it is. */
  noteChanged(index: number): void {
    this.changed.add(index);
  }

  /** Takes a copy of every page that changed, and counts them as unchanged from now on. */
  takeChanged(): Map<number, Buffer> {
    const taken = new Map<number, Buffer>();
    for (const index of this.changed) taken.set(index, this.bytes(index));
    this.changed.clear();
    return taken;
  }

  /** The bits of page `index` as they go to disk; bits behind the last block are zero. */
  bytes(index: number): Buffer {
    return Buffer.from(this.pages[index] ?? NONE);
  }

  /** Takes a page as it came from disk into a new map. */
  load(index: number, bytes: Buffer): void {
    assert(bytes.length === MAP_PAGE_BYTES, 'a map page has its size');
    if (bytes.equals(NONE)) return; // as it is
    this.pages[index] = bytes.equals(ALL) ? ALL : Buffer.from(bytes);
    for (const byte of bytes) this.setBlocks += BITS_SET[byte] ?? 0;
  }

  /** Adds the blocks of a page as it came from another set; a full page costs nothing. */
  merge(index: number, bytes: Buffer): void {
    assert(bytes.length === MAP_PAGE_BYTES, 'a map page has its size');
    const first = index * MAP_PAGE_BLOCKS;
    const blocks = Math.min(MAP_PAGE_BLOCKS, this.blocks - first);
    if (bytes === ALL || bytes.equals(ALL)) {
      this.addRange(first, first + blocks);
      return;
    }
    let page = this.page(first);
    if (page === ALL) return;
    for (let at = 0; at * 8 < blocks; at += 1) {
      const mask = blocks - at * 8 >= 8 ? 0xff : (1 << (blocks - at * 8)) - 1;
      const gained = (bytes[at] ?? 0) & mask & ~(page[at] ?? 0);
      if (gained === 0) continue;
      page = this.writablePage(first);
      page[at] = (page[at] ?? 0) | gained;
      this.setBlocks += BITS_SET[gained] ?? 0;
    }
  }

  /** Adds every block of another map over the same volume. */
  addAll(other: BlockMap): void {
    for (const [index, page] of other.pages.entries()) if (page !== NONE) this.merge(index, page);
  }

  /** The first page from `index` on that has any block; undefined when there is none. */
  nextPage(index: number): number | undefined {
    for (let page = index; page < this.pages.length; page += 1) {
      if (this.pages[page] !== NONE) return page;
    }
    return undefined;
  }

  private page(block: number): Buffer {
    return this.pages[Math.floor(block / MAP_PAGE_BLOCKS)] ?? NONE;
  }

  private writablePage(block: number): Buffer {
    const index = Math.floor(block / MAP_PAGE_BLOCKS);
    this.changed.add(index);
    const page = this.pages[index] ?? NONE;
    if (page !== NONE && page !== ALL) return page;
    const own = Buffer.from(page);
    this.pages[index] = own;
    return own;
  }
}
