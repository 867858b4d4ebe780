/**
 * The bytes of one simulated file, with the memory of what a power loss would do to them.
 *
 * The pages hold what reads see. For each 512-byte sector that was changed since it was last
 * durable there is a list of versions, the durable one first, the one that reads see last:
 *
 * ```
 *   sector 7:  durable "aaa"  ->  change 3 "bbb"  ->  change 5 "ccc"
 *                sync of change 3 makes "bbb" the durable one
 *                power loss: any one of the list, independently of all other sectors
 * ```
 *
 * The size has such a list too. A failed sync marks versions as abandoned: the kernel has thrown
 * its notes about them away. Reads still see them, but no later sync writes them; only a new change
 * of the same sector does, as a page that is made dirty again is written as a whole. Holes are not
 * forgotten.
 */
import type { Extent } from '../../src/base/extent.ts';
import { PAGE_BYTES, Pages, piecesOf } from './pages.ts';
import type { PagePiece, Space } from './pages.ts';

export const SECTOR_BYTES = 512;
const SECTORS_PER_PAGE = PAGE_BYTES / SECTOR_BYTES;
const ZERO_SECTOR = new Uint8Array(SECTOR_BYTES);

/** Picks one of `count` versions: 0 is the durable one, `count - 1` the newest. */
export type ChooseVersion = (count: number) => number;

interface Version<Value> {
  /** The number of the change that made it. */
  readonly change: number;
  readonly value: Value;
  readonly abandoned: boolean;
}

type Versions<Value> = readonly Version<Value>[];

export class FileContent {
  private readonly pages: Pages;
  private readonly unsynced: Map<number, Versions<Uint8Array>>;
  private sizes: Version<number>[];
  private changes: number;

  constructor(space: Space, original?: FileContent) {
    this.pages = original?.pages.copyInto(space) ?? new Pages(space);
    this.unsynced = new Map(original?.unsynced);
    this.sizes = [...(original?.sizes ?? [{ change: 0, value: 0, abandoned: false }])];
    this.changes = original?.changes ?? 0;
  }

  get size(): number {
    return this.sizes.at(-1)?.value ?? 0;
  }

  get pageCount(): number {
    return this.pages.count;
  }

