/** How the tables of calls are made: what a call takes, and who answers it. */
import * as z from 'zod/mini';
import type { OnProgress } from '../node/answers.ts';

/** How a call that lasts is followed. */
export interface Following {
  readonly onProgress: OnProgress;
  /** The one who asked has gone. */
  readonly signal: AbortSignal;
}

type Handler<Target, T> = (target: Target, parameters: T, following: Following) => unknown;

/** One row of a table. */
export interface Call<T, Handle> {
  readonly parameters: z.ZodMiniType<T>;
  readonly handle: Handle;
}

/** What makes the rows of the table of calls that a `Target` answers. */
export function callsTo<Target>() {
  return function call<T, Handle extends Handler<Target, T>>(
    parameters: z.ZodMiniType<T>,
    handle: Handle,
  ): Call<T, Handle> {
    return { parameters, handle };
  };
}

export const nothing = z.strictObject({});
export const whole = z.number().check(z.int(), z.minimum(0));
export const positive = z.number().check(z.minimum(0));
export const flag = z.optional(z.boolean());

/** How a set moves. */
export const move = {
  mode: z.enum(['drain', 'handoff', 'bitmap']),
  controllers: z.optional(z.array(z.string().check(z.regex(/^[0-9a-f]{32}$/)))),
  force: flag,
};

/** What migrations can be told, whoever starts them. */
export const migration = {
  ...move,
  copy: z.enum(['post', 'pre']),
  maxRate: z.optional(positive),
  detach: z.boolean(),
};
