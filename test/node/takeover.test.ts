/** The secondary takes over: with everything, when the primary answers, or with what it has. */
import { describe, expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { difference, pattern, peekAll, write } from '../support/image-sets.ts';
import { MovingHost } from '../support/moving-host.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, pairWithTinyJournal } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

async function paired(options: SitesOptions = {}) {
  const sites = new Sites(options);
  const nodes = await sites.paired();
  await sites.write(A, write(0, 0, 12_000, 1), { kind: 'mark', name: 'noon' });
  await sites.replicate(A);
  return { sites, ...nodes };
}

/** Writes to the first volume of a set, whatever the model says. */
async function put(sites: Sites, node: StorageNode, id: number) {
  const device = node.set.volumes[0];
  if (!device) throw new Error('there is a volume');
  const data = [pattern(id, 600)];
  const request = { kind: 'write', offset: 0, data, length: 600, fua: true } as const;
  return sites.drive(submitAndWait(device, request));
}

describe('a planned takeover', () => {
  test('[R2] [R4] brings everything, seals the old primary, and numbers on', async () => {
    const { sites, a, c } = await paired();
    await sites.write(A, write(1, 500, 9000, 2));
    const answer = await sites.drive(c.takeOver({ force: false }));
    const { newest } = sites.model;
    expect(answer).toMatchObject({
      changed: true,
      forced: false,
      epoch: 2,
      sequence: newest,
      nextSequence: newest + 1,
      from: { name: 'tokyo', address: A },
      lastMark: { name: 'noon' },
    });
    expect(a.set.file.role).toBe('retired');
    expect((await sites.refusal(a.mark('x'))).code).toBe('E_SEALED');
    expect(await sites.differs(C)).toBeUndefined();
    await sites.write(C, write(0, 100, 3000, 3));
    const again = await sites.drive(c.takeOver({ force: false }));
    expect(again).toMatchObject({ changed: false, sequence: newest });
    await sites.crash(C, 'lose');
    const opened = await sites.open(C);
    expect(opened.status().set).toMatchObject({ role: 'primary', state: 'takeover', epoch: 2 });
    expect(opened.set.newest).toBeGreaterThanOrEqual(newest);
  });

  test.each(['bitmap', 'handoff'] as const)(
    '[R6] goes on where it was cut, after an earlier move by %s',
    async (mode) => {
      const { sites } = await paired({ daemons: {}, syncMs: 1 });
      const b = await sites.create(B);
      await sites.drive(b.migrate({ ...MIGRATE, mode }));
      await sites.write(B, write(1, 500, 9000, 2));
      const c = await sites.open(C);
      const cut = c.takeOver({ force: false }).catch(() => undefined);
      await sites.clock.run(() => b.set.file.seal !== null);
      await sites.crash(C, 'lose'); // before it has the seal
      await cut;
      const again = await sites.open(C);
      await sites.drive(again.takeOver({ force: false }));
      expect(await sites.differs(C)).toBeUndefined();
      await sites.closeAll();
    },
  );

  test('[R4] under hosts that never stop: all at A, then all at C, none lost', async () => {
    const { sites, a, c } = await paired({ syncMs: 2 });
    const host = new MovingHost(sites, a, c);
    const running = host.run();
    await sites.clock.pass(20);
    await sites.drive(c.takeOver({ force: false }));
    await sites.clock.pass(20);
    host.stopped = true;
    await sites.drive(running);
    expect(host.wrong).toBeUndefined();
    expect(new Set(host.answered)).toEqual(new Set(['tokyo', 'kyoto']));
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R6] cut after the seal: the same command ends it, also when A is gone', async () => {
    const { sites, a, c } = await paired({ syncMs: 2 });
    await sites.write(A, write(1, 500, 9000, 2));
    const started = c.takeOver({ force: false });
    started.catch(() => undefined);
    await sites.clock.run(() => c.set.journal.run(1)?.seal !== undefined);
    await sites.clock.pass(5); // it is durable at C
    sites.cutLinks(C);
    await sites.drive(started.catch(() => undefined));
    await sites.crash(A, 'lose');
    sites.away.add(A);
    const answer = await sites.drive(c.takeOver({ force: false }));
    expect(answer.sequence).toBe(sites.model.newest);
    expect(await sites.differs(C)).toBeUndefined();
    expect(a.set.file.seal?.successor.name).toBe('kyoto');
  });

  test('is refused when A is out of reach, to a primary, and while C is not usable', async () => {
    const { sites, a, c } = await paired();
    expect((await sites.refusal(a.takeOver({ force: false }))).code).toBe('E_ROLE');
    sites.leaveAlone(A);
    await sites.clock.pass(1);
    const refused = await sites.refusal(c.takeOver({ force: false }));
    expect(refused).toMatchObject({ code: 'E_UNREACHABLE', hint: /--force/ });
    expect(c.set.file.role).toBe('secondary');
    const fresh = new Sites();
    const one = await fresh.create(A);
    const two = await fresh.create(C);
    await fresh.drive(one.createPair({ secondary: C }));
    for (const force of [false, true]) {
      expect((await fresh.refusal(two.takeOver({ force }))).code).toBe('E_STATE');
    }
  });
});

