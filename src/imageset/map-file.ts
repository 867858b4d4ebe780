/**
 * A block map on disk (format/map.ts): made whole, then changed page by page in alternating slots,
 * so that a torn write leaves the older state of that page.
 */
import { RcopyError, fileError } from '../base/errors.ts';
import type { Position } from '../base/position.ts';
import {
  MAP_SLOT_BYTES,
  decodeMapSlot,
  decodeMapStamp,
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
      const generations = new Array<number>(mapPages(map.blocks) + 1).fill(0);
      const file = new MapFile(kind, handle, map, stamp, generations);
      handle.setSize(mapFileBytes(map.blocks), 'MAP:SIZE');
      file.writeAllPages();
      await handle.sync('MAP:SYNC');
      return file;
    } catch (error) {
      throw fileError('making the map', path, error);
    }
  }

  /** Reads the whole map. Throws `E_DAMAGED` when a page has no valid slot (R8). */
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
    const generations: number[] = [];
    let stamp: Position | undefined;
    for (let page = 0; page <= mapPages(map.blocks); page += 1) {
      const slot = readPage(handle, path, page, kind);
      generations.push(slot.generation);
      if (page > 0) map.load(page - 1, slot.body);
      else if (slot.blocks === map.blocks) stamp = decodeMapStamp(slot.body);
    }
    if (!stamp) throw new RcopyError('E_DAMAGED', `${path}: the map is for another volume size`);
    return new MapFile(kind, handle, map, stamp, generations);
  }

  /**
   * Writes the given pages and the stamp, and syncs. What the bits speak of must be synced before
   * (a presence bit: its block in the image).
   */
  async save(pages: ReadonlyMap<number, Buffer>, stamp: Position): Promise<void> {
    try {
      for (const [index, bytes] of pages) this.writePage(index + 1, bytes);
      if (pages.size > 0) await this.handle.sync('MAP:SYNC');
      this.writeHead(stamp);
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
    const slot = encodeMapSlot({ kind: this.kind, page, generation, blocks: 0 }, bytes);
    this.handle.write([slot], mapSlotOffset(page, generation % 2), 'MAP:PAGE');
    this.generations[page] = generation;
  }

  private writeHead(stamp: Position): void {
    const generation = (this.generations[0] ?? 0) + 1;
    const slot = encodeMapHead(this.kind, generation, this.map.blocks, stamp);
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
            ? encodeMapHead(kind, 0, this.map.blocks, this.stamp)
            : encodeMapSlot({ kind, page, generation: 0, blocks: 0 }, this.map.bytes(page - 1));
        parts.push(slot, unused);
      }
      this.handle.write(parts, mapSlotOffset(first, 0), 'MAP:CREATE-PAGES');
    }
  }
}

function readPage(handle: FileHandle, path: string, page: number, kind: MapKind): MapSlot {
  const bytes = Buffer.alloc(2 * MAP_SLOT_BYTES);
  const got = handle.read(bytes, mapSlotOffset(page, 0), 'MAP:READ');
  let newest: MapSlot | undefined;
  let reason = 'both slots are empty';
  for (const slot of [0, 1]) {
    const end = Math.min(got, (slot + 1) * MAP_SLOT_BYTES);
    const check = decodeMapSlot(bytes.subarray(Math.min(slot * MAP_SLOT_BYTES, end), end));
    if (check.found === 'unknown-version') throw unknownVersion(path, check.version);
    if (check.found === 'garbage') reason = check.reason;
    if (check.found !== 'slot') continue;
    if (check.slot.page !== page || check.slot.kind !== kind) reason = 'a slot of another page';
    else if (!newest || check.slot.generation > newest.generation) newest = check.slot;
  }
  if (newest) return newest;
  throw new RcopyError(
    'E_DAMAGED',
    `${path} at offset ${mapSlotOffset(page, 0)}: page ${page} of the map is damaged: ${reason}`,
    { hint: 'run `rcopy verify` on this set; its data may be taken from its pair' },
  );
}
