/** The files of an open set beside its journal and the contents of its images, each read anew. */
import { messageOf } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { readCursors } from '../imageset/cursors-store.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { MapFile } from '../imageset/map-file.ts';
import { setPaths } from '../imageset/set-folder.ts';
import { SET_FILE_NAME, readSetFile } from '../imageset/set-file-store.ts';

/**
 * What is wrong with set.json, the cursors, the images' sizes and the maps that set.json names. The
 * opening has written both cursor slots and healed the maps: here nothing is what a crash has torn.
 */
export function verifyFiles(set: ImageSet): Finding[] {
  const { folder, environment } = set;
  const { files } = environment;
  return [
    ...found(`${folder}/${SET_FILE_NAME}`, () => {
      readSetFile(files, folder);
      return [];
    }),
    ...found(setPaths.cursors(folder), () => verifyCursors(set)),
    ...set.file.volumes.flatMap(({ name, sizeBytes }) => {
      const file = setPaths.image(folder, name);
      const size = files.status(file, 'VERIFY:STATUS')?.sizeBytes;
      if (size === sizeBytes) return [];
      const problem =
        size === undefined ? 'the image is missing' : `it ends here, not at ${sizeBytes}`;
      return [{ file, offset: size ?? 0, problem }];
    }),
    ...set.file.maps.flatMap((name) => verifyMap(set, name)),
  ];
}

function verifyCursors({ environment, folder }: ImageSet): Finding[] {
  const path = setPaths.cursors(folder);
  const handle = environment.files.open(path, 'read', 'VERIFY:OPEN');
  try {
    const { flaw } = readCursors(handle, path);
    return flaw ? [flaw] : [];
  } finally {
    handle.close();
  }
}

/** A map is called after its volume and its kind. */
function verifyMap(set: ImageSet, name: string): readonly Finding[] {
  const file = setPaths.map(set.folder, name);
  const of = name.slice(0, name.lastIndexOf('.'));
  const volume = set.file.volumes.find((candidate) => candidate.name === of);
  if (!volume) return [{ file, offset: 0, problem: 'set.json names this map, but no such volume' }];
  return found(file, () => MapFile.check(set.environment.files, file, volume.sizeBytes));
}

/** What `check` finds, or the reason why it cannot. */
function found(file: string, check: () => readonly Finding[]): readonly Finding[] {
  try {
    return check();
  } catch (error) {
    return [{ file, offset: 0, problem: messageOf(error) }];
  }
}
