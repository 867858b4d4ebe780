/**
 * What the volumes of a set hold: the image files, above them the overlay of what is not applied
 * yet, and, on a migration target, the presence maps that say which blocks are this set's own. The
 * only place that writes images; reads never wait unless a block is absent.
 */
import type { Extent } from '../base/extent.ts';
import { RcopyError, fileError } from '../base/errors.ts';
import { KIB, MAP_BLOCK_BYTES, MIB } from '../base/limits.ts';
import type { FileHandle, RangeWrite } from '../sys/files.ts';
import type { BlockMap } from './block-map.ts';
import type { ContentExtent, ExtentMap } from './extent-map.ts';
import type { Overlay, OverlayLayer } from './overlay.ts';
import { VolumeMaps } from './volume-maps.ts';

/** One image file. */
export interface VolumeImage {
  readonly name: string;
  readonly sizeBytes: number;
  readonly handle: FileHandle;
}

/** How much is zeroed at a stretch: a few milliseconds. */
const ZERO_STEP_BYTES = 8 * MIB;
/** To free a range costs about as much as to write this. */
const FREE_COST_BYTES = 16 * KIB;

/** Where absent blocks come from. */
export interface AbsentSource {
  /**
   * The beginning of a range that does not change any more at the source: whole blocks of data, or
   * a hole, as much as suits the source. Rejects with `E_UNREACHABLE` when it cannot be asked now.
   */
  fetch(volume: number, offset: number, length: number): Promise<FetchedRange>;
}

export interface FetchedRange {
  /** More than 0, at most what was asked; ends there or on a block border. */
  readonly length: number;
  /** Undefined for a hole. */
  readonly data: Uint8Array | undefined;
}

/** A range of absent blocks, in bytes; both ends on block borders or at the volume's end. */
export interface AbsentRange {
  readonly start: number;
  readonly end: number;
}

export class Contents {
  readonly images: readonly VolumeImage[];
  readonly overlay: Overlay;
  /** Which blocks are here; in use on a migration target that lacks some. */
  readonly presence = new VolumeMaps('presence');
  /** Which blocks the secondary may lack, in use when the journal does not say so any more. */
  readonly dirty = new VolumeMaps('dirty');
  /** Which blocks changed since they were copied ahead of a migration's switch. */
  readonly changed = new VolumeMaps('changed');
  source: AbsentSource | undefined;
  /** Bytes fetched from the source, holes not counted. */
  fetchedBytes = 0;
  /** Volumes whose image was written since its last sync. */
  private readonly unsynced = new Set<number>();
  private lastSync: Promise<void> = Promise.resolve();
  /** What zeroing cost since others could go on last, in bytes that were written. */
  private zeroedBytes = 0;

  private readonly giveWay: () => Promise<void>;

  /** `giveWay` lets others go on, and resolves soon. */
  constructor(
    images: readonly VolumeImage[],
    overlay: Overlay,
    giveWay: () => Promise<void> = async () => undefined,
  ) {
    this.images = images;
    this.overlay = overlay;
    this.giveWay = giveWay;
  }

  get maps(): readonly VolumeMaps[] {
    return [this.presence, this.dirty, this.changed];
  }

  image(volume: number): VolumeImage {
    const image = this.images[volume];
    if (!image) throw new RcopyError('E_NOT_FOUND', `the set has no volume number ${volume}`);
    return image;
  }

  /** The map of blocks that are here, or undefined when all are. */
  present(volume: number): BlockMap | undefined {
    return this.presence.of(volume);
  }

  /** Whether every block of every volume is here. */
  get isComplete(): boolean {
    return this.presence.all.every((map) => map.isFull);
  }

  /** Bytes of blocks that are not here yet. */
  get absentBytes(): number {
    let blocks = 0;
    for (const map of this.presence.all) blocks += map.blocks - map.count;
    return blocks * MAP_BLOCK_BYTES;
  }