  /** The number of the newest change: what a sync that is called now will make durable. */
  get newestChange(): number {
    return this.changes;
  }

  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.size - position));
    target.fill(0, 0, length);
    for (const { page, from, to } of this.pages.presentPieces(position, length)) {
      const bytes = this.pages.get(page)?.subarray(from, to) ?? ZERO_SECTOR;
      target.set(bytes, page * PAGE_BYTES + from - position);
    }
    return length;
  }

  /** Throws ENOSPC in the midst: what was written before stays, as on a real disk. */
  write(bytes: Uint8Array, position: number): void {
    this.changes += 1;
    let done = 0;
    for (const piece of piecesOf(position, bytes.length)) {
      const page = this.pages.allocate(piece.page);
      const source = bytes.subarray(done, done + piece.to - piece.from);
      this.change(piece, () => page.set(source, piece.from));
      done += source.length;
      this.noteSize(Math.max(this.size, position + done));
    }
  }

  zero(position: number, length: number, keepAllocated: boolean): void {
    this.changes += 1;
    if (keepAllocated) for (const { page } of piecesOf(position, length)) this.pages.allocate(page);
    this.clear(position, length, !keepAllocated);
  }

  setSize(bytes: number): void {
    this.changes += 1;
    if (bytes < this.size) this.clear(bytes, roundedUp(this.size) - bytes, true);
    this.noteSize(bytes);
  }

  nextExtent(position: number, end: number): Extent {
    return this.pages.nextExtent(position, end);
  }

  /** A sync of all changes up to `change` succeeded. */
  makeDurable(change: number): void {
    for (const [sector, versions] of this.unsynced) {
      const left = durableFrom(versions, change);
      if (left.length === 1) this.unsynced.delete(sector);
      else this.unsynced.set(sector, left);
    }
    this.sizes = [...durableFrom(this.sizes, change)];
  }

  /** A sync of all changes up to `change` failed. */
  abandon(change: number): void {
    for (const [sector, versions] of this.unsynced) {
      this.unsynced.set(sector, abandonedUpTo(versions, change));
    }
    this.sizes = [...abandonedUpTo(this.sizes, change)];
  }

  /** The power was lost: each sector in doubt, and the size, becomes one of its versions. */
  losePower(choose: ChooseVersion): void {
    for (const [sector, versions] of this.unsynced) {
      const chosen = versions[choose(versions.length)]?.value ?? ZERO_SECTOR;
      this.overwriteSector(sector, chosen);
    }
    const bytes = this.sizes[choose(this.sizes.length)]?.value ?? 0;
    this.clear(bytes, Math.max(0, roundedUp(this.size) - bytes), true);
    this.noteSize(bytes);
    this.forgetVersions();
  }

  /** Everything is durable as it is now: for files that a test puts in place or damages. */
  forgetVersions(): void {
    this.unsynced.clear();
    this.sizes = this.sizes.slice(-1);
  }

  /** Turns one bit over, in whatever version of its sector survives. */
  flipBit(position: number, bit: number): void {
    const sector = Math.floor(position / SECTOR_BYTES);
    const offset = position % SECTOR_BYTES;
    const flipped = (bytes: Uint8Array): Uint8Array =>
      bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << bit));
    const versions = this.unsynced.get(sector);
    this.overwriteSector(sector, flipped(this.sectorsCopy(sector, 1) ?? ZERO_SECTOR));
    if (versions === undefined) return;
    const damaged = versions.map(({ change, value, abandoned }) => {
      return { change, value: flipped(value), abandoned };
    });
    this.unsynced.set(sector, damaged);
  }

  /** Changes a piece of a page, and notes what its sectors were and have become. */
  private change(piece: PagePiece, action: () => void): void {
    const inPage = Math.floor(piece.from / SECTOR_BYTES);
    const count = Math.ceil(piece.to / SECTOR_BYTES) - inPage;
    const first = piece.page * SECTORS_PER_PAGE + inPage;
    const before = this.sectorsCopy(first, count);
    action();
    const after = this.sectorsCopy(first, count);
    for (let index = 0; index < count; index++) {
      const versions = this.unsynced.get(first + index) ?? [versionOf(0, before, index)];
      this.unsynced.set(first + index, [...versions, versionOf(this.changes, after, index)]);
    }
  }

  /** Zeroes what is present of a range; holes stay what they are. */
  private clear(position: number, length: number, freeing: boolean): void {
    for (const piece of this.pages.presentPieces(position, length)) {
      const whole = piece.from === 0 && piece.to === PAGE_BYTES;
      this.change(piece, () => {
        if (whole && freeing) this.pages.free(piece.page);
        else this.pages.get(piece.page)?.fill(0, piece.from, piece.to);
      });
    }
  }

  private noteSize(bytes: number): void {
    if (bytes === this.size) return;
    // One change has one size, though a write grows the file page by page.
    if (this.sizes.length > 1 && this.sizes.at(-1)?.change === this.changes) this.sizes.pop();
    this.sizes.push({ change: this.changes, value: bytes, abandoned: false });
  }

  /** The bytes of some sectors of one page; `undefined` for a hole. */
  private sectorsCopy(first: number, count: number): Uint8Array | undefined {
    const page = this.pages.get(Math.floor(first / SECTORS_PER_PAGE));
    const from = (first % SECTORS_PER_PAGE) * SECTOR_BYTES;
    return page?.slice(from, from + count * SECTOR_BYTES);
  }

  private overwriteSector(sector: number, bytes: Uint8Array): void {
    const page = Math.floor(sector / SECTORS_PER_PAGE);
    if (bytes === ZERO_SECTOR && this.pages.get(page) === undefined) return;
    this.pages.allocate(page).set(bytes, (sector % SECTORS_PER_PAGE) * SECTOR_BYTES);
  }
}

/** A version of the sector at `index` of some that were copied together. */
function versionOf(
  change: number,
  copy: Uint8Array | undefined,
  index: number,
): Version<Uint8Array> {
  const value = copy?.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES) ?? ZERO_SECTOR;
  return { change, value, abandoned: false };
}

/** The versions that are left after a sync of all changes up to `change`, the durable one first. */
function durableFrom<Value>(versions: Versions<Value>, change: number): Versions<Value> {
  const newest = versions.findLastIndex((version) => version.change <= change);
  if (newest <= 0 || versions[newest]?.abandoned === true) return versions;
  return versions.slice(newest);
}

/**
 * The first version is durable already: a failed sync does not take that back. Nor does it forget a
 * hole: that is metadata, which the next sync commits, or the file system stops altogether.
 */
function abandonedUpTo<Value>(versions: Versions<Value>, change: number): Versions<Value> {
  return versions.map((version, index) =>
    index > 0 && version.change <= change && version.value !== ZERO_SECTOR
      ? { ...version, abandoned: true }
      : version,
  );
}

function roundedUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
