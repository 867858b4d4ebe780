// The server's side of the handshake, alone: bytes in, replies and an outcome out.
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { RcopyError } from '../../src/base/errors.ts';
import { ServerHandshake } from '../../src/nbd/handshake.ts';
import type { Outcome } from '../../src/nbd/handshake.ts';
import type { NbdExport } from '../../src/nbd/exports.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { STRUCTURED, counted, go, metaContext, option, wire } from '../support/nbd-hand.ts';
import { cases } from '../support/properties.ts';

const SIZE = 0x1_0000_0200;

/** A device that is only a size. */
function sized(sizeBytes: number, readOnly = false) {
  const device = Object.assign(new MemoryDevice(0), { readOnly });
  return Object.defineProperty(device, 'sizeBytes', { value: sizeBytes });
}

const DB: NbdExport = { name: 'db', description: 'orders', device: sized(SIZE) };
const SEEN: NbdExport = { name: 'été', description: '', device: sized(512, true) };

const EXPORTS = {
  list: () => [DB, SEEN],
  find: (name: string) => {
    if (name === 'sealed') {
      return new RcopyError('E_SEALED', 'tokyo handed over', { hint: 'use osaka' });
    }
    if (name === 'late') return new RcopyError('E_STOPPED', 'it is stopping');
    return [DB, SEEN].find((found) => found.name === (name || 'db'));
  },
};

interface Heard {
  readonly reply: Buffer;
  readonly outcome: Outcome | undefined;
  readonly rest: Buffer;
}

/** Everything that the machine has to say to these bytes, given to it in such pieces. */
function say(bytes: Buffer, pieceBytes = bytes.length, machine = new ServerHandshake(EXPORTS)) {
  const replies: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    let piece = bytes.subarray(at, at + pieceBytes);
    while (piece.length > 0) {
      const step = machine.take(piece);
      replies.push(step.reply);
      piece = step.rest;
      if (!step.outcome) continue;
      const rest = Buffer.concat([piece, bytes.subarray(at + pieceBytes)]);
      return { reply: Buffer.concat(replies), outcome: step.outcome, rest };
    }
  }
  return { reply: Buffer.concat(replies), outcome: undefined, rest: Buffer.alloc(0) };
}

/** What is said to options of a client in fixed newstyle without zeroes. */
function ask(...options: readonly Buffer[]): Heard {
  return say(wire(3, ...options));
}

interface Told {
  readonly option: number;
  readonly type: number;
  readonly text: string;
}

/** Option replies taken apart. */
function told({ reply }: Heard): Told[] {
  const found: Told[] = [];
  for (let at = 0; at < reply.length;) {
    expect(reply.readBigUInt64BE(at)).toBe(0x3e889045565a9n);
    const length = reply.readUInt32BE(at + 16);
    const text = reply.toString('utf8', at + 20, at + 20 + length);
    found.push({ option: reply.readUInt32BE(at + 8), type: reply.readUInt32BE(at + 12), text });
    at += 20 + length;
  }
  return found;
}

const ACK = 1;
const UNSUP = 0x8000_0001;
const POLICY = 0x8000_0002;
const INVALID = 0x8000_0003;
const UNKNOWN = 0x8000_0006;
const SHUTDOWN = 0x8000_0007;
const TOO_BIG = 0x8000_0009;

const REPLY = Buffer.from('0003e889045565a9', 'hex');
/** HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO. */
const FLAGS = 0xd6d;
const DF = 0x80;

describe('the way in', () => {
  test('the greeting is fixed newstyle, and offers to leave out zeroes', () => {
    const greeting = new ServerHandshake(EXPORTS).greeting();
    expect(greeting.equals(wire('NBDMAGIC', 'IHAVEOPT', [2, 3]))).toBe(true);
  });

  test('GO in golden bytes: infos, then an acknowledgement, and no zeroes behind it', () => {
    const { reply, outcome } = ask(go('db'));
    const golden = wire(
      ...[REPLY, 7, 3, 12, [2, 0] as const, [8, SIZE] as const, [2, FLAGS] as const],
      ...[REPLY, 7, 3, 14, [2, 3] as const, 1, 4096, 32 * 1024 * 1024],
      ...[REPLY, 7, 1, 0],
    );
    expect(reply.toString('hex')).toBe(golden.toString('hex'));
    expect(outcome).toEqual({
      kind: 'transmission',
      session: {
        export: DB,
        readOnly: false,
        structured: false,
        allocation: false,
        numbered: false,
      },
    });
  });

  test('INFO says the same, and goes on', () => {
    const heard = ask(go('db', 6), go('', 6));
    expect(heard.outcome).toBeUndefined();
    expect(told(heard).map(({ option: of, type }) => [of, type])).toEqual(
      [3, 3, ACK, 3, 3, ACK].map((type) => [6, type]),
    );
  });

  test('name and description are told when asked for, under the real name', () => {
    const infos = told(ask(go('', 7, [1, 2, 77]))).map(({ type, text }) => [type, text.slice(2)]);
    expect(infos).toContainEqual([3, 'db']);
    expect(infos).toContainEqual([3, 'orders']);
    expect(infos.length).toBe(5);
    const silent = told(ask(go('été', 7, [1, 2]))).map(({ text }) => text.slice(2));
    expect(silent).toContain('été');
    expect(silent.length).toBe(4);
  });

  test.each([
    ['with', 1, 124],
    ['without', 3, 0],
  ])('EXPORT_NAME in golden bytes, %s zeroes', (_with, flags, zeroes) => {
    const { reply, outcome, rest } = say(wire(flags, option(1, wire('db')), 'next'));
    expect(reply.equals(wire([8, SIZE], [2, FLAGS], Buffer.alloc(zeroes)))).toBe(true);
    expect(outcome?.kind).toBe('transmission');
    expect(rest.toString()).toBe('next');
  });

  test('EXPORT_NAME is all that a client without fixed newstyle may say', () => {
    expect(say(wire(0, option(1))).outcome?.kind).toBe('transmission');
    expect(say(wire(0, option(3))).outcome?.kind).toBe('end');
    expect(say(wire(2, option(1))).reply.length).toBe(10);
  });

  test('a read-only device is told as one that cannot be written in any way', () => {
    const { reply, outcome } = ask(go('été'));
    expect(reply.readUInt16BE(4 + 16 + 2 + 8)).toBe(0x1 | 0x2 | 0x100 | 0x400);
    expect(outcome).toMatchObject({ session: { readOnly: true } });
  });

  test('what follows is left for the transmission', () => {
    expect(ask(go('db'), wire('request')).rest.toString()).toBe('request');
  });
});

