/** How the demo's story opens: a volume with something in it, two sets, the path controller. */
import { MIB } from '../../base/limits.ts';
import { formatSize } from '../../base/sizes.ts';
import { formatAddress } from '../../sys/network.ts';
import type { DemoAnswer } from './answer.ts';
import { leadTo, startGate } from './gate.ts';
import type { Gate } from './gate.ts';
import { makeImages } from './images.ts';
import type { DemoImages } from './images.ts';
import type { Player } from './players.ts';
import type { StoryParts } from './story.ts';
import { DB, VOLUMES } from './volumes.ts';

const JOURNAL_BYTES = 256 * MIB;

/** What tokyo sends a second: slow enough to be seen, and more than the host writes. */
const TOKYO_RATE = 10 * MIB;

export interface Opened {
  readonly images: DemoImages;
  readonly imported: DemoAnswer['imported'];
  readonly a: Player;
  readonly c: Player;
  readonly gate: Gate;
}

export async function openStory(parts: StoryParts): Promise<Opened> {
  const { stage } = parts.options;
  stage.now('making a volume with something in it, and starting the daemons');
  const [images, { a, c, gate }] = await Promise.all([makeVolume(parts), startDaemons(parts)]);
  stage.tell(volumeText(images));
  const imported = await importFirst(parts, a, images);
  await leadTo(gate, a.address);
  const hostsAt = formatAddress(gate.nbd);
  stage.tell(`gate is the path controller: it leads to tokyo, and the host stays at ${hostsAt}`);
  return { images, imported, a, c, gate };
}

function makeVolume({ options }: StoryParts): Promise<DemoImages> {
  const { environment, folder, run } = options;
  return makeImages(environment.files, folder, run);
}

function volumeText({ kind, files }: DemoImages): string {
  const what =
    kind === 'ext4'
      ? `an ext4 file system with ${files} files, made by mke2fs`
      : 'an image without a file system, since mke2fs is not here';
  return `volume db: ${formatSize(DB.sizeBytes)}, ${what}`;
}

/** Makes both sets, and starts their daemons and the controller; they are no pair yet. */
async function startDaemons({ options, players, witness, board }: StoryParts) {
  const { site } = options;
  await site.create({
    folder: players.place('tokyo'),
    volumes: VOLUMES,
    journalBytes: JOURNAL_BYTES,
    ifMissing: false,
  });
  for (const { name, sizeBytes } of VOLUMES) await witness.tell(`volume ${name} ${sizeBytes}`);
  await site.makeLike(players.place('kyoto'), players.place('tokyo'));
  const [a, c, gate] = await Promise.all([
    players.start('tokyo', { maxRate: TOKYO_RATE }),
    players.start('kyoto'),
    startGate({ ...options, board }),
  ]);
  return { a, c, gate };
}

async function importFirst(
  { options: { site, stage }, witness }: StoryParts,
  a: Player,
  images: DemoImages,
): Promise<DemoAnswer['imported']> {
  const imported = await site.importImage(a.address, { volume: DB.name, file: images.first });
  const { firstSequence, lastSequence, dataBytes } = imported;
  await witness.tell(`image ${firstSequence} ${lastSequence} db ${images.first}`);
  const data = formatSize(dataBytes);
  stage.tell(`tokyo is A, a daemon at ${a.address}: volumes db and log, ${data} imported`);
  return imported;
}
