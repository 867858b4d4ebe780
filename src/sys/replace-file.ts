/** Small files that are replaced as a whole: whoever reads one finds the old text or the new. */
import { join } from 'node:path';
import { fileError } from '../base/errors.ts';
import type { FileSystem } from './files.ts';

/**
 * Replaces `name` in `folder`; durable when it resolves. `part` begins the labels. When it rejects,
 * the file holds the old content or the new one, whole: a later try writes all of it anew.
 */
export async function replaceFile(
  files: FileSystem,
  { folder, name, part }: { folder: string; name: string; part: string },
  content: Uint8Array,
): Promise<void> {
  const path = join(folder, name);
  const next = nextOf(path);
  try {
    const handle = files.open(next, 'replace', `${part}:CREATE`);
    try {
      handle.write([content], 0, `${part}:WRITE`);
      await handle.sync(`${part}:SYNC`);
    } finally {
      handle.close();
    }
    files.rename(next, path, `${part}:RENAME`);
    await files.syncFolder(folder, `${part}:SYNC-FOLDER`);
  } catch (error) {
    throw fileError('writing', path, error);
  }
}

/** What the new content is called until it is whole; a crash may leave it. */
export function nextOf(path: string): string {
  return `${path}.next`;
}

/** All of a small file, at most `bytesMax` of it. Errors are those of the file system. */
export function readSmallFile(
  files: FileSystem,
  path: string,
  { part, bytesMax }: { part: string; bytesMax: number },
): Buffer {
  const handle = files.open(path, 'read', `${part}:OPEN`);
  try {
    const bytes = Buffer.alloc(Math.min(handle.size(`${part}:SIZE`), bytesMax));
    return bytes.subarray(0, handle.read(bytes, 0, `${part}:READ`));
  } finally {
    handle.close();
  }
}