describe('options', () => {
  test('LIST tells every export with its description', () => {
    const heard = told(ask(option(3)));
    expect(heard.map(({ type, text }) => [type, text.slice(4)])).toEqual([
      [2, 'dborders'],
      [2, 'été'],
      [ACK, ''],
    ]);
    expect(told(ask(option(3, wire('x'))))).toMatchObject([{ option: 3, type: INVALID }]);
  });

  test('ABORT is acknowledged, then it ends', () => {
    const heard = ask(option(2), option(3));
    expect(told(heard)).toEqual([{ option: 2, type: ACK, text: '' }]);
    expect(heard.outcome).toEqual({ kind: 'end', reason: undefined });
  });

  test('structured replies are agreed on, and then data need not be in one piece', () => {
    const heard = ask(STRUCTURED, go('db'));
    expect(told(heard)[0]).toMatchObject({ option: 8, type: ACK });
    expect(heard.outcome).toMatchObject({ session: { structured: true } });
    expect(heard.reply.readUInt16BE(20 + 20 + 2 + 8)).toBe(FLAGS | DF);
    expect(told(ask(option(8, wire('x')), go('db')))[0]).toMatchObject({ type: INVALID });
  });

  test.each([
    ['STARTTLS', 5],
    ['EXTENDED_HEADERS', 11],
    ['one of nobody', 4711],
  ])('%s is unsupported, its data is swallowed', (_name, type) => {
    const heard = ask(option(type, Buffer.alloc(1000, 'IHAVEOPT')), option(8));
    expect(told(heard)).toMatchObject([
      { option: type, type: UNSUP },
      { option: 8, type: ACK },
    ]);
  });

  test('one that is too long is refused and skipped, whatever its length', () => {
    const long = Buffer.alloc(64 * 1024 + 1, 'IHAVEOPT');
    const heard = say(wire(3, option(7, long), option(8)), 10_000);
    expect(told(heard)).toMatchObject([
      { option: 7, type: TOO_BIG },
      { option: 8, type: ACK },
    ]);
    const huge = say(wire(3, 'IHAVEOPT', 3, 0xffff_ffff, Buffer.alloc(100)));
    expect(told(huge)).toMatchObject([{ option: 3, type: TOO_BIG }]);
    expect(huge.outcome).toBeUndefined();
    expect(say(wire(3, 'IHAVEOPT', 1, 0xffff_ffff)).outcome?.kind).toBe('end');
  });

  test.each([
    ['one that is not there', 'nothing', UNKNOWN, 'there is no export "nothing"'],
    ['one that may not be used', 'sealed', POLICY, 'tokyo handed over; use osaka'],
    ['one that goes', 'late', SHUTDOWN, 'it is stopping'],
  ])('an export is refused, and it goes on: %s', (_why, name, type, text) => {
    const heard = ask(STRUCTURED, go(name), go(name, 6), metaContext(name, []), go('db'));
    expect(told(heard).slice(1, 4)).toEqual([
      { option: 7, type, text },
      { option: 6, type, text },
      { option: 10, type, text },
    ]);
    expect(heard.outcome?.kind).toBe('transmission');
    expect(ask(option(1, wire(name)))).toMatchObject({
      reply: Buffer.alloc(0),
      outcome: { kind: 'end' },
    });
  });

  test.each([
    ['without a name', option(7)],
    ['that ends in its name', option(7, wire(10, 'db'))],
    ['that lacks an info', option(7, wire(counted('db'), [2, 2], [2, 0]))],
    ['with too much', option(7, wire(counted('db'), [2, 0], 'x'))],
    ['with a name that is too long', go('x'.repeat(4097))],
    ['with a name that is no text', option(7, wire(2, Buffer.from([0xc3, 0x28]), [2, 0]))],
  ])('a malformed one is invalid, and it goes on: %s', (_how, malformed) => {
    const heard = ask(malformed, go('db'));
    expect(told(heard)[0]).toMatchObject({ option: 7, type: INVALID });
    expect(heard.outcome?.kind).toBe('transmission');
  });

  test('a name of 4096 bytes is only unknown', () => {
    expect(told(ask(go('x'.repeat(4096))))).toMatchObject([{ type: UNKNOWN }]);
  });

  test.each([
    ['unknown flags', wire(4)],
    ['all flags', wire(0xffff_ffff)],
    ['no magic', wire(3, 'IHAVEOPX', 3, 0)],
  ])('it ends with %s', (_what, bytes) => {
    expect(say(bytes)).toMatchObject({
      reply: Buffer.alloc(0),
      outcome: { kind: 'end', reason: expect.any(String) },
    });
  });
});

