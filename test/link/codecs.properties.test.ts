/** Everything that goes over a link: encoded, cut anywhere, put together, decoded; and flipped. */
import { NAME_PATTERN } from '../../src/base/limits.ts';
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { RcopyError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { decodeRecord, encodeRecord } from '../../src/format/record.ts';
import type { RecordKind } from '../../src/format/record.ts';
import { FRAME_TYPES, FrameReader, encodeFrameHeader } from '../../src/link/frame.ts';
import type { Frame, FrameType } from '../../src/link/frame.ts';
import {
  decodeAcknowledgement,
  decodeCopyEnd,
  decodeHello,
  decodeRange,
  decodeRequest,
  decodeResponse,
  decodeStop,
  decodeWelcome,
  encodeFailure,
  encodeJson,
  encodeRangeHead,
  encodeResponse,
  encodeStop,
} from '../../src/link/messages.ts';
import { u16, u32, u64 } from '../format/samples.ts';
import { assertSame } from '../support/asserts.ts';
import { cases, plans } from '../support/properties.ts';

/** A message as it is sent, and what must be read out of it. */
interface Message {
  readonly type: FrameType;
  readonly parts: readonly Uint8Array[];
  readonly says: unknown;
}

const READ: { readonly [Type in FrameType]?: (body: Buffer) => unknown } = {
  hello: decodeHello,
  welcome: decodeWelcome,
  acknowledgement: decodeAcknowledgement,
  request: decodeRequest,
  'copy-end': decodeCopyEnd,
  range: decodeRange,
  records: readRecords,
  response: (body) => {
    const response = decodeResponse(body);
    return response.ok ? response : { ...response, error: wordsOf(response.error) };
  },
  stop: (body) => wordsOf(decodeStop(body)),
};

function wordsOf({ code, message, hint }: RcopyError) {
  return { code, message, hint };
}

const text = fc.string({ unit: 'binary', maxLength: 40 });
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
  fc.tuple(fc.nat(9000), fc.nat(255)).map(([length, fill]) => Buffer.alloc(length, fill)),
);
const proven = fc.record({ epoch: u64, sequence: u64, chain: u64 });
const copy = fc.record({
  base: proven,
  volume: u64,
  offset: u64,
  asOf: u64,
  complete: fc.boolean(),
});
const errors = fc
  .tuple(fc.constantFrom<ErrorCode>('E_SEALED', 'E_IO', 'E_STATE'), text, fc.option(text))
  .map(([code, message, hint]) => new RcopyError(code, message, { hint: hint ?? undefined }));

/** Messages that are JSON and nothing else. */
const json = (type: FrameType, values: fc.Arbitrary<unknown>) =>
  values.map((value): Message => {
    const parts = [encodeJson(value)];
    // fast-check makes objects without a prototype too; out of JSON come plain ones.
    return { type, parts, says: JSON.parse(JSON.stringify(value)) };
  });

const mark = fc.record({ name: fc.stringMatching(NAME_PATTERN), epoch: u64, sequence: u64 });
const run = fc.record({
  epoch: u64,
  id: text,
  writer: text,
  first: u64,
  next: u64,
  sealed: fc.boolean(),
});

const hellos = fc.record({
  purpose: fc.constantFrom('replicate', 'service'),
  setId: text,
  groupId: text,
  name: text,
  address: text,
  bootId: text,
  link: u64,
  pairId: fc.option(text),
  run: fc.option(run),
  parentSeal: fc.option(text),
  carrierSeal: fc.option(text),
});

const welcomes = fc.record({
  setId: text,
  name: text,
  bootId: text,
  usable: fc.boolean(),
  epochs: fc.array(
    fc.record({
      epoch: u64,
      id: text,
      next: u64,
      chain: u64,
      durable: u64,
      sealed: fc.boolean(),
    }),
  ),
  copy: fc.option(copy),
});

const acknowledgements = fc.record({
  epochs: fc.array(fc.record({ epoch: u64, durable: u64, sealed: fc.boolean() })),
  restored: fc.record({ epoch: u64, sequence: u64 }),
  usable: fc.boolean(),
  copy: fc.option(copy),
  consumedBytes: u64,
});

const ranges = fc
  .tuple(fc.record({ volume: u16, offset: u64, asOf: u64 }), fc.option(bytes), u64)
  .map(([head, data, holeLength]): Message => {
    const range = { ...head, length: data?.length ?? holeLength };
    const parts = [encodeRangeHead({ ...range, hole: data === null })];
    if (data) parts.push(data);
    return { type: 'range', parts, says: { ...range, data: data ?? undefined } };
  });

const responses = fc
  .tuple(u32, fc.jsonValue(), fc.option(bytes))
  .map(([id, value, data]): Message => {
    const parts = encodeResponse(id, value, data ?? undefined);
    return {
      type: 'response',
      parts,
      says: { id, ok: true, value, data: data ?? Buffer.alloc(0) },
    };
  });

const failures = fc.tuple(u32, errors).map(([id, error]): Message => {
  const says = { id, ok: false, error: wordsOf(error) };
  return { type: 'response', parts: encodeFailure(id, error), says };
});

const stops = errors.map((error): Message => ({
  type: 'stop',
  parts: [encodeStop(error)],
  says: wordsOf(error),
}));

interface RecordShape {
  readonly kind: RecordKind;
  readonly payload: Buffer;
  readonly places: readonly [epoch: number, volume: number, sequence: number, chain: number];
  readonly flags: readonly [endOfRequest: boolean, mayFree: boolean];
}

