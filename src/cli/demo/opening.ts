/** How the demo's story opens: a volume with something in it, two sets, their daemons. */
import { MIB } from '../../base/limits.ts';
import { formatSize } from '../../base/sizes.ts';
import type { DemoAnswer } from './answer.ts';
import { makeImages } from './images.ts';
import type { DemoImages } from './images.ts';
import type { Player, Players } from './players.ts';
import type { StoryOptions } from './story.ts';
import { DB, VOLUMES } from './volumes.ts';
import type { Witness } from './witness.ts';

const JOURNAL_BYTES = 256 * MIB;

/** What tokyo sends a second: slow enough to be seen, and more than the host writes. */
const TOKYO_RATE = 10 * MIB;

export interface OpeningParts {
  readonly options: StoryOptions;
  readonly players: Players;
  readonly witness: Witness;
}

export interface Opened {
  readonly images: DemoImages;
  readonly imported: DemoAnswer['imported'];
  readonly a: Player;
  readonly c: Player;
}

export async function openStory(parts: OpeningParts): Promise<Opened> {
  const images = await makeVolume(parts.options);
  const { a, c } = await startPair(parts);
  const imported = await importFirst(parts, a, images);
  return { images, imported, a, c };
}

async function makeVolume(options: StoryOptions): Promise<DemoImages> {
  const { environment, folder, stage, run } = options;
  stage.now('making a volume with something in it');
  const images = await makeImages(environment.files, folder, run);
  const what =
    images.kind === 'ext4'
      ? `an ext4 file system with ${images.files} files, made by mke2fs`
      : 'an image without a file system, since mke2fs is not here';
  stage.tell(`volume db: ${formatSize(DB.sizeBytes)}, ${what}`);
  return images;
}

/** Makes both sets, and starts their daemons; they are no pair yet. */
async function startPair({ options, players, witness }: OpeningParts) {
  const { site, stage } = options;
  stage.now('making tokyo and kyoto, and starting their daemons');
  await site.create({
    folder: players.place('tokyo'),
    volumes: VOLUMES,
    journalBytes: JOURNAL_BYTES,
    ifMissing: false,
  });
  for (const { name, sizeBytes } of VOLUMES) await witness.tell(`volume ${name} ${sizeBytes}`);
  await site.makeLike(players.place('kyoto'), players.place('tokyo'));
  const [a, c] = await Promise.all([
    players.start('tokyo', { maxRate: TOKYO_RATE }),
    players.start('kyoto'),
  ]);
  return { a, c };
}

async function importFirst(
  { options: { site, stage }, witness }: OpeningParts,
  a: Player,
  images: DemoImages,
): Promise<DemoAnswer['imported']> {
  const imported = await site.importImage(a.address, { volume: DB.name, file: images.first });
  const { firstSequence, lastSequence, dataBytes } = imported;
  await witness.tell(`image tokyo ${firstSequence} ${lastSequence} db ${images.first}`);
  const data = formatSize(dataBytes);
  stage.tell(`tokyo is A, a daemon at ${a.address}: volumes db and log, ${data} imported`);
  return imported;
}
