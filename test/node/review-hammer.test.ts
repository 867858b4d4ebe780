/** Review: hosts that never stop, journals that fall back to maps, links that break. */
import { expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import { TINY_JOURNAL, pattern } from '../support/image-sets.ts';
import { A, C, REPLICATE, Sites } from '../support/sites.ts';
import { seededRandom } from '../sim/random.ts';

test.each(Array.from({ length: 30 }, (_, i) => i + 1))('[R6] [R7] the pair comes to rest without a full copy, and no state is without its maps (seed %d)', async (seed) => {
  const sites = new Sites({ journal: TINY_JOURNAL, seed, syncMs: 1 + (seed % 3) });
  const random = seededRandom(seed);
  await sites.paired();
  await sites.close(A);
  const a = await sites.open(A, { roomWaitMs: 100_000 });
  await sites.drive(a.set.identity.update((file) => ({ ...file, journal: { ...file.journal, whenFull: 'map' } })));
  let stopped = false; let error: string | undefined; let id = 0; let inFlight = 0;
  const device = a.set.volumes[0]; const beta = a.set.volumes[1];
  const host = async () => {
    while (!stopped) {
      id += 1;
      const length = 1 + random.below(11_000);
      const dev = id % 2 ? device : beta; if (!dev) throw new Error();
      const data = [pattern(id, length)];
      inFlight++;
      try { const r = await submitAndWait(dev, { kind: 'write', offset: random.below(20_000 - length), length, data, fua: false }); if (!r.ok) error ??= String(r.error); }
      catch (e) { error ??= `host ${(e as Error).message}`; return; }
      await sites.clock.sleep(random.below(4));
    }
  };
  const running = host();
  const log: string[] = [];
  let last = ''; let bad: string | undefined;
  a.set.onChange(() => { const { pair, maps } = a.set.file; const s = `${pair?.state}/${maps.length}`; if (s !== last) { last = s; log.push(s);} if (s === 'suspended/0' || s === 'split/0') bad ??= s; });
  for (let round = 0; round < 12; round += 1) {
    const ended = await sites.drive(Promise.race([a.replicate({ ...REPLICATE, timeoutMs: 2000, maxRate: random.below(2) ? undefined : 200_000 }).then(() => 'done', (e: Error) => e.message), sites.clock.sleep(3000).then(() => 'late')]));
    log.push(ended.slice(0, 90));
    if (random.below(2)) { sites.away.add(C); sites.cutLinks(C); await sites.clock.pass(random.below(60)); sites.away.delete(C); }
    await sites.clock.pass(random.below(30));
  }
  stopped = true;
  await sites.drive(running);
  const end = await sites.drive(a.replicate({ ...REPLICATE, timeoutMs: 60_000 }).then(() => 'done', (e: Error) => e.message));
  const equal = end === 'done' ? (await sites.drive(a.verifyAgainst(C))).equal : undefined;
  const copies = a.replication.counts.copiesBegun;
  expect({ end, equal, copies, error, bad, log: log.slice(-8) }).toMatchObject({
    end: 'done',
    equal: true,
    copies: 0,
    error: undefined,
    bad: undefined,
  });
});
