/** A client's requests under way: their cookies, their bytes, and what their answers mean. */
import { RcopyError } from '../base/errors.ts';
import type { Extent } from '../base/extent.ts';
import type { Completion, DeviceRequest, Done } from '../device/device.ts';
import { ALLOCATION, COMMANDS, COMMAND_FLAGS, REQUEST_MAGIC } from './protocol.ts';
import type { Expected } from './reply-reader.ts';
import { malformed, writeUint64BE } from './wire.ts';

/** One request of ours. */
export interface Pending extends Expected {
  /** Of {@link COMMANDS}. */
  readonly code: number;
  readonly flags: number;
  readonly payload: readonly Uint8Array[];
  readonly done: Done;
  cookieHigh: number;
  cookieLow: number;
}

const NO_PAYLOAD: readonly Uint8Array[] = [];

/**
 * The cookies: the lower half is a place in a table, the upper one counts how often that place was
 * used, so that an answer that comes twice is seen.
 */
export class InFlight {
  count = 0;
  private readonly limit: number;
  private readonly places: (Pending | undefined)[] = [];
  private readonly uses: number[] = [];
  private readonly free: number[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many more may be sent now. */
  get room(): number {
    return this.limit - this.count;
  }

  make(request: DeviceRequest, done: Done): Pending {
    switch (request.kind) {
      case 'read':
        return pending('read', COMMANDS.READ, 0, request.offset, request.length, done);
      case 'write': {
        const { offset, length, data } = request;
        const flags = request.fua ? COMMAND_FLAGS.FUA : 0;
        return { ...pending('other', COMMANDS.WRITE, flags, offset, length, done), payload: data };
      }
      case 'zeroes': {
        const fua = request.fua ? COMMAND_FLAGS.FUA : 0;
        const flags = fua | (request.mayFree ? 0 : COMMAND_FLAGS.NO_HOLE);
        const { offset, length } = request;
        return pending('other', COMMANDS.WRITE_ZEROES, flags, offset, length, done);
      }
      case 'flush':
        return pending('other', COMMANDS.FLUSH, 0, 0, 0, done);
    }
  }

  makeStatus(offset: number, length: number, done: Done): Pending {
    return pending('status', COMMANDS.BLOCK_STATUS, 0, offset, length, done);
  }

  /** Has no answer, and so no place. */
  makeDisconnect(): Pending {
    return pending('other', COMMANDS.DISC, 0, 0, 0, () => undefined);
  }

  /** Gives the request its cookie. */
  add(request: Pending): void {
    const place = this.free.pop() ?? this.places.length;
    const use = ((this.uses[place] ?? 0) + 1) % 0x1_0000_0000;
    this.places[place] = request;
    this.uses[place] = use;
    this.count += 1;
    request.cookieHigh = use;
    request.cookieLow = place;
  }

  /** The request with this cookie. Throws `E_PROTOCOL` when there is none. */
  find(cookieHigh: number, cookieLow: number): Pending {
    const found = this.places[cookieLow];
    if (!found || found.cookieHigh !== cookieHigh) {
      throw malformed('an answer to a request that is not under way');
    }
    return found;
  }

  remove(request: Pending): void {
    this.places[request.cookieLow] = undefined;
    this.free.push(request.cookieLow);
    this.count -= 1;
  }

  /** All that are under way; none are afterwards. */
  clear(): Pending[] {
    const found = this.places.filter((request) => request !== undefined);
    this.places.length = 0;
    this.free.length = 0;
    this.count = 0;
    return found;
  }
}

function pending(
  command: Pending['command'],
  code: number,
  flags: number,
  offset: number,
  length: number,
  done: Done,
): Pending {
  return {
    command,
    code,
    flags,
    offset,
    length,
    payload: NO_PAYLOAD,
    done,
    cookieHigh: 0,
    cookieLow: 0,
    pieces: [],
    pieceOffsets: [],
    receivedBytes: 0,
    errno: 0,
    message: '',
    status: undefined,
    sequence: undefined,
  };
}

/** The 28 bytes before the payload. */
export function encodeHeader(request: Pending, target: Buffer, at: number): void {
  target.writeUInt32BE(REQUEST_MAGIC, at);
  target.writeUInt16BE(request.flags, at + 4);
  target.writeUInt16BE(request.code, at + 6);
  target.writeUInt32BE(request.cookieHigh, at + 8);
  target.writeUInt32BE(request.cookieLow, at + 12);
  writeUint64BE(target, request.offset, at + 16);
  target.writeUInt32BE(request.length, at + 24);
}

/** What a read brought, its pieces in order; an error when some are missing. */
export function readCompletion(request: Pending): Completion {
  const { pieces, pieceOffsets } = request;
  let at = request.offset;
  for (const [index, piece] of pieces.entries()) {
    if (pieceOffsets[index] !== at) return sortedCompletion(request);
    at += piece.length;
  }
  return request.receivedBytes === request.length ? { ok: true, data: pieces } : lacking(request);
}

/** Chunks may come in any order. */
function sortedCompletion(request: Pending): Completion {
  const order = request.pieces
    .map((piece, index) => ({ piece, offset: request.pieceOffsets[index] ?? 0 }))
    .sort((one, other) => one.offset - other.offset);
  let at = request.offset;
  for (const { piece, offset } of order) {
    if (offset !== at) return lacking(request);
    at += piece.length;
  }
  if (at !== request.offset + request.length) return lacking(request);
  return { ok: true, data: order.map(({ piece }) => piece) };
}

function lacking(request: Pending): Completion {
  const what = `the answer to a read of ${request.length} bytes at offset ${request.offset}`;
  return { ok: false, error: new RcopyError('E_PROTOCOL', `${what} is not whole`) };
}

/** The extents of a block status; what does not read as zeroes is data. Throws `E_PROTOCOL`. */
export function decodeStatus(request: Pending, context: number): Extent[] {
  const payload = request.status;
  if (!payload || payload.readUInt32BE(0) !== context) {
    throw malformed('an answer without the block status that was asked for');
  }
  const end = request.offset + request.length;
  const extents: Extent[] = [];
  let at = request.offset;
  for (let index = 4; index < payload.length && at < end; index += 8) {
    // The last one may go on behind the range.
    const length = Math.min(payload.readUInt32BE(index), end - at);
    if (length === 0) throw malformed('an extent without a length');
    const flags = payload.readUInt32BE(index + 4);
    extents.push({ offset: at, length, data: (flags & ALLOCATION.ZERO) === 0 });
    at += length;
  }
  return extents;
}
