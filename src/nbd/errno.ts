/** Errors of devices as errors of NBD, and back. The only place that maps them. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { ERRNOS, nameIn } from './protocol.ts';
import type { Errno } from './protocol.ts';

/** What a request does, as far as errors differ by it. */
export type Direction = 'read' | 'write';

/** What a client is told of an error. What is nobody's fault but ours is an I/O error. */
export function errnoOf(error: unknown, direction: Direction): Errno {
  if (!isRcopyError(error)) return ERRNOS.EIO;
  switch (error.code) {
    case 'E_RANGE':
      return direction === 'write' ? ERRNOS.ENOSPC : ERRNOS.EINVAL;
    case 'E_ROLE':
      return ERRNOS.EPERM;
    case 'E_JOURNAL_FULL':
    case 'E_NO_SPACE':
      return ERRNOS.ENOSPC;
    case 'E_SEALED':
    case 'E_STOPPED':
      return ERRNOS.ESHUTDOWN;
    default:
      return ERRNOS.EIO;
  }
}

/** What a server's error means to us. `what` is the request, `peer` who refused it. */
export function errorOf(errno: number, what: string, peer: string, text: string): RcopyError {
  const name = nameIn(ERRNOS, errno);
  const words = text === '' ? name : `${name}: ${text}`;
  return new RcopyError(codeOf(errno), `${what}: ${peer} says ${words}`);
}

function codeOf(errno: number): ErrorCode {
  switch (errno) {
    case ERRNOS.EPERM:
      return 'E_ROLE';
    case ERRNOS.EINVAL:
    case ERRNOS.EOVERFLOW:
      return 'E_RANGE';
    case ERRNOS.ENOSPC:
      return 'E_NO_SPACE';
    case ERRNOS.ESHUTDOWN:
      return 'E_STOPPED';
    default:
      return 'E_IO';
  }
}