  /**
   * What a host would read now. Every block of the range must be present or covered. Throws `E_IO`
   * when the image cannot be read, `E_DAMAGED` when it is shorter than its volume.
   */
  readNow(volume: number, offset: number, length: number): Buffer {
    const { handle } = this.image(volume);
    const target = Buffer.allocUnsafe(length);
    if (!this.overlay.covers(volume, offset, offset + length)) {
      const got = readImage(handle, target, offset);
      if (got !== length) {
        throw new RcopyError(
          'E_DAMAGED',
          `${handle.path} at offset ${offset + got}: it ends early`,
          {
            hint: 'the image is shorter than its volume; take the data from the pair',
          },
        );
      }
    }
    this.overlay.copyOver(volume, offset, target);
    return target;
  }

  /** What a host would read, after fetching absent blocks. */
  async read(volume: number, offset: number, length: number): Promise<Buffer> {
    await this.makePresent(volume, offset, offset + length);
    return this.readNow(volume, offset, length);
  }

  /** The first absent blocks that a read of the range would touch. */
  absentIn(volume: number, start: number, end: number): AbsentRange | undefined {
    const map = this.present(volume);
    if (!map || map.isFull) return undefined;
    const lastBlock = Math.ceil(end / MAP_BLOCK_BYTES);
    let block = Math.floor(start / MAP_BLOCK_BYTES);
    for (;;) {
      block = map.next(block, lastBlock, false);
      if (block >= lastBlock) return undefined;
      const blockStart = Math.max(start, block * MAP_BLOCK_BYTES);
      const blockEnd = Math.min(end, (block + 1) * MAP_BLOCK_BYTES);
      if (!this.overlay.covers(volume, blockStart, blockEnd)) break;
      block += 1;
    }
    const until = map.next(block, lastBlock, true);
    return this.blockRange(volume, block, until);
  }

  /** Fetches what is absent in the range and is not covered by newer content. */
  async makePresent(volume: number, start: number, end: number): Promise<void> {
    for (;;) {
      const absent = this.absentIn(volume, start, end);
      if (!absent) return;
      await this.fetchBase(volume, absent);
    }
  }

  /**
   * Fetches the beginning of a range of absent blocks and puts it under everything newer. Returns
   * how far it came.
   */
  async fetchBase(volume: number, range: AbsentRange): Promise<number> {
    if (!this.source) {
      throw new RcopyError('E_UNREACHABLE', 'blocks that are not here yet cannot be fetched', {
        hint: 'their source is named by `rcopy migrate status`; start it, or resume the migration',
      });
    }
    const asked = range.end - range.start;
    const { length, data } = await this.source.fetch(volume, range.start, asked);
    const end = range.start + length;
    const whole = end === range.end || end % MAP_BLOCK_BYTES === 0;
    if (length <= 0 || length > asked || !whole || (data && data.length !== length)) {
      throw new RcopyError('E_PROTOCOL', `${length} bytes came for ${asked} that were asked for`);
    }
    this.putBase(volume, range.start, length, data);
    this.fetchedBytes += data?.length ?? 0;
    return end;
  }

  /** Writes base content to those blocks of a range that are still absent; marks them present. */
  putBase(volume: number, start: number, length: number, data: Uint8Array | undefined): void {
    const map = this.present(volume);
    if (!map) return;
    const last = Math.ceil((start + length) / MAP_BLOCK_BYTES);
    for (let block = Math.floor(start / MAP_BLOCK_BYTES); block < last;) {
      const from = map.next(block, last, false);
      if (from >= last) return;
      const to = map.next(from, last, true);
      const range = this.blockRange(volume, from, to);
      this.writeImage(
        volume,
        range.start,
        range.end - range.start,
        slice(data, start, range),
        true,
      );
      map.addRange(from, to);
      block = to;
    }
  }

  /** Makes every volume read as zeroes: for a set that is to be as if never written. */
  clear(): void {
    for (const [volume, { sizeBytes }] of this.images.entries()) {
      this.writeImage(volume, 0, sizeBytes, undefined, true);
    }
  }

  /** Puts a range of a copy straight into the image (a secondary that is not usable). */
  putRange(volume: number, start: number, length: number, data: Uint8Array | undefined): void {
    this.writeImage(volume, start, length, data, true);
  }

