/** Waiting for the secondary: who waits for what, when it is given up, and when it is taken up. */
import { describe, expect, test } from '@jest/globals';
import type { Position } from '../../src/base/position.ts';
import type { PairEntry, SetFile } from '../../src/format/set-file.ts';
import { RemoteAck } from '../../src/imageset/remote-ack.ts';
import { RcopyError } from '../../src/base/errors.ts';
import { SimulatedClock } from '../sim/clock.ts';

const TIMEOUT_MS = 5000;

/** A primary in step, its secondary at number 10. */
function primary() {
  const clock = new SimulatedClock();
  const pair = { ack: 'remote', state: 'paired' } as PairEntry;
  const state = {
    file: { role: 'primary', seal: null, pair } as SetFile,
    acknowledged: { epoch: 2, sequence: 10 } as Position,
    newest: { epoch: 2, sequence: 10 } as Position,
  };
  const ack = new RemoteAck({
    clock,
    timeoutMs: TIMEOUT_MS,
    file: () => state.file,
    acknowledged: () => state.acknowledged,
    newest: () => state.newest,
  });
  const write = (sequence: number) => (state.newest = { epoch: 2, sequence });
  const acknowledge = (sequence: number, epoch = 2) => {
    state.acknowledged = { epoch, sequence };
    ack.look();
  };
  const turn = (to: PairEntry['state']) => {
    state.file = { ...state.file, pair: { ...pair, state: to } };
    ack.look();
  };
  /** What becomes of one FLUSH. */
  const flush = (synced = Promise.resolve()) => {
    const end = { is: 'waits' };
    ack.after(synced).then(
      () => (end.is = 'ok'),
      (error: RcopyError) => (end.is = error.code),
    );
    return end;
  };
  ack.linkWanted();
  return { clock, ack, state, write, acknowledge, turn, flush };
}

