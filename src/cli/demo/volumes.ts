/** The volumes that the demo plays with. */
import { MIB } from '../../base/limits.ts';

export type VolumeName = 'db' | 'log';

export interface DemoVolume {
  readonly name: VolumeName;
  readonly sizeBytes: number;
}

/** Holds a file system, which becomes another one in the course of a day's work. */
export const DB: DemoVolume = { name: 'db', sizeBytes: 96 * MIB };

/** Holds anything. Not a multiple of a block: a volume may end anywhere. */
export const LOG: DemoVolume = { name: 'log', sizeBytes: 48 * MIB + 1536 };

export const VOLUMES: readonly DemoVolume[] = [DB, LOG];

export const ALL_BYTES = DB.sizeBytes + LOG.sizeBytes;
