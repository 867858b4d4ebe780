/** Pairs that went on without their journal: proofs, changes at the same time, status. */
import { describe, expect, test } from '@jest/globals';
import { fallBackToMap } from '../../src/imageset/lacking.ts';
import { dropMaps } from '../../src/imageset/set-maps.ts';
import { followingAgain } from '../../src/imageset/pair-states.ts';
import { TINY_JOURNAL, write } from '../support/image-sets.ts';
import { A, C, REPLICATE, Sites, pairWithTinyJournal } from '../support/sites.ts';

describe('[R5] a resync by map', () => {
  test('is refused to a secondary that was rolled back to a place in the journal', async () => {
    const { sites, a } = await pairWithTinyJournal();
    await sites.close(C);
    const old = sites.machine(C).disk.survivors('keep', 1);
    await sites.open(C);
    // In the first volume, acknowledged by C, and lost there later.
    await sites.write(A, write(0, 20_000, 900, 3));
    await sites.replicate(A);
    await sites.drive(a.splitPair());
    await sites.write(A, write(1, 0, 500, 4));
    await sites.crash(C, 'lose');
    sites.machine(C).disk = old;
    await sites.open(C);
    await sites.drive(a.resyncPair());
    const ended = await sites.drive(
      a.replicate(REPLICATE).then(
        () => 'done',
        (error: Error) => error.message,
      ),
    );
    const differs = ended === 'done' ? await sites.differs(C) : undefined;
    expect({ ended, differs }).toEqual({
      ended: expect.stringMatching(/rolled back|not proven/),
      differs: undefined,
    });
  });
});

describe('[R6] where the secondary stands is proven', () => {
  test('after a copy by map whose end was not heard, and another split', async () => {
    const { sites, a, c } = await pairWithTinyJournal({ syncMs: 1 });
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.drive(a.resyncPair());
    const replicating = a.replicate(REPLICATE).catch(() => undefined);
    await sites.clock.run(() => !c.set.usable);
    await sites.clock.run(() => c.set.usable);
    sites.leaveAlone(C);
    await sites.drive(replicating);
    expect(a.set.file.pair?.state).toBe('copying');
    expect(c.set.usable).toBe(true);
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    sites.away.delete(C);
    await sites.drive(a.resyncPair());
    await sites.drive(a.replicate(REPLICATE));
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('a pair whose first copy had begun at the primary only can be split', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL, syncMs: 1 });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 12_000, 1));
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    const replicating = a.replicate(REPLICATE).catch(() => undefined);
    await sites.clock.run(() => a.set.file.pair?.copyBase !== null);
    sites.leaveAlone(C);
    await sites.drive(replicating);
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    sites.away.delete(C);
    await sites.drive(a.resyncPair());
    await sites.drive(a.replicate(REPLICATE));
    expect(await sites.differs(C)).toBeUndefined();
  });
});

describe('two changes of a pair at the same time', () => {
  test('[R7] a copy that ends while the journal falls back leaves the maps', async () => {
    const { sites, a } = await pairWithTinyJournal({ syncMs: 2 });
    await sites.drive(a.splitPair());
    await sites.write(A, write(0, 0, 500, 3));
    await sites.drive(a.resyncPair());
    const { set } = a;
    // The journal is full, and in this moment the sender hears that the secondary is usable.
    const falls = fallBackToMap(set, { state: 'suspended', reason: 'the journal was full' });
    const ends = dropMaps(set, set.contents.dirty, (file) => ({
      ...file,
      pair: file.pair && followingAgain(file.pair),
    }));
    await sites.drive(Promise.all([falls, ends]));
    const { pair, maps } = set.file;
    const consistent = pair?.state === 'paired' ? maps.length === 0 : maps.length === 2;
    expect({ state: pair?.state, maps, consistent }).toMatchObject({ consistent: true });
  });

  test('[R7] a resync over a slow link that was up before is not taken for done', async () => {
    const { sites, a } = await pairWithTinyJournal({ syncMs: 1 });
    await sites.keepByMap(A);
    sites.delayAnswers(C, 2000);
    a.replication.want(2000);
    await sites.clock.pass(4000);
    await sites.write(A, write(0, 0, 500, 1));
    await sites.clock.pass(1600);
    await sites.writeMuch(A);
    expect(a.set.file.pair?.state).toBe('suspended');
    await sites.writeMuch(A);
    await sites.drive(a.resyncPair());
    await sites.clock.pass(100_000, { simulatedMsMax: 100_000 });
    sites.wrap = undefined;
    await sites.drive(a.replicate(REPLICATE));
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R9] a replicate that is under way ends when the pair is split', async () => {
    const { sites, a } = await pairWithTinyJournal({ syncMs: 1 });
    await sites.write(A, write(0, 0, 12_000, 3), write(0, 0, 12_000, 4));
    let ended: string | undefined;
    a.replicate({ timeoutMs: undefined, maxRate: 2000 }).then(
      () => (ended = 'done'),
      (error: Error) => (ended = error.message),
    );
    await sites.clock.pass(20);
    await sites.drive(a.splitPair());
    await sites.clock.pass(60_000);
    expect(ended).toMatch(/split/);
  });
});

describe('[R10] status', () => {
  test('a pair split in the midst of its first copy is not said to be usable', async () => {
    const sites = new Sites({ syncMs: 1 });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 30_000, 1));
    const c = await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    const replicating = a.replicate({ ...REPLICATE, maxRate: 5000 }).catch(() => undefined);
    await sites.clock.run(() => c.set.copy !== null);
    sites.leaveAlone(C);
    await sites.drive(replicating);
    await sites.drive(a.splitPair());
    expect(c.set.usable).toBe(false);
    expect(a.status().pair?.usable).not.toBe(true);
  });

  test('a pair that is split is not called healthy', async () => {
    const { sites, a } = await pairWithTinyJournal();
    await sites.drive(a.splitPair());
    expect(a.status().health.healthy).toBe(false);
  });

  test('the lag of a split pair counts what the journal has let go, and its age', async () => {
    const { sites, a } = await pairWithTinyJournal();
    const before = sites.model.newest;
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.clock.pass(100_000);
    await sites.writeMuch(A);
    const { lag } = a.status().pair ?? {};
    expect(lag?.entries).toBe(sites.model.newest - before);
    expect(lag?.seconds).toBeGreaterThanOrEqual(100);
  });
});