  /** Blocks that a layer covers in part and that are absent: their base must come first. */
  partlyCovered(layer: OverlayLayer): { volume: number; range: AbsentRange }[] {
    const found: { volume: number; range: AbsentRange }[] = [];
    for (const [volume, extents] of layer.volumes.entries()) {
      const map = this.present(volume);
      if (!map || map.isFull) continue;
      let last = -1;
      for (const extent of extents.extents()) {
        for (const block of borderBlocks(extent)) {
          if (block === last) continue; // another fragment lies in it too
          last = block;
          const range = this.blockRange(volume, block, block + 1);
          if (!map.has(block) && !extents.covers(range.start, range.end)) {
            found.push({ volume, range });
          }
        }
      }
    }
    return found;
  }

  /**
   * Writes a frozen layer to the images; all blocks that it covers in part must be present. The
   * overlay goes on showing the layer until that is done. Maps are marked first: a base that is
   * fetched meanwhile must not go over a block that is being written. A mark that is saved too
   * early says no lie after a crash: the layer is in the journal, and comes into the images anew.
   */
  async applyLayer(layer: OverlayLayer): Promise<void> {
    for (const [volume, extents] of layer.volumes.entries()) this.markMaps(volume, extents);
    for (const [volume, extents] of layer.volumes.entries()) {
      const ranges: RangeWrite[] = [];
      for (const run of contiguous(extents.extents())) {
        const { start, end, data, mayFree } = run.first;
        if (data) ranges.push({ position: start, parts: run.parts });
        else await this.zero(volume, { start, end, mayFree });
      }
      if (ranges.length > 0) await this.writeRanges(volume, ranges);
    }
  }

  /**
   * Syncs every image that was written, one call behind the other: a second caller may rely on what
   * the first is still syncing. After a failure every later call fails too (R2).
   */
  syncImages(): Promise<void> {
    const synced = this.lastSync.then(() => this.syncWritten());
    this.lastSync = synced;
    synced.catch(() => undefined);
    return synced;
  }

  /** Whether images or maps hold changes that are not synced, beside what the overlay says. */
  get hasUnsynced(): boolean {
    return this.unsynced.size > 0 || this.maps.some(({ hasChanged }) => hasChanged);
  }

  /** Data or hole from `offset` on; an absent block is always called data. */
  nextExtent(volume: number, offset: number, end: number): Extent {
    let limit = end;
    for (const layer of this.overlay.layers(volume).toReversed()) {
      const extent = layer.firstIn(offset, limit);
      if (extent && extent.start <= offset) {
        const stop = Math.min(extent.end, limit);
        return { offset, length: stop - offset, data: extent.data !== undefined };
      }
      if (extent) limit = extent.start;
    }
    const map = this.present(volume);
    if (map && !map.isFull) {
      const block = Math.floor(offset / MAP_BLOCK_BYTES);
      const last = Math.ceil(limit / MAP_BLOCK_BYTES);
      const here = map.has(block);
      const until = map.next(block, last, !here) * MAP_BLOCK_BYTES;
      limit = Math.min(limit, until);
      if (!here) return { offset, length: limit - offset, data: true };
    }
    return this.image(volume).handle.nextExtent(offset, limit, 'IMAGE:EXTENT');
  }

  close(): void {
    for (const image of this.images) image.handle.close();
    for (const maps of this.maps) maps.stop();
  }

  private async syncWritten(): Promise<void> {
    const volumes = [...this.unsynced];
    this.unsynced.clear();
    for (const volume of volumes) {
      const { handle } = this.image(volume);
      try {
        await handle.sync('IMAGE:SYNC');
      } catch (error) {
        throw fileError('syncing the image', handle.path, error);
      }
    }
  }

  private markMaps(volume: number, extents: ExtentMap): void {
    const map = this.present(volume);
    const lacks = map !== undefined && !map.isFull;
    if (!lacks && !this.dirty.inUse && !this.changed.inUse) return;
    for (const { start, end } of extents.extents()) {
      if (lacks) this.presence.mark(volume, start, end);
      this.dirty.mark(volume, start, end);
      this.changed.mark(volume, start, end);
    }
  }

