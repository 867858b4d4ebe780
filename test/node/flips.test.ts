/**
 * Single faults in the files of sets that were closed in order: a share of the campaign that
 * `npm run flips` does whole. FLIPS_SEED chooses another share: 0 to 16000 are all of it.
 */
import { describe, expect, test } from '@jest/globals';
import { write, zeroes } from '../support/image-sets.ts';
import { A, C, Sites } from '../support/sites.ts';
import { faultsOf, liveFiles, look, makeSamples, strike } from './flips.ts';
import type { Fault, Sample } from './flips.ts';

const EVERY = 16_001;
/** The same of the smallest files, where each bit means something. */
const SMALL_EVERY = 10;
const SEED = Number(process.env['FLIPS_SEED'] ?? 1);

const samples = await makeSamples();

async function missed(sample: Sample, faults: Iterable<Fault>, twice: boolean): Promise<string[]> {
  const misses: string[] = [];
  for (const fault of faults) {
    const problem = await strike(sample, fault, twice);
    if (problem !== undefined) misses.push(`${JSON.stringify(fault)}: ${problem}`);
  }
  return misses;
}

describe.each(samples)('$name', (sample) => {
  test('without a fault is sound, and reads as hosts were told', async () => {
    const disk = sample.disk.survivors('lose', 0);
    expect(await look(sample, disk)).toEqual({ found: false, wrong: undefined });
    // What the opening and the closing wrote is as sound.
    expect(await look(sample, disk)).toEqual({ found: false, wrong: undefined });
  });

  test(`[R8] with one of every ${EVERY} faults is refused, or found and reads right`, async () => {
    const share = faultsIn(sample, '').filter((_, index) => index % EVERY === SEED % EVERY);
    expect(share.length).toBeGreaterThan(0);
    expect(await missed(sample, share, true)).toEqual([]);
  });
});

test(`[R8] one of ${SMALL_EVERY} faults of a set.json and of records that begin runs`, async () => {
  const [alone] = samples;
  const headOnly = samples.filter(({ name }) => /without (a pair or )?a record/.test(name));
  const faults: [Sample, Fault[]][] = [
    ...(alone ? [[alone, faultsIn(alone, 'set.json')] as [Sample, Fault[]]] : []),
    ...headOnly.map((sample) => [sample, faultsIn(sample, '.rcj')] as [Sample, Fault[]]),
  ];
  expect(faults).toHaveLength(3);
  for (const [sample, all] of faults) {
    const some = all.filter((_, index) => index % SMALL_EVERY === SEED % SMALL_EVERY);
    expect(await missed(sample, some, false)).toEqual([]);
  }
});

/** All faults of the files whose names end so. */
function faultsIn(sample: Sample, ending: string): Fault[] {
  const files = liveFiles(sample).filter(({ path }) => path.endsWith(ending));
  return files.flatMap((file) => Array.from(faultsOf(file)));
}

test('[R8] flips in raw images are found by comparing, in whichever set they are', async () => {
  const sites = new Sites();
  const { a } = await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1), zeroes(0, 4096, 500), write(1, 4096, 4096, 2));
  await sites.replicate(A);
  await sites.drive(a.set.drain());
  expect((await sites.drive(a.verifyAgainst(C))).equal).toBe(true);
  for (const folder of [A, C]) {
    const { disk } = sites.machine(folder);
    for (const { name, sizeBytes } of sites.volumes) {
      const path = `${folder}/volumes/${name}.img`;
      for (let bit = SEED; bit < sizeBytes * 8; bit += 29_989) {
        disk.flipBit(path, bit >> 3, bit & 7);
        const { differences } = await sites.drive(a.verifyAgainst(C));
        disk.flipBit(path, bit >> 3, bit & 7);
        const offset = Math.floor((bit >> 3) / 4096) * 4096;
        const length = Math.min(4096, sizeBytes - offset);
        expect(differences).toEqual([{ volume: name, offset, length }]);
      }
    }
  }
});
