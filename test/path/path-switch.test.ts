/** The switch by hand: who waits, who is answered, in which order, and what is written again. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { GIB } from '../../src/base/limits.ts';
import type { Completion, Device, DeviceRequest, Done } from '../../src/device/device.ts';
import { PathSwitch } from '../../src/path/path-switch.ts';
import { SimulatedClock } from '../sim/clock.ts';

const SIZE = 64 * 1024;

/** A set's volume that answers when it is told to. */
class HandDevice implements Device {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly seen: string[] = [];
  private readonly waiting: { request: DeviceRequest; done: Done }[] = [];

  constructor(sizeBytes = SIZE, readOnly = false) {
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
  }

  submit(request: DeviceRequest, done: Done): void {
    const place = request.kind === 'flush' ? '' : ` ${request.offset}`;
    this.seen.push(`${request.kind}${place}`);
    this.waiting.push({ request, done });
  }

  nextExtent(offset: number, end: number) {
    return { offset, length: end - offset, data: true };
  }

  /** Answers the oldest request. */
  answer(completion: Completion = { ok: true }): void {
    this.waiting.shift()?.done(completion);
  }

  /** The stream broke. */
  fail(code: 'E_UNREACHABLE' | 'E_STOPPED' | 'E_IO' = 'E_UNREACHABLE'): void {
    while (this.waiting.length > 0) this.answer({ ok: false, error: new RcopyError(code, 'gone') });
  }
}

function world({ holdMs = 1000, retainedBytes = 100_000 } = {}) {
  const clock = new SimulatedClock();
  const hosts = new PathSwitch(clock, { holdMs, retainedBytes });
  const path = hosts.export('db', SIZE);
  const device = path.forHost();
  const told: string[] = [];
  const host = (name: string, request: DeviceRequest, on = device): void =>
    on.submit(request, (completion) => {
      told.push(`${name}: ${completion.ok ? 'ok' : (completion.error as RcopyError).code}`);
    });
  const connect = (to: HandDevice): void => hosts.connect(new Map([['db', to]]));
  return { clock, hosts, path, device, told, host, connect };
}

const write = (offset: number, fua = false): DeviceRequest => {
  return { kind: 'write', offset, length: 512, data: [Buffer.alloc(512)], fua };
};
const FLUSH: DeviceRequest = { kind: 'flush' };

