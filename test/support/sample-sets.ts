/**
 * Makes the frozen samples of fixtures/: three small sets after a migration, the same bytes each
 * time, for their disk, clock and randomness are simulated. `npm run fixtures` writes them anew;
 * samples of a format version that was released are never changed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RcopyError } from '../../src/base/errors.ts';
import { dumpRow } from '../../src/cli/dump-view.ts';
import { plainPaint } from '../../src/cli/paint.ts';
import { inspectFile } from '../../src/control/inspect-file.ts';
import { inspectJournal } from '../../src/control/inspect-journal.ts';
import { inspectSet } from '../../src/control/inspect.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { VolumeEntry } from '../../src/format/set-file.ts';
import { makeSetFolder, setPaths } from '../../src/imageset/set-folder.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { StoryWorld } from '../story/world.ts';
import { SMALL_JOURNAL } from './image-sets.ts';

export const SAMPLES = join(import.meta.dirname, '..', '..', 'fixtures', 'format-1');
export const SAMPLE_SETS = ['tokyo', 'osaka', 'kyoto'] as const;
const VOLUMES = [{ name: 'db', sizeBytes: 16 * 1024 }];

/** tokyo (A, retired), osaka (B, the primary) and kyoto (C), all closed in order. */
export async function makeSamples(): Promise<StoryWorld> {
  const world = new StoryWorld({ kind: 'none' }, 1);
  for (const name of SAMPLE_SETS) {
    await makeSetFolder(world.environment, `/${name}`, {
      name,
      volumes: VOLUMES,
      journal: SMALL_JOURNAL,
    });
  }
  await write(world, '/tokyo', 0, 'the first words');
  await write(world, '/tokyo', 4090, 'over the border of two blocks');
  await world.command(async (site) => {
    const source = await site.openHere('/tokyo');
    await source.createPair({ secondary: '/kyoto' });
    await source.replicate({ timeoutMs: undefined, maxRate: undefined });
    await source.mark('noon');
    const device = source.set.volumes[0];
    if (!device) throw new Error('tokyo has a volume');
    const zeroes = { kind: 'zeroes', offset: 4, length: 6, fua: true, mayFree: true } as const;
    await submitAndWait(device, zeroes);
  });
  await world.command(async (site) => {
    const how = { mode: 'drain', copy: 'post', maxRate: undefined, detach: false } as const;
    return (await site.openHere('/osaka')).migrate({ from: '/tokyo', ...how });
  });
  await write(world, '/osaka', 8192, 'at the new place');
  await world.command(async (site) => {
    const request = { timeoutMs: undefined, maxRate: undefined };
    return (await site.openHere('/osaka')).replicate(request);
  });
  return world;
}

async function write(world: StoryWorld, set: string, offset: number, text: string): Promise<void> {
  await world.command(async (site) => {
    const data = [Buffer.from(text)];
    return (await site.openHere(set)).write({ volume: undefined, offset, data, sync: true });
  });
}

/** The files of a sample set, by their path in the set's folder. */
export function sampleFiles(world: StoryWorld, set: string): Map<string, Uint8Array> {
  return filesIn(world.disk, `/${set}`, VOLUMES);
}

/** The files of a set on a simulated disk that are worth keeping. */
export function filesIn(
  disk: SimulatedDisk,
  folder: string,
  volumes: readonly VolumeEntry[],
): Map<string, Uint8Array> {
  const journal = setPaths.journal(folder);
  const names = disk.list(journal, 'TEST:LIST').filter((name) => !name.startsWith('spare'));
  const paths = [
    'set.json',
    'cursors',
    ...names.map((name) => `journal/${name}`),
    ...volumes.map(({ name }) => `volumes/${name}.img`),
  ];
  return new Map(paths.map((path) => [path, disk.readFile(`${folder}/${path}`)]));
}

/** What inspection says of a sample: the golden text beside it. */
export function describeSample(set: string): unknown {
  return describeFolder(join(SAMPLES, set));
}

/** What inspection says of a set in a folder of the real machine. */
export function describeFolder(folder: string): unknown {
  const said = attempt(() => inspectSet(nodeEnvironment, folder));
  if (said instanceof RcopyError) return { refused: said.code, message: said.message };
  const { cursors, images, notices } = said;
  const records = [...inspectJournal(nodeEnvironment, folder, { from: 0, limit: 100 })].map(
    ({ epoch, sequence, kind, offset, length, chain, fileOffset, note }) =>
      `${epoch} ${sequence} ${kind} ${offset}+${length} ${chain} @${fileOffset} ${note}`.trim(),
  );
  return { cursors, images, notices, records };
}

/** The files that are kept with a dump beside them, by the name of the dump. */
export const DUMPS: ReadonlyMap<string, string> = new Map([
  ['tokyo-segment.txt', 'tokyo/journal/00000001-0000000000000001.rcj'],
  ['tokyo-cursors.txt', 'tokyo/cursors'],
  ['tokyo-set.txt', 'tokyo/set.json'],
  ['osaka-segment.txt', 'osaka/journal/00000002-0000000000000005.rcj'],
]);

function attempt<T>(action: () => T): T | RcopyError {
  try {
    return action();
  } catch (error) {
    if (error instanceof RcopyError) return error;
    throw error;
  }
}

/** The dump of a kept file, as `rcopy inspect file` prints it. */
export function dumpSample(file: string): string {
  return dumpFile(join(SAMPLES, file));
}

export function dumpFile(path: string): string {
  return inspectFile(nodeEnvironment, path, 0, ({ lines }) =>
    Array.from(lines, (line) => `${dumpRow(line, plainPaint)}\n`).join(''),
  );
}

/** Writes the samples where they are kept, and what inspection says of them. */
export async function writeSamples(): Promise<void> {
  const world = await makeSamples();
  for (const set of SAMPLE_SETS) {
    for (const [path, bytes] of sampleFiles(world, set)) {
      const file = join(SAMPLES, set, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
    const golden = `${JSON.stringify(describeSample(set), undefined, 2)}\n`;
    writeFileSync(join(SAMPLES, `${set}.json`), golden);
  }
  mkdirSync(join(SAMPLES, 'dumps'), { recursive: true });
  for (const [name, file] of DUMPS) writeFileSync(join(SAMPLES, 'dumps', name), dumpSample(file));
}
