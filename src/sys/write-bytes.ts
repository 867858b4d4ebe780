/** How much one system call writes, and what is left to be written after it. */
import { KIB } from '../base/limits.ts';

/**
 * Linux keeps what one call wrote in one piece of the page cache where it can, of up to megabytes,
 * and every later write into that piece goes over all the blocks of it: a write of 4 KiB takes
 * 3 µs where the file was written in pieces of 4 KiB, 4 µs with this size, 16 µs with 1 MiB (ext4,
 * Linux 6.18). Writing a file from end to end in pieces of this size takes no longer.
 */
export const WRITE_BYTES_MAX = 64 * KIB;

/** IOV_MAX of Linux and of the BSDs: the most parts that one writev takes. */
export const WRITE_PARTS_MAX = 1024;

/** What of `parts` is left when their first `written` bytes are through. */
export function partsBehind(parts: readonly Uint8Array[], written: number): Uint8Array[] {
  let skipped = 0;
  let index = 0;
  for (; index < parts.length; index++) {
    const length = parts[index]?.length ?? 0;
    if (skipped + length > written) break;
    skipped += length;
  }
  const [cut, ...rest] = parts.slice(index);
  return cut === undefined ? [] : [cut.subarray(written - skipped), ...rest];
}
