/**
 * Migrations between sites while hosts write: through A until it is sealed, then through B, in each
 * phase; numbers stay dense, and C is at every moment a state that hosts were told of.
 */
import { describe, expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import { remakeSetFolder } from '../../src/imageset/set-folder.ts';
import type { MigrateRequest } from '../../src/node/requests.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { announce, buryMigration, sealAndHandOver } from '../../src/node/migration-source.ts';
import { OwedAccount } from '../../src/node/owed-maps.ts';
import type { MigrationCall } from '../../src/node/calls.ts';
import { difference, peekAll, readAll, write, zeroes } from '../support/image-sets.ts';
import { MovingHost } from '../support/moving-host.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites, WAYS } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

async function ready(options: SitesOptions = {}) {
  const sites = new Sites(options);
  const nodes = await sites.paired();
  await sites.write(A, write(0, 0, 30_000, 1), write(1, 5000, 9000, 2), zeroes(0, 9000, 700));
  await sites.replicate(A);
  return { sites, ...nodes, b: await sites.create(B) };
}

describe('a migration under a host that never stops', () => {
  test.each(WAYS.flatMap((how) => [1, 3].map((seed) => [how.mode, how.copy, seed] as const)))(
    '[R1] [R4] %s, %s-copy: numbers stay dense, and every set ends the same (seed %d)',
    async (mode, copy, seed) => {
      const { sites, a, b, c } = await ready({ seed, syncMs: seed });
      const host = new MovingHost(sites, a, b);
      const running = host.run();
      running.catch((error: unknown) => {
        host.wrong ??= String(error);
      });
      let looked = 0;
      let wrong: string | undefined;
      const unusable = new Set<string>();
      c.set.onChange(() => {
        if (!c.set.usable) unusable.add(c.status().health.word);
        if (!c.set.usable) return;
        const expected = sites.model.after(c.set.feed.position.sequence);
        looked += 1;
        wrong ??= expected && difference(peekAll(c.set), expected);
      });
      await sites.clock.pass(20);
      const sealedAt = sites.model.newest;
      const answer = await sites.drive(b.migrate({ ...MIGRATE, mode, copy }));
      await sites.clock.pass(20);
      host.stopped = true;
      await sites.drive(running);
      expect(host.wrong).toBeUndefined();
      expect(wrong).toBeUndefined();
      expect(looked).toBeGreaterThan(3);
      // Only blocks make C unusable, and it says so.
      expect([...unusable]).toEqual(mode === 'bitmap' ? ['not usable'] : []);
      expect(answer.state).toBe('done');
      expect(answer.nextSequence).toBeGreaterThan(sealedAt);
      expect(answer.journalCursor).toBeLessThanOrEqual(answer.nextSequence);
      // First all at A, then all at B, none lost in between.
      expect(new Set(host.answered)).toEqual(new Set(['tokyo', 'osaka']));
      const atA = host.answered.indexOf('osaka');
      expect(host.answered.slice(atA).includes('tokyo')).toBe(false);
      expect(difference(await readAll(b.set), sites.model.now)).toBeUndefined();
      await sites.replicate(B);
      expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
      expect((await sites.drive(b.verifyAgainst(C))).equal).toBe(true);
      expect(a.set.file.role).toBe('retired');
      for (const folder of [A, B, C]) await sites.close(folder);
      await sites.open(B);
      expect(await sites.differs(B)).toBeUndefined();
    },
  );

  test('the copy is done once, and only what B lacks is fetched', async () => {
    const { sites, a, b } = await ready();
    const answer = await sites.migrate();
    expect(answer).toMatchObject({ changed: true, epoch: 2, state: 'done' });
    expect(answer.nextSequence).toBe(sites.model.newest + 1);
    expect(answer.copiedBytes).toBeGreaterThan(0);
    expect(answer.copiedBytes).toBeLessThanOrEqual(61_440);
    expect(a.replication.counts.copiesBegun + b.replication.counts.copiesBegun).toBe(1);
    expect(await sites.migrate()).toMatchObject({ changed: false, state: 'done' });
  });
});

describe('--detach', () => {
  test('B serves at once: whole, partial and read requests, then the rest is fetched', async () => {
    const { sites, b } = await ready();
    const answer = await sites.migrate(true);
    expect(answer.state).toBe('copying');
    expect(b.status().volumes.every(({ present }) => present < 1)).toBe(true);
    const before = b.set.contents.absentBytes;
    // A whole block is B's own at once; parts of blocks lie above what is not here yet.
    await sites.write(B, write(0, 8192, 4096, 21), write(0, 100, 50, 22), zeroes(1, 6000, 300));
    const [device] = b.set.volumes;
    const read = await sites.drive(
      submitAndWait(device ?? missing(), { kind: 'read', offset: 90, length: 70 }),
    );
    const expected = sites.model.now[0]?.subarray(90, 160);
    expect(Buffer.concat(read.ok ? (read.data ?? []) : []).equals(expected ?? missing())).toBe(
      true,
    );
    expect(b.set.contents.absentBytes).toBeLessThan(before);
    expect(b.set.contents.absentBytes).toBeGreaterThan(0);
    await sites.crash(B, 'lose');
    const again = await sites.open(B);
    await sites.drive(again.resumeMigration({ maxRate: undefined }));
    expect(again.set.contents.absentBytes).toBe(0);
    expect(again.migrationStatus().migration).toMatchObject({ state: 'done', remainingBytes: 0 });
    await sites.replicate(B);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R6] A dies for good when C has N - 1: B takes what it lacks from C', async () => {
    const { sites } = await ready();
    await sites.migrate(true);
    await sites.write(B, write(0, 8192, 4096, 21), write(1, 700, 90, 22));
    const b = await sites.open(B);
    // C gets what A owes, and B's own records: it follows B's epoch then.
    await sites.drive(b.replicate(REPLICATE));
    expect(b.set.contents.absentBytes).toBeGreaterThan(0);
    await sites.write(B, write(0, 5000, 30, 23));
    await sites.crash(A, 'lose');
    sites.away.add(A);
    await sites.crash(B, 'lose');
    const again = await sites.open(B);
    await sites.drive(again.resumeMigration({ maxRate: undefined }));
    expect(again.migrationStatus().migration).toMatchObject({ state: 'done', remainingBytes: 0 });
    expect(await sites.differs(B)).toBeUndefined();
    await sites.replicate(B);
    expect(await sites.differs(C)).toBeUndefined();
  });

  test('[R6] B comes back, A is away: what C has is served, what it was owed is not', async () => {
    const { sites } = await ready();
    await sites.write(A, write(0, 100, 50, 20)); // C lacks that, and so its block
    await sites.migrate(true);
    await sites.write(B, write(0, 8192, 4096, 21));
    await sites.crash(B, 'keep');
    await sites.crash(A, 'lose');
    sites.away.add(A);
    const b = await sites.open(B);
    const [device] = b.set.volumes;
    const read = (offset: number) =>
      submitAndWait(device ?? missing(), { kind: 'read', offset, length: 4096 });
    expect((await sites.drive(read(8192))).ok).toBe(true);
    expect((await sites.drive(read(16384))).ok).toBe(true);
    expect((await sites.refusal(read(0))).code).toBe('E_UNREACHABLE');
    expect((await sites.refusal(b.resumeMigration({ maxRate: undefined }))).code).toBe(
      'E_UNREACHABLE',
    );
    expect(b.set.failure).toBeUndefined();
    sites.away.delete(A);
    await sites.open(A);
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect(await sites.differs(B)).toBeUndefined();
  });
});