describe('a forced takeover', () => {
  test('[R1] goes on at what C has restored; the old primary is not followed then', async () => {
    const { sites, a, c } = await paired();
    const kept = sites.model.newest;
    await sites.write(A, write(0, 0, 9000, 2));
    sites.leaveAlone(A);
    const answer = await sites.drive(c.takeOver({ force: true }));
    expect(answer).toMatchObject({ forced: true, sequence: kept, epoch: 2 });
    expect(difference(peekAll(c.set), sites.model.after(kept))).toBeUndefined();
    expect(await put(sites, c, 7)).toMatchObject({ ok: true, sequence: kept + 1 });
    sites.away.delete(A);
    const refused = await sites.refusal(a.replicate(REPLICATE));
    expect(refused.code).toBe('E_ROLE');
    expect(refused.message).toMatch(/kyoto took over from tokyo/);
    await sites.crash(C, 'lose');
    const again = await sites.open(C);
    expect(again.set.newest).toBe(kept + 1);
    expect((await sites.drive(again.verify())).ok).toBe(true);
  });

  test('[R4] what is provisional at C is history that never was', async () => {
    const { sites, c } = await paired();
    const kept = sites.model.newest;
    await sites.write(A, write(0, 0, 9000, 2));
    await sites.create(B);
    await sites.migrate(true);
    await sites.write(B, write(1, 0, 5000, 3));
    sites.leaveAlone(A);
    // B's records come to C, which lacks what A owes before them.
    const b = await sites.open(B);
    const letGo = b.replication.want();
    await sites.clock.run(() => (c.set.journal.run(2)?.durable ?? 0) >= sites.model.newest);
    await sites.drive(letGo());
    expect(difference(peekAll(c.set), sites.model.after(kept))).toBeUndefined();
    for (const survival of ['keep', 'lose'] as const) {
      const answer = await sites.drive((await sites.open(C)).takeOver({ force: true }));
      expect(answer.sequence).toBe(kept);
      await sites.crash(C, survival);
    }
    const again = await sites.open(C);
    expect(again.set.journal.runs.every((run) => run.identity.writer !== b.set.file.setId)).toBe(
      true,
    );
    expect(difference(peekAll(again.set), sites.model.after(kept))).toBeUndefined();
    expect(await put(sites, again, 7)).toMatchObject({ sequence: kept + 1 });
  });

  test('[R4] of a sealed source whose target was lost: it goes on where it was', async () => {
    const { sites, a } = await paired();
    await sites.create(B);
    await sites.migrate(true);
    const { newest } = sites.model;
    await sites.crash(B, 'lose');
    sites.away.add(B);
    expect((await sites.refusal(a.takeOver({ force: false }))).code).toBe('E_SEALED');
    const answer = await sites.drive(a.takeOver({ force: true }));
    expect(answer).toMatchObject({ forced: true, sequence: newest, epoch: 2 });
    expect(await put(sites, a, 7)).toMatchObject({ ok: true, sequence: newest + 1 });
    await sites.crash(A, 'lose');
    const again = await sites.open(A);
    expect(again.set.refusal('write')).toBeUndefined();
    expect(again.set.newest).toBe(newest + 1);
    expect((await sites.refusal(again.replicate(REPLICATE))).code).toBe('E_STATE');
  });

  test('then a new pair: the old one is ended at this end, and everything is copied', async () => {
    const { sites, c } = await paired();
    sites.leaveAlone(A);
    await sites.drive(c.takeOver({ force: true }));
    expect((await sites.refusal(c.deletePair())).hint).toMatch(/--local/);
    await sites.drive(c.deletePair({ local: true }));
    expect(c.status().set.state).toBe('simplex');
    await put(sites, c, 7);
    const d = await sites.create('/nagoya');
    await sites.drive(c.createPair({ secondary: '/nagoya' }));
    await sites.drive(c.replicate(REPLICATE));
    expect((await sites.drive(c.verifyAgainst('/nagoya'))).equal).toBe(true);
    expect(d.set.usable).toBe(true);
  });
});