describe('remote acknowledgement', () => {
  test('words that say nothing new do not put off its end', async () => {
    const { clock, ack, write, acknowledge, flush } = primary();
    ack.linkUp();
    write(12);
    const waiting = flush();
    for (let elapsedMs = 0; elapsedMs <= TIMEOUT_MS; elapsedMs += 1000) {
      acknowledge(10);
      await clock.pass(1000);
    }
    expect(waiting.is).toBe('ok');
    expect(ack.whyLocal).toMatch(/durable/);
  });

  test('a flush is answered when all before it is there, without a gap', async () => {
    const { clock, ack, write, acknowledge, flush } = primary();
    ack.linkUp();
    const before = flush();
    write(12);
    const behind = flush();
    await clock.pass(1);
    expect([before.is, behind.is]).toEqual(['ok', 'waits']);
    acknowledge(11);
    await clock.pass(1);
    expect(behind.is).toBe('waits');
    // A later epoch's provisional records prove nothing; what counts is the first gap.
    acknowledge(99, 1);
    await clock.pass(1);
    expect(behind.is).toBe('waits');
    acknowledge(12);
    await clock.pass(1);
    expect(behind.is).toBe('ok');
    expect(ack.whyLocal).toBe('');
  });

  test('[R2] not before it is durable here, though the secondary has it', async () => {
    const { clock, ack, write, acknowledge, flush } = primary();
    ack.linkUp();
    write(11);
    let synced = () => undefined as void;
    const end = flush(new Promise<void>((resolve) => (synced = resolve)));
    acknowledge(11);
    await clock.pass(10_000);
    expect(end.is).toBe('waits');
    synced();
    await clock.pass(1);
    expect(end.is).toBe('ok');
  });

  test('those who wait for the same share one wait', () => {
    const { ack, write } = primary();
    ack.linkUp();
    write(11);
    const synced = Promise.resolve();
    expect(ack.after(synced)).toBe(ack.after(synced));
    write(12);
    expect(ack.after(synced)).not.toBe(ack.after(Promise.resolve()));
  });

  test('the way of a local pair is not touched', () => {
    const { ack, state } = primary();
    ack.linkUp();
    const { pair } = state.file;
    state.file = { ...state.file, pair: pair && { ...pair, ack: 'local' } };
    const synced = Promise.resolve();
    expect(ack.after(synced)).toBe(synced);
    expect(ack.whyLocal).toBe('');
  });

  test.each(['copying', 'split', 'suspended', 'takeover'] as const)(
    'a pair that is %s answers by the local sync, and says so',
    async (to) => {
      const { clock, ack, write, turn, flush } = primary();
      ack.linkUp();
      write(11);
      const waits = flush();
      await clock.pass(1);
      turn(to);
      await clock.pass(1);
      expect([waits.is, flush().is]).toEqual(['ok', 'waits']);
      expect(ack.whyLocal).toBe(`the pair is ${to}`);
      turn('paired');
      expect(ack.whyLocal).toBe('');
    },
  );

  test('[R9] [R10] a link that is down for longer than allowed is not waited for', async () => {
    const { clock, ack, write, acknowledge, flush } = primary();
    ack.linkUp();
    write(11);
    ack.linkDown('it was cut');
    const first = flush();
    await clock.pass(TIMEOUT_MS - 1);
    expect([first.is, ack.whyLocal]).toEqual(['waits', '']);
    await clock.pass(2);
    expect([first.is, ack.whyLocal]).toEqual(['ok', 'it was cut']);
    const second = flush();
    await clock.pass(1);
    expect(second.is).toBe('ok');
    write(20);
    ack.linkUp();
    write(25);
    expect(ack.whyLocal).toBe('it was cut');
    acknowledge(19);
    expect(ack.whyLocal).toBe('it was cut');
    acknowledge(20); // all that was lacking when the link came back
    expect(ack.whyLocal).toBe('');
    const third = flush();
    await clock.pass(1);
    expect(third.is).toBe('waits');
    acknowledge(25);
    await clock.pass(1);
    expect(third.is).toBe('ok');
  });

  test('[R10] it is said also when nobody waits', async () => {
    const { clock, ack } = primary();
    ack.linkUp();
    ack.linkDown('it was cut');
    await clock.pass(TIMEOUT_MS + 1);
    expect(ack.whyLocal).toBe('it was cut');
  });

  test('[R9] a secondary that makes nothing durable is not waited for; a slow one is', async () => {
    const { clock, ack, write, acknowledge, flush } = primary();
    ack.linkUp();
    write(20);
    const end = flush();
    for (let sequence = 11; sequence < 19; sequence += 1) {
      await clock.pass(TIMEOUT_MS - 1000);
      acknowledge(sequence);
    }
    expect(end.is).toBe('waits');
    await clock.pass(TIMEOUT_MS + 1);
    expect(end.is).toBe('ok');
    expect(ack.whyLocal).toMatch(/nothing durable for 5 s/);
    acknowledge(20);
    expect(ack.whyLocal).toBe('');
  });

  // A secondary whose disk had failed greeted again and again: a flush waited for ever.
  test('[R9] a link that comes and goes is no progress', async () => {
    const { clock, ack, write, flush } = primary();
    write(11);
    ack.linkUp();
    const end = flush();
    for (let passedMs = 0; passedMs <= TIMEOUT_MS; passedMs += 250) {
      await clock.pass(200);
      ack.linkDown('it was cut');
      await clock.pass(50);
      ack.linkUp();
    }
    expect(end.is).toBe('ok');
    expect(ack.whyLocal).not.toBe('');
  });

  test('nobody waits where nobody sends', async () => {
    const { clock, ack, write, flush } = primary();
    ack.linkUp();
    write(11);
    const end = flush();
    await clock.pass(1);
    ack.linkUnwanted();
    await clock.pass(1);
    expect(end.is).toBe('ok');
    expect(ack.whyLocal).toMatch(/nothing is being sent/);
  });

  test('[R2] [R4] who waits when the set stops, or is sealed, gets an error', async () => {
    const stopped = primary();
    stopped.ack.linkUp();
    stopped.write(11);
    const end = stopped.flush();
    await stopped.clock.pass(1);
    stopped.ack.stop(new RcopyError('E_STOPPED', 'closed'));
    await stopped.clock.pass(1);
    expect([end.is, stopped.flush().is]).toEqual(['E_STOPPED', 'waits']);
    await stopped.clock.pass(10 * TIMEOUT_MS);

    const sealed = primary();
    sealed.ack.linkUp();
    sealed.write(11);
    const other = sealed.flush();
    await sealed.clock.pass(1);
    let settled = false;
    sealed.ack.settled().then(
      () => (settled = true),
      () => undefined,
    );
    await sealed.clock.pass(1);
    expect(settled).toBe(false);
    const seal = { successor: { name: 'osaka', address: '/osaka' } } as SetFile['seal'];
    sealed.state.file = { ...sealed.state.file, seal };
    sealed.ack.look();
    await sealed.clock.pass(1);
    expect([other.is, settled]).toEqual(['E_SEALED', true]);
  });
});
