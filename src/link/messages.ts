/** What the frames of the link say: schemas and codecs of their bodies. */
import * as z from 'zod/mini';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { NAME_PATTERN } from '../base/limits.ts';

const whole = z.number().check(z.int(), z.minimum(0));
const provenPosition = z.strictObject({ epoch: whole, sequence: whole, chain: whole });
const position = z.strictObject({ epoch: whole, sequence: whole });

/** What a sender tells of the epoch that it sends. */
const senderRun = z.strictObject({
  epoch: whole,
  id: z.string(),
  /** The set that wrote it: the sender itself, or one whose seal names the sender. */
  writer: z.string(),
  first: whole,
  next: whole,
  sealed: z.boolean(),
});

/** The first frame of whoever dials. */
const hello = z.strictObject({
  purpose: z.enum(['replicate', 'service', 'path']),
  setId: z.string(),
  groupId: z.string(),
  name: z.string(),
  address: z.string(),
  /** A random number of this opening of the set: a restarted peer is told from the same one. */
  bootId: z.string(),
  /** Counts the links of this opening: one that was delayed does not end a newer one. */
  link: whole,
  pairId: z.nullable(z.string()),
  run: z.nullable(senderRun),
  /** The seal that made the epoch's writer the successor of the one before, in hexadecimal. */
  parentSeal: z.nullable(z.string()),
  /** The seal of the epoch itself, where it names the sender, who carries the epoch on. */
  carrierSeal: z.nullable(z.string()),
});

/** What a receiver has of an epoch. */
const receiverEpoch = z.strictObject({
  epoch: whole,
  id: z.string(),
  /** The number that it would take next, and the chain value that it would have to carry. */
  next: whole,
  chain: whole,
  durable: whole,
  sealed: z.boolean(),
});

const copyProgress = z.strictObject({
  base: provenPosition,
  volume: whole,
  offset: whole,
  asOf: whole,
  complete: z.boolean(),
});

/** The answer to hello. */
const welcome = z.strictObject({
  setId: z.string(),
  name: z.string(),
  bootId: z.string(),
  usable: z.boolean(),
  epochs: z.array(receiverEpoch),
  copy: z.nullable(copyProgress),
});

/** What a receiver has, by its own durable word. */
const acknowledgement = z.strictObject({
  epochs: z.array(z.strictObject({ epoch: whole, durable: whole, sealed: z.boolean() })),
  restored: position,
  usable: z.boolean(),
  copy: z.nullable(copyProgress),
  /** Bytes of records and ranges taken in since the hello: gives the sender its credit back. */
  consumedBytes: whole,
});

const request = z.strictObject({ id: whole, name: z.string(), parameters: z.unknown() });

/** All ranges of a copy have gone. Marks that lie before its base come with it. */
const copyEnd = z.strictObject({
  asOf: whole,
  marks: z.array(
    z.strictObject({
      name: z.string().check(z.regex(NAME_PATTERN)),
      epoch: whole,
      sequence: whole,
    }),
  ),
});

/** What the primary lacks at its secondary, measured on the primary's clock. */
const lagWord = z.strictObject({
  entries: whole,
  bytes: whole,
  seconds: z.nullable(z.number().check(z.minimum(0))),
});

/** Said when there is nothing else to say, and by a sender in every beat. */
const ping = z.strictObject({
  /** Wall-clock time of the sender, milliseconds since 1970. */
  timeMs: whole,
  /** On the way to a secondary: the lag of the epoch's writer; null when it is not known. */
  lag: z.nullable(lagWord),
});

const stop = z.strictObject({
  code: z.string(),
  message: z.string(),
  hint: z.nullable(z.string()),
});

