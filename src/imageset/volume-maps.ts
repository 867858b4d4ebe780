/**
 * The maps of one kind, one for each volume, as long as the set needs them. The applier saves what
 * changed in them in every round, before the applied number moves (R7).
 */
import { allDone } from '../base/all-done.ts';
import type { Finding } from '../base/finding.ts';
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import type { Position } from '../base/position.ts';
import type { MapKind } from '../format/map.ts';
import type { BlockMap } from './block-map.ts';
import type { MapFile } from './map-file.ts';

/** Ends of the file names of maps, by kind. */
export const MAP_SUFFIXES: Readonly<Record<MapKind, string>> = {
  presence: '.present',
  dirty: '.dirty',
  changed: '.changed',
};

export const MAP_KINDS_IN_ORDER: readonly MapKind[] = ['presence', 'dirty', 'changed'];

export class VolumeMaps {
  readonly kind: MapKind;
  private files: readonly MapFile[] = [];
  private turn: Promise<unknown> = Promise.resolve();

  constructor(kind: MapKind) {
    this.kind = kind;
  }

  /** The names of the files of a set with these volumes. */
  fileNames(volumes: readonly { readonly name: string }[]): string[] {
    return volumes.map(({ name }) => name + MAP_SUFFIXES[this.kind]);
  }

  get inUse(): boolean {
    return this.files.length > 0;
  }

  /** The map of a volume; undefined while none is in use. */
  of(volume: number): BlockMap | undefined {
    return this.files[volume]?.map;
  }

  /** What was found in the files when they were opened. */
  get flaws(): readonly Finding[] {
    return this.files.flatMap((file) => file.flaws);
  }

  get all(): readonly BlockMap[] {
    return this.files.map(({ map }) => map);
  }

  /** In use, and some block is not set. */
  get isPartial(): boolean {
    return this.files.some(({ map }) => !map.isFull);
  }

  /** Bytes of the blocks that are set, in all volumes. */
  get setBytes(): number {
    return this.files.reduce((sum, { map }) => sum + map.count, 0) * MAP_BLOCK_BYTES;
  }

  /** Whether bits changed since they were last taken for saving. */
  get hasChanged(): boolean {
    return this.files.some(({ map }) => map.hasChanged);
  }

  /** Whether the files are complete up to there and nothing has changed since; true of none. */
  isStamped(position: Position): boolean {
    const isSo = ({ stamp, map }: MapFile): boolean =>
      comparePositions(stamp, position) >= 0 && !map.hasChanged;
    return this.files.every((file) => isSo(file));
  }

  /** Writes over what is flawed; to be called at each start, once the set is not called clean. */
  async heal(): Promise<void> {
    for (const file of this.files) await file.heal();
  }

  /**
   * Runs what makes, fills or drops them, with its change of set.json, or what must not come in
   * between: one such work at a time.
   */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const worked = this.turn.then(work);
    this.turn = worked.catch(() => undefined);
    return worked;
  }

  /** Takes these files into use, one for each volume, in place of what was. */
  use(files: readonly MapFile[]): void {
    this.stop();
    this.files = files;
  }

  /** Lets the files go: no map is in use any more. */
  stop(): void {
    const { files } = this;
    this.files = [];
    for (const file of files) file.close();
  }

  /** Sets every block that a range touches. */
  mark(volume: number, start: number, end: number): void {
    this.of(volume)?.addBytes(start, end);
  }

  /** Takes what changed until now; what comes back saves it with a stamp. */
  takeChanges(): (stamp: Position) => Promise<void> {
    const { files } = this;
    const taken = files.map(({ map }) => map.takeChanged());
    return async (stamp) => {
      await allDone(files.map((file, volume) => file.save(taken[volume] ?? new Map(), stamp)));
    };
  }
}
