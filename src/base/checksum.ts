/**
 * CRC-32 as node:zlib has it (polynomial 0xEDB88320, the one of gzip and of IEEE 802.3), the
 * checksum of every format in rcopy.
 */
import { crc32 } from 'node:zlib';

/** The CRC-32 of `bytes`, or of the concatenation of what gave `previous` and `bytes`. */
export function checksum(bytes: Uint8Array, previous = 0): number {
  return crc32(bytes, previous);
}
