/** Looking at sets from outside: what is damaged is said, and the rest is shown. */
import { describe, expect, test } from '@jest/globals';
import { CURSOR_SLOT_BYTES, encodeCursorSlot } from '../../src/format/cursors.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/format/segment.ts';
import { inspectJournal } from '../../src/control/inspect-journal.ts';
import { inspectSet } from '../../src/control/inspect.ts';
import { TINY_JOURNAL, write } from '../support/image-sets.ts';
import { A, B, C, Sites } from '../support/sites.ts';

const ALL = { from: 0, limit: 1000 } as const;

const look = (sites: Sites, folder: string) => inspectSet(sites.environment(folder), folder);

function journalOf(sites: Sites, folder: string, range = ALL) {
  return [...inspectJournal(sites.environment(folder), folder, range)];
}

/** The segment files of a set. */
function segmentsOf(sites: Sites, folder: string): string[] {
  const { disk } = sites.machine(folder);
  const names = disk.list(`${folder}/journal`, 'TEST:LIST');
  return names.filter((name) => /^\d/.test(name)).map((name) => `${folder}/journal/${name}`);
}

/** A primary of several segments, whose secondary is away; closed in order. */
async function primaryBehind(): Promise<Sites> {
  const sites = new Sites({ journal: TINY_JOURNAL });
  await sites.paired();
  await sites.close(C);
  for (const id of [1, 2, 3]) await sites.write(A, write(0, 0, 11_000, id));
  await sites.close(A);
  return sites;
}

describe('whether the raw images are the truth', () => {
  test('a set closed in order, one in use, and one whose journal is ahead', async () => {
    const sites = await primaryBehind();
    expect(look(sites, A).images).toMatchObject({ exact: true });
    await sites.write(A, write(0, 0, 100, 4));
    await sites.flush(A);
    const used = look(sites, A).images;
    expect(used).toMatchObject({ exact: false, reason: expect.stringMatching(/see its journal/) });
    await sites.close(A);
    expect(look(sites, A)).toMatchObject({ images: { exact: true }, notices: [] });
  });

  test('a target that could not apply all is behind its journal, and lacks blocks', async () => {
    const sites = new Sites();
    await sites.paired();
    await sites.write(A, write(0, 0, 30_000, 1));
    await sites.replicate(A);
    await sites.create(B);
    await sites.migrate(true);
    await sites.close(A);
    await sites.close(C);
    await sites.write(B, write(0, 12_300, 40, 9));
    await sites.close(B);
    const { images, maps, cursors } = look(sites, B);
    expect(images).toEqual({ exact: false, reason: expect.stringMatching(/migration source/) });
    expect(maps.map(({ file }) => file)).toEqual([
      `${B}/maps/alpha.present`,
      `${B}/maps/beta.present`,
      `${B}/maps/alpha.dirty`,
      `${B}/maps/beta.dirty`,
    ]);
    expect(cursors).toMatchObject({ clean: true });
  });

  test('a secondary that holds a part of a later epoch is behind its journal', async () => {
    const sites = new Sites();
    await sites.paired();
    await sites.write(A, write(0, 0, 5000, 1));
    await sites.replicate(A);
    await sites.close(A);
    const { set } = await sites.open(C);
    const saved = set.cursors(true);
    const [last] = saved.epochs;
    if (!last) throw new Error('C knows its epoch');
    // As after a migration whose source still owes the end of its epoch.
    const later = { ...last, epoch: 2, first: last.durable + 9, durable: last.durable + 11 };
    const cursors = { ...saved, epochs: [last, later] };
    const { disk } = sites.machine(C);
    for (const slot of [0, 1]) {
      const bytes = Buffer.from(disk.readFile(`${C}/cursors`));
      bytes.set(encodeCursorSlot(100 + slot, cursors), slot * CURSOR_SLOT_BYTES);
      disk.writeFile(`${C}/cursors`, bytes);
    }
    const { images } = look(sites, C);
    expect(images).toEqual({
      exact: false,
      reason: 'the images are 3 numbers behind the journal',
    });
  });

  test('an image that is cut off', async () => {
    const sites = await primaryBehind();
    sites.machine(A).disk.truncate(`${A}/volumes/beta.img`, 100);
    const { images, notices } = look(sites, A);
    expect(images).toMatchObject({ exact: false, reason: expect.stringMatching(/image of beta/) });
    expect(notices).toEqual([expect.stringMatching(/beta.img: has 100 bytes, not 20480/)]);
  });
});

