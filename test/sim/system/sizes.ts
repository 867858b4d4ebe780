/** The sizes of a simulated world. */
import { KIB } from '../../../src/base/limits.ts';
import type { JournalSizes, TransferSizes } from '../../../src/base/limits.ts';
import type { VolumeEntry } from '../../../src/format/set-file.ts';

/** Two volumes that share one sequence; the first one ends in the midst of a block. */
export const VOLUMES: readonly VolumeEntry[] = [
  { name: 'alpha', sizeBytes: 88 * KIB + 512 },
  { name: 'beta', sizeBytes: 48 * KIB },
];

/** So small that most requests go through several segments. */
export const MINUTE_JOURNAL: JournalSizes = {
  segmentBytes: 8 * KIB,
  segmentsMax: 8,
  recordPayloadBytesMax: KIB,
  requestBytesMax: 6 * KIB,
};

/** Small as the volumes are, each copy of them is several ranges, each of several blocks. */
export const TRANSFERS: TransferSizes = {
  rangeBytes: 8 * KIB,
  batchBytes: 8 * KIB,
  creditBytes: 24 * KIB,
  progressBytes: 12 * KIB,
};
