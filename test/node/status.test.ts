/** What status says in the states that are not everyday: measured, or not said (R10). */
import { describe, expect, test } from '@jest/globals';
import type { Lag, StatusAnswer } from '../../src/node/answers.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { TINY_JOURNAL, write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, performOn } from '../support/sites.ts';

/** What `look` sees of a node, each time that something moves, while `work` is done. */
async function seenDuring(
  sites: Sites,
  node: StorageNode,
  work: Promise<unknown>,
): Promise<StatusAnswer[]> {
  const seen: StatusAnswer[] = [];
  const stop = node.set.onChange(() => seen.push(node.status()));
  await sites.drive(work);
  stop();
  return seen;
}

function lagOf(node: StorageNode): Lag | null | undefined {
  return node.status().pair?.lag;
}

describe('a full journal', () => {
  test('is said as long as hosts wait for it, and no longer', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    await sites.paired();
    await sites.close(A);
    const a = await sites.open(A, { roomWaitMs: 60_000 });
    sites.away.add(C);
    let waiting: Promise<unknown> | undefined;
    for (let id = 0; id < 40 && !waiting; id += 1) {
      expect(a.status().pair?.state).toBe('paired');
      const work = performOn(a.set, write(0, (id * 1000) % 20_000, 8000, id));
      await sites.clock.pass(1000);
      if (a.set.hosts.waitingRequests > 0) waiting = work;
    }
    expect(a.status()).toMatchObject({
      set: { state: 'journal-full' },
      pair: { state: 'journal-full', usable: true },
      health: { healthy: false, word: 'journal full', next: `rcopy replicate ${A}` },
    });
    sites.away.delete(C);
    await sites.drive(Promise.all([waiting, a.replicate(REPLICATE)]));
    await sites.replicate(A);
    expect(a.status()).toMatchObject({
      set: { state: 'paired' },
      pair: { state: 'paired' },
      health: { healthy: true },
    });
  });
});

describe('a split', () => {
  test('in the middle of the first copy has a secondary that is not usable', async () => {
    const sites = new Sites({ syncMs: 3 });
    const a = await sites.create(A);
    const c = await sites.create(C);
    await sites.write(A, write(0, 0, 30_000, 1), write(1, 0, 20_000, 2));
    await sites.drive(a.createPair({ secondary: C }));
    a.replicate(REPLICATE).catch(() => undefined);
    await sites.clock.run(() => c.set.copyReceived !== null);
    await sites.drive(a.splitPair());
    expect(c.set.usable).toBe(false);
    expect(a.status().pair).toMatchObject({ state: 'split', usable: false });
    await sites.drive(a.resyncPair());
    expect(a.status().pair).toMatchObject({ state: 'copying', usable: false });
    await sites.replicate(A);
    expect(a.status().pair).toMatchObject({ state: 'paired', usable: true });
  });

  test('keeps its secondary usable until the copy of what changed begins', async () => {
    const sites = new Sites({ syncMs: 3, journal: TINY_JOURNAL });
    const { a, c } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    await sites.replicate(A);
    await sites.drive(a.set.drain());
    await sites.drive(a.splitPair());
    // More than the journal holds: nothing but the map knows of the first, and when that was.
    const sinceMs = sites.clock.now();
    for (let id = 2; id < 12; id += 1) await sites.write(A, write(0, 4096, 8000, id));
    await sites.drive(a.set.drain());
    const seconds = (sites.clock.now() - sinceMs) / 1000;
    expect(lagOf(a)).toEqual({ entries: 40, bytes: 2 * 4096, seconds });
    await sites.drive(a.resyncPair());
    expect(a.status()).toMatchObject({
      pair: { usable: true },
      health: { word: 'copying', reason: 'the copy of what changed is not complete' },
    });
    const seen = await seenDuring(sites, a, a.replicate(REPLICATE));
    const lies = seen.filter(
      ({ pair }) => pair?.state === 'copying' && pair.usable && !c.set.usable,
    );
    expect(lies).toEqual([]);
    expect(a.replication.counts.copiedBytes).toBe(8192);
    expect(await sites.differs(C)).toBeUndefined();
  });
});

