/**
 * When maps come into use and when they go: files are durable before set.json names them, and
 * set.json has stopped naming them before they are removed.
 */
import { allDone } from '../base/all-done.ts';
import { RcopyError } from '../base/errors.ts';
import { comparePositions } from '../base/position.ts';
import type { Position } from '../base/position.ts';
import type { SetFile } from '../format/set-file.ts';
import type { FileSystem } from '../sys/files.ts';
import { BlockMap } from './block-map.ts';
import type { Contents } from './contents.ts';
import type { ImageSet } from './image-set.ts';
import { MapFile } from './map-file.ts';
import { setPaths } from './set-folder.ts';
import type { VolumeMaps } from './volume-maps.ts';

/** Empty maps for these volumes, in memory. */
export function blankMaps(volumes: SetFile['volumes']): BlockMap[] {
  return volumes.map(({ sizeBytes }) => new BlockMap(sizeBytes));
}

/**
 * Makes the files of one kind with this content, and takes them into use. They are durable when it
 * resolves, but set.json does not name them yet: that is the caller's, with what goes with it. On a
 * set that hosts write to, a checkpoint of the applier comes before that: the stamp may be old.
 */
export async function createMaps(
  set: ImageSet,
  maps: VolumeMaps,
  stamp: Position,
  content: readonly BlockMap[] = blankMaps(set.file.volumes),
): Promise<void> {
  const { files } = set.environment;
  const { volumes } = set.file;
  const made: MapFile[] = [];
  const make = async (index: number, name: string): Promise<void> => {
    const path = setPaths.map(set.folder, name);
    const { sizeBytes = 0 } = volumes[index] ?? {};
    made[index] = await MapFile.create(files, path, maps.kind, sizeBytes, stamp, content[index]);
  };
  await allDone(maps.fileNames(volumes).map((name, index) => make(index, name)));
  await files.syncFolder(setPaths.maps(set.folder), 'MAP:SYNC-FOLDER');
  maps.use(made);
}

/** The maps that set.json has to name once these are in use as well. */
export function namesWith(file: SetFile, maps: VolumeMaps): string[] {
  return [...new Set([...file.maps, ...maps.fileNames(file.volumes)])];
}

/** The maps that set.json names once these are not in use any more. */
export function namesWithout(file: SetFile, maps: VolumeMaps): string[] {
  const gone = new Set(maps.fileNames(file.volumes));
  return file.maps.filter((name) => !gone.has(name));
}

/**
 * Ends the use of one kind of maps, together with a change of set.json that needs them no more.
 * `holds` is asked when nothing else is done with them: if it says no, all stays as it is.
 */
export function dropMaps(
  set: ImageSet,
  maps: VolumeMaps,
  change: (file: SetFile) => SetFile = (file) => file,
  holds: () => boolean = () => true,
): Promise<void> {
  return maps.inTurn(async () => {
    if (!holds()) return;
    await set.identity.update((file) => {
      const changed = change(file);
      return { ...changed, maps: namesWithout(changed, maps) };
    });
    maps.stop();
    await removeFiles(set, maps);
  });
}

/** Gives up maps that were made, and that set.json did not come to name. */
export async function forsakeMaps(set: ImageSet, maps: VolumeMaps): Promise<void> {
  maps.stop();
  await removeFiles(set, maps);
}

async function removeFiles(set: ImageSet, maps: VolumeMaps): Promise<void> {
  const { files } = set.environment;
  for (const name of maps.fileNames(set.file.volumes)) {
    files.remove(setPaths.map(set.folder, name), 'MAP:REMOVE');
  }
  await files.syncFolder(setPaths.maps(set.folder), 'MAP:SYNC-FOLDER');
}

/** At a start: removes map files that set.json does not name, of a use that never began. */
export function removeUnnamed(files: FileSystem, folder: string, file: SetFile): void {
  for (const name of files.list(setPaths.maps(folder), 'MAP:LIST')) {
    if (!file.maps.includes(name)) files.remove(setPaths.map(folder, name), 'MAP:REMOVE');
  }
}

/** Opens the maps that set.json names. Throws `E_DAMAGED` when one is missing or too old (R7). */
export function openMaps(
  files: FileSystem,
  folder: string,
  { file, applied, contents }: { file: SetFile; applied: Position; contents: Contents },
): void {
  for (const maps of contents.maps) {
    const names = maps.fileNames(file.volumes);
    if (!names.some((name) => file.maps.includes(name))) continue;
    const opened: MapFile[] = [];
    try {
      for (const [index, { sizeBytes }] of file.volumes.entries()) {
        const path = setPaths.map(folder, names[index] ?? '');
        const map = MapFile.open(files, path, maps.kind, sizeBytes);
        opened.push(map);
        if (comparePositions(map.stamp, applied) < 0) throw tooOld(path, map.stamp, applied);
      }
    } catch (error) {
      for (const map of opened) map.close();
      throw error;
    }
    maps.use(opened);
  }
}

function tooOld(path: string, stamp: Position, applied: Position): RcopyError {
  return new RcopyError(
    'E_DAMAGED',
    `${path} covers number ${stamp.sequence} of epoch ${stamp.epoch}, but ` +
      `${applied.sequence} of epoch ${applied.epoch} is applied`,
    { hint: 'the map is older than the images; take the data from the pair of this set' },
  );
}