const recordShapes: fc.Arbitrary<RecordShape> = fc.record({
  kind: fc.constantFrom<RecordKind>('write', 'zeroes', 'mark', 'open', 'rebase', 'seal'),
  payload: bytes,
  places: fc.tuple(u32, u16, u64, u32),
  flags: fc.tuple(fc.boolean(), fc.boolean()),
});

/** What a record says, beside what the format computes. */
function fieldsOf({ kind, payload, places, flags }: RecordShape) {
  const [epoch, volume, sequence, chain] = places;
  const [endOfRequest, mayFree] = flags;
  return {
    ...{ kind, epoch, volume, sequence, chain, endOfRequest, mayFree },
    offset: sequence % 4096,
    length: kind === 'write' ? payload.length : kind === 'zeroes' ? 1 + volume : 0,
    timeMs: sequence,
    durableSequence: Math.floor(sequence / 2),
    epochTag: chain,
  };
}

/** A frame of records: writes have a payload, zeroes have none. */
const records = fc.array(recordShapes, { maxLength: 5 }).map((shapes): Message => {
  const valid = shapes.map((shape) => {
    if (shape.kind === 'zeroes') return { ...shape, payload: Buffer.alloc(0) };
    if (shape.kind !== 'write' || shape.payload.length > 0) return shape;
    return { ...shape, payload: Buffer.from('!') };
  });
  return {
    type: 'records',
    parts: valid.map((shape) => encodeRecord(fieldsOf(shape), shape.payload).bytes),
    says: valid.map((shape) => ({ fields: fieldsOf(shape), payload: shape.payload })),
  };
});

function readRecords(body: Buffer): unknown[] {
  const found: unknown[] = [];
  for (let at = 0; at < body.length;) {
    const check = decodeRecord(body, at);
    if (check.found !== 'record') throw new Error(`at ${at}: ${check.found}`);
    const { header, payload } = check.record;
    const { ownChain: _own, payloadChecksum: _sum, payloadLength, ...fields } = header;
    assertSame(payloadLength, payload.length);
    found.push({ fields, payload });
    at += check.record.bytes.length;
  }
  return found;
}

const pings = bytes.map((body): Message => ({ type: 'ping', parts: [body], says: body }));

const messages = fc.oneof(
  json('hello', hellos),
  json('welcome', welcomes),
  json('acknowledgement', acknowledgements),
  json('request', fc.record({ id: u64, name: text, parameters: fc.jsonValue() })),
  json('copy-end', fc.record({ asOf: u64, marks: fc.array(mark, { maxLength: 3 }) })),
  { weight: 3, arbitrary: ranges },
  { weight: 3, arbitrary: records },
  responses,
  failures,
  stops,
  pings,
);

const chunkSizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9000 })),
  {
    minLength: 1,
    maxLength: 8,
  },
);

/** The bytes of all messages, and where each one ends. */
function wireOf(sent: readonly Message[]): { wire: Buffer; ends: number[] } {
  const frames = sent.map(({ type, parts }) =>
    Buffer.concat([encodeFrameHeader(type, parts), ...parts]),
  );
  let end = 0;
  const ends = frames.map((frame) => (end += frame.length));
  return { wire: Buffer.concat(frames), ends };
}

/** The frames that come out of `wire`, in chunks of these sizes, again and again. */
function* framesOf(wire: Buffer, sizes: readonly number[]): Generator<Frame> {
  const reader = new FrameReader();
  for (let at = 0, turn = 0; at < wire.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    reader.push(wire.subarray(at, at + size));
    at += size;
    for (let frame = reader.next(); frame; frame = reader.next()) yield frame;
  }
}

function assertMessage({ type, body }: Frame, expected: Message | undefined): void {
  assertSame([type, READ[type]?.(body) ?? body], [expected?.type, expected?.says]);
}

describe('what goes over a link', () => {
  test('comes out as it went in, wherever it is cut', () => {
    const met = new Set<FrameType>();
    fc.assert(
      fc.property(plans(messages, 8), chunkSizes, (sent, sizes) => {
        let read = 0;
        for (const frame of framesOf(wireOf(sent).wire, sizes)) {
          assertMessage(frame, sent[read]);
          met.add(frame.type);
          read += 1;
        }
        assertSame(read, sent.length);
      }),
      cases(400),
    );
    // Of a copy's beginning nothing is special: its body is a record.
    assertSame(met.size, Object.keys(FRAME_TYPES).length - 1);
  });

  test('[R8] is refused where a bit of it is turned over, and read as it went before that', () => {
    fc.assert(
      fc.property(
        fc.array(messages, { minLength: 1, maxLength: 4 }),
        chunkSizes,
        fc.nat(),
        (sent, sizes, place) => {
          const { wire, ends } = wireOf(sent);
          const bit = place % (wire.length * 8);
          const at = bit >> 3;
          wire.writeUInt8(wire.readUInt8(at) ^ (1 << (bit & 7)), at);
          const whole = ends.filter((end) => end <= at).length;
          let read = 0;
          let refused: unknown;
          try {
            for (const frame of framesOf(wire, sizes)) {
              assertMessage(frame, sent[read]);
              read += 1;
            }
          } catch (error) {
            refused = (error as { code?: string }).code;
          }
          assertSame(read, whole);
          if (refused !== 'E_VERSION') assertSame(refused, 'E_PROTOCOL');
        },
      ),
      cases(400),
    );
  });
});
