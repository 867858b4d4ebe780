/**
 * The ranges of a copy, in order: all of every volume, or, where dirty maps say what the secondary
 * lacks, only their blocks. Each is read as of the newest number, and goes out before any record
 * behind that number: so the secondary never puts a range over something newer.
 */
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { encodeRangeHead } from './messages.ts';

export interface CopyPlace {
  readonly volume: number;
  readonly offset: number;
  /** The greatest number as of which a range was read. */
  readonly asOf: number;
}

/** One range as it goes out. */
export interface CopyRange {
  readonly parts: readonly Uint8Array[];
  /** Bytes of data in it; none in a hole. */
  readonly dataBytes: number;
}

export class CopyRanges {
  /** The greatest number as of which a range was read. */
  asOf: number;
  /** Bytes of the volumes that the copy has passed, whether or not they had to be sent. */
  passedBytes: number;
  private volume: number;
  private offset: number;
  private readonly set: ImageSet;

  constructor(set: ImageSet, from: CopyPlace) {
    this.set = set;
    this.volume = from.volume;
    this.offset = from.offset;
    this.asOf = from.asOf;
    const sizes = set.file.volumes.map(({ sizeBytes }) => sizeBytes);
    this.passedBytes = sizes.slice(0, from.volume).reduce((sum, size) => sum + size, from.offset);
  }

  /**
   * Sees to it that all that is going to be copied is here: a set that lacks blocks of its own must
   * not make another one unusable before.
   */
  async gather(): Promise<void> {
    const { contents, file } = this.set;
    for (const [volume, { sizeBytes }] of file.volumes.entries()) {
      for (let at = 0; at < sizeBytes;) {
        const wanted = this.wantedFrom(volume, at, sizeBytes);
        if (!wanted) break;
        await contents.makePresent(volume, wanted.start, wanted.end);
        at = wanted.end;
      }
    }
  }

  /** Reads the next range; undefined when all have gone. */
  async next(): Promise<CopyRange | undefined> {
    const { set } = this;
    for (;;) {
      const volume = set.file.volumes[this.volume];
      if (!volume) return undefined;
      const wanted = this.wantedFrom(this.volume, this.offset, volume.sizeBytes);
      if (wanted) return this.read(wanted.start, wanted.end);
      this.pass(volume.sizeBytes);
      this.volume += 1;
      this.offset = 0;
    }
  }

  private async read(start: number, end: number): Promise<CopyRange> {
    const { volume } = this;
    const read = await this.set.readForPeer(volume, start, end);
    const { asOf, length, data } = read;
    const hole = data === undefined;
    const head = encodeRangeHead({ volume, offset: start, length, asOf, hole });
    this.pass(start + length);
    this.asOf = Math.max(this.asOf, asOf);
    return { parts: data ? [head, data] : [head], dataBytes: data?.length ?? 0 };
  }

  private pass(offset: number): void {
    this.passedBytes += offset - this.offset;
    this.offset = offset;
  }

  /** The next stretch that has to be copied; undefined when there is none in this volume. */
  private wantedFrom(
    volume: number,
    offset: number,
    sizeBytes: number,
  ): { readonly start: number; readonly end: number } | undefined {
    const map = this.set.contents.dirty.of(volume);
    if (!map) return offset < sizeBytes ? { start: offset, end: sizeBytes } : undefined;
    const first = map.next(Math.floor(offset / MAP_BLOCK_BYTES), map.blocks, true);
    if (first >= map.blocks || offset >= sizeBytes) return undefined;
    const last = map.next(first, map.blocks, false);
    return {
      start: Math.max(offset, first * MAP_BLOCK_BYTES),
      end: Math.min(sizeBytes, last * MAP_BLOCK_BYTES),
    };
  }
}
