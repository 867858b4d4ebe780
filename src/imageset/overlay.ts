/**
 * What was written but is not in the images yet, in two layers: `current` takes new writes;
 * `frozen` is what the applier is putting into the images. Reads look in current, then frozen, then
 * the image.
 */
import { OVERLAY_BYTES } from '../base/limits.ts';
import type { ProvenPosition } from '../base/position.ts';
import { EXTENT_BYTES, ExtentMap } from './extent-map.ts';
import type { ContentExtent } from './extent-map.ts';
import { SlabPool, SlabStack } from './slabs.ts';

/** One layer over all volumes of a set. */
export class OverlayLayer {
  readonly volumes: ExtentMap[];
  /** The end of the last whole host request in this layer. */
  upTo: ProvenPosition | undefined;
  private readonly payload: SlabStack;
  private extents = 0;

  constructor(volumeCount: number, slabs: SlabPool) {
    this.volumes = Array.from({ length: volumeCount }, () => new ExtentMap());
    this.payload = new SlabStack(slabs);
  }

  /** Payload bytes, also of what newer payload covers, and what it costs to keep track of them. */
  get heldBytes(): number {
    return this.payload.usedBytes + this.extents * EXTENT_BYTES;
  }

  /** Copies `data`: it may change afterwards. */
  insert(
    volume: number,
    start: number,
    length: number,
    data: Uint8Array | undefined,
    mayFree: boolean,
  ): void {
    const map = this.volumes[volume];
    if (!map) return;
    const before = map.count;
    if (data === undefined) map.insert(start, length, undefined, mayFree);
    else {
      let at = start;
      for (const piece of this.payload.keep(data)) {
        map.insert(at, piece.length, piece, mayFree);
        at += piece.length;
      }
    }
    this.extents += map.count - before;
  }

  /** Nobody reads it any more: its memory is used for other payload. */
  release(): void {
    this.payload.release();
    this.volumes.length = 0;
    this.extents = 0;
  }
}

export class Overlay {
  private readonly volumeCount: number;
  private readonly slabs = new SlabPool(OVERLAY_BYTES);
  private current: OverlayLayer;
  private frozen: OverlayLayer | undefined;

  constructor(volumeCount: number) {
    this.volumeCount = volumeCount;
    this.current = new OverlayLayer(volumeCount, this.slabs);
  }

  /** Memory held by both layers, about. */
  get heldBytes(): number {
    return this.current.heldBytes + (this.frozen?.heldBytes ?? 0);
  }

  /** Whether anything waits to be applied. */
  get isEmpty(): boolean {
    return this.current.upTo === undefined && this.frozen === undefined;
  }

  /** Whether the applier has a layer that is not in the images yet. */
  get isFrozen(): boolean {
    return this.frozen !== undefined;
  }

  /** Memory held by what the applier has not taken yet. */
  get waitingBytes(): number {
    return this.current.heldBytes;
  }

  insert(
    volume: number,
    start: number,
    length: number,
    data: Uint8Array | undefined,
    mayFree: boolean,
  ): void {
    this.current.insert(volume, start, length, data, mayFree);
  }

  /** To be called at the end of each host request: only whole requests are applied (R1). */
  endRequest(position: ProvenPosition): void {
    this.current.upTo = position;
  }

  /** Hands the current layer to the applier; undefined when there is nothing in it. */
  freeze(): OverlayLayer | undefined {
    if (this.frozen) return this.frozen;
    if (this.current.upTo === undefined) return undefined;
    this.frozen = this.current;
    this.current = new OverlayLayer(this.volumeCount, this.slabs);
    return this.frozen;
  }

  /** The frozen layer is in the images, and nobody reads it any more. */
  release(): void {
    this.frozen?.release();
    this.frozen = undefined;
  }

  /** The layers from oldest to newest, for one volume. */
  layers(volume: number): readonly ExtentMap[] {
    const maps: ExtentMap[] = [];
    const frozen = this.frozen?.volumes[volume];
    if (frozen) maps.push(frozen);
    const current = this.current.volumes[volume];
    if (current) maps.push(current);
    return maps;
  }

  /** Lays the new content of a range over `target`, which begins at `start`. */
  copyOver(volume: number, start: number, target: Uint8Array): void {
    const end = start + target.length;
    for (const layer of this.layers(volume)) {
      layer.forEachIn(start, end, (extent) => copyExtent(extent, start, end, target));
    }
  }

  /** Whether the newest content covers the whole range. */
  covers(volume: number, start: number, end: number): boolean {
    const [older, newer] = this.layers(volume);
    if (!older) return false;
    if (!newer) return older.covers(start, end);
    let at = start;
    while (at < end) {
      const extent = newer.firstIn(at, end) ?? { start: end, end };
      if (extent.start > at && !older.covers(at, Math.min(extent.start, end))) return false;
      at = extent.end;
    }
    return true;
  }
}

function copyExtent(extent: ContentExtent, start: number, end: number, target: Uint8Array): void {
  const from = Math.max(extent.start, start);
  const to = Math.min(extent.end, end);
  if (extent.data === undefined) {
    target.fill(0, from - start, to - start);
  } else {
    target.set(extent.data.subarray(from - extent.start, to - extent.start), from - start);
  }
}
