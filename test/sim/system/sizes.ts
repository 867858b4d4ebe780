/** How much moves at a time between the sets of a simulated world. */
import { KIB } from '../../../src/base/limits.ts';
import type { TransferSizes } from '../../../src/base/limits.ts';

/** Small as the volumes are, each copy of them is several ranges, each of several blocks. */
export const TRANSFERS: TransferSizes = {
  rangeBytes: 8 * KIB,
  batchBytes: 8 * KIB,
  creditBytes: 24 * KIB,
  progressBytes: 12 * KIB,
};