describe('metadata contexts', () => {
  const ALLOCATION = 'base:allocation';

  /** Whether block status is agreed on after these options and GO for db. */
  function agreed(...options: readonly Buffer[]): boolean {
    const { outcome } = ask(...options, go('db'));
    return outcome?.kind === 'transmission' && outcome.session.allocation;
  }

  test('need structured replies first', () => {
    for (const type of [9, 10]) {
      expect(told(ask(metaContext('db', [ALLOCATION], type)))).toMatchObject([
        { option: type, type: INVALID },
      ]);
    }
  });

  test.each([
    [[], true],
    [['base:'], true],
    [[ALLOCATION], true],
    [['qemu:', ALLOCATION], true],
    [['qemu:'], false],
    [['base:other'], false],
  ])('listed for %j: %s', (queries, listed) => {
    const heard = told(ask(STRUCTURED, metaContext('db', queries, 9))).slice(1);
    const context = { option: 9, type: 4, text: `\0\0\0\0${ALLOCATION}` };
    expect(heard).toEqual([...(listed ? [context] : []), { option: 9, type: ACK, text: '' }]);
    expect(agreed(STRUCTURED, metaContext('db', queries, 9))).toBe(false);
  });

  test.each([
    [[ALLOCATION], true],
    [['qemu:dirty-bitmap:b', ALLOCATION, ALLOCATION], true],
    [[], false],
    [['base:'], false],
  ])('set by %j: %s', (queries, set) => {
    const heard = told(ask(STRUCTURED, metaContext('db', queries))).slice(1);
    const context = { option: 10, type: 4, text: `\0\0\0\x01${ALLOCATION}` };
    expect(heard).toEqual([...(set ? [context] : []), { option: 10, type: ACK, text: '' }]);
    expect(agreed(STRUCTURED, metaContext('db', queries))).toBe(set);
  });

  const set = metaContext('db', [ALLOCATION]);

  test('setting again replaces, also when it fails', () => {
    expect(agreed(STRUCTURED, set)).toBe(true);
    expect(agreed(STRUCTURED, set, metaContext('db', []))).toBe(false);
    expect(agreed(STRUCTURED, set, metaContext('nothing', [ALLOCATION]))).toBe(false);
    expect(agreed(STRUCTURED, set, option(10, wire('rubbish')))).toBe(false);
    expect(agreed(STRUCTURED, set, metaContext('db', ['nonsense']))).toBe(false);
    expect(agreed(STRUCTURED, set, option(10, Buffer.alloc(70_000)))).toBe(false);
    expect(agreed(STRUCTURED, set, metaContext('db', [], 9))).toBe(true);
    expect(agreed(STRUCTURED, metaContext('db', []), set)).toBe(true);
  });

  test('one set for another name is none', () => {
    expect(agreed(STRUCTURED, metaContext('été', [ALLOCATION]))).toBe(false);
    expect(agreed(STRUCTURED, metaContext('', [ALLOCATION]))).toBe(false);
  });

  test('a query without a namespace is invalid', () => {
    expect(told(ask(STRUCTURED, metaContext('db', ['nonsense'])))[1]).toMatchObject({
      type: INVALID,
    });
  });
});

describe('pieces', () => {
  const WHOLE = wire(
    3,
    option(99, Buffer.alloc(300)),
    STRUCTURED,
    option(3),
    metaContext('db', ['base:allocation']),
    go('nothing'),
    go('db', 7, [1, 2]),
    'and what follows',
  );

  test('of any size lead to the same', () => {
    const whole = say(WHOLE);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: WHOLE.length }), (pieceBytes) => {
        expect(say(WHOLE, pieceBytes)).toEqual(whole);
      }),
      cases(100),
    );
  });

  test('an option at a time: the next one waits for its caller', () => {
    const machine = new ServerHandshake(EXPORTS);
    const first = machine.take(wire(3, option(3), option(3)));
    const second = machine.take(first.rest);
    expect(first.rest.length).toBe(16);
    expect(second.reply.equals(first.reply)).toBe(true);
    expect(second.rest.length).toBe(0);
  });
});
