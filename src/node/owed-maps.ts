/**
 * The source's account of what the secondary lacks, by blocks, for the target of a migration: all
 * of it before the switch, and only what has come to it inside the pause.
 */
import type { LineageRun } from '../format/set-file.ts';
import type { BlockMap } from '../imageset/block-map.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { collectOwed, joined } from '../imageset/lacking.ts';
import { secondaryPlace } from './facts.ts';

export interface OwedMaps {
  readonly maps: readonly BlockMap[];
  /** What came since the collection before, and the number that one covered; null at first. */
  readonly fresh: { readonly since: number; readonly maps: readonly BlockMap[] } | null;
  readonly asOf: number;
  readonly lineage: readonly LineageRun[];
  readonly sinceMs: number | null;
}

export class OwedAccount {
  private readonly set: ImageSet;
  private current: OwedMaps | undefined;

  constructor(set: ImageSet) {
    this.set = set;
  }

  /** What was owed when it was last brought up to date. */
  async latest(): Promise<OwedMaps> {
    return this.current ?? this.bringUpToDate();
  }

  /** What is owed now; reads only what came since it was last asked. */
  async bringUpToDate(): Promise<OwedMaps> {
    const { set, current } = this;
    if (!current) {
      this.current = { ...(await collectOwed(set, secondaryPlace(set))), fresh: null };
      return this.current;
    }
    const { asOf, maps } = current;
    const found = await collectOwed(set, { epoch: set.file.epoch, sequence: asOf });
    for (const [volume, map] of found.maps.entries()) maps[volume]?.addAll(map);
    this.current = {
      maps,
      fresh: { since: asOf, maps: found.maps },
      asOf: found.asOf,
      lineage: joined(current.lineage, found.lineage),
      sinceMs: current.sinceMs ?? found.sinceMs,
    };
    return this.current;
  }
}
