/** The one table from error codes to exit codes; scripts are written against it. */
import type { ErrorCode } from '../base/errors.ts';

/** What a shell calls it when a process ends by a signal: 128 and the signal's number. */
export const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Exit code of each error code; a new code does not compile until it has a row here. */
export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  // 2: wrong usage
  E_USAGE: 2,
  E_RANGE: 2,
  // 3: no such set, volume, file or mark
  E_NOT_FOUND: 3,
  // 4: another process has it
  E_HELD: 4,
  // 5: refused in the present state
  E_SEALED: 5,
  E_ROLE: 5,
  E_NOT_PAIRED: 5,
  E_PAIRED: 5,
  E_NOT_EMPTY: 5,
  E_TOO_SMALL: 5,
  E_STATE: 5,
  E_COPIED: 5,
  E_SPLIT_BRAIN: 5,
  E_JOURNAL_FULL: 5,
  // 6: damaged, of an unknown format, or different
  E_DAMAGED: 6,
  E_VERSION: 6,
  E_DIFFERENT: 6,
  E_PROTOCOL: 6,
  // 7: out of reach, or out of time
  E_UNREACHABLE: 7,
  E_TIMEOUT: 7,
  // 1: unexpected
  E_NO_SPACE: 1,
  E_STOPPED: 1,
  E_IO: 1,
  E_INTERNAL: 1,
};
