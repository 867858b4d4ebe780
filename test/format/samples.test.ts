// Frozen samples of format version 1: what was once written stays readable, byte for byte.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Site } from '../../src/control/site.ts';
import {
  DAMAGED_SAMPLES,
  damagedFolder,
  describeDamaged,
  dumpDamaged,
  makeDamaged,
  openDamaged,
} from '../support/damaged-samples.ts';
import { StoryWorld } from '../story/world.ts';
import {
  DUMPS,
  SAMPLES,
  SAMPLE_SETS,
  describeSample,
  dumpSample,
  makeSamples,
  sampleFiles,
} from '../support/sample-sets.ts';

/** Puts the frozen sets on a simulated disk, whose folders they are from then on. */
async function frozenWorld(): Promise<StoryWorld> {
  const frozen = await makeSamples(); // only for the names of the files
  const world = new StoryWorld({ kind: 'none' }, 2);
  for (const set of SAMPLE_SETS) {
    for (const path of sampleFiles(frozen, set).keys()) {
      world.disk.writeFile(`/${set}/${path}`, readFileSync(join(SAMPLES, set, path)));
    }
    world.disk.makeFolder(`/${set}/maps`, 'TEST:FOLDER');
    const site = new Site(world.environment, { lockWaitMs: 0 });
    await world.drive(site.adopt(`/${set}`));
  }
  return world;
}

describe.each(SAMPLE_SETS)('%s as version 1 wrote it', (set) => {
  test('has the records and images that this program writes today', async () => {
    const world = await makeSamples();
    for (const [path, bytes] of sampleFiles(world, set)) {
      if (!path.includes('/')) continue; // the others count their saves
      const frozen = readFileSync(join(SAMPLES, set, path));
      expect({ path, same: frozen.equals(bytes) }).toEqual({ path, same: true });
    }
  });

  test('reads as it did', () => {
    const golden = readFileSync(join(SAMPLES, `${set}.json`), 'utf8');
    expect(describeSample(set)).toEqual(JSON.parse(golden));
  });
});

test.each([...DUMPS])('%s is what %s holds, byte by byte', (name, file) => {
  expect(dumpSample(file)).toBe(readFileSync(join(SAMPLES, 'dumps', name), 'utf8'));
});

describe.each([...DAMAGED_SAMPLES.keys()])('%s', (name) => {
  const kept = (path: string) => readFileSync(join(damagedFolder(name), path));

  test('is made as it is kept', async () => {
    for (const [path, bytes] of await makeDamaged(name)) {
      const same = kept(join('set', path)).equals(bytes);
      expect({ path, same }).toEqual({ path, same: true });
    }
  });

  test('is shown as it was: the damaged file, the set, its journal', () => {
    expect(dumpDamaged(name)).toBe(kept('dump.txt').toString());
    expect(describeDamaged(name)).toEqual(JSON.parse(kept('inspect.json').toString()));
  });

  test('[R8] opens, or does not, as it did', async () => {
    const opening = await openDamaged(name);
    expect(opening).toEqual(JSON.parse(kept('opening.json').toString()));
    expect(opening).toMatchObject(OPENINGS[name] ?? { refused: 'never' });
  });
});

/** What opening each damaged sample must come to, wherever in its files the fault lies. */
const AT = (file: string) =>
  expect.stringMatching(new RegExp(`${file} at offset \\d+: `)) as unknown;
const OPENINGS: Readonly<Record<string, object>> = {
  'torn-tail': { newest: 3, notices: [AT('rcj')], findings: [] },
  'flipped-above-durable': { newest: 3, notices: [AT('rcj')], findings: [] },
  'flipped-below-durable': { refused: 'E_DAMAGED', message: AT('rcj') },
  'truncated-segment': { refused: 'E_DAMAGED', message: AT('rcj') },
  'bad-cursor-slot': { newest: 4, notices: [AT('cursors')], findings: [{ file: '/nara/cursors' }] },
  'torn-cursor-slot': { newest: 4, notices: [AT('cursors')], findings: [] },
  'unknown-version': { refused: 'E_VERSION' },
  'unknown-version-record': { refused: 'E_VERSION' },
  'unknown-version-cursors': { refused: 'E_VERSION' },
  'unknown-version-set-file': { refused: 'E_VERSION' },
};

test('osaka and kyoto open, are sound and hold the same', async () => {
  const world = await frozenWorld();
  await world.command(async (site) => {
    const osaka = await site.openHere('/osaka');
    expect(await osaka.verify()).toMatchObject({ ok: true, recordsChecked: 2 });
    expect(await osaka.verifyAgainst('/kyoto')).toMatchObject({ equal: true, differences: [] });
    expect((await osaka.set.contents.read(0, 0, 15)).toString('latin1')).toBe(
      'the \0\0\0\0\0\0words',
    );
    expect((await osaka.set.contents.read(0, 8192, 16)).toString()).toBe('at the new place');
  });
});
