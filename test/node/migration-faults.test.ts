/** Migrations that meet full journals, bad sectors, held-up requests and other commands. */
import { describe, expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import { MIB } from '../../src/base/limits.ts';
import type { MigrationCall } from '../../src/node/calls.ts';
import { answerRead } from '../../src/node/block-reads.ts';
import { trackChanges } from '../../src/node/migration-source.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { SMALL_JOURNAL, TINY_JOURNAL, pattern, write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

async function ready(options: SitesOptions = {}) {
  const sites = new Sites(options);
  const nodes = await sites.paired();
  await sites.write(
    A,
    write(0, 0, 12_000, 1),
    write(0, 12_000, 12_000, 1),
    write(1, 5000, 9000, 2),
  );
  await sites.replicate(A);
  return { sites, ...nodes, b: await sites.create(B) };
}

function callOf(node: StorageNode): MigrationCall {
  const { id, mode, copy, source, target, secondary } = node.set.file.migration ?? missing();
  return { id, mode, copy, source, target, secondary };
}

function missing(): never {
  throw new Error('something is missing');
}

function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: Error) => error.message,
  );
}

describe('[R6] a bitmap migration goes on to its end', () => {
  test('when the secondary lacks more records than a lineage keeps', async () => {
    const journal = { ...SMALL_JOURNAL, segmentBytes: 1 * MIB, segmentsMax: 8 };
    const { sites, a, b } = await ready({ journal });
    const device = a.set.volumes[0] ?? missing();
    const ends: Promise<unknown>[] = [];
    for (let id = 0; id < 17_000; id += 1) {
      const request = { kind: 'zeroes', offset: (id % 8) * 512, length: 512 } as const;
      ends.push(submitAndWait(device, { ...request, fua: false, mayFree: false }));
      if (id % 1000 === 999) await sites.drive(Promise.all(ends.splice(0)));
    }
    await sites.drive(Promise.all(ends));
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'bitmap', detach: true }));
    const on = b.set.volumes[1] ?? missing();
    const data = [pattern(7, 600)];
    await sites.drive(
      submitAndWait(on, { kind: 'write', offset: 0, length: 600, data, fua: true }),
    );
    expect(await sites.drive(outcome(b.resumeMigration({ maxRate: undefined })))).toBe('done');
    await sites.replicate(B);
    expect((await sites.drive(b.verifyAgainst(C))).equal).toBe(true);
  }, 60_000);

  test('when a resync had just come to its end, and the source had not heard of that', async () => {
    const { sites, a, b, c } = await ready({ syncMs: 1, journal: TINY_JOURNAL });
    await sites.drive(a.splitPair());
    await sites.writeMuch(A);
    await sites.drive(a.resyncPair());
    const replicating = a.replicate(REPLICATE).catch(() => undefined);
    await sites.clock.run(() => !c.set.usable);
    await sites.clock.run(() => c.set.usable);
    sites.leaveAlone(C);
    await sites.drive(replicating);
    sites.away.delete(C);
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'bitmap', detach: true }));
    await sites.write(B, write(0, 0, 600, 7));
    expect(await sites.drive(outcome(b.resumeMigration({ maxRate: undefined })))).toBe('done');
  });

  test('when the secondary never had a copy, and the journal of the target was full', async () => {
    const sites = new Sites({ journal: TINY_JOURNAL });
    const a = await sites.create(A);
    await sites.write(A, write(0, 0, 12_000, 1), write(1, 0, 12_000, 2));
    await sites.create(C);
    await sites.drive(a.createPair({ secondary: C }));
    const b = await sites.create(B);
    await sites.keepByMap(B);
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'bitmap', detach: true }));
    sites.leaveAlone(C);
    await sites.writeMuch(B);
    sites.away.delete(C);
    expect(await sites.drive(outcome(b.resumeMigration({ maxRate: undefined })))).toBe('done');
    await sites.replicate(B);
    expect(await sites.differs(C)).toBeUndefined();
  });
});

describe('[R9] the journal of the target falls back to maps while the source still owes', () => {
  test.each(['drain', 'handoff', 'bitmap'] as const)(
    '%s: replicate of the target brings the pair together',
    async (mode) => {
      const { sites, b } = await ready({ journal: TINY_JOURNAL });
      await sites.keepByMap(B);
      await sites.write(A, write(0, 100, 9000, 3));
      await sites.drive(b.migrate({ ...MIGRATE, mode, detach: true }));
      sites.leaveAlone(C);
      await sites.writeMuch(B);
      sites.away.delete(C);
      expect(await sites.drive(outcome(b.replicate(REPLICATE)))).toBe('done');
      expect(await sites.differs(C)).toBeUndefined();
      expect(await sites.drive(outcome(b.resumeMigration({ maxRate: undefined })))).toBe('done');
      expect(await sites.differs(B)).toBeUndefined();
    },
  );
});

