/** What frames say: round trips, and refusal of what no peer of ours would send. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
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

const HELLO = {
  purpose: 'replicate',
  setId: '0a'.repeat(16),
  groupId: '0b'.repeat(16),
  name: 'tokyo',
  address: './tokyo',
  bootId: '1',
  link: 1,
  pairId: '0c'.repeat(16),
  run: {
    epoch: 1,
    id: '0d'.repeat(16),
    writer: '0a'.repeat(16),
    first: 1,
    next: 7,
    sealed: false,
  },
  parentSeal: null,
  carrierSeal: null,
};

const WELCOME = {
  setId: '0e'.repeat(16),
  name: 'kyoto',
  bootId: '2',
  usable: true,
  epochs: [{ epoch: 1, id: '0d'.repeat(16), next: 7, chain: 4, durable: 6, sealed: false }],
  copy: {
    base: { epoch: 1, sequence: 3, chain: 9 },
    volume: 0,
    offset: 4096,
    asOf: 3,
    complete: false,
  },
};

const ACKNOWLEDGEMENT = {
  epochs: [{ epoch: 1, durable: 6, sealed: false }],
  restored: { epoch: 1, sequence: 5 },
  usable: true,
  copy: null,
  consumedBytes: 77,
};

/** Every way to spoil one field of a message, nested ones too. */
function* spoiled(value: unknown, path = ''): Generator<[path: string, spoiled: unknown]> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const [where, bad] of spoiled(item, `${path}[${index}]`)) {
        yield [where, value.with(index, bad)];
      }
    }
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, field] of Object.entries(value)) {
    const where = `${path}.${key}`;
    yield [`${where} missing`, { ...value, [key]: undefined }];
    if (typeof field === 'number') {
      for (const bad of [-1, 1.5, '7', null]) yield [`${where}=${bad}`, { ...value, [key]: bad }];
    } else if (field !== null) yield [`${where} is a number`, { ...value, [key]: 7 }];
    for (const [deeper, bad] of spoiled(field, where)) yield [deeper, { ...value, [key]: bad }];
  }
  yield [`${path} has more`, { ...value, unknown: 1 }];
}

describe('messages', () => {
  test.each([
    ['hello', HELLO, decodeHello],
    ['welcome', WELCOME, decodeWelcome],
    ['acknowledgement', ACKNOWLEDGEMENT, decodeAcknowledgement],
    ['request', { id: 1, name: 'read', parameters: { volume: 0 } }, decodeRequest],
    ['copy end', { asOf: 5, marks: [{ name: 'noon', epoch: 1, sequence: 4 }] }, decodeCopyEnd],
  ])('%s comes back as it went; with any field spoiled it is refused', (_, message, decode) => {
    expect(decode(encodeJson(message))).toEqual(message);
    let refused = 0;
    for (const [where, bad] of spoiled(message)) {
      if (where.startsWith('.parameters')) continue; // checked by who answers
      const attempt = () => decode(encodeJson(bad));
      expect(attempt).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
      refused += 1;
    }
    expect(refused).toBeGreaterThan(2);
    expect(() => decode(Buffer.from('{'))).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
  });

  test('a range of data and one of hole', () => {
    const head = { volume: 2, offset: 4096, length: 5, asOf: 2 ** 40 };
    const data = Buffer.from('bytes');
    const whole = Buffer.concat([encodeRangeHead({ ...head, hole: false }), data]);
    expect(decodeRange(whole)).toEqual({ ...head, data });
    expect(decodeRange(encodeRangeHead({ ...head, hole: true }))).toEqual({
      ...head,
      data: undefined,
    });
    expect(() => decodeRange(whole.subarray(0, -1))).toThrow(/ends too early/);
    expect(() => decodeRange(Buffer.concat([whole, data]))).toThrow(/too many/);
  });

  test('an answer with bytes, one without, and one that failed', () => {
    const read = (parts: readonly Uint8Array[]) => decodeResponse(Buffer.concat(parts));
    const data = Buffer.from('abc');
    expect(read(encodeResponse(7, { a: 1 }, data))).toEqual({
      id: 7,
      ok: true,
      value: { a: 1 },
      data,
    });
    expect(read(encodeResponse(8, undefined))).toMatchObject({ id: 8, ok: true, value: null });
    const failed = read(encodeFailure(9, new RcopyError('E_SEALED', 'no', { hint: 'go' })));
    expect(failed).toMatchObject({ id: 9, ok: false, error: { code: 'E_SEALED', hint: 'go' } });
  });

  test('why a side stops keeps its code, message and hint', () => {
    const error = decodeStop(encodeStop(new RcopyError('E_SPLIT_BRAIN', 'two', { hint: 'look' })));
    expect(error).toMatchObject({ code: 'E_SPLIT_BRAIN', message: 'two', hint: 'look' });
    expect(decodeStop(encodeStop(new Error('a bug')))).toMatchObject({ code: 'E_INTERNAL' });
  });
});