export type Hello = z.infer<typeof hello>;
export type SenderRun = z.infer<typeof senderRun>;
export type Welcome = z.infer<typeof welcome>;
export type ReceiverEpoch = z.infer<typeof receiverEpoch>;
export type CopyProgress = z.infer<typeof copyProgress>;
export type CopyEnd = z.infer<typeof copyEnd>;
export type Acknowledgement = z.infer<typeof acknowledgement>;
export type Request = z.infer<typeof request>;
export type Ping = z.infer<typeof ping>;
export type LagWord = z.infer<typeof lagWord>;

export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

export const decodeHello = (body: Buffer): Hello => decode('hello', hello, body);
export const encodePing = (said: Ping): Buffer => encodeJson(said);
export const decodePing = (body: Buffer): Ping => decode('ping', ping, body);
export const decodeWelcome = (body: Buffer): Welcome => decode('welcome', welcome, body);
export const decodeCopyEnd = (body: Buffer): CopyEnd => decode('copy end', copyEnd, body);
export const decodeRequest = (body: Buffer): Request => decode('request', request, body);
export const decodeAcknowledgement = (body: Buffer): Acknowledgement =>
  decode('acknowledgement', acknowledgement, body);

function decode<T>(what: string, schema: z.ZodMiniType<T>, body: Buffer): T {
  try {
    return schema.parse(JSON.parse(body.toString('utf8')));
  } catch (error) {
    throw new RcopyError('E_PROTOCOL', `the peer sent a malformed ${what}: ${messageOf(error)}`);
  }
}

/** Why a side ends the link, in the words that its user would get. */
export function encodeStop(error: unknown): Buffer {
  return encodeJson({
    code: isRcopyError(error) ? error.code : 'E_INTERNAL',
    message: messageOf(error),
    hint: isRcopyError(error) ? (error.hint ?? null) : null,
  });
}

export function decodeStop(body: Buffer): RcopyError {
  const { code, message, hint } = decode('stop', stop, body);
  return new RcopyError(code as ErrorCode, message, { hint: hint ?? undefined });
}

/** A range of a copy; its data follows the fixed part. A hole has none. */
export interface Range {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** The newest number that the range can reflect. */
  readonly asOf: number;
  readonly data: Buffer | undefined;
}

export function encodeRangeHead(range: Omit<Range, 'data'> & { readonly hole: boolean }): Buffer {
  return new ByteWriter()
    .u8(range.hole ? 1 : 0)
    .u16(range.volume)
    .u64(range.offset)
    .u64(range.length)
    .u64(range.asOf)
    .finish();
}

export function decodeRange(body: Buffer): Range {
  const reader = new ByteReader(body, 'a copied range');
  const hole = reader.u8() === 1;
  const range = {
    volume: reader.u16(),
    offset: reader.u64(),
    length: reader.u64(),
    asOf: reader.u64(),
  };
  const data = hole ? undefined : reader.bytes(range.length);
  reader.end();
  return { ...range, data };
}

/** A response: JSON behind its length, then bytes. */
export function encodeResponse(id: number, value: unknown, data?: Uint8Array): Uint8Array[] {
  const json = encodeJson(value ?? null);
  const head = new ByteWriter().u32(id).u8(0).u32(json.length).bytes(json).finish();
  return data ? [head, data] : [head];
}

/** A request that failed: the error as in a stop frame. */
export function encodeFailure(id: number, error: unknown): Uint8Array[] {
  const json = encodeStop(error);
  return [new ByteWriter().u32(id).u8(1).u32(json.length).bytes(json).finish()];
}

export type Response =
  | { readonly id: number; readonly ok: true; readonly value: unknown; readonly data: Buffer }
  | { readonly id: number; readonly ok: false; readonly error: RcopyError };

export function decodeResponse(body: Buffer): Response {
  const reader = new ByteReader(body, 'a response');
  const id = reader.u32();
  const failed = reader.u8() === 1;
  const json = reader.bytes(reader.u32());
  if (failed) return { id, ok: false, error: decodeStop(json) };
  const data = reader.bytes(reader.remaining);
  return { id, ok: true, value: decode('response', z.unknown(), json), data };
}