describe('an abort before the switch', () => {
  /** A migration that A has heard of, and that then lost its link. */
  async function announced() {
    const made = await ready();
    const { sites, a, b } = made;
    const started = b.migrate(MIGRATE);
    started.catch(() => undefined);
    await sites.clock.run(() => a.set.file.migration !== null);
    sites.cutLinks(B);
    await sites.refusal(started);
    await sites.clock.pass(1);
    expect(a.set.file.seal).toBeNull();
    return made;
  }

  test.each([A, B])('from %s: A is writable, B blank again and a target anew', async (from) => {
    const { sites, a, b } = await announced();
    expect(b.set.file.role).toBe('target');
    expect((await sites.refusal(b.mark('x'))).code).toBe('E_ROLE');
    const end = await sites.drive((await sites.open(from)).abortMigration());
    expect(end.state).toBe('aborted');
    expect(a.set.file.migration).toBeNull();
    expect(b.set.file.role).toBe('primary');
    await sites.write(A, write(0, 0, 4096, 9));
    await sites.migrate();
    expect(await sites.differs(B)).toBeUndefined();
    expect(b.set.newest).toBe(sites.model.newest);
  });

  test('[R4] then a late request for the seal under that id seals nothing', async () => {
    const { sites, a, b } = await announced();
    const { migration } = b.set.file;
    await sites.drive(b.abortMigration());
    const { id, mode, copy, source, target, secondary } = migration ?? missing();
    const call = { id, mode, copy, source, target, secondary };
    for (const late of [askToSeal, announce]) {
      expect((await sites.refusal(late(a.set, call))).code).toBe('E_STATE');
    }
    expect(a.set.file.seal).toBeNull();
    await sites.crash(A, 'lose');
    const again = await sites.open(A);
    expect((await sites.refusal(askToSeal(again.set, call))).code).toBe('E_STATE');
    await sites.write(A, write(0, 0, 4096, 9));
  });

  test('another target can be used afterwards', async () => {
    const { sites, b } = await announced();
    await sites.drive(b.abortMigration());
    await sites.create('/nagoya');
    await sites.migrate(false, A, '/nagoya');
    expect(await sites.differs('/nagoya')).toBeUndefined();
  });

  test('[R4] once B has written: refused from both ends; a repeated seal is the same', async () => {
    const { sites, a, b } = await ready();
    await sites.migrate(true);
    const { id, mode, copy, source, target, secondary, handover } =
      b.set.file.migration ?? missing();
    const call = { id, mode, copy, source, target, secondary };
    await sites.write(B, write(0, 4096, 100, 8));
    for (const node of [a, b]) {
      expect((await sites.refusal(node.abortMigration())).code).toBe('E_STATE');
    }
    expect((await sites.refusal(buryMigration(a.set, call))).code).toBe('E_SEALED');
    await sites.write(B, write(0, 0, 4096, 9));
    await sites.replicate(B);
    const again = await sites.drive(askToSeal(a.set, call));
    expect(again.sealRecord).toBe(handover?.sealRecord);
    expect(again.nextSequence).toBe(handover?.nextSequence);
    const other = { ...call, id: '77'.repeat(16) as typeof id };
    expect((await sites.refusal(askToSeal(a.set, other))).code).toBe('E_SEALED');
    await sites.migrate();
    expect(await sites.differs(B)).toBeUndefined();
  });
});

