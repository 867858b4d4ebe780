/** Splits at awkward moments. */
import { expect, test } from '@jest/globals';
import { write } from '../support/image-sets.ts';
import { A, C, REPLICATE, Sites, pairWithTinyJournal } from '../support/sites.ts';

test('before the secondary has heard that its first copy begins: all is copied', async () => {
  const sites = new Sites({ syncMs: 3 });
  const a = await sites.create(A);
  const c = await sites.create(C);
  await sites.write(A, write(0, 0, 30_000, 1), write(1, 0, 20_000, 2));
  await sites.drive(a.createPair({ secondary: C }));
  a.replicate(REPLICATE).catch(() => undefined);
  await sites.clock.run(() => a.set.file.pair?.copyBase !== null);
  await sites.drive(a.splitPair());
  expect(c.set.copyReceived).toBeNull();
  await sites.write(A, write(0, 100, 100, 3));
  await sites.drive(a.resyncPair());
  await sites.replicate(A);
  expect(a.status().pair).toMatchObject({ state: 'paired', usable: true });
  expect(await sites.differs(C)).toBeUndefined();
});

test('[R7] killed just when the journal has let go what the secondary lacks', async () => {
  const { sites, a } = await pairWithTinyJournal();
  sites.leaveAlone(C);
  await sites.write(A, write(0, 0, 4096, 3));
  const lacking = sites.model.newest;
  // Enough for its segment to be behind others, and all of it applied before there are maps.
  for (let id = 10; id < 14; id += 1) await sites.write(A, write(1, 4096, 8192, id));
  await sites.drive(a.splitPair());
  expect(a.set.ownRun()?.firstKept).toBeGreaterThan(lacking);
  await sites.crash(A, 'keep');
  const again = await sites.open(A);
  sites.away.delete(C);
  await sites.drive(again.resyncPair());
  await sites.replicate(A);
  expect(await sites.differs(C)).toBeUndefined();
});
