/** Finding holes by reading, where the system cannot be asked for them. */
import { isZero, roundUp } from '../base/bytes.ts';
import type { Extent } from '../base/extent.ts';
import { KIB, MIB } from '../base/limits.ts';

/** How finely holes are looked for. */
export const SCAN_PIECE_BYTES = 64 * KIB;

/** How far one call looks: it holds up the event loop for so long. */
export const SCAN_BYTES_MAX = 8 * MIB;

/**
 * The stretch at `position`: as many neighbouring pieces as are all zero, or as are not, up to
 * `end` and to {@link SCAN_BYTES_MAX}. `read` is the file's; beyond its end all is hole.
 */
export function scanExtent(
  read: (target: Uint8Array, position: number) => number,
  position: number,
  end: number,
): Extent {
  const limit = Math.min(end, position + SCAN_BYTES_MAX);
  const buffer = Buffer.allocUnsafe(SCAN_PIECE_BYTES);
  let data: boolean | undefined;
  let offset = position;
  while (offset < limit) {
    const pieceEnd = Math.min(limit, roundUp(offset + 1, SCAN_PIECE_BYTES));
    const count = read(buffer.subarray(0, pieceEnd - offset), offset);
    const pieceHasData = !isZero(buffer.subarray(0, count));
    data ??= pieceHasData;
    if (pieceHasData !== data) break;
    offset = pieceEnd;
  }
  return { offset: position, length: offset - position, data: data ?? false };
}