describe('a migration is refused', () => {
  const start = (node: StorageNode, request: Partial<MigrateRequest> = {}) =>
    node.migrate({ ...MIGRATE, ...request });

  test('from a set that moved already, and names where to', async () => {
    const { sites } = await ready();
    await sites.migrate(true);
    const d = await sites.create('/nagoya');
    const error = await sites.refusal(start(d));
    expect(error.code).toBe('E_SEALED');
    expect(error.message).toMatch(/osaka/);
  });

  test('while another one is under way', async () => {
    const { sites } = await ready();
    await sites.migrate(true);
    const d = await sites.create('/nagoya');
    expect((await sites.refusal(start(d, { from: B }))).message).toMatch(/takes part/);
  });

  test('with the arguments swapped, to itself, to a used set, without a pair', async () => {
    const { sites, a, b, c } = await ready();
    expect((await sites.refusal(start(a, { from: B }))).message).toMatch(/used before/);
    expect((await sites.refusal(start(a, { from: A }))).message).toMatch(/same set/);
    expect((await sites.refusal(start(c, { from: A }))).code).toBe('E_NOT_EMPTY');
    expect((await sites.refusal(start(b, { from: C }))).code).toBe('E_ROLE');
    await sites.create('/nagoya');
    await sites.create('/sapporo');
    const sapporo = await sites.open('/sapporo');
    expect((await sites.refusal(start(sapporo, { from: '/nagoya' }))).code).toBe('E_NOT_PAIRED');
    expect((await sites.refusal(start(b, { from: '/nowhere' }))).code).toBe('E_UNREACHABLE');
    sites.leaveAlone(C);
    await sites.clock.pass(1);
    expect((await sites.refusal(start(b))).code).toBe('E_UNREACHABLE');
    expect(b.set.file.migration).toBeNull();
    expect(a.set.file.migration).toBeNull();
  });

  test('to volumes of another size', async () => {
    const { sites } = await ready();
    const d = await sites.create('/nagoya', [{ name: 'alpha', sizeBytes: 4096 }]);
    expect((await sites.refusal(start(d))).code).toBe('E_TOO_SMALL');
  });

  test('[R4] and pairs are not ended under it', async () => {
    const { sites, a, b } = await ready();
    await sites.migrate(true);
    expect((await sites.refusal(b.deletePair())).code).toBe('E_STATE');
    expect((await sites.refusal(a.deletePair())).code).toBe('E_STATE');
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_SEALED');
  });
});

