/**
 * For eyes: what the files of an image set say, read as they lie there. No lock, nothing written,
 * and what is damaged is said instead of stopping.
 */
import { join } from 'node:path';
import { findingText } from '../base/finding.ts';
import type { Cursors } from '../format/cursors.ts';
import type { SetFile } from '../format/set-file.ts';
import { MapFile } from '../imageset/map-file.ts';
import { setPaths } from '../imageset/set-folder.ts';
import { MAP_SUFFIXES } from '../imageset/volume-maps.ts';
import type { Environment } from '../sys/environment.ts';
import { refuseAddress } from './addresses.ts';
import type { FileSystem } from '../sys/files.ts';
import {
  attempt,
  cursorsOf,
  readableSetFile,
  segmentProblem,
  segmentsOf,
} from './inspect-parts.ts';

export interface InspectAnswer {
  /** Null when set.json cannot be read: the rest is what the other files say. */
  readonly set: {
    readonly id: string;
    readonly group: string;
    readonly name: string;
    readonly role: string;
    readonly epoch: number;
    readonly path: string;
    /** The folder is the set itself, not a copy of its files. */
    readonly original: boolean;
  } | null;
  readonly volumes: readonly {
    readonly name: string;
    /** Null when set.json cannot be read. */
    readonly size: number | null;
    readonly image: string;
    readonly imageBytes: number | null;
  }[];
  readonly journal: {
    readonly segments: number;
    /** Null when set.json cannot be read. */
    readonly segmentBytes: number | null;
    readonly capacityBytes: number | null;
  };
  readonly cursors: Cursors | null;
  /** The maps that the set needs, or, without a set.json, those that are there. */
  readonly maps: readonly { readonly file: string; readonly bytes: number | null }[];
  /** Whether the raw images alone are the truth, and why not. */
  readonly images: { readonly exact: boolean; readonly reason: string };
  readonly pair: SetFile['pair'];
  readonly seal: { readonly nextSequence: number; readonly successor: string } | null;
  readonly migration: SetFile['migration'];
  /** What is damaged or odd. */
  readonly notices: readonly string[];
}

/**
 * Identity and cursors. Throws only when there is no set.json, or one of an unknown version: then
 * the other files may mean anything.
 */
export function inspectSet(environment: Environment, path: string): InspectAnswer {
  refuseAddress(path);
  const { files } = environment;
  const folder = files.resolve(path);
  const notices: string[] = [];
  const file = readableSetFile(files, folder, notices);
  const cursors = attempt(notices, () => cursorsOf(files, folder, notices));
  const segments = attempt(notices, () => segmentsOf(files, folder)) ?? [];
  for (const segment of segments) {
    const problem = attempt(notices, () => segmentProblem(files, segment));
    if (problem !== undefined)
      notices.push(findingText({ file: segment.path, offset: 0, problem }));
  }
  const volumes = volumesOf(files, folder, file, notices);
  const maps = mapsOf(files, folder, file, notices);
  return {
    set: file ? setOf(files, folder, file) : null,
    volumes,
    journal: {
      segments: segments.length,
      segmentBytes: file?.journal.segmentBytes ?? null,
      capacityBytes: file ? file.journal.segmentBytes * file.journal.segmentsMax : null,
    },
    cursors: cursors ?? null,
    maps,
    images: imagesExact(file, cursors, volumes),
    pair: file?.pair ?? null,
    seal: file?.seal
      ? { nextSequence: file.seal.nextSequence, successor: file.seal.successor.address }
      : null,
    migration: file?.migration ?? null,
    notices,
  };
}

function setOf(files: FileSystem, folder: string, file: SetFile): InspectAnswer['set'] {
  const { setId: id, groupId: group, name, role, epoch } = file;
  const home = files.status(setPaths.journal(folder), 'INSPECT:STATUS')?.inode;
  return { id, group, name, role, epoch, path: folder, original: home === file.home };
}

