/** Errors in the shape of the operating system's, for refusals that never reach it. */

/** An error as a failed system call gives it: a `code` such as `EBADF`, and a message. */
export interface SystemError extends Error {
  readonly code: string;
}

/** A {@link SystemError} with this code; the message begins with it, as node's own do. */
export function systemError(code: string, message: string): SystemError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** The `code` of anything that was thrown, if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
