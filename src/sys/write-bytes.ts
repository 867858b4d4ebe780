/** How much one system call writes. */
import { KIB } from '../base/limits.ts';

/**
 * Linux keeps what one call wrote in one piece of the page cache where it can, of up to megabytes,
 * and every later write into that piece goes over all the blocks of it: a write of 4 KiB takes
 * 3 µs where the file was written in pieces of 4 KiB, 4 µs with this size, 16 µs with 1 MiB (ext4,
 * Linux 6.18). Writing a file from end to end in pieces of this size takes no longer.
 */
export const WRITE_BYTES_MAX = 64 * KIB;