describe('a migration', () => {
  test('that copies ahead says where hosts are', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 9000, 1));
    const b = await sites.create(B);
    const seen = await seenDuring(sites, b, b.migrate({ ...MIGRATE, copy: 'pre' }));
    const ahead = seen.find(({ migration }) => migration?.state === 'precopying');
    expect(ahead).toMatchObject({
      set: { state: 'migrating', role: 'target' },
      migration: { sourceNeeded: true },
      health: {
        word: 'migrating',
        reason: 'a migration copies ahead to osaka; hosts are still at tokyo',
        next: `rcopy migrate resume ${B}`,
      },
    });
    expect(b.status().migration).toMatchObject({ state: 'done', sourceNeeded: false });
    expect(a.status().migration).toMatchObject({ side: 'source', sourceNeeded: false });
  });

  test('[R10] its source does not call the secondary usable, which is copied to', async () => {
    const sites = new Sites({ syncMs: 3 });
    const { a, c } = await sites.paired();
    await sites.drive(a.splitPair());
    await sites.write(A, write(0, 0, 30_000, 1));
    expect(a.status().pair?.usable).toBe(true);
    const b = await sites.create(B);
    const said = new Set<boolean | null | undefined>();
    const stop = c.set.onChange(() => {
      if (!c.set.usable) said.add(a.status().pair?.usable);
    });
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'bitmap' }));
    stop();
    expect([...said]).toEqual([null]);
  });

  test.each(['drain', 'handoff', 'bitmap'] as const)(
    'by %s counts what is owed of the epoch before, and how old it is',
    async (mode) => {
      const sites = new Sites();
      const { a } = await sites.paired();
      await sites.write(A, write(0, 0, 9000, 1));
      await sites.replicate(A);
      const { newest } = a.set;
      await sites.clock.pass(60_000);
      await sites.write(A, write(0, 0, 100, 2), write(1, 5000, 3000, 3));
      await sites.clock.pass(4000);
      const b = await sites.create(B);
      await sites.drive(b.migrate({ ...MIGRATE, mode, detach: true }));
      const owed = a.set.newest - newest;
      const { pair, migration } = b.status();
      expect(pair).toMatchObject({
        journalCursor: newest + 1,
        durableSequence: newest,
        lag: { entries: owed, seconds: 4 },
      });
      expect(migration).toMatchObject({ remainingEntries: owed, sourceNeeded: true });
      await sites.write(B, write(0, 8000, 200, 4));
      await sites.drive(b.set.drain());
      expect(lagOf(b)).toMatchObject({ entries: owed + 1, seconds: 4 });
      // Blocks: one, two that lie side by side, and the first two of volume alpha again.
      expect(lagOf(b)?.bytes).toBeGreaterThan(3000);
      const seen = await seenDuring(sites, b, b.resumeMigration({ maxRate: undefined }));
      const counts = seen.map((status) => status.migration?.remainingEntries ?? 0);
      expect(Math.max(...counts)).toBeLessThanOrEqual(owed);
      expect(counts.at(-1)).toBe(0);
      expect(lagOf(b)).toEqual({ entries: 0, bytes: 0, seconds: 0 });
    },
  );

  test('whose records are all here measures them in the journal', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 3000, 1));
    const b = await sites.create(B);
    sites.away.add(C);
    await sites.drive(b.set.identity.settled());
    sites.away.delete(C);
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'handoff', detach: true }));
    sites.leaveAlone(C);
    expect(b.status().migration).toMatchObject({ sourceNeeded: true });
    const failure = await sites.refusal(b.resumeMigration({ maxRate: undefined }));
    expect(failure.code).toBe('E_UNREACHABLE');
    const { newest } = a.set;
    // A header of 96 bytes each, and padding.
    const { entries, bytes } = lagOf(b) ?? { entries: 0, bytes: 0 };
    expect(entries).toBe(newest);
    expect(bytes).toBeGreaterThanOrEqual(3000 + newest * 96);
    expect(bytes).toBeLessThan(3000 + newest * (96 + 32) + 512);
    expect(b.status().migration).toMatchObject({ remainingBytes: 0, sourceNeeded: false });
  });

  test('that is given back waits for its source; only abort goes on', async () => {
    const sites = new Sites();
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 3000, 1));
    const b = await sites.create(B);
    await sites.drive(b.migrate({ ...MIGRATE, detach: true }));
    sites.leaveAlone(A);
    expect((await sites.refusal(b.abortMigration())).code).toBe('E_UNREACHABLE');
    expect(b.status()).toMatchObject({
      set: { state: 'sealed' },
      migration: { state: 'copying', sourceNeeded: true },
      health: { word: 'sealed', next: `rcopy migrate abort ${B}` },
    });
    expect(b.status().health.reason).toContain('back to tokyo');
    expect(b.migrationStatus().migration).toMatchObject({ returning: true });
    sites.away.delete(A);
    await sites.drive(b.abortMigration());
    expect(b.migrationStatus().migration).toMatchObject({ returning: false, state: 'aborted' });
    expect(b.status().health).toMatchObject({ word: 'retired', next: `rcopy status ${A}` });
    // Of three epochs the one in the middle is empty; the numbers go on.
    expect(lagOf(a)).toMatchObject({ entries: a.set.newest });
    await sites.write(A, write(0, 100, 100, 2));
    await sites.replicate(A);
    expect(a.status().health.healthy).toBe(true);
    expect(await sites.differs(C)).toBeUndefined();
  });
});
