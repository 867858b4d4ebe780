/**
 * A block map on disk (format/map.ts): made whole, then changed page by page in alternating slots,
 * so that a torn write leaves the older state of that page.
 */
import { RcopyError, fileError } from '../base/errors.ts';
import type { Position } from '../base/position.ts';
import {
  MAP_SLOT_BYTES,
  decodeMapHead,
  decodeMapSlot,
  encodeMapHead,
  encodeMapSlot,
  mapFileBytes,
  mapPages,
  mapSlotOffset,
} from '../format/map.ts';
import type { MapKind, MapSlot } from '../format/map.ts';
import { unknownVersion } from '../format/segment.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';
import { BlockMap } from './block-map.ts';

const PAGES_A_WRITE = 64;

export class MapFile {
  readonly map: BlockMap;
  /** Up to here the file is complete. */
  stamp: Position;
  private readonly kind: MapKind;
  private readonly handle: FileHandle;
  /** Generation of each page's newest slot, head first. The slot is its parity. */
  private readonly generations: number[];
  /** The newest head is synced; not known of one that another process has left. */
  private headDurable = false;

  private constructor(
    kind: MapKind,
    handle: FileHandle,
    map: BlockMap,
    stamp: Position,
    generations: number[],
  ) {
    this.kind = kind;
    this.handle = handle;
    this.map = map;
    this.stamp = stamp;
    this.generations = generations;
  }

  /** Makes the file with an empty map; durable when it resolves, but for its name in the folder. */
  static async create(
    files: FileSystem,
    path: string,
    kind: MapKind,
    sizeBytes: number,
    stamp: Position,
  ): Promise<MapFile> {
    const map = new BlockMap(sizeBytes);
    try {
      const handle = files.open(path, 'replace', 'MAP:CREATE');
      const generations = Array.from({ length: mapPages(map.blocks) + 1 }, () => 0);
      const file = new MapFile(kind, handle, map, stamp, generations);
      handle.setSize(mapFileBytes(map.blocks), 'MAP:SIZE');
      file.writeAllPages();
      await handle.sync('MAP:SYNC');
      file.headDurable = true;
      return file;
    } catch (error) {
      throw fileError('making the map', path, error);
    }
  }

  /** Reads the whole map as of its last save. Throws `E_DAMAGED` when a page has lost it (R8). */
  static open(files: FileSystem, path: string, kind: MapKind, sizeBytes: number): MapFile {
    const map = new BlockMap(sizeBytes);
    let handle: FileHandle;
    try {
      handle = files.open(path, 'write', 'MAP:OPEN');
    } catch (error) {
      throw new RcopyError('E_DAMAGED', `${path}: set.json names this map, but it cannot be read`, {
        cause: error,
      });
    }
    const headSlot = readPage(handle, path, { page: 0, kind }).counts;
    const head = decodeMapHead(headSlot.body);
    if (!head || headSlot.blocks !== map.blocks) {
      throw new RcopyError('E_DAMAGED', `${path}: the map is for another volume size`);
    }
    const generations = [headSlot.generation];
    for (let page = 1; page <= mapPages(map.blocks); page += 1) {
      const slots = readPage(handle, path, { page, kind, save: headSlot.generation });
      generations.push(slots.counts.generation);
      map.load(page - 1, slots.counts.body);
      // What a torn save left is written over by the next one: it must never come to count.
      if (slots.torn) map.noteChanged(page - 1);
    }
    if (pagesSum(generations) !== head.generations) {
      throw new RcopyError('E_DAMAGED', `${path}: a page of the map has lost its newest state`, {
        hint: 'run `rcopy verify` on this set; its data may be taken from its pair',
      });
    }
    return new MapFile(kind, handle, map, head.stamp, generations);
  }

  /**
   * Writes the given pages and the stamp, and syncs. What the bits speak of must be synced before
   * (a presence bit: its block in the image).
   */
  async save(pages: ReadonlyMap<number, Buffer>, stamp: Position): Promise<void> {
    try {
      await this.secureHead();
      for (const [index, bytes] of pages) this.writePage(index + 1, bytes);
      if (pages.size > 0) await this.handle.sync('MAP:SYNC');
      this.writeHead((this.generations[0] ?? 0) + 1, stamp);
      await this.handle.sync('MAP:SYNC');
      this.stamp = stamp;
    } catch (error) {
      throw fileError('writing the map', this.handle.path, error);
    }
  }

