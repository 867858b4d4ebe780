/**
 * The secondary is lost for good while a migration is under way, in each way to migrate: once the
 * target serves hosts it goes on alone, and a new secondary follows it afterwards.
 */
import { describe, expect, test } from '@jest/globals';
import { write } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, Sites, WAYS } from '../support/sites.ts';

async function moving(sites: Sites, way: (typeof WAYS)[number]) {
  await sites.paired();
  await sites.write(A, write(0, 0, 30_000, 1), write(1, 5000, 9000, 2));
  await sites.clock.pass(50);
  sites.cutLinks(C);
  sites.away.add(C);
  await sites.write(A, write(0, 100, 9000, 3));
  sites.away.delete(C);
  const b = await sites.create(B);
  await sites.drive(b.migrate({ ...MIGRATE, ...way, detach: true }));
  return b;
}

describe('a secondary that is lost for good under a migration', () => {
  test.each(WAYS)('$mode, $copy-copy: the target goes on without it', async (way) => {
    const sites = new Sites();
    const b = await moving(sites, way);
    await sites.remake(C);
    await sites.write(B, write(1, 300, 5000, 77));
    const refused = await sites.refusal(b.deletePair());
    expect(refused.hint).toContain(`rcopy pair delete ${B} --local`);
    await sites.drive(b.deletePair({ local: true }));
    expect(b.status().migration).toMatchObject({ remainingEntries: 0 });
    await sites.drive(b.resumeMigration({ maxRate: undefined }));
    expect(b.set.file).toMatchObject({ pair: null, maps: [], migration: { state: 'done' } });
    expect((await sites.open(A)).set.file.role).toBe('retired');
    expect(b.set.journal.runs.map(({ epoch }) => epoch)).toEqual([b.set.file.epoch]);
    await sites.drive(b.createPair({ secondary: C }));
    await sites.replicate(B);
    for (const folder of [B, C])
      expect([folder, await sites.differs(folder)]).toEqual([folder, undefined]);
    await sites.closeAll();
  });

  test.each(WAYS)('[R6] $mode, $copy-copy: daemons go on by themselves', async (way) => {
    const sites = new Sites({ daemons: {} });
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1));
    const b = await sites.create(B);
    sites.leaveAlone(C); // it burns while A owes it something
    await sites.write(A, write(0, 100, 9000, 3));
    const { mode } = way;
    const how = { ...MIGRATE, ...way, detach: true };
    sites.away.delete(C);
    await sites.drive(b.migrate(how));
    await sites.remake(C);
    await sites.clock.pass(2_000);
    expect([mode, b.set.file.migration?.state]).toEqual([mode, 'copying']);
    await sites.drive(b.deletePair({ local: true }));
    await sites.crash(B, 'lose');
    const again = await sites.open(B);
    await sites.clock.run(() => again.set.file.migration?.state === 'done');
    await sites.clock.run(() => a.set.file.role === 'retired');
    expect(await sites.differs(B)).toBeUndefined();
    await sites.closeAll();
  });

  test('before the switch it is refused, and says what to do', async () => {
    const sites = new Sites({ daemons: {} });
    const { a } = await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1));
    const b = await sites.create(B);
    const sealing = new Promise<void>((resolve) => {
      sites.wrap = (_, address) => address === A && resolve();
    });
    const migrated = b.migrate({ ...MIGRATE, copy: 'pre' });
    await sites.drive(sealing);
    await sites.clock.run(() => a.set.file.migration !== null);
    const refused = await sites.refusal(a.deletePair({ local: true }));
    expect(refused.code).toBe('E_STATE');
    expect(refused.hint).toContain(`rcopy migrate resume ${B}`);
    await sites.drive(migrated);
    await sites.closeAll();
  });
});
