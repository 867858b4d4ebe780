/** Raw image files of the user, as import reads and export writes them: sparse, and in pieces. */
import { RcopyError, fileError } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import type { ExportAnswer } from '../node/answers.ts';
import type { ImagePiece } from '../node/requests.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';

const PIECE_BYTES = 1 * MIB;

/** Opens a raw image to be read. Throws `E_NOT_FOUND`, `E_USAGE`. */
export function openRawImage(files: FileSystem, path: string): FileHandle {
  const status = files.status(path, 'IMPORT:STATUS');
  if (status?.kind === 'folder') throw new RcopyError('E_USAGE', `${path} is a folder`);
  try {
    return files.open(path, 'read', 'IMPORT:OPEN');
  } catch (error) {
    throw fileError('opening the image', path, error);
  }
}

/** All of a raw image in order: stretches of data, and its holes. */
export function* piecesOf(file: FileHandle, sizeBytes: number): Generator<ImagePiece> {
  try {
    for (let offset = 0; offset < sizeBytes;) {
      const extent = file.nextExtent(offset, sizeBytes, 'IMPORT:EXTENT');
      const length = extent.data ? Math.min(extent.length, PIECE_BYTES) : extent.length;
      yield { length, data: extent.data ? bytesAt(file, offset, length) : undefined };
      offset += length;
    }
  } catch (error) {
    throw fileError('importing', file.path, error);
  }
}

function bytesAt(file: FileHandle, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  const got = file.read(bytes, offset, 'IMPORT:READ');
  return got === length ? bytes : bytes.fill(0, got);
}

/**
 * Writes a raw image with what `fill` gives, synced when this resolves. A file that is there is
 * replaced once the first piece is about to come.
 */
export async function writeRawImage(
  files: FileSystem,
  path: string,
  fill: (
    begin: (sizeBytes: number) => void,
    take: (piece: ImagePiece) => void,
  ) => Promise<ExportAnswer>,
): Promise<ExportAnswer> {
  let file: FileHandle | undefined;
  let offset = 0;
  try {
    const answer = await fill(
      (sizeBytes) => {
        file = files.open(path, 'replace', 'EXPORT:CREATE');
        file.setSize(sizeBytes, 'EXPORT:SIZE');
      },
      ({ length, data }) => {
        if (data) file?.write([data], offset, 'EXPORT:WRITE');
        offset += length;
      },
    );
    await file?.sync('EXPORT:SYNC');
    return answer;
  } catch (error) {
    throw fileError('exporting', path, error);
  } finally {
    file?.close();
  }
}