describe('a pair that is ended at one end only', () => {
  test('[R9] a primary whose secondary is gone owes nothing any more', async () => {
    const { sites, a } = await paired();
    sites.leaveAlone(C);
    await sites.clock.pass(1);
    expect((await sites.refusal(a.deletePair())).hint).toMatch(/--local/);
    expect((await sites.drive(a.deletePair({ local: true }))).changed).toBe(true);
    expect(a.status()).toMatchObject({ set: { state: 'simplex' }, pair: null });
    expect((await sites.drive(a.deletePair({ local: true }))).changed).toBe(false);
  });

  test('a secondary whose primary is gone becomes a group of its own', async () => {
    const { sites, c } = await paired();
    sites.away.add(A);
    expect((await sites.refusal(c.deletePair())).code).toBe('E_ROLE');
    await sites.drive(c.deletePair({ local: true }));
    expect(c.set.file).toMatchObject({ role: 'primary', pair: null, epoch: 2 });
    expect(await put(sites, c, 7)).toMatchObject({ ok: true });
  });
});

describe('a peer that moved', () => {
  test('is found at its new address, when it is the same set', async () => {
    const { sites, a, c } = await paired();
    await sites.create('/nagoya');
    expect((await sites.refusal(a.movePeer('/nagoya'))).code).toBe('E_DIFFERENT');
    expect((await sites.refusal(a.movePeer('/nowhere'))).code).toBe('E_UNREACHABLE');
    expect((await sites.drive(a.movePeer(C))).changed).toBe(false);
    await sites.close(C);
    sites.away.add(C);
    const moved = sites.machine('/sapporo');
    moved.disk = sites.machine(C).disk;
    moved.disk.rename(C, '/sapporo', 'TEST:RENAME');
    await sites.open('/sapporo');
    await sites.write(A, write(0, 0, 700, 4));
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_UNREACHABLE');
    expect((await sites.drive(a.movePeer('/sapporo'))).changed).toBe(true);
    await sites.replicate(A);
    expect(await sites.differs('/sapporo')).toBeUndefined();
    expect(c.set.isClosed).toBe(true);
  });
});

describe('a sealed source that took over by force', () => {
  async function tookOver() {
    const sites = new Sites({ syncMs: 1 });
    const { a } = await sites.paired();
    const b = await sites.create(B);
    await sites.drive(b.migrate({ ...MIGRATE, copy: 'pre', detach: true }));
    await sites.crash(B, 'lose');
    sites.away.add(B);
    await sites.drive(a.takeOver({ force: true }));
    return a;
  }

  test('[R10] is not called healthy, nor its secondary usable: nothing is sent to it', async () => {
    const a = await tookOver();
    expect(a.set.file.pair?.state).toBe('takeover');
    expect(a.status().health.healthy).toBe(false);
    expect(a.status().pair?.usable).not.toBe(true);
  });

  test('keeps no map of what changed for a migration that is over', async () => {
    const a = await tookOver();
    expect(a.set.file.migration).toBeNull();
    expect(a.set.file.maps).toEqual([]);
  });
});

test('a former primary that was away at the end is told by a repetition', async () => {
  const sites = new Sites({ syncMs: 1 });
  const { a, c } = await sites.paired();
  const taken = c.takeOver({ force: false });
  await sites.clock.run(() => c.set.file.role === 'primary');
  sites.leaveAlone(A);
  await sites.drive(taken);
  sites.away.delete(A);
  await sites.drive(c.takeOver({ force: false }));
  expect(a.set.file.role).toBe('retired');
});

test('[R10] a set that took over is not told to replicate, which is refused', async () => {
  const sites = new Sites();
  const { c } = await sites.paired();
  await sites.drive(c.takeOver({ force: false }));
  expect(c.status().health.next ?? '').not.toMatch(/replicate/);
});

describe('a takeover while a copy begins', () => {
  test('[R1] is refused: what the set held before is no state of the volumes now', async () => {
    const { sites, a, c } = await pairWithTinyJournal();
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    let takeover: Promise<unknown> | undefined;
    const { identity } = c.set;
    const update = identity.update.bind(identity);
    identity.update = (change) => {
      const begins = change(c.set.file).pair?.state === 'copying';
      if (begins) takeover ??= c.takeOver({ force: true });
      return update(change);
    };
    await sites.drive(a.resyncPair());
    const copied = sites.drive(a.replicate(REPLICATE)).catch(() => undefined);
    await sites.clock.run(() => takeover !== undefined);
    expect((await sites.refusal(takeover ?? Promise.resolve())).code).toBe('E_STATE');
    expect(c.set.file.role).toBe('secondary');
    await copied;
  });
});
