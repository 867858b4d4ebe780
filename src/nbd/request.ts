/**
 * One request of a client, from its header to its answer. The object is the device's request as
 * well, and is used again for later ones: a request costs no more than the slices of its payload.
 */
import { KIB, NBD_REQUEST_OVERHEAD_BYTES, REQUEST_BYTES_MAX } from '../base/limits.ts';
import type { Completion, Done } from '../device/device.ts';
import type { Direction } from './errno.ts';
import type { Session } from './handshake.ts';
import { COMMANDS, COMMAND_FLAGS as FLAGS, ERRNOS } from './protocol.ts';
import { readUint64BE } from './wire.ts';

/**
 * Pieces of a payload that are smaller are joined: a client that sends byte by byte must not make
 * an object of each.
 */
const CRUMB_BYTES = 512;
const JOINED_BYTES = 64 * KIB;

/** How much of a volume CACHE reads at once. */
export const CACHE_BYTES = 1024 * KIB;

/** Flags that each command may have. FUA is accepted on all of them. */
const FLAGS_ALLOWED: readonly number[] = (() => {
  const allowed: number[] = [];
  for (const command of Object.values(COMMANDS)) allowed[command] = FLAGS.FUA;
  allowed[COMMANDS.READ] = FLAGS.FUA | FLAGS.DF;
  allowed[COMMANDS.WRITE_ZEROES] = FLAGS.FUA | FLAGS.NO_HOLE | FLAGS.FAST_ZERO;
  allowed[COMMANDS.BLOCK_STATUS] = FLAGS.FUA | FLAGS.REQ_ONE;
  return allowed;
})();

export class ClientRequest {
  // What the device sees: see DeviceRequest.
  kind: 'read' | 'write' | 'zeroes' | 'flush' = 'read';
  offset = 0;
  length = 0;
  data: Uint8Array[] = [];
  fua = false;
  mayFree = false;
  readonly done: Done;

  command = 0;
  flags = 0;
  cookieHigh = 0;
  cookieLow = 0;
  /** Why it is refused without asking the device; 0 when it is not. */
  refusal = 0;
  /** Bytes of its payload that did not come yet. */
  missingBytes = 0;
  /** What it counts on the memory budget. */
  charge = 0;
  /** Where crumbs of the payload are joined, and how far that is filled. */
  private joint: Buffer | undefined;
  private jointFilled = 0;

  /** `completed` is called with the request, once each time that it is submitted. */
  constructor(completed: (request: ClientRequest, completion: Completion) => void) {
    this.done = (completion) => completed(this, completion);
  }

  get direction(): Direction {
    return this.kind === 'write' || this.kind === 'zeroes' ? 'write' : 'read';
  }

  /** Takes over a header behind its magic, and decides whether the request is in order. */
  begin(bytes: Buffer, at: number, session: Session): void {
    this.flags = bytes.readUInt16BE(at + 4);
    this.command = bytes.readUInt16BE(at + 6);
    this.cookieHigh = bytes.readUInt32BE(at + 8);
    this.cookieLow = bytes.readUInt32BE(at + 12);
    this.offset = readUint64BE(bytes, at + 16);
    this.length = bytes.readUInt32BE(at + 24);
    this.fua = (this.flags & FLAGS.FUA) !== 0;
    this.data = [];
    this.refusal = refusalOf(this, session);
    this.missingBytes = this.command === COMMANDS.WRITE ? this.length : 0;
    this.charge = NBD_REQUEST_OVERHEAD_BYTES + (this.refusal === 0 ? this.memoryBytes() : 0);
    this.kind = this.deviceKind();
    this.mayFree = this.kind === 'zeroes' && (this.flags & FLAGS.NO_HOLE) === 0;
  }

  /** Refuses it, whatever it is; its payload is thrown away. */
  refuse(errno: number): void {
    this.refusal = errno;
    this.charge = NBD_REQUEST_OVERHEAD_BYTES;
  }