describe('three moves in a row', () => {
  test.each(WAYS.map(({ mode, copy }) => [mode, copy] as const))(
    '%s, %s-copy: A to B and back to A, which begins a new life; one copy in all',
    async (mode, copy) => {
      const { sites, a, c } = await ready();
      const move = async (from: string, to: string) => {
        await sites.write(from, write(0, 700, 5000, 41), zeroes(1, 4099, 901));
        const target = await sites.open(to);
        const answer = await sites.drive(target.migrate({ ...MIGRATE, mode, copy, from }));
        expect(answer.state).toBe('done');
        await sites.write(to, write(1, 0, 5000, 31));
        return answer;
      };
      await move(A, B);
      const { setId } = a.set.file;
      await sites.close(A);
      await sites.drive(remakeSetFolder(sites.environment(A), A, { lockWaitMs: 0 }));
      const answer = await move(B, A);
      expect(answer.epoch).toBe(3);
      const again = await sites.open(A);
      expect(again.set.file.setId).not.toBe(setId);
      await sites.replicate(A);
      for (const folder of [A, C]) expect(await sites.differs(folder)).toBeUndefined();
      expect(c.set.newest).toBe(sites.model.newest);
      expect((await sites.open(B)).set.file.role).toBe('retired');
      const nodes = [a, again, await sites.open(B)];
      const copies = nodes.reduce((sum, node) => sum + node.replication.counts.copiesBegun, 0);
      expect(copies).toBe(1);
    },
  );

  test('A to B to D: the pair follows, one copy in all', async () => {
    const { sites, c } = await ready();
    await sites.migrate();
    await sites.write(B, write(1, 0, 5000, 31));
    await sites.create('/nagoya');
    await sites.migrate(false, B, '/nagoya');
    await sites.write('/nagoya', write(0, 0, 5000, 32));
    await sites.replicate('/nagoya');
    expect(await sites.differs(C)).toBeUndefined();
    expect(c.set.newest).toBe(sites.model.newest);
    expect(c.set.file).toMatchObject({ epoch: 3, pair: { peer: { name: 'nagoya' } } });
    expect((await sites.open(B)).set.file.role).toBe('retired');
  });
});

function askToSeal(set: StorageNode['set'], call: MigrationCall) {
  return sealAndHandOver(set, call, () => new OwedAccount(set).bringUpToDate());
}

function missing(): never {
  throw new Error('something is missing');
}

test('an image that cannot be read at the source is named to who asked for the move', async () => {
  const sites = new Sites();
  await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1));
  await sites.close(A); // the images hold it all
  await sites.open(A);
  const b = await sites.create(B);
  sites.machine(A).disk.hook = ({ label }) => (label === 'IMAGE:READ' ? 'fail' : undefined);
  const refused = await sites.refusal(b.migrate({ ...MIGRATE, copy: 'pre' }));
  expect(refused.code).toBe('E_IO');
  expect(refused.message).toContain('/tokyo/volumes/alpha.img');
  // Whatever file it is: it is no bug of ours.
  await sites.drive(b.abortMigration());
  sites.machine(A).disk.hook = ({ label }) => (label === 'MAP:SYNC-FOLDER' ? 'fail' : undefined);
  const other = await sites.refusal(b.migrate({ ...MIGRATE, copy: 'pre' }));
  expect([other.code, other.message]).toEqual(['E_IO', expect.stringContaining('/tokyo')]);
  sites.machine(A).disk.hook = undefined;
  await sites.closeAll();
});
