/** Reads set.json and replaces it atomically. */
import { join } from 'node:path';
import { RcopyError, fileError } from '../base/errors.ts';
import { decodeSetFile, encodeSetFile } from '../format/set-file.ts';
import type { SetFile } from '../format/set-file.ts';
import type { FileSystem } from '../sys/files.ts';
import { readSmallFile, replaceFile } from '../sys/replace-file.ts';

export const SET_FILE_NAME = 'set.json';
const SET_FILE_BYTES_MAX = 1024 * 1024;

/** Reads and checks set.json. Throws `E_NOT_FOUND`, `E_DAMAGED` or `E_VERSION`. */
export function readSetFile(files: FileSystem, folder: string): SetFile {
  const path = join(folder, SET_FILE_NAME);
  if (files.status(folder, 'SET:STATUS')?.kind !== 'folder') {
    throw new RcopyError('E_NOT_FOUND', `${folder} is not a folder`, {
      hint: 'make an image set with `rcopy create`',
    });
  }
  if (!files.status(path, 'SET:STATUS')) {
    throw new RcopyError('E_NOT_FOUND', `${folder} is not an image set: it has no set.json`, {
      hint: 'make an image set with `rcopy create`',
    });
  }
  try {
    const source = { part: 'SET', bytesMax: SET_FILE_BYTES_MAX };
    return decodeSetFile(path, readSmallFile(files, path, source));
  } catch (error) {
    throw fileError('reading', path, error);
  }
}

/** Replaces set.json; durable when it resolves. */
export async function writeSetFile(
  files: FileSystem,
  folder: string,
  content: SetFile,
): Promise<void> {
  const place = { folder, name: SET_FILE_NAME, part: 'SET' };
  return replaceFile(files, place, encodeSetFile(content));
}
