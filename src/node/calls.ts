/** The calls between nodes, by name: parameters are checked where they arrive. */
import * as z from 'zod/mini';
import type { MigrationId, PairId, SetId, GroupId } from '../base/ids.ts';
import { RcopyError, messageOf } from '../base/errors.ts';
import { mapPlace } from './map-transfer.ts';

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
  ack: z.enum(['local', 'remote']),
});

/** `pair.leave`: the pair is over. `pair.split`: it pauses. */
export const leaveCall = z.strictObject({ pairId: id<PairId>() });

/** `takeover.seal`: the primary sends everything and seals its epoch for its secondary. */
export const takeoverCall = z.strictObject({
  id: id<MigrationId>(),
  pairId: id<PairId>(),
  successor: peer,
});

/** `takeover.done`: the secondary is the primary now. */
export const takeoverDoneCall = z.strictObject({ id: id<MigrationId>() });

/** `migration.announce`, `.seal`, `.retire`, `.bury`, to the source. */
export const migrationCall = z.strictObject({
  id: id<MigrationId>(),
  mode: z.enum(['drain', 'handoff', 'bitmap']),
  copy: z.enum(['post', 'pre']),
  source: peer,
  target: peer,
  secondary: peer,
});

/** `migration.track`: note what changes; only `reader` is to read ahead from now on. */
export const trackCall = z.strictObject({ migration: migrationCall, reader: z.string() });

/** `migration.maps`: maps of the source, page by page. */
export const mapsCall = z.strictObject({
  migration: migrationCall,
  which: z.enum(['owed', 'changed']),
  /** Only what came behind this number is asked for, where the source still knows what did. */
  since: z.nullable(whole),
  from: mapPlace,
});

/** `migration.records`: what the secondary lacks, from this number on. */
export const recordsCall = z.strictObject({ migration: migrationCall, sequence: whole });

const provenPosition = z.strictObject({ epoch: whole, sequence: whole, chain: whole });

/** `migration.take-back`: an epoch without a record comes back to the source. */
export const returnCall = z.strictObject({
  migration: migrationCall,
  returned: z.strictObject({
    open: z.string(),
    seal: z.string(),
    bases: z.array(provenPosition),
    hasClosed: z.boolean(),
    durable: z.strictObject({ epoch: whole, sequence: whole }),
  }),
});

/** `digest`: what a range holds, without sending it; on a secondary not before `behind`. */
export const digestCall = z.strictObject({
  volume: whole,
  offset: whole,
  length: whole,
  behind: z.optional(z.strictObject({ epoch: whole, sequence: whole, waitMs: whole })),
});

export type JoinCall = z.infer<typeof joinCall>;
export type MigrationCall = z.infer<typeof migrationCall>;
export type TakeoverCall = z.infer<typeof takeoverCall>;
export type TrackCall = z.infer<typeof trackCall>;
export type MapsCall = z.infer<typeof mapsCall>;
export type ReturnCall = z.infer<typeof returnCall>;
export type DigestCall = z.infer<typeof digestCall>;

export interface DigestAnswer {
  /** SHA-256 of the range; undefined when all of it is zero. */
  readonly sha256?: string;
  /** The number as of which it was read. */
  readonly asOf: number;
}

/** What a caller of something else is told. */
export function unknownCall(name: string): RcopyError {
  return new RcopyError('E_PROTOCOL', `the call ${name} is unknown`);
}

/** Checks what came with a call. Throws `E_PROTOCOL`. */
export function parameters<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  try {
    return schema.parse(value);
  } catch (error) {
    throw new RcopyError('E_PROTOCOL', `a call came with wrong parameters: ${messageOf(error)}`);
  }
}
