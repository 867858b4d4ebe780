/** Pairs with remote acknowledgement: what a flush promises, and when it promises less. */
import { describe, expect, test } from '@jest/globals';
import { ACK_TIMEOUT_MS_DEFAULT, LINK_BEAT_MS, LINK_SILENT_BEATS } from '../../src/base/limits.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { TINY_JOURNAL, difference, peekAll, requestOf, write } from '../support/image-sets.ts';
import { Network } from '../support/network.ts';
import { A, B, C, MIGRATE, Sites } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

async function remotely(options: SitesOptions = {}) {
  const sites = new Sites({ daemons: {}, syncMs: 1, ...options });
  const network = new Network(sites);
  const a = await sites.create(A);
  const c = await sites.create(C);
  await sites.drive(a.createPair({ secondary: C, ack: 'remote' }));
  await sites.clock.run(() => a.set.file.pair?.state === 'paired');
  return { sites, network, a, c };
}

/** What becomes of a flush that is not waited for. */
function flush(node: StorageNode): { is: string } {
  const end = { is: 'waits' };
  node.set.volumes[0]?.submit({ kind: 'flush' }, (completion) => {
    end.is = completion.ok ? 'ok' : ((completion.error as { code?: string }).code ?? 'failed');
  });
  return end;
}

const ackOf = (node: StorageNode) => {
  const { ack, ackDegraded, ackReason } = node.status().pair ?? {};
  return { ack, ackDegraded, ackReason };
};
const FULL = { ack: 'remote', ackDegraded: false, ackReason: '' };