  /**
   * Takes what belongs to the payload out of `chunk`, from `at` on, without copying; returns how
   * much that was. With `copies` it copies: the chunk is not worth being kept for it.
   */
  takePayload(chunk: Buffer, at: number, copies: boolean): number {
    const count = Math.min(this.missingBytes, chunk.length - at);
    this.missingBytes -= count;
    if (this.refusal !== 0) return count;
    const whole = count === this.length;
    if (!whole && count < CRUMB_BYTES) {
      this.join(chunk, at, count);
    } else {
      this.closeJoint();
      const piece = chunk.subarray(at, at + count);
      this.data.push(copies ? Buffer.from(piece) : piece);
    }
    if (this.missingBytes === 0) this.closeJoint();
    return count;
  }

  /** Lets go of everything, to be used again. */
  forget(): void {
    this.data = NO_DATA;
    this.joint = undefined;
    this.jointFilled = 0;
  }

  private join(chunk: Buffer, at: number, count: number): void {
    for (let copied = 0; copied < count;) {
      this.joint ??= Buffer.allocUnsafe(Math.min(JOINED_BYTES, this.missingBytes + count - copied));
      const step = chunk.copy(this.joint, this.jointFilled, at + copied, at + count);
      copied += step;
      this.jointFilled += step;
      if (this.jointFilled === this.joint.length) this.closeJoint();
    }
  }

  private closeJoint(): void {
    if (this.joint === undefined) return;
    const crumbs = this.joint.subarray(0, this.jointFilled);
    // A few of them must not keep all of it in memory.
    const few = this.jointFilled * 2 < this.joint.length;
    this.data.push(few ? Buffer.from(crumbs) : crumbs);
    this.joint = undefined;
    this.jointFilled = 0;
  }

  private memoryBytes(): number {
    switch (this.command) {
      case COMMANDS.READ:
      case COMMANDS.WRITE:
        return this.length;
      case COMMANDS.CACHE:
        return Math.min(this.length, CACHE_BYTES);
      default:
        return 0;
    }
  }

  private deviceKind(): ClientRequest['kind'] {
    switch (this.command) {
      case COMMANDS.WRITE:
        return 'write';
      case COMMANDS.TRIM:
      case COMMANDS.WRITE_ZEROES:
        return 'zeroes';
      case COMMANDS.FLUSH:
        return 'flush';
      default:
        return 'read';
    }
  }
}

const NO_DATA: Uint8Array[] = [];

/** Why a request is refused as it stands; 0 when it is not. */
function refusalOf(request: ClientRequest, session: Session): number {
  const { command, flags, offset, length } = request;
  const allowed = FLAGS_ALLOWED[command];
  if (allowed === undefined || (flags & ~allowed) !== 0) return ERRNOS.EINVAL;
  switch (command) {
    case COMMANDS.FLUSH:
      return offset === 0 && length === 0 ? 0 : ERRNOS.EINVAL;
    case COMMANDS.READ:
      if ((flags & FLAGS.DF) !== 0 && !session.structured) return ERRNOS.EINVAL;
      if (length > REQUEST_BYTES_MAX) return ERRNOS.EINVAL;
      break;
    case COMMANDS.BLOCK_STATUS:
      if (!session.allocation) return ERRNOS.EINVAL;
      break;
    case COMMANDS.WRITE:
    case COMMANDS.TRIM:
    case COMMANDS.WRITE_ZEROES:
      if (session.readOnly) return ERRNOS.EPERM;
      if (command === COMMANDS.WRITE && length > REQUEST_BYTES_MAX) return ERRNOS.EINVAL;
      if (length > 0 && offset + length > session.export.device.sizeBytes) return ERRNOS.ENOSPC;
      break;
    default:
  }
  if (length === 0 || offset + length > session.export.device.sizeBytes) return ERRNOS.EINVAL;
  return 0;
}