  close(): void {
    this.handle.close();
  }

  private writePage(page: number, bytes: Buffer): void {
    const generation = (this.generations[page] ?? 0) + 1;
    const save = (this.generations[0] ?? 0) + 1;
    const slot = encodeMapSlot({ kind: this.kind, page, generation, blocks: save }, bytes);
    this.handle.write([slot], mapSlotOffset(page, generation % 2), 'MAP:PAGE');
    this.generations[page] = generation;
  }

  /**
   * A save overwrites what the head before the newest one counts on. A killed process, or one
   * whose sync failed, may have left the newest one where a power loss takes it: written anew.
   */
  private async secureHead(): Promise<void> {
    if (this.headDurable) return;
    this.writeHead(this.generations[0] ?? 0, this.stamp);
    await this.handle.sync('MAP:SYNC');
    this.headDurable = true;
  }

  private writeHead(generation: number, stamp: Position): void {
    const head = { stamp, generations: pagesSum(this.generations) };
    const slot = encodeMapHead(this.kind, generation, this.map.blocks, head);
    this.handle.write([slot], mapSlotOffset(0, generation % 2), 'MAP:HEAD');
    this.generations[0] = generation;
  }

  /** Every page's first slot, in large writes: the unused second slots are zeroes between them. */
  private writeAllPages(): void {
    const unused = Buffer.alloc(MAP_SLOT_BYTES);
    const pages = this.generations.length;
    for (let first = 0; first < pages; first += PAGES_A_WRITE) {
      const parts: Buffer[] = [];
      for (let page = first; page < Math.min(first + PAGES_A_WRITE, pages); page += 1) {
        const { kind } = this;
        const slot =
          page === 0
            ? encodeMapHead(kind, 0, this.map.blocks, { stamp: this.stamp, generations: 0 })
            : encodeMapSlot({ kind, page, generation: 0, blocks: 0 }, this.map.bytes(page - 1));
        parts.push(slot, unused);
      }
      this.handle.write(parts, mapSlotOffset(first, 0), 'MAP:CREATE-PAGES');
    }
  }
}

/** The sum of the generations of all pages, the head not counted. */
function pagesSum(generations: readonly number[]): number {
  return generations.slice(1).reduce((sum, generation) => sum + generation, 0);
}

interface PageSlots {
  /** The newest one that counts. */
  readonly counts: MapSlot;
  /** There is one of a save that was not finished. */
  readonly torn: boolean;
}

/** Reads both slots of a page; those of saves after `save` do not count. */
function readPage(
  handle: FileHandle,
  path: string,
  { page, kind, save = Infinity }: { page: number; kind: MapKind; save?: number },
): PageSlots {
  const bytes = Buffer.alloc(2 * MAP_SLOT_BYTES);
  const got = handle.read(bytes, mapSlotOffset(page, 0), 'MAP:READ');
  let counts: MapSlot | undefined;
  let torn = false;
  let reason = 'both slots are empty';
  for (const slot of [0, 1]) {
    const end = Math.min(got, (slot + 1) * MAP_SLOT_BYTES);
    const check = decodeMapSlot(bytes.subarray(Math.min(slot * MAP_SLOT_BYTES, end), end));
    if (check.found === 'unknown-version') throw unknownVersion(path, check.version);
    if (check.found === 'garbage') reason = check.reason;
    if (check.found !== 'slot') continue;
    if (check.slot.page !== page || check.slot.kind !== kind) reason = 'a slot of another page';
    else if (page > 0 && check.slot.blocks > save) torn = true;
    else if (!counts || check.slot.generation > counts.generation) counts = check.slot;
  }
  if (counts) return { counts, torn };
  throw new RcopyError(
    'E_DAMAGED',
    `${path} at offset ${mapSlotOffset(page, 0)}: page ${page} of the map is damaged: ${reason}`,
    { hint: 'run `rcopy verify` on this set; its data may be taken from its pair' },
  );
}
