/**
 * Every number of the NBD protocol that we use, in one place, under the names of its document
 * (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md). Names in logs come from
 * these tables. All numbers on the wire are big-endian.
 */

/** "NBDMAGIC": the first eight bytes of a server. */
export const INIT_MAGIC = { high: 0x4e42444d, low: 0x41474943 };
/** "IHAVEOPT": before each option, and second in the server's greeting. */
export const OPTION_MAGIC = { high: 0x49484156, low: 0x454f5054 };
export const OPTION_REPLY_MAGIC = { high: 0x0003e889, low: 0x045565a9 };
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_HEADER_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** What EXPORT_NAME ends with, unless both sides said NO_ZEROES. */
export const EXPORT_NAME_ZEROES_BYTES = 124;

/** Flags of the server's greeting. */
export const HANDSHAKE_FLAGS = { FIXED_NEWSTYLE: 1 << 0, NO_ZEROES: 1 << 1 } as const;

/** Flags of the client's answer to it. */
export const CLIENT_FLAGS = { FIXED_NEWSTYLE: 1 << 0, NO_ZEROES: 1 << 1 } as const;

export const OPTIONS = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

/** Types of replies to options; errors have the highest bit set. */
export const OPTION_REPLIES = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: 0x8000_0001,
  ERR_POLICY: 0x8000_0002,
  ERR_INVALID: 0x8000_0003,
  ERR_PLATFORM: 0x8000_0004,
  ERR_TLS_REQD: 0x8000_0005,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_SHUTDOWN: 0x8000_0007,
  ERR_BLOCK_SIZE_REQD: 0x8000_0008,
  ERR_TOO_BIG: 0x8000_0009,
  ERR_EXT_HEADER_REQD: 0x8000_000a,
} as const;

/** From here on an option reply is an error. */
export const OPTION_ERROR_FIRST = 0x8000_0000;

/** What INFO and GO tell. */
export const INFOS = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** What an export can do. */
export const TRANSMISSION_FLAGS = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  ROTATIONAL: 1 << 4,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
} as const;

export const COMMANDS = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const COMMAND_FLAGS = {
  FUA: 1 << 0,
  NO_HOLE: 1 << 1,
  DF: 1 << 2,
  REQ_ONE: 1 << 3,
  FAST_ZERO: 1 << 4,
} as const;

/** Flag of a chunk of a structured reply: it is the last one. */
export const CHUNK_DONE = 1 << 0;

export const CHUNKS = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  /**
   * Of rcopy alone, on the streams of path controllers: the number (u64) of a write that succeeded.
   * What hosts can reach never sends it.
   */
  NUMBER: 0x5243,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002,
} as const;

/** From here on a chunk is an error. */
export const CHUNK_ERROR_FIRST = 0x8000;

/** The only errors that may be on the wire. */
export const ERRNOS = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

export type Errno = (typeof ERRNOS)[keyof typeof ERRNOS];

/** The one metadata context of the protocol itself: what is a hole. */
export const ALLOCATION_CONTEXT = 'base:allocation';
/** The number that our server gives it. */
export const ALLOCATION_CONTEXT_ID = 1;

/** Flags of an extent of {@link ALLOCATION_CONTEXT}. */
export const ALLOCATION = { HOLE: 1 << 0, ZERO: 1 << 1 } as const;

/** The name of a number in one of the tables above, for logs. */
export function nameIn(table: Readonly<Record<string, number>>, value: number): string {
  for (const [name, number] of Object.entries(table)) if (number === value) return name;
  return `unknown (${value})`;
}
