/** Reads set.json and replaces it atomically. */
import { join } from 'node:path';
import { RcopyError, fileError } from '../base/errors.ts';
import { decodeSetFile, encodeSetFile } from '../format/set-file.ts';
import type { SetFile } from '../format/set-file.ts';
import type { FileSystem } from '../sys/files.ts';

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
    const handle = files.open(path, 'read', 'SET:OPEN');
    try {
      const bytes = Buffer.alloc(Math.min(handle.size('SET:SIZE'), SET_FILE_BYTES_MAX));
      const got = handle.read(bytes, 0, 'SET:READ');
      return decodeSetFile(path, bytes.subarray(0, got));
    } finally {
      handle.close();
    }
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
  const path = join(folder, SET_FILE_NAME);
  const next = `${path}.next`;
  try {
    const handle = files.open(next, 'replace', 'SET:CREATE');
    try {
      handle.write([encodeSetFile(content)], 0, 'SET:WRITE');
      await handle.sync('SET:SYNC');
    } finally {
      handle.close();
    }
    files.rename(next, path, 'SET:RENAME');
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
  } catch (error) {
    throw fileError('writing', path, error);
  }
}