test('[R9] a kept link does not wait for what is carried when maps have taken over', async () => {
  const { sites, a, b, c } = await ready({ journal: TINY_JOURNAL });
  await sites.keepByMap(B);
  const machine = sites.machine(C);
  machine.hung = [];
  await sites.write(A, write(0, 100, 600, 3));
  const replicating = a.replicate(REPLICATE).catch(() => undefined);
  await sites.clock.pass(200);
  sites.cutLinks(C);
  await sites.drive(replicating);
  await sites.write(A, write(0, 300, 600, 4));
  await sites.drive(b.migrate({ ...MIGRATE, mode: 'handoff', detach: true }));
  sites.leaveAlone(A);
  const { hung } = machine;
  machine.hung = undefined;
  for (const end of hung) end();
  b.startServing();
  await sites.clock.pass(500);
  await sites.writeMuch(B);
  sites.away.delete(A);
  await sites.clock.pass(60_000);
  expect(b.set.file.migration?.state).toBe('done');
  expect(c.set.usable).toBe(true);
  expect(await sites.differs(B)).toBeUndefined();
});

test('[R6] drain: replicate goes on with a copy by map behind a closed epoch', async () => {
  const { sites, b, c } = await ready({ journal: TINY_JOURNAL, syncMs: 1 });
  await sites.keepByMap(B);
  await sites.write(A, write(0, 100, 9000, 3));
  await sites.drive(b.migrate({ ...MIGRATE, detach: true }));
  sites.leaveAlone(C);
  await sites.writeMuch(B);
  sites.away.delete(C);
  const replicating = outcome(b.replicate({ ...REPLICATE, maxRate: 20_000 }));
  await sites.clock.run(() => c.set.copy !== null);
  sites.leaveAlone(C);
  await sites.drive(replicating);
  sites.away.delete(C);
  expect(await sites.drive(outcome(b.replicate(REPLICATE)))).toBe('done');
  expect(await sites.differs(C)).toBeUndefined();
});

test('[R5] [R9] a secondary rolled back to before the epoch is not waited for', async () => {
  const { sites, b } = await ready();
  await sites.close(C);
  const old = sites.machine(C).disk.survivors('keep', 1);
  await sites.open(C);
  await sites.write(A, write(0, 100, 9000, 3));
  await sites.drive(b.migrate(MIGRATE));
  await sites.write(B, write(0, 0, 600, 4));
  await sites.replicate(B);
  await sites.crash(C, 'lose');
  sites.machine(C).disk = old;
  await sites.open(C);
  await sites.write(B, write(0, 0, 600, 5));
  const end = await sites.drive(outcome(b.replicate({ ...REPLICATE, timeoutMs: 5000 })));
  expect(end).toMatch(/rolled back|needs a new copy/);
});

