/**
 * Pairs that go on without the journal: split by an operator, or suspended because the journal was
 * full. What changed is known by blocks, and only that is copied, where it is proven to be enough.
 */
import { describe, expect, test } from '@jest/globals';
import { KIB } from '../../src/base/limits.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { TINY_JOURNAL, difference, peekAll, write, zeroes } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, pairWithTinyJournal } from '../support/sites.ts';

async function replicated(sites: Sites, node: StorageNode) {
  return sites.drive(node.replicate(REPLICATE));
}

describe('a pair that is split', () => {
  test('[R1] hosts write on, the secondary stays as it was, and says so', async () => {
    const { sites, a, c } = await pairWithTinyJournal();
    const before = sites.model.newest;
    await sites.write(A, write(0, 0, 500, 3));
    const answer = await sites.drive(a.splitPair());
    expect(answer).toMatchObject({ changed: true, pair: { state: 'split' } });
    expect((await sites.drive(a.splitPair())).changed).toBe(false);
    await sites.writeMuch(A);
    expect((await sites.refusal(a.replicate(REPLICATE))).message).toMatch(/is split/);
    expect(c.status().pair).toMatchObject({ state: 'split', usable: true });
    expect(difference(peekAll(c.set), sites.model.after(before))).toBeUndefined();
    expect(a.set.file.maps).toEqual(['alpha.dirty', 'beta.dirty']);
    // One block of the first volume, two of the second.
    await sites.drive(a.set.drain());
    expect(a.set.contents.dirty.setBytes).toBe(3 * 4096);
  });

  test('[R6] resync sends only the changed blocks; C is not usable meanwhile', async () => {
    const { sites, a, c } = await pairWithTinyJournal();
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.write(A, zeroes(0, 5000, 100));
    const unusable = new Set<boolean>();
    c.set.onChange(() => void unusable.add(c.set.usable));
    expect((await sites.drive(a.resyncPair())).changed).toBe(true);
    expect((await sites.drive(a.resyncPair())).changed).toBe(false);
    const answer = await replicated(sites, a);
    expect(answer).toMatchObject({ copies: 0, state: 'paired', sentRecords: 0 });
    expect(answer.copiedBytes).toBe(3 * 4096);
    expect(unusable).toEqual(new Set([true, false]));
    expect(a.set.file.maps).toEqual([]);
    expect(a.set.file.pair).toMatchObject({ copyBase: null, lineage: [], formerBases: [] });
    expect(await sites.differs(C)).toBeUndefined();
    expect(c.status().pair).toMatchObject({ state: 'paired', usable: true });
  });

  test('[R6] what the journal still has is sent as records: C stays usable', async () => {
    const { sites, a, c } = await pairWithTinyJournal();
    await sites.drive(a.splitPair());
    await sites.write(A, write(0, 100, 30, 5), write(1, 9000, 50, 6));
    let usable = true;
    c.set.onChange(() => {
      usable &&= c.set.usable;
    });
    await sites.drive(a.resyncPair());
    const answer = await replicated(sites, a);
    expect(answer).toMatchObject({ copiedBytes: 0, copies: 0, sentRecords: 2, state: 'paired' });
    expect(usable).toBe(true);
    expect(a.set.file.maps).toEqual([]);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('marks come with the blocks: what was set before the pair, and meanwhile', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 500, 1), { kind: 'mark', name: 'before' });
    const c = await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.replicate(A);
    await sites.drive(a.splitPair());
    await sites.write(A, { kind: 'mark', name: 'meanwhile' });
    await sites.writeMuch(A);
    await sites.drive(a.resyncPair());
    expect((await replicated(sites, a)).sentRecords).toBe(0);
    await sites.crash(C, 'lose');
    const { set } = await sites.open(C);
    expect(set.marks.map(({ name }) => name)).toEqual(['before', 'meanwhile']);
    expect(set.marks).toEqual(a.set.marks);
    expect(c.set.file.setId).toBe(set.file.setId);
  });

  test('while the secondary is away, and after restarts of both', async () => {
    const { sites, a } = await pairWithTinyJournal();
    await sites.write(A, write(0, 2000, 30, 5));
    sites.leaveAlone(C);
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.flush(A);
    await sites.crash(A, 'lose');
    await sites.crash(C, 'lose');
    const again = await sites.open(A);
    expect(again.status().set.state).toBe('split');
    await sites.writeMuch(A);
    sites.away.delete(C);
    await sites.open(C);
    await sites.drive(again.resyncPair());
    const answer = await replicated(sites, again);
    expect(answer).toMatchObject({ copiedBytes: 3 * 4096, copies: 0 });
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('is refused where there is none, to a secondary, and while it moves', async () => {
    const { sites, a, c } = await pairWithTinyJournal();
    const d = await sites.create('/nagoya');
    expect((await sites.refusal(d.splitPair())).code).toBe('E_NOT_PAIRED');
    expect((await sites.refusal(c.splitPair())).code).toBe('E_ROLE');
    await sites.create(B);
    await sites.migrate(true);
    const b = await sites.open(B);
    expect((await sites.refusal(b.splitPair())).code).toBe('E_STATE');
    expect((await sites.refusal(b.resyncPair())).code).toBe('E_STATE');
    expect((await sites.refusal(a.splitPair())).code).toBe('E_SEALED');
  });
});

describe('[R5] a resync is refused', () => {
  test('to a secondary that was rolled back: its place is not proven', async () => {
    const { sites, a } = await pairWithTinyJournal();
    await sites.close(C);
    const old = sites.machine(C).disk.survivors('keep', 1);
    await sites.open(C);
    await sites.write(A, write(0, 0, 9000, 3));
    await sites.replicate(A);
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.crash(C, 'lose');
    sites.machine(C).disk = old;
    await sites.open(C);
    await sites.drive(a.resyncPair());
    const refused = await sites.refusal(a.replicate(REPLICATE));
    expect(refused.message).toMatch(/not proven/);
    expect(a.set.file.pair?.state).toBe('copying');
  });

  test('from a primary that was rolled back: the secondary is ahead of what it knows', async () => {
    const { sites } = await pairWithTinyJournal();
    await sites.close(A);
    const old = sites.machine(A).disk.survivors('keep', 1);
    await sites.open(A);
    await sites.write(A, write(0, 0, 9000, 3), write(1, 0, 500, 4));
    await sites.replicate(A);
    await sites.crash(A, 'lose');
    sites.machine(A).disk = old;
    const again = await sites.open(A);
    await sites.drive(again.splitPair());
    // Other records under the numbers that the secondary has.
    const rolledBack = sites.model.from(again.set.newest);
    for (let id = 50; id < 90; id += 1) {
      rolledBack.apply(write(1, 4096, 4096, id));
      const device = again.set.volumes[1];
      if (device) await sites.drive(writeTo(device, 4096, id));
    }
    await sites.drive(again.resyncPair());
    const refused = await sites.refusal(again.replicate(REPLICATE));
    expect(refused.message).toMatch(/not proven/);
  });
});

test('[R5] [R7] what a secondary says counts when its place is proved, not before', async () => {
  const sites = new Sites();
  const { a } = await sites.paired();
  await sites.write(A, write(0, 0, 900, 1));
  await sites.replicate(A);
  await sites.close(A);
  const old = sites.machine(A).disk.survivors('keep', 1);
  await sites.open(A);
  await sites.write(A, write(0, 0, 900, 2), write(1, 0, 500, 3));
  await sites.replicate(A);
  await sites.crash(A, 'lose');
  sites.machine(A).disk = old;
  // Other records under the numbers that the secondary has, and one more.
  const again = await sites.open(A);
  const before = again.set.secondary?.durable;
  const [, device] = again.set.volumes;
  for (let id = 60; id < 63; id += 1) if (device) await sites.drive(writeTo(device, 4096, id));
  expect((await sites.refusal(again.replicate(REPLICATE))).code).toBe('E_SPLIT_BRAIN');
  expect(again.set.secondary?.durable).toEqual(before);
  expect(again.status().pair?.lag?.entries).toBe(3);
  expect(a.set.file.setId).toBe(again.set.file.setId);
});

function writeTo(device: StorageNode['set']['volumes'][number], offset: number, id: number) {
  const { data } = write(1, offset, 4096, id);
  return new Promise<void>((resolve, reject) => {
    const request = {
      kind: 'write',
      offset,
      data: [data],
      length: data.length,
      fua: true,
    } as const;
    device.submit(request, (end) => (end.ok ? resolve() : reject(end.error)));
  });
}

describe('[R9] a full journal whose policy is the map', () => {
  async function full() {
    const made = await pairWithTinyJournal();
    const { sites, a } = made;
    await sites.drive(
      a.set.identity.update((file) => ({
        ...file,
        journal: { ...file.journal, whenFull: 'map' },
      })),
    );
    sites.leaveAlone(C);
    return made;
  }

  test('refuses no host, says that it is suspended, and resyncs by itself', async () => {
    const { sites, a, c } = await full();
    const before = sites.model.newest;
    await sites.writeMuch(A);
    expect(a.status().pair).toMatchObject({ state: 'suspended', reason: 'the journal was full' });
    expect(difference(peekAll(c.set), sites.model.after(before))).toBeUndefined();
    sites.away.delete(C);
    const answer = await replicated(sites, a);
    expect(answer).toMatchObject({ copies: 0, state: 'paired' });
    expect(answer.copiedBytes).toBe(2 * 4096);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('again and again, also in the midst of a resync', async () => {
    const { sites, a } = await full();
    await sites.writeMuch(A);
    for (let round = 0; round < 4; round += 1) {
      sites.away.delete(C);
      const replicating = a.replicate(REPLICATE).catch(() => undefined);
      await sites.clock.pass(round * 2);
      sites.leaveAlone(C);
      await sites.drive(replicating);
      await sites.writeMuch(A);
    }
    sites.away.delete(C);
    expect((await replicated(sites, a)).copies).toBe(0);
    expect(await sites.differs(C)).toBeUndefined();
    expect(a.set.file.maps).toEqual([]);
  });

  test('while it is sent to: the same command goes on with the blocks', async () => {
    const { sites, a } = await full();
    sites.away.delete(C);
    await sites.write(A, write(0, 0, 9000, 5));
    const states = new Set<string>();
    a.set.onChange(() => void states.add(a.status().set.state));
    const replicating = a.replicate({ ...REPLICATE, maxRate: 30_000 });
    await sites.clock.pass(20);
    await sites.writeMuch(A);
    expect(await sites.drive(replicating)).toMatchObject({ copies: 0, state: 'paired' });
    expect([...states]).toEqual(expect.arrayContaining(['suspended', 'copying', 'paired']));
    await sites.replicate(A);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('during the first copy: what was copied is not copied again', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL, syncMs: 2 });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 12_000, 1), write(1, 0, 12_000, 2));
    await sites.drive(
      a.set.identity.update((file) => ({
        ...file,
        journal: { ...file.journal, whenFull: 'map' },
      })),
    );
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    const replicating = a.replicate({ ...REPLICATE, maxRate: 20_000 }).catch(() => undefined);
    await sites.clock.run(() => a.set.file.pair?.copyBase !== null);
    await sites.clock.pass(300);
    sites.leaveAlone(C);
    await sites.drive(replicating);
    await sites.writeMuch(A);
    expect(a.set.file.pair?.state).toBe('suspended');
    sites.away.delete(C);
    expect((await replicated(sites, a)).state).toBe('paired');
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('migrates with --mode bitmap only; C gets the blocks from B', async () => {
    const { sites, a } = await full();
    await sites.writeMuch(A);
    sites.away.delete(C);
    const b = await sites.create(B);
    const refused = await sites.refusal(b.migrate(MIGRATE));
    expect(refused.message).toMatch(/suspended.*--mode bitmap/);
    const answer = await sites.drive(b.migrate({ ...MIGRATE, mode: 'bitmap' }));
    expect(answer.state).toBe('done');
    expect(a.replication.counts.copiesBegun + b.replication.counts.copiesBegun).toBe(1);
    expect(b.replication.counts.copiedBytes).toBe(2 * 4096);
    await sites.write(B, write(0, 0, 700, 99));
    await sites.replicate(B);
    expect(await sites.differs(C)).toBeUndefined();
    expect(await sites.differs(B)).toBeUndefined();
  });
});

describe('[R7] the map of a split pair', () => {
  test('named by set.json and lost: damage, never an empty map', async () => {
    const { sites, a } = await pairWithTinyJournal();
    await sites.drive(a.splitPair());
    await sites.close(A);
    sites.machine(A).disk.remove(`${A}/maps/beta.dirty`, 'TEST:REMOVE');
    expect((await sites.refusal(sites.open(A))).code).toBe('E_DAMAGED');
  });

  test('is small where little changed, whatever the volume', async () => {
    const volumes = [{ name: 'big', sizeBytes: 4 * KIB * KIB * KIB }];
    const sites = new Sites({ volumes, journal: TINY_JOURNAL });
    const a = await sites.create(A);
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.replicate(A);
    await sites.drive(a.splitPair());
    const device = a.set.volumes[0];
    for (let id = 0; device && id < 30; id += 1) {
      await sites.drive(writeTo(device, 3 * KIB * KIB * KIB + (id % 2) * 4096, id));
    }
    await sites.drive(a.resyncPair());
    expect((await replicated(sites, a)).copiedBytes).toBe(2 * 4096);
    expect((await sites.drive(a.verifyAgainst(C))).equal).toBe(true);
  });
});
