/** The calls between nodes, by name: parameters are checked where they arrive. */
import * as z from 'zod/mini';
import type { MigrationId, PairId, SetId, GroupId } from '../base/ids.ts';
import { RcopyError, messageOf } from '../base/errors.ts';

const hex = /^[0-9a-f]{32}$/;
const id = <T extends string>() =>
  z.custom<T>((value) => typeof value === 'string' && hex.test(value));
const whole = z.number().check(z.int(), z.minimum(0));
const peer = z.strictObject({ setId: id<SetId>(), name: z.string(), address: z.string() });

/** `pair.join`: the receiver becomes the secondary of the caller. */
export const joinCall = z.strictObject({
  pairId: id<PairId>(),
  groupId: id<GroupId>(),
  primary: peer,
});

/** `pair.leave`: the pair is over. */
export const leaveCall = z.strictObject({ pairId: id<PairId>() });

/** `migration.announce`, `.seal`, `.retire`, `.bury`, to the source. */
export const migrationCall = z.strictObject({
  id: id<MigrationId>(),
  mode: z.enum(['drain', 'handoff', 'bitmap']),
  copy: z.enum(['post', 'pre']),
  source: peer,
  target: peer,
  secondary: peer,
});

/** `digest`: what a range holds, without sending it. */
export const digestCall = z.strictObject({ volume: whole, offset: whole, length: whole });

export type JoinCall = z.infer<typeof joinCall>;
export type MigrationCall = z.infer<typeof migrationCall>;
export type DigestCall = z.infer<typeof digestCall>;

export interface DigestAnswer {
  /** SHA-256 of the range; undefined when all of it is zero. */
  readonly sha256?: string;
  /** The number as of which it was read. */
  readonly asOf: number;
}

/** Checks what came with a call. Throws `E_PROTOCOL`. */
export function parameters<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  try {
    return schema.parse(value);
  } catch (error) {
    throw new RcopyError('E_PROTOCOL', `a call came with wrong parameters: ${messageOf(error)}`);
  }
}
