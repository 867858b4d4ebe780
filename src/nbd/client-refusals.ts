/** Why a client does not even send a request: the server has said what it cannot do. */
import { RcopyError } from '../base/errors.ts';
import type { DeviceRequest } from '../device/device.ts';
import type { ServerSession } from './client-handshake.ts';
import { TRANSMISSION_FLAGS as FLAGS } from './protocol.ts';

/** `E_RANGE`, `E_ROLE` or `E_STATE`; undefined when the request may be sent. */
export function refusalOf(
  request: DeviceRequest,
  session: ServerSession,
  peer: string,
): RcopyError | undefined {
  const lacking = (flag: number, what: string) =>
    (session.flags & flag) === 0
      ? new RcopyError('E_STATE', `the export at ${peer} cannot ${what}`)
      : undefined;
  if (request.kind === 'flush') return lacking(FLAGS.SEND_FLUSH, 'flush');
  const { kind, offset, length } = request;
  const outside = outOfRange(offset, length, session.sizeBytes);
  if (outside) return outside;
  if (kind !== 'zeroes' && length > session.payloadBytesMax) {
    const limit = session.payloadBytesMax;
    return new RcopyError('E_RANGE', `${length} bytes are over the limit of ${limit} of ${peer}`);
  }
  if (kind === 'read') return undefined;
  if ((session.flags & FLAGS.READ_ONLY) !== 0) {
    return new RcopyError('E_ROLE', `the export at ${peer} is read-only`);
  }
  const noZeroes = kind === 'zeroes' ? lacking(FLAGS.SEND_WRITE_ZEROES, 'write zeroes') : undefined;
  return noZeroes ?? (request.fua ? lacking(FLAGS.SEND_FUA, 'write through (FUA)') : undefined);
}

/** `E_RANGE` when a range is empty or leaves the export. */
export function outOfRange(
  offset: number,
  length: number,
  sizeBytes: number,
): RcopyError | undefined {
  if (length > 0 && offset >= 0 && offset + length <= sizeBytes) return undefined;
  return new RcopyError(
    'E_RANGE',
    `${length} bytes at offset ${offset} leave an export of ${sizeBytes} bytes`,
  );
}
