/** The answer to BLOCK_STATUS: which stretches of a device are data and which are holes. */
import type { Extent } from '../base/extent.ts';
import { NBD_EXTENTS_MAX } from '../base/limits.ts';
import type { Device } from '../device/device.ts';
import { ALLOCATION, ALLOCATION_CONTEXT_ID } from './protocol.ts';

/**
 * The payload of a BLOCK_STATUS chunk for a range within the device: the context's number, then
 * extents from `offset` on, at most up to the end of the range. Neighbours of one kind are joined.
 * There may be fewer extents than the range has: the client asks again. `single` asks for one
 * (REQ_ONE). Throws what the device throws.
 */
export function blockStatus(
  device: Device,
  offset: number,
  length: number,
  single: boolean,
): Buffer {
  const extentsMax = single ? 1 : NBD_EXTENTS_MAX;
  const end = offset + length;
  const status = new StatusWriter();
  let at = offset;
  // Asking may cost a look into the file: one call for each extent that is told, at most.
  for (let calls = 0; at < end && calls < extentsMax; calls += 1) {
    const extent = device.nextExtent(at, end);
    const extentEnd = Math.min(end, extent.offset + extent.length);
    status.add(extentEnd - at, extent.data);
    at = extentEnd;
  }
  return status.finish();
}

/** The same of extents that were found already; they begin with the range and have no gaps. */
export function statusOfExtents(extents: readonly Extent[], single: boolean): Buffer {
  const status = new StatusWriter();
  for (const { length, data } of extents.slice(0, single ? 1 : NBD_EXTENTS_MAX)) {
    status.add(length, data);
  }
  return status.finish();
}

/** Joins neighbours of one kind. */
class StatusWriter {
  private readonly lengths: number[] = [];
  private readonly flags: number[] = [];

  add(length: number, isData: boolean): void {
    const { lengths, flags } = this;
    const flag = isData ? 0 : ALLOCATION.HOLE | ALLOCATION.ZERO;
    const last = lengths.length - 1;
    if (flags[last] === flag) {
      lengths[last] = (lengths[last] ?? 0) + length;
    } else {
      lengths.push(length);
      flags.push(flag);
    }
  }

  finish(): Buffer {
    const { lengths, flags } = this;
    const payload = Buffer.allocUnsafe(4 + lengths.length * 8);
    payload.writeUInt32BE(ALLOCATION_CONTEXT_ID, 0);
    for (const [index, length] of lengths.entries()) {
      payload.writeUInt32BE(length, 4 + index * 8);
      payload.writeUInt32BE(flags[index] ?? 0, 8 + index * 8);
    }
    return payload;
  }
}