type Volumes = InspectAnswer['volumes'];

function volumesOf(
  files: FileSystem,
  folder: string,
  file: SetFile | undefined,
  notices: string[],
): Volumes {
  const named = file?.volumes.map(({ name, sizeBytes }) => ({ name, size: sizeBytes }));
  return (named ?? imagesIn(files, folder, notices)).map(({ name, size }) => {
    const image = setPaths.image(folder, name);
    const imageBytes = files.status(image, 'INSPECT:STATUS')?.sizeBytes ?? null;
    if (size !== null && imageBytes !== size) {
      const found = imageBytes === null ? 'is missing' : `has ${imageBytes} bytes, not ${size}`;
      notices.push(`${image}: ${found}`);
    }
    return { name, size, image, imageBytes };
  });
}

/** The images that lie in the folder, whoever made them. */
function imagesIn(files: FileSystem, folder: string, notices: string[]) {
  const names = attempt(notices, () => files.list(setPaths.volumes(folder), 'INSPECT:LIST')) ?? [];
  return names
    .filter((name) => name.endsWith('.img'))
    .map((name) => ({ name: name.slice(0, -'.img'.length), size: null }));
}

function mapsOf(
  files: FileSystem,
  folder: string,
  file: SetFile | undefined,
  notices: string[],
): InspectAnswer['maps'] {
  const there = () => files.list(setPaths.maps(folder), 'INSPECT:LIST');
  const names = file?.maps ?? attempt(notices, there) ?? [];
  return names.map((name) => {
    const path = join(setPaths.maps(folder), name);
    const of = name.slice(0, name.lastIndexOf('.'));
    const volume = file?.volumes.find((candidate) => candidate.name === of);
    if (volume) {
      const flaws = attempt(notices, () => MapFile.check(files, path, volume.sizeBytes)) ?? [];
      notices.push(...flaws.map((flaw) => findingText(flaw)));
    }
    return { file: path, bytes: files.status(path, 'INSPECT:STATUS')?.sizeBytes ?? null };
  });
}

function imagesExact(
  file: SetFile | undefined,
  cursors: Cursors | undefined,
  volumes: Volumes,
): InspectAnswer['images'] {
  const reason = whyNotExact(file, cursors, volumes);
  if (reason !== undefined || !cursors) return { exact: false, reason: reason ?? '' };
  return { exact: true, reason: `the images are the state at number ${cursors.applied.sequence}` };
}

function whyNotExact(
  file: SetFile | undefined,
  cursors: Cursors | undefined,
  volumes: Volumes,
): string | undefined {
  if (!file) return 'set.json cannot be read';
  if (!cursors) return 'the cursors cannot be read';
  const behind = numbersBehind(cursors);
  if (!cursors.clean) {
    const lag = behind > 0 ? `, at least ${behind} numbers ahead of the images` : '';
    return `the set is open, or was not closed in order: see its journal${lag}`;
  }
  const odd = volumes.find(({ size, imageBytes }) => size !== imageBytes);
  if (odd) return `the image of ${odd.name} is missing or not as long as its volume`;
  if (file.maps.some((name) => name.endsWith(MAP_SUFFIXES.presence))) {
    return 'some blocks are still at the migration source';
  }
  if (file.role === 'secondary' && !cursors.usable) return 'the first copy is not complete';
  return behind > 0 ? `the images are ${behind} numbers behind the journal` : undefined;
}

/** How many numbers the journal durably holds that are not in the images. */
function numbersBehind({ applied, epochs }: Cursors): number {
  let behind = 0;
  for (const { epoch, first, durable, sealedAt } of epochs) {
    if (epoch < applied.epoch) continue;
    const last = sealedAt === null ? durable : sealedAt - 1;
    behind += Math.max(0, last - (epoch === applied.epoch ? applied.sequence : first - 1));
  }
  return behind;
}
