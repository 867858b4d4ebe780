/** Answers one call out of a table: as JSON, or in lines with progress, as it is asked for. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../sys/clock.ts';
import { answerInLines } from './answer-lines.ts';
import type { Call, Following } from './call-table.ts';
import { goneOf, parse } from './requests.ts';
import { ANSWER_LINES } from './wire.ts';

/** A row of any table: what its parameters are is known to itself only. */
type AnyCall<Target> = Call<
  unknown,
  (target: Target, parameters: never, following: Following) => unknown
>;

/**
 * Checks the body, finds who answers (`gone` is aborted when nobody takes the answer any more), and
 * answers. Rejects with what is to be answered as an error.
 */
export async function answerCall<Target>(
  { clock, request, reply }: { clock: Clock; request: FastifyRequest; reply: FastifyReply },
  { parameters, handle }: AnyCall<Target>,
  find: (gone: AbortSignal) => Promise<Target>,
): Promise<unknown> {
  const checked = parse(parameters, request.body ?? {}) as never;
  const signal = goneOf(reply);
  const target = await find(signal);
  if (request.headers.accept === ANSWER_LINES) {
    reply.hijack();
    await answerInLines(reply.raw, clock, (onProgress) =>
      Promise.resolve(handle(target, checked, { onProgress, signal })),
    );
    return reply;
  }
  return (await handle(target, checked, { onProgress: () => undefined, signal })) ?? {};
}
