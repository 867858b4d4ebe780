/** Errors on their way through HTTP: the same code, message and hint at both ends. */
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';

/** The one table from error codes to HTTP status codes; for people with curl, and for proxies. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  E_USAGE: 400,
  E_RANGE: 416,
  E_PROTOCOL: 400,
  E_NOT_FOUND: 404,
  E_HELD: 423,
  E_SEALED: 409,
  E_ROLE: 409,
  E_NOT_PAIRED: 409,
  E_PAIRED: 409,
  E_NOT_EMPTY: 409,
  E_TOO_SMALL: 409,
  E_STATE: 409,
  E_COPIED: 409,
  E_SPLIT_BRAIN: 409,
  E_DIFFERENT: 409,
  E_JOURNAL_FULL: 507,
  E_NO_SPACE: 507,
  E_UNREACHABLE: 502,
  E_TIMEOUT: 504,
  E_STOPPED: 503,
  E_DAMAGED: 500,
  E_VERSION: 500,
  E_IO: 500,
  E_INTERNAL: 500,
};

/** What the body of a failed request holds, under `error`: as `--json` prints it. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

export function errorStatus(error: unknown): number {
  return isRcopyError(error) ? STATUS[error.code] : STATUS.E_INTERNAL;
}

export function errorBody(error: unknown): { error: ErrorBody } {
  const { code, hint } = isRcopyError(error) ? error : { code: 'E_INTERNAL' as const, hint: '' };
  return { error: { code, message: messageOf(error), ...(hint ? { hint } : {}) } };
}

/** The error that a body tells of; a body that is none of ours is a peer that is none of ours. */
export function errorOf(body: unknown, peer: string): RcopyError {
  const error = (body as { error?: Partial<ErrorBody> } | null)?.error;
  if (
    typeof error?.code !== 'string' ||
    typeof error.message !== 'string' ||
    !(error.code in STATUS)
  )
    return new RcopyError('E_PROTOCOL', `${peer} does not answer as an rcopy daemon does`, {
      hint: 'is another program listening there, or another version of rcopy?',
    });
  return new RcopyError(error.code, error.message, { hint: error.hint });
}

/** fastify's own refusals (too long, not JSON) have a status of their own. */
export function asRefusal(error: unknown): RcopyError {
  if (error instanceof RcopyError) return error;
  const { statusCode = 500 } = error as { statusCode?: number };
  const code = statusCode < 500 ? 'E_PROTOCOL' : 'E_INTERNAL';
  return new RcopyError(code, messageOf(error), { cause: error });
}
