/** Hosts that never stop, journals that fall back to maps, links that break. */
import { expect, test } from '@jest/globals';
import { submitAndWait } from '../../src/device/device.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { TINY_JOURNAL, pattern } from '../support/image-sets.ts';
import { A, C, REPLICATE, Sites } from '../support/sites.ts';
import { seededRandom } from '../sim/random.ts';

const SEEDS = Array.from({ length: Number(process.env['RESTLESS_SEEDS'] ?? 2) }, (_, n) => n + 1);

/** A host that writes until it is told to stop; what comes back stops it, and says what failed. */
function startHost(sites: Sites, { set }: StorageNode, seed: number): () => Promise<string[]> {
  const random = seededRandom(seed);
  const failures: string[] = [];
  let stopped = false;
  const write = async (id: number) => {
    const device = set.volumes[id % 2];
    if (!device) throw new Error('there are two volumes');
    const length = 1 + random.below(11_000);
    const offset = random.below(20_000 - length);
    const data = [pattern(id, length)];
    const request = { kind: 'write', offset, length, data, fua: false } as const;
    const answer = await submitAndWait(device, request);
    if (!answer.ok) failures.push(answer.error.message);
  };
  const running = (async () => {
    for (let id = 1; !stopped; id += 1) {
      await write(id);
      await sites.clock.sleep(random.below(4));
    }
  })();
  return async () => {
    stopped = true;
    await sites.drive(running);
    return failures;
  };
}

/** States in which nothing says what the secondary lacks, as they come. */
function watchStates({ set }: StorageNode): string[] {
  const wrong: string[] = [];
  set.onChange(() => {
    const { pair, maps } = set.file;
    const isBare = maps.length === 0 && (pair?.state === 'suspended' || pair?.state === 'split');
    if (isBare) wrong.push(pair.state);
  });
  return wrong;
}

function ended(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: Error) => error.message,
  );
}

test.each(SEEDS)('[R6] [R7] it comes to rest without a full copy, seed %d', async (seed) => {
  const sites = new Sites({ journal: TINY_JOURNAL, seed, syncMs: 1 + (seed % 3) });
  const random = seededRandom(seed);
  await sites.paired();
  await sites.close(A);
  const a = await sites.open(A, { roomWaitMs: 100_000 });
  await sites.drive(
    a.set.identity.update((file) => ({ ...file, journal: { ...file.journal, whenFull: 'map' } })),
  );
  const wrong = watchStates(a);
  const stopHost = startHost(sites, a, seed);
  for (let round = 0; round < 12; round += 1) {
    const maxRate = random.below(2) ? undefined : 200_000;
    const replicating = ended(a.replicate({ ...REPLICATE, timeoutMs: 2000, maxRate }));
    await sites.drive(Promise.race([replicating, sites.clock.sleep(3000)]));
    if (random.below(2)) {
      sites.leaveAlone(C);
      await sites.clock.pass(random.below(60));
      sites.away.delete(C);
    }
    await sites.clock.pass(random.below(30));
  }
  const failures = await stopHost();
  const end = await sites.drive(ended(a.replicate({ ...REPLICATE, timeoutMs: 60_000 })));
  expect({ end, failures, wrong }).toEqual({ end: 'done', failures: [], wrong: [] });
  expect(a.replication.counts.copiesBegun).toBe(0);
  expect((await sites.drive(a.verifyAgainst(C))).equal).toBe(true);
});