describe('a damaged set', () => {
  test('without a readable set.json still shows its other files', async () => {
    const sites = await primaryBehind();
    const sound = look(sites, A);
    sites.machine(A).disk.flipBit(`${A}/set.json`, 200, 1);
    const { set, images, volumes, cursors, journal, notices } = look(sites, A);
    expect(set).toBeNull();
    expect(images).toEqual({ exact: false, reason: 'set.json cannot be read' });
    expect(volumes).toEqual(sound.volumes.map((volume) => ({ ...volume, size: null })));
    expect(cursors).toEqual(sound.cursors);
    expect(journal.segments).toBe(sound.journal.segments);
    expect(notices).toEqual([expect.stringMatching(/set.json at offset 0/)]);
    expect(journalOf(sites, A).map(({ volume }) => volume)).toContain('#0');
  });

  test('says which of its segments and cursor slots are bad', async () => {
    const sites = await primaryBehind();
    const [first = '', second = ''] = segmentsOf(sites, A);
    const { disk } = sites.machine(A);
    disk.flipBit(second, 20, 1);
    disk.flipBit(`${A}/cursors`, 90, 1);
    expect(look(sites, A).notices).toEqual([
      expect.stringContaining(`${A}/cursors at offset 0: slot 0`),
      expect.stringContaining(`${second} at offset 0: the segment header checksum`),
    ]);
    expect(first).not.toBe(second);
  });
});

describe('a damaged journal', () => {
  test('goes on in the next segment, and says what is missing in between', async () => {
    const sites = await primaryBehind();
    const sound = journalOf(sites, A);
    const [first = '', second = ''] = segmentsOf(sites, A);
    const { disk } = sites.machine(A);
    const from = sound.find(({ file }) => file === second)?.sequence ?? 0;
    const inFirst = sound.filter(({ file }) => file === first);
    const cut = inFirst[2];
    disk.truncate(first, (cut?.fileOffset ?? 0) + 50);
    const lines = journalOf(sites, A);
    expect(lines.filter(({ kind }) => kind === 'damaged')).toMatchObject([
      { sequence: cut?.sequence, note: `it is missing, and so is all before number ${from}` },
    ]);
    expect(lines.filter(({ file, kind }) => file === second && kind !== 'damaged')).toEqual(
      sound.filter(({ file }) => file === second),
    );
  });

  test('that ends before what was durable says so', async () => {
    const sites = await primaryBehind();
    const sound = journalOf(sites, A);
    const path = segmentsOf(sites, A).at(-1) ?? '';
    const last = sound.at(-1);
    sites.machine(A).disk.truncate(path, last?.fileOffset ?? SEGMENT_HEADER_BYTES);
    expect(journalOf(sites, A)).toEqual([
      ...sound.slice(0, -1),
      expect.objectContaining({
        kind: 'damaged',
        sequence: last?.sequence,
        fileOffset: last?.fileOffset,
        note: `it is missing; ${last?.sequence} was the last durable number`,
      }),
    ]);
  });

  test('a sound one has no such lines, from whatever number it is shown', async () => {
    const sites = await primaryBehind();
    const sound = journalOf(sites, A);
    expect(sound.map(({ kind }) => kind)).not.toContain('damaged');
    const { length } = sound;
    for (const from of [1, 9, length - 4]) {
      const lines = [...inspectJournal(sites.environment(A), A, { from, limit: 1000 })];
      expect(lines).toEqual(sound.filter(({ sequence }) => sequence >= from));
    }
  });
});