describe('the switch', () => {
  test('lets requests wait until there is a set, and then go in order', () => {
    const { hosts, told, host, connect } = world();
    host('one', write(0));
    host('two', write(512));
    const set = new HandDevice();
    connect(set);
    expect(set.seen).toEqual([]);
    hosts.release();
    host('three', write(1024));
    expect(set.seen).toEqual(['write 0', 'write 512', 'write 1024']);
    set.answer({ ok: true, sequence: 1 });
    expect(told).toEqual(['one: ok']);
  });

  test('holds: what is under way is answered, what comes waits', async () => {
    const { clock, hosts, told, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    let held = false;
    void hosts.hold().then(() => {
      held = true;
    });
    host('two', write(512));
    await clock.pass(100);
    expect([held, set.seen]).toEqual([false, ['write 0']]);
    set.answer({ ok: true, sequence: 1 });
    await clock.pass(0);
    expect([held, told]).toEqual([true, ['one: ok']]);
    hosts.release();
    expect(set.seen).toEqual(['write 0', 'write 512']);
    expect(hosts.lastPauseMs).toBe(100);
  });

  test('sends again, first and in their order, what got no answer; each is answered once', () => {
    const { hosts, told, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    for (const [name, offset] of [
      ['one', 0],
      ['two', 512],
      ['three', 1024],
    ] as const) {
      host(name, write(offset));
    }
    set.answer({ ok: true, sequence: 1 });
    set.fail();
    hosts.lose();
    host('four', write(2048));
    const other = new HandDevice();
    connect(other);
    hosts.release();
    expect(other.seen).toEqual(['write 512', 'write 1024', 'write 2048']);
    for (const sequence of [2, 3, 4]) other.answer({ ok: true, sequence });
    expect(told).toEqual(['one: ok', 'two: ok', 'three: ok', 'four: ok']);
  });

  test('passes on a real error, but never that a set is leaving', () => {
    const { hosts, told, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    let asides = 0;
    hosts.onSetAside = () => {
      asides += 1;
    };
    host('one', write(0));
    set.fail('E_IO');
    host('two', write(512));
    set.fail('E_STOPPED');
    host('three', write(1024));
    expect([told, asides, set.seen.length, hosts.state]).toEqual([['one: E_IO'], 1, 2, 'holding']);
  });

  test('gives up a request that waited for the hold limit, and it is never sent', async () => {
    const { clock, hosts, told, host, connect } = world({ holdMs: 1000 });
    host('one', write(0));
    await clock.pass(600);
    host('two', write(512));
    await clock.pass(500);
    expect(told).toEqual(['one: E_TIMEOUT']);
    const set = new HandDevice();
    connect(set);
    hosts.release();
    expect(set.seen).toEqual(['write 512']);
    expect(hosts.longestWaitMs).toBe(500);
  });

  test('[R9] counts all that a request waited, however often a set came and went', async () => {
    const { clock, hosts, told, host, connect } = world({ holdMs: 1000 });
    host('one', write(0));
    for (let round = 0; round < 2; round += 1) {
      await clock.pass(400);
      const set = new HandDevice();
      connect(set);
      hosts.release();
      await clock.pass(10_000); // a set may take its time
      set.fail();
      hosts.lose();
    }
    await clock.pass(150);
    expect(told).toEqual([]);
    await clock.pass(100);
    expect(told).toEqual(['one: E_TIMEOUT']);
  });

  test('[R1] calls nothing a hole before all that was lost is written again', async () => {
    const { hosts, device, connect } = world();
    const hole = { offset: 0, length: SIZE, data: false };
    const set = Object.assign(new HandDevice(), { allocation: async () => [hole] });
    connect(set);
    expect(await device.allocation?.(0, SIZE)).toEqual([{ ...hole, data: true }]);
    hosts.release();
    expect(await device.allocation?.(0, SIZE)).toEqual([hole]);
    void hosts.hold();
    expect(await device.allocation?.(0, SIZE)).toEqual([{ ...hole, data: true }]);
  });

  test('refuses a set that offers less than hosts were promised', () => {
    const { connect } = world();
    expect(() => connect(new HandDevice(SIZE / 2))).toThrow(/has 32768 bytes: hosts were promised/);
    expect(() => connect(new HandDevice(SIZE, true))).toThrow(/is read-only/);
  });
});

describe('[R2] answered writes', () => {
  test('are written again one volume after the other where they alternate', async () => {
    const clock = new SimulatedClock();
    const hosts = new PathSwitch(clock, { holdMs: 1000, retainedBytes: 100_000 });
    const seen: string[] = [];
    const volumes = ['db', 'log'].map((name) => hosts.export(name, SIZE));
    let sequence = 0;
    const devices = () =>
      new Map(
        ['db', 'log'].map((name) => [
          name,
          {
            sizeBytes: SIZE,
            readOnly: false,
            nextExtent: (offset: number, end: number) => ({
              offset,
              length: end - offset,
              data: true,
            }),
            submit: (request: DeviceRequest, done: Done) => {
              seen.push(`${name} ${request.kind === 'write' ? request.offset : ''}`);
              sequence += 1;
              const answer = { ok: true, sequence } as const;
              clock.after(name === 'db' ? 5 : 1, () => done(answer));
            },
          },
        ]),
      );
    hosts.connect(devices());
    hosts.release();
    for (const [volume, offset] of [
      [0, 0],
      [1, 512],
      [0, 1024],
    ] as const) {
      volumes[volume]?.forHost().submit(write(offset), () => undefined);
      await clock.pass(10);
    }
    hosts.lose();
    hosts.connect(devices());
    seen.length = 0;
    expect(hosts.lostAbove(0)).toEqual([1, 2, 3]);
    const replayed = hosts.replay(3);
    expect(seen).toEqual(['db 0']);
    await clock.pass(20);
    await replayed;
    expect(seen).toEqual(['db 0', 'log 512', 'db 1024']);
    expect(hosts.lost).toEqual([]);
  });

  test('that were taken again without an answer get no higher numbers than were given', () => {
    const { hosts, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    for (const sequence of [60, 70, 80]) {
      host(`write ${sequence}`, write(sequence * 512));
      set.answer({ ok: true, sequence });
    }
    hosts.lose();
    connect(set);
    expect(hosts.lostAbove(50)).toEqual([60, 70, 80]);
    // Two came through, and whatever others write again now comes behind number 52.
    hosts.noteReplayed(2, 52);
    expect(hosts.lost).toEqual([80]);
    hosts.lose();
    connect(set);
    expect(hosts.lostAbove(50)).toEqual([51, 52, 80]);
  });

  test('that were taken again without an answer are told of when a takeover loses them', () => {
    const { hosts, told, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    set.answer({ ok: true, sequence: 60 });
    hosts.lose();
    connect(set);
    hosts.lostAbove(50);
    hosts.noteReplayed(1, 51);
    hosts.settle(51);
    hosts.release();
    hosts.lose();
    connect(set);
    hosts.noteHistoryEnd(50);
    hosts.release();
    host('flush', FLUSH);
    set.answer();
    expect(told).toEqual(['one: ok', 'flush: E_IO']);
  });

  test('are kept only until a flush that began behind them is answered', () => {
    const { hosts, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    set.answer({ ok: true, sequence: 7 });
    host('flush', FLUSH);
    host('two', write(512));
    expect(hosts.retainedWrites).toBe(1);
    set.answer();
    expect(hosts.retainedWrites).toBe(0);
    set.answer({ ok: true, sequence: 8 });
    expect(hosts.retainedWrites).toBe(1);
    host('through', write(1024, true));
    set.answer({ ok: true, sequence: 9 });
    expect(hosts.retainedWrites).toBe(0);
  });

  test('[R9] are bounded: a flush is asked for, and writes wait for it, reads do not', () => {
    const { hosts, told, host, connect } = world({ retainedBytes: 700 });
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    set.answer({ ok: true, sequence: 1 });
    host('two', write(512));
    host('read', { kind: 'read', offset: 0, length: 512 });
    expect(set.seen).toEqual(['write 0', 'flush', 'read 0']);
    set.answer();
    expect(set.seen.at(-1)).toBe('write 512');
    set.answer({ ok: true, data: [Buffer.alloc(512)] });
    set.answer({ ok: true, sequence: 2 });
    expect(told).toEqual(['one: ok', 'read: ok', 'two: ok']);
  });

  test('that are longer than one NBD request says are kept piece by piece', () => {
    const clock = new SimulatedClock();
    const hosts = new PathSwitch(clock, { holdMs: 1000, retainedBytes: 100_000 });
    const sizeBytes = 4 * GIB;
    const device = hosts.export('db', sizeBytes).forHost();
    const set = new HandDevice(sizeBytes);
    hosts.connect(new Map([['db', set]]));
    hosts.release();
    const told: boolean[] = [];
    const zeroes = { kind: 'zeroes', offset: 512, length: 3 * GIB, fua: false, mayFree: true };
    device.submit(zeroes as DeviceRequest, ({ ok }) => told.push(ok));
    expect(set.seen).toEqual(['zeroes 512', `zeroes ${GIB + 512}`, `zeroes ${2 * GIB + 512}`]);
    for (const sequence of [1, 2]) set.answer({ ok: true, sequence });
    expect([told, hosts.retainedWrites]).toEqual([[], 2]);
    set.answer({ ok: true, sequence: 3 });
    expect([told, hosts.retainedWrites]).toEqual([[true], 3]);
  });

  test('of a new reign are not covered by a flush that began in the one before', () => {
    const { hosts, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    set.answer({ ok: true, sequence: 100 });
    host('flush', FLUSH);
    set.fail();
    hosts.lose();
    const other = new HandDevice();
    connect(other);
    hosts.lostAbove(50);
    hosts.abandonLost();
    hosts.release();
    host('two', write(512));
    expect(other.seen).toEqual(['flush', 'write 512']);
    other.answer();
    other.answer({ ok: true, sequence: 51 });
    expect(hosts.retainedWrites).toBe(1);
  });

  test('[R9] that are durable by a write-through let those go on who waited for room', () => {
    const { hosts, told, host, connect } = world({ retainedBytes: 700 });
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    host('through', write(1024, true));
    set.answer({ ok: true, sequence: 1 });
    host('two', write(512));
    expect(set.seen).toEqual(['write 0', 'write 1024', 'flush']);
    set.answer({ ok: true, sequence: 2 });
    expect(set.seen.at(-1)).toBe('write 512');
    set.answer();
    set.answer({ ok: true, sequence: 3 });
    expect(told).toEqual(['one: ok', 'through: ok', 'two: ok']);
  });

  test('that are lost for good are told to each connection, by one flush', () => {
    const { hosts, path, told, host, connect } = world();
    const set = new HandDevice();
    connect(set);
    hosts.release();
    host('one', write(0));
    set.answer({ ok: true, sequence: 1 });
    const before = path.forHost();
    hosts.lose();
    connect(set);
    hosts.lostAbove(0);
    hosts.abandonLost();
    hosts.release();
    const later = path.forHost();
    for (const [name, on] of [
      ['a', undefined],
      ['a', undefined],
      ['b', before],
      ['c', later],
    ] as const) {
      host(name, FLUSH, on);
      set.answer();
    }
    expect(told.slice(1)).toEqual(['a: E_IO', 'a: ok', 'b: E_IO', 'c: ok']);
  });
});
