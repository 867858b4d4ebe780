/** Parts of the handshake's messages: what an export can do, and how replies are put together. */
import { MAP_BLOCK_BYTES, REQUEST_BYTES_MAX } from '../base/limits.ts';
import type { NbdExport } from './exports.ts';
import {
  ALLOCATION_CONTEXT,
  INFOS,
  OPTION_REPLY_MAGIC,
  TRANSMISSION_FLAGS as FLAGS,
} from './protocol.ts';
import { WireWriter, malformed } from './wire.ts';

/** What the flags of an export depend on. */
export interface FlagsSession {
  readonly export: NbdExport;
  readonly readOnly: boolean;
  readonly structured: boolean;
}

/**
 * What an export can do. All connections see one and the same device, without any cache in
 * between: MULTI_CONN. Zeroes are journaled as what they are, never written out: FAST_ZERO.
 */
export function exportFlags({ readOnly, structured }: FlagsSession): number {
  let flags = FLAGS.HAS_FLAGS | FLAGS.CAN_MULTI_CONN | FLAGS.SEND_CACHE;
  if (structured) flags |= FLAGS.SEND_DF;
  if (readOnly) return flags | FLAGS.READ_ONLY;
  flags |= FLAGS.SEND_FLUSH | FLAGS.SEND_FUA | FLAGS.SEND_TRIM;
  return flags | FLAGS.SEND_WRITE_ZEROES | FLAGS.SEND_FAST_ZERO;
}

/** One item of INFO or GO; undefined for what we do not tell. */
export function encodeInfo(info: number, session: FlagsSession): Buffer | undefined {
  const { name, description, device } = session.export;
  const item = new WireWriter().u16(info);
  switch (info) {
    case INFOS.EXPORT:
      return item.u64(device.sizeBytes).u16(exportFlags(session)).finish();
    case INFOS.NAME:
      return item.text(name).finish();
    case INFOS.DESCRIPTION:
      return description === '' ? undefined : item.text(description).finish();
    case INFOS.BLOCK_SIZE:
      return item.u32(1).u32(MAP_BLOCK_BYTES).u32(REQUEST_BYTES_MAX).finish();
    default:
      return undefined;
  }
}

/** A reply to `option`. */
export function encodeOptionReply(option: number, type: number, data: Buffer): Buffer {
  return new WireWriter()
    .magic(OPTION_REPLY_MAGIC)
    .u32(option)
    .u32(type)
    .u32(data.length)
    .bytes(data)
    .finish();
}

/**
 * Whether these queries select `base:allocation`. To list, no query at all asks for everything,
 * and a bare namespace for all in it. Throws on a query without a namespace.
 */
export function allocationQueried(queries: readonly string[], to: 'list' | 'set'): boolean {
  if (to === 'list' && queries.length === 0) return true;
  let found = false;
  for (const query of queries) {
    if (!query.includes(':')) throw malformed(`${JSON.stringify(query)} names no namespace`);
    if (query === ALLOCATION_CONTEXT || (to === 'list' && query === 'base:')) found = true;
  }
  return found;
}