  private async writeRanges(volume: number, ranges: readonly RangeWrite[]): Promise<void> {
    const { handle } = this.image(volume);
    this.unsynced.add(volume);
    try {
      await handle.writeRanges(ranges, 'IMAGE:WRITE');
    } catch (error) {
      throw fileError('writing the image', handle.path, error);
    } finally {
      this.unsynced.add(volume); // a sync that began in between covers a part of it at most
    }
  }

  /** Zeroes a range in steps, between which others go on: a host may zero a whole volume. */
  private async zero(
    volume: number,
    { start, end, mayFree }: { start: number; end: number; mayFree: boolean },
  ): Promise<void> {
    // To free blocks is one quick call; to keep them is to write them.
    const step = mayFree ? end - start : ZERO_STEP_BYTES;
    for (let at = start; at < end; at += step) {
      const length = Math.min(step, end - at);
      this.writeImage(volume, at, length, undefined, mayFree);
      this.zeroedBytes += mayFree ? FREE_COST_BYTES : length;
      if (this.zeroedBytes < ZERO_STEP_BYTES) continue;
      this.zeroedBytes = 0;
      await this.giveWay();
    }
  }

  private writeImage(
    volume: number,
    start: number,
    length: number,
    data: Uint8Array | undefined,
    mayFree: boolean,
  ): void {
    if (data) {
      this.writeParts(volume, start, [data]);
      return;
    }
    const { handle } = this.image(volume);
    this.unsynced.add(volume);
    try {
      handle.zero(start, length, !mayFree, 'IMAGE:ZERO');
    } catch (error) {
      throw fileError('writing the image', handle.path, error);
    }
  }

  private writeParts(volume: number, start: number, parts: readonly Uint8Array[]): void {
    const { handle } = this.image(volume);
    this.unsynced.add(volume);
    try {
      handle.write(parts, start, 'IMAGE:WRITE');
    } catch (error) {
      throw fileError('writing the image', handle.path, error);
    }
  }

  private blockRange(volume: number, from: number, to: number): AbsentRange {
    const { sizeBytes } = this.image(volume);
    return { start: from * MAP_BLOCK_BYTES, end: Math.min(to * MAP_BLOCK_BYTES, sizeBytes) };
  }
}

function slice(
  data: Uint8Array | undefined,
  start: number,
  range: AbsentRange,
): Uint8Array | undefined {
  return data?.subarray(range.start - start, range.end - start);
}

/** The blocks in which an extent begins and ends, where it covers only a part of them. */
function borderBlocks(extent: ContentExtent): number[] {
  const blocks: number[] = [];
  const first = Math.floor(extent.start / MAP_BLOCK_BYTES);
  const last = Math.floor((extent.end - 1) / MAP_BLOCK_BYTES);
  if (extent.start % MAP_BLOCK_BYTES !== 0) blocks.push(first);
  if (extent.end % MAP_BLOCK_BYTES !== 0 && (last !== first || blocks.length === 0)) {
    blocks.push(last);
  }
  return blocks;
}

/** Neighbours that can go to the image in one call. */
interface ContiguousRun {
  /** The first of them, or the only one: zeroes are not joined. */
  readonly first: ContentExtent;
  readonly parts: Uint8Array[];
}

function* contiguous(extents: Iterable<ContentExtent>): Generator<ContiguousRun> {
  let run: ContiguousRun | undefined;
  let end = -1;
  for (const extent of extents) {
    if (run && end === extent.start && run.first.data && extent.data) {
      run.parts.push(extent.data);
    } else {
      if (run) yield run;
      run = { first: extent, parts: extent.data ? [extent.data] : [] };
    }
    end = extent.end;
  }
  if (run) yield run;
}

/** Whoever asked, a host or a peer, is told which file it was. */
function readImage(handle: FileHandle, target: Uint8Array, offset: number): number {
  try {
    return handle.read(target, offset, 'IMAGE:READ');
  } catch (error) {
    throw fileError(`reading at offset ${offset}`, handle.path, error);
  }
}