describe('a pair with --ack remote', () => {
  test.each([1, 2, 3, 4, 5, 6])(
    '[R2] after an answered flush A may die for good: C has all of it (seed %d)',
    async (seed) => {
      const { sites, network, a, c } = await remotely({ seed });
      const { random } = sites;
      network.change({ delayMs: random.below(40) });
      for (let id = 0; id < 12; id += 1) {
        await sites.write(A, write(0, random.below(20) * 512, 1 + random.below(5000), id));
        if (random.below(3) > 0) continue;
        await sites.flush(A);
        // Without a gap, and durable: also if C dies in the same moment.
        const flushed = a.set.newest;
        expect(c.set.ownRun()?.durable).toBeGreaterThanOrEqual(flushed);
      }
      await sites.flush(A);
      const flushed = a.set.newest;
      expect(ackOf(a)).toEqual(FULL);
      await sites.write(A, write(0, 0, 700, 99)); // not flushed: it may be lost
      await sites.crash(C, 'lose');
      await sites.crash(A, 'lose');
      sites.away.add(A);
      const again = await sites.open(C);
      const taken = await sites.drive(again.takeOver({ force: true }));
      expect(taken.sequence).toBeGreaterThanOrEqual(flushed);
      expect(
        difference(peekAll(again.set), sites.model.after(taken.sequence) ?? []),
      ).toBeUndefined();
    },
  );

  test('FUA waits as well, other writes do not', async () => {
    const { sites, network, a } = await remotely();
    network.change({ delayMs: 100 });
    const ends: string[] = [];
    for (const fua of [false, true]) {
      const data = [Buffer.alloc(512, 1)];
      a.set.volumes[0]?.submit({ kind: 'write', offset: 0, length: 512, data, fua }, ({ ok }) =>
        ends.push(`${fua ? 'fua' : 'plain'} ${ok ? 'ok' : 'failed'}`),
      );
    }
    await sites.clock.pass(150);
    expect(ends).toEqual(['plain ok']);
    await sites.clock.pass(150);
    expect(ends).toEqual(['plain ok', 'fua ok']);
    await sites.closeAll();
  });

  test('[R9] [R10] degrades when the link is down for longer, and returns', async () => {
    const { sites, network, a, c } = await remotely();
    await sites.write(A, write(0, 0, 3000, 1));
    await sites.flush(A);
    expect(ackOf(a)).toEqual(FULL);
    expect(c.status().pair).toMatchObject({ ack: 'remote' });
    sites.leaveAlone(C);
    await sites.write(A, write(0, 0, 3000, 2));
    const first = flush(a);
    await sites.clock.pass(ACK_TIMEOUT_MS_DEFAULT - 1000);
    expect(first.is).toBe('waits');
    await sites.clock.pass(2000);
    expect(first.is).toBe('ok');
    expect(ackOf(a)).toMatchObject({ ack: 'remote', ackDegraded: true });
    expect(a.status().pair?.ackReason).not.toBe('');
    const second = flush(a);
    await sites.clock.pass(5);
    expect(second.is).toBe('ok');
    sites.away.delete(C);
    await sites.clock.run(() => a.status().pair?.ackDegraded === false);
    expect(c.set.ownRun()?.durable).toBe(a.set.newest);
    network.change({ blackHole: true });
    await sites.write(A, write(0, 0, 3000, 3));
    const third = flush(a);
    await sites.clock.pass(ACK_TIMEOUT_MS_DEFAULT + 1000);
    expect(third.is).toBe('ok');
    expect(a.status().health.healthy).toBe(false);
    await sites.clock.pass(LINK_BEAT_MS * LINK_SILENT_BEATS);
    expect(a.status()).toMatchObject({
      pair: { ackDegraded: true },
      health: { word: 'link down' },
    });
    network.fair();
    await sites.clock.run(() => a.status().pair?.ackDegraded === false);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    await sites.closeAll();
  });

  test('a short cut is waited out: no flush is answered before it is there', async () => {
    const { sites, network, a, c } = await remotely();
    for (let id = 0; id < 20; id += 1) {
      await sites.write(A, write(0, 0, 2000, id));
      const end = flush(a);
      network.cut();
      await sites.clock.run(() => end.is !== 'waits');
      expect(end.is).toBe('ok');
      expect(c.set.ownRun()?.durable).toBe(a.set.newest);
      expect(ackOf(a)).toEqual(FULL);
    }
    await sites.closeAll();
  });

  test('[R2] who waits when the daemon stops gets an error, not an answer', async () => {
    const { sites, a } = await remotely();
    sites.leaveAlone(C);
    await sites.write(A, write(0, 0, 2000, 1));
    const end = flush(a);
    await sites.clock.pass(100);
    await sites.close(A);
    expect(end.is).toBe('E_STOPPED');
    await sites.closeAll();
  });

  test('a split and a full journal answer locally, and say so', async () => {
    const { sites, a } = await remotely({ journal: TINY_JOURNAL });
    await sites.drive(a.splitPair());
    await sites.write(A, write(0, 0, 2000, 1));
    await sites.flush(A);
    expect(ackOf(a)).toMatchObject({ ackDegraded: true, ackReason: 'the pair is split' });
    await sites.drive(a.resyncPair());
    await sites.clock.run(() => a.status().pair?.ackDegraded === false);
    await sites.keepByMap(A);
    sites.leaveAlone(C);
    await sites.writeMuch(A);
    expect(ackOf(a)).toMatchObject({ ackDegraded: true, ackReason: 'the pair is suspended' });
    await sites.flush(A);
    await sites.closeAll();
  });

  test('the pair takes another way to acknowledge when it is made again', async () => {
    const { sites, a, c } = await remotely();
    const again = await sites.drive(a.createPair({ secondary: C }));
    expect(again).toMatchObject({ changed: false, pair: { ack: 'remote' } });
    const changed = await sites.drive(a.createPair({ secondary: C, ack: 'local' }));
    expect(changed).toMatchObject({ changed: true, pair: { ack: 'local' } });
    expect(c.status().pair?.ack).toBe('local');
    await sites.closeAll();
  });

  test('a command in a process of its own, where nobody sends, waits for nobody', async () => {
    const sites = new Sites();
    const a = await sites.create(A);
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C, ack: 'remote' }));
    await sites.replicate(A);
    await sites.write(A, write(0, 0, 2000, 1));
    await sites.flush(A);
    expect(ackOf(a)).toMatchObject({ ackDegraded: true, ackReason: 'nothing is being sent now' });
    await sites.closeAll();
  });

  test.each(['drain', 'handoff', 'bitmap'] as const)(
    '%s: a target inherits it, and what A answered is at C before the seal',
    async (mode) => {
      const { sites, network, a, c } = await remotely();
      const b = await sites.create(B);
      network.change({ delayMs: 20 });
      await sites.write(A, write(0, 0, 3000, 1));
      const last = flush(a);
      const moved = sites.drive(b.migrate({ ...MIGRATE, mode }));
      await moved;
      expect(last.is).toBe('ok');
      expect(b.status().pair).toMatchObject({ ack: 'remote' });
      await sites.clock.run(() => b.status().pair?.ackDegraded === false);
      await sites.write(B, write(0, 0, 3000, 2));
      await sites.flush(B);
      expect(c.set.ownRun()?.durable).toBe(b.set.newest);
      await sites.crash(B);
      await sites.crash(A);
      for (const folder of [A, B]) sites.away.add(folder);
      const taken = await sites.drive(c.takeOver({ force: true }));
      expect(difference(peekAll(c.set), sites.model.after(taken.sequence) ?? [])).toBeUndefined();
      expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    },
  );
});