describe('the source', () => {
  test('a read error at the source does not stop the target, the primary by now', async () => {
    const { sites, b } = await ready();
    await sites.migrate(true);
    sites.machine(A).disk.hook = (operation) => {
      if (operation.label !== 'IMAGE:READ') return;
      throw Object.assign(new Error('EIO: a bad sector'), { code: 'EIO' });
    };
    await sites.write(B, write(0, 100, 50, 7)); // a part of a block that is not here
    await sites.clock.pass(1000);
    expect(b.set.failure).toBeUndefined();
    expect(b.set.refusal('write')).toBeUndefined();
  });

  test('[R6] what the source cannot read, the secondary gives', async () => {
    const { sites, b } = await ready();
    await sites.migrate(true);
    await sites.write(B, write(1, 16_384, 4096, 7));
    await sites.drive(b.replicate(REPLICATE)); // C has N - 1
    sites.machine(A).disk.hook = (operation) => {
      if (operation.label !== 'IMAGE:READ') return;
      throw Object.assign(new Error('EIO: a bad sector'), { code: 'EIO' });
    };
    const device = b.set.volumes[0] ?? missing();
    const answer = await sites.drive(
      outcome(submitAndWait(device, { kind: 'read', offset: 0, length: 4096 })),
    );
    expect(answer).toBe('done');
  });

  test('[R7] asked twice to note changes, it says yes once the map is named', async () => {
    const { sites, a, b } = await ready({ syncMs: 5 });
    const started = b.migrate({ ...MIGRATE, copy: 'pre', detach: true, maxRate: 100 });
    started.catch(() => undefined);
    await sites.clock.run(() => a.set.contents.changed.inUse);
    expect(a.set.file.maps).toEqual([]); // the first call is still under way
    // The link was cut, and the target asks anew.
    const call = callOf(b);
    await sites.drive(trackChanges(a.set, { migration: call, reader: 'r' }));
    expect(a.set.file.maps).toEqual(['alpha.changed', 'beta.changed']);
  });

  test('[R7] a write that comes while its block is read ahead stays noted', async () => {
    const { sites, a, b } = await ready({ syncMs: 5 });
    const started = b.migrate({ ...MIGRATE, copy: 'pre', detach: true, maxRate: 100 });
    started.catch(() => undefined);
    await sites.clock.run(() => a.set.file.maps.length > 0);
    const call = callOf(b);
    await sites.drive(trackChanges(a.set, { migration: call, reader: 'r' }));
    await sites.drive(a.set.drain());
    await sites.write(A, write(1, 0, 512, 7));
    const flushed = sites.flush(A);
    await sites.write(A, write(1, 0, 512, 8));
    // What is read must be durable first, and so waits for the sync behind that one.
    const from = { kind: 'serving', migrationId: call.id, reader: 'r' } as const;
    const reading = answerRead(a.set, { volume: 0, offset: 0, length: 4096, from });
    await sites.write(A, write(0, 0, 4096, 9));
    const applied = a.set.drain();
    const { data } = await sites.drive(reading);
    await sites.drive(Promise.all([flushed, applied]));
    expect(data).toEqual(pattern(1, 4096)); // older than the write
    expect(a.set.contents.changed.of(0)?.has(0)).toBe(true);
  });

  test('[R7] a target that died behind the seal hears again of all that is owed', async () => {
    const { sites, a, b } = await ready();
    await sites.write(A, write(0, 100, 9000, 3)); // C lacks that
    const started = b.migrate({ ...MIGRATE, mode: 'bitmap', detach: true });
    started.catch(() => undefined);
    await sites.clock.run(() => a.set.file.seal !== null);
    expect(b.set.file.role).toBe('target');
    await sites.crash(B, 'lose');
    const again = await sites.open(B);
    await sites.drive(again.resumeMigration({ maxRate: undefined }));
    await sites.replicate(B);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R1] a read ahead that was held up does not hide a later change', async () => {
    const { sites, a, b } = await ready({ syncMs: 1 });
    const started = b.migrate({ ...MIGRATE, copy: 'pre', detach: true, maxRate: 8000 });
    started.catch(() => undefined);
    // Block 0 was read by a target that was killed then; another process of it reads it anew.
    await sites.clock.run(() => b.set.contents.present(0)?.has(0) === true);
    const { id } = callOf(b);
    await sites.write(A, write(0, 0, 4096, 9));
    await sites.drive(a.set.drain());
    // The first process's request, which the network had kept, comes to A only now.
    const from = { kind: 'serving', migrationId: id, reader: 'killed' } as const;
    const late = answerRead(a.set, { volume: 0, offset: 0, length: 4096, from });
    expect((await sites.refusal(late)).code).toBe('E_STATE');
    await sites.drive(started);
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect(await sites.differs(B)).toBeUndefined();
  });
});

describe('commands beside a migration', () => {
  test.each(['split', 'delete'] as const)(
    'a pair %s that is refused does not bring the migration to a halt',
    async (what) => {
      const { sites, b } = await ready({ syncMs: 1 });
      let ended: string | undefined;
      sites.delayAnswers(C, 1000);
      outcome(b.migrate(MIGRATE)).then(
        (end) => (ended = end),
        () => undefined,
      );
      await sites.clock.run(() => b.set.file.migration?.state === 'copying');
      await sites.clock.pass(1200);
      const refused = await sites.refusal(what === 'split' ? b.splitPair() : b.deletePair());
      expect(refused.code).toBe('E_STATE');
      await sites.write(B, write(0, 30_000, 500, 7));
      await sites.clock.pass(300_000, { simulatedMsMax: 300_000 });
      expect(ended).toBe('done');
    },
  );

  test('[R4] a split while a planned takeover catches up: one of both is refused', async () => {
    const { sites, a, c } = await ready({ syncMs: 1 });
    for (let id = 0; id < 4; id += 1) await sites.write(A, write(0, 0, 12_000, id));
    let ended: string | undefined;
    outcome(c.takeOver({ force: false })).then(
      (end) => (ended = end),
      () => undefined,
    );
    await sites.clock.run(() => a.replication.isUp);
    await sites.clock.pass(1);
    await sites.drive(outcome(a.splitPair()));
    await sites.clock.pass(300_000, { simulatedMsMax: 300_000 });
    const state = { ended, sealed: a.set.file.seal !== null, pair: a.set.file.pair?.state };
    expect(state.ended).toBeDefined();
    // Sealed, it has to be able to send what it owes.
    expect(state).not.toMatchObject({ sealed: true, pair: 'split' });
  });
});
