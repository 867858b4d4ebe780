/**
 * The one error class of rcopy. A code is stable and meant for scripts; a message says
 * "what: with what", and may change; a hint names what to do next.
 */

/** Every code that a user or a peer can see. The README lists them with their exit codes. */
export type ErrorCode =
  | 'E_USAGE' // an argument is malformed or does not make sense
  | 'E_RANGE' // a request leaves its volume
  | 'E_NOT_FOUND' // no such set, volume, file or mark
  | 'E_HELD' // another process holds the set
  | 'E_SEALED' // the set handed its group over and takes no host commands
  | 'E_ROLE' // the set has not the role that this needs
  | 'E_NOT_PAIRED' // the set has no pair
  | 'E_PAIRED' // the set already has a pair
  | 'E_NOT_EMPTY' // the target was written before, or the folder is not empty
  | 'E_TOO_SMALL' // the target cannot hold what it would have to
  | 'E_STATE' // refused in the present state, for the reason in the message
  | 'E_COPIED' // the folder is a copy of an image set, not the set itself
  | 'E_SPLIT_BRAIN' // two histories claim the same place in the sequence
  | 'E_JOURNAL_FULL' // the journal has no room and nobody can make any now
  | 'E_NO_SPACE' // the file system is full
  | 'E_DAMAGED' // bytes on disk or on the wire are not what was written
  | 'E_VERSION' // a format version that this program does not know
  | 'E_DIFFERENT' // two sets differ where they should be equal
  | 'E_UNREACHABLE' // a peer cannot be reached
  | 'E_TIMEOUT' // a wait reached its stated limit
  | 'E_PROTOCOL' // a peer broke the protocol
  | 'E_STOPPED' // the set or the operation was stopped before this finished
  | 'E_IO' // the operating system refused a file operation
  | 'E_INTERNAL'; // a bug in rcopy

/** What an {@link RcopyError} may carry beside its code and message. */
export interface ErrorDetails {
  /** What the user can do next; names a command where one helps. */
  readonly hint?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** An error for people and scripts: stable `code`, readable `message`, `hint`, `cause`. */
export class RcopyError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'RcopyError';
    this.code = code;
    this.hint = details.hint;
  }
}

/** Whether `error` is an {@link RcopyError}, with this code if one is named. */
export function isRcopyError(error: unknown, code?: ErrorCode): error is RcopyError {
  return error instanceof RcopyError && (code === undefined || error.code === code);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) {
    return String(error.message);
  }
  return String(error);
}

/**
 * Turns what a file operation threw into an {@link RcopyError} that says what was done to which
 * file. Errors that are already ours pass through.
 */
export function fileError(action: string, path: string, error: unknown): RcopyError {
  if (isRcopyError(error)) return error;
  const cause = (error as { code?: string } | null)?.code;
  switch (cause) {
    case 'ENOENT':
      return new RcopyError('E_NOT_FOUND', `${action}: ${path} does not exist`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new RcopyError('E_NO_SPACE', `${action}: no space left for ${path}`, {
        cause: error,
        hint: 'free some space on that file system, then run the command again',
      });
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new RcopyError(
        'E_IO',
        `${action}: ${path}: this user, or this disk, may not do that`,
        {
          cause: error,
          hint: 'look at the owner and rights of the folder, and whether it is mounted read-only',
        },
      );
    case 'EFBIG':
      return new RcopyError(
        'E_NO_SPACE',
        `${action}: ${path} is larger than the file system or the limits of this process allow`,
        { cause: error },
      );
    default:
      return new RcopyError('E_IO', `${action}: ${path}: ${messageOf(error)}`, { cause: error });
  }
}