describe('[R2] struck at file operations, A is then lost for good', () => {
  const WRITES = 6;

  /** Writes and flushes until something strikes; the highest number that a flush answered. */
  async function live(sites: Sites, a: StorageNode): Promise<number> {
    let flushed = 0;
    for (let id = 0; id < WRITES; id += 1) {
      const ends: string[] = [];
      const request = requestOf(write(id % 2, id * 300, 2500, id));
      a.set.volumes[id % 2]?.submit(request, ({ ok }) => ends.push(ok ? 'written' : 'failed'));
      sites.model.apply(write(id % 2, id * 300, 2500, id));
      const { newest } = a.set;
      a.set.volumes[0]?.submit({ kind: 'flush' }, ({ ok }) => ends.push(ok ? 'ok' : 'failed'));
      const before = a.status().pair?.ackDegraded;
      await sites.clock.run(() => ends.length === 2 || a.set.failure !== undefined);
      if (ends[1] !== 'ok') return flushed;
      if (before === false && a.status().pair?.ackDegraded === false) flushed = newest;
    }
    return flushed;
  }

  test.each([A, C])('of %s: C has what a flush answered', async (victim) => {
    const whole = await remotely({ seed: 3 });
    const { disk } = whole.sites.machine(victim);
    const first = disk.operations;
    expect(await live(whole.sites, whole.a)).toBe(whole.a.set.newest);
    const last = disk.operations;
    expect(last - first).toBeGreaterThan(10);
    let points = 0;
    let promised = 0;
    for (let at = first; at < last; at += Math.ceil((last - first) / 8)) {
      for (const survival of ['lose', 'keep', 'random'] as const) {
        const { sites, a } = await remotely({ seed: 3 });
        sites.machine(victim).disk.crashAt(at);
        const flushed = await live(sites, a);
        await sites.crash(A, survival);
        await sites.crash(C, survival);
        sites.away.add(A);
        const c = await sites.open(C);
        const { sequence } = await sites.drive(c.takeOver({ force: true }));
        expect(sequence).toBeGreaterThanOrEqual(flushed);
        expect(difference(peekAll(c.set), sites.model.after(sequence) ?? [])).toBeUndefined();
        points += 1;
        promised += flushed > 0 ? 1 : 0;
      }
    }
    process.stdout.write(
      `remote flushes of ${victim} struck at ${points} points, ${promised} kept\n`,
    );
    expect(promised).toBeGreaterThan(points / 4);
  });
});
