/**
 * A block map on disk (format/map.ts): made whole, then changed page by page in alternating slots,
 * so that a torn write leaves the older state of that page.
 */
import { RcopyError, fileError } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
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
  /** What was found in its slots that no save leaves which went to its end. */
  readonly flaws: readonly Finding[];
  private readonly kind: MapKind;
  private readonly handle: FileHandle;
  /** Generation of each page's newest slot, head first. The slot is its parity. */
  private readonly generations: number[];
  private last: Promise<void> = Promise.resolve();
  private saving = false;
  private closed = false;
  /** The newest head is synced; not known of one that another process has left. */
  private headDurable = false;

  private constructor(
    kind: MapKind,
    handle: FileHandle,
    map: BlockMap,
    stamp: Position,
    generations: number[],
    flaws: readonly Finding[] = [],
  ) {
    this.kind = kind;
    this.handle = handle;
    this.map = map;
    this.stamp = stamp;
    this.generations = generations;
    this.flaws = flaws;
  }

  /**
   * Makes the file with this map, an empty one unless told; durable when it resolves, but for its
   * name in the folder.
   */
  static async create(
    files: FileSystem,
    path: string,
    kind: MapKind,
    sizeBytes: number,
    stamp: Position,
    map = new BlockMap(sizeBytes),
  ): Promise<MapFile> {
    try {
      const handle = files.open(path, 'replace', 'MAP:CREATE');
      const generations = Array.from({ length: mapPages(map.blocks) + 1 }, () => 0);
      const file = new MapFile(kind, handle, map, stamp, generations);
      handle.setSize(mapFileBytes(map.blocks), 'MAP:SIZE');
      map.takeChanged();
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
    const handle = openNamed(files, path, 'write');
    try {
      return MapFile.read(handle, path, kind, new BlockMap(sizeBytes));
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  /** Only looks: the flaws of a map of any kind. Throws as `open` does. */
  static check(files: FileSystem, path: string, sizeBytes: number): readonly Finding[] {
    const handle = openNamed(files, path, 'read');
    try {
      return MapFile.read(handle, path, undefined, new BlockMap(sizeBytes)).flaws;
    } finally {
      handle.close();
    }
  }

  private static read(
    handle: FileHandle,
    path: string,
    kindAsked: MapKind | undefined,
    map: BlockMap,
  ): MapFile {
    const flaws: Finding[] = [];
    const offset = handle.size('MAP:SIZE');
    const bytes = mapFileBytes(map.blocks);
    if (offset !== bytes) {
      flaws.push({ file: path, offset, problem: `the map ends here, not at ${bytes}` });
    }
    const headSlots = readPage(handle, path, { page: 0, kind: kindAsked });
    flaws.push(...headSlots.flaws);
    const { kind, blocks, body, generation: save } = headSlots.counts;
    const head = decodeMapHead(body);
    if (!head || blocks !== map.blocks) {
      throw new RcopyError('E_DAMAGED', `${path}: the map is for another volume size`);
    }
    const generations = [save];
    for (let page = 1; page <= mapPages(map.blocks); page += 1) {
      const slots = readPage(handle, path, { page, kind, save });
      flaws.push(...slots.flaws);
      generations.push(slots.counts.generation);
      map.load(page - 1, slots.counts.body);
      // What a torn save left is written over by the next one: it must never come to count.
      if (slots.torn || slots.flaws.length > 0) map.noteChanged(page - 1);
    }
    if (pagesSum(generations) !== head.generations) {
      throw new RcopyError('E_DAMAGED', `${path}: a page of the map has lost its newest state`, {
        hint: 'run `rcopy verify` on this set; its data may be taken from its pair',
      });
    }
    return new MapFile(kind, handle, map, head.stamp, generations, flaws);
  }

  /**
   * Writes over what is flawed, durably: from then on a slot that is not valid is damage. To be
   * called at each start, when the set is no longer called clean.
   */
  async heal(): Promise<void> {
    if (this.flaws.length === 0) return;
    this.handle.setSize(mapFileBytes(this.map.blocks), 'MAP:SIZE');
    await this.save(this.map.takeChanged(), this.stamp);
  }

  /**
   * Writes the given pages and the stamp, and syncs; one save at a time. What the bits speak of
   * must be synced before (a presence bit: its block in the image).
   */
  save(pages: ReadonlyMap<number, Buffer>, stamp: Position): Promise<void> {
    const saved = this.last.then(() => this.saveNow(pages, stamp));
    this.last = saved.catch(() => undefined);
    return saved;
  }

  /** Lets the file go, after what is being saved; nothing is saved any more. */
  close(): void {
    this.closed = true;
    if (this.saving) this.last.finally(() => this.handle.close()).catch(() => undefined);
    else this.handle.close();
  }

  private async saveNow(pages: ReadonlyMap<number, Buffer>, stamp: Position): Promise<void> {
    if (this.closed) return;
    this.saving = true;
    try {
      await this.secureHead();
      for (const [index, bytes] of pages) this.writePage(index + 1, bytes);
      if (pages.size > 0) await this.handle.sync('MAP:SYNC');
      this.writeHead((this.generations[0] ?? 0) + 1, stamp);
      await this.handle.sync('MAP:SYNC');
      this.stamp = stamp;
    } catch (error) {
      throw fileError('writing the map', this.handle.path, error);
    } finally {
      this.saving = false;
    }
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

function openNamed(files: FileSystem, path: string, mode: 'read' | 'write'): FileHandle {
  try {
    return files.open(path, mode, 'MAP:OPEN');
  } catch (error) {
    throw new RcopyError('E_DAMAGED', `${path}: set.json names this map, but it cannot be read`, {
      cause: error,
    });
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
  /** What is wrong with the other one. */
  readonly flaws: readonly Finding[];
}

/** What is wanted of a page: its number, its kind, the newest save that counts. */
interface PageWanted {
  readonly page: number;
  readonly kind: MapKind | undefined;
  readonly save?: number;
}

/** Reads both slots of a page; those of saves after `save` do not count. */
function readPage(handle: FileHandle, path: string, wanted: PageWanted): PageSlots {
  const { page, kind, save = Infinity } = wanted;
  const bytes = Buffer.alloc(2 * MAP_SLOT_BYTES);
  const got = handle.read(bytes, mapSlotOffset(page, 0), 'MAP:READ');
  let counts: MapSlot | undefined;
  let torn = false;
  const empty: Finding[] = [];
  const flaws: Finding[] = [];
  for (const slot of [0, 1]) {
    const found = (reason: string): Finding => {
      const problem = `slot ${slot} of page ${page} does not count: ${reason}`;
      return { file: path, offset: mapSlotOffset(page, slot), problem };
    };
    const end = Math.min(got, (slot + 1) * MAP_SLOT_BYTES);
    const check = decodeMapSlot(bytes.subarray(Math.min(slot * MAP_SLOT_BYTES, end), end));
    if (check.found === 'unknown-version') throw unknownVersion(path, check.version);
    if (check.found === 'garbage') flaws.push(found(check.reason));
    if (check.found === 'zeroes') empty.push(found('it is empty'));
    if (check.found !== 'slot') continue;
    const isOther = check.slot.page !== page || check.slot.kind !== (kind ?? check.slot.kind);
    if (isOther) flaws.push(found('it is of another page'));
    else if (page > 0 && check.slot.blocks > save) torn = true;
    else if (!counts || check.slot.generation > counts.generation) counts = check.slot;
  }
  // The second slot of a page that was never written again is empty from its making.
  if (counts) return { counts, torn, flaws: counts.generation > 0 ? [...flaws, ...empty] : flaws };
  const reason = flaws[0]?.problem ?? 'both slots are empty';
  throw new RcopyError(
    'E_DAMAGED',
    `${path} at offset ${mapSlotOffset(page, 0)}: page ${page} of the map is damaged: ${reason}`,
    { hint: 'run `rcopy verify` on this set; its data may be taken from its pair' },
  );
}
