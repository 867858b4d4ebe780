/** What the routes of the control interface share: how a request names its set, and is checked. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type * as z from 'zod/mini';
import { RcopyError } from '../base/errors.ts';
import { problemOf } from './schema-problems.ts';

export const OCTETS = 'application/octet-stream';

export interface SetRoute {
  readonly Params: { readonly set: string };
  readonly Querystring: Record<string, string>;
  readonly Body: unknown;
}

/** Aborted when nobody takes the answer any more, or all of it is sent. */
export function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}

/** The body, asked for when it is about to be read: what is refused before is never sent. */
export function octetsOf(request: FastifyRequest, reply: FastifyReply): AsyncIterable<Uint8Array> {
  const { body, headers } = request;
  if (!(body instanceof Readable)) {
    throw new RcopyError('E_PROTOCOL', 'the body has to be application/octet-stream');
  }
  if (headers.expect !== '100-continue') return body;
  return {
    [Symbol.asyncIterator]() {
      reply.raw.writeContinue();
      return body[Symbol.asyncIterator]();
    },
  };
}

/** Throws `E_PROTOCOL`, and says what is wrong. */
export function parse<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RcopyError('E_PROTOCOL', `wrong parameters: ${problemOf(parsed.error)}`);
}
