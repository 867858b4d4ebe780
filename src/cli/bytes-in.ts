/** Where the bytes of a host write come from: a text, a file, or stdin. Nothing is held whole. */
import { RcopyError, fileError } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import type { FileSystem } from '../sys/files.ts';

const CHUNK_BYTES = 1 * MIB;

/** Bytes in order, and how many they are where that is known. */
export interface BytesIn {
  readonly data: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly length: number | undefined;
}

/** The UTF-8 bytes of `text`. */
export function bytesOfText(text: string): BytesIn {
  const bytes = Buffer.from(text, 'utf8');
  return { data: [bytes], length: bytes.length };
}

/** The bytes of the file at `path`. Throws `E_NOT_FOUND`, `E_USAGE`. */
export function bytesOfFile(files: FileSystem, path: string): BytesIn {
  const status = files.status(path, 'WRITE:STATUS');
  if (status === undefined) {
    throw new RcopyError('E_NOT_FOUND', `--file: ${path} does not exist`);
  }
  if (status.kind !== 'file') {
    const hint = status.kind === 'folder' ? undefined : `pipe it in: rcopy write … < ${path}`;
    throw new RcopyError('E_USAGE', `--file: ${path} is not a regular file`, { hint });
  }
  return { data: chunksOf(files, path), length: status.sizeBytes };
}

function* chunksOf(files: FileSystem, path: string): Generator<Uint8Array> {
  try {
    const file = files.open(path, 'read', 'WRITE:OPEN');
    try {
      for (let offset = 0; ;) {
        const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        const length = file.read(chunk, offset, 'WRITE:READ');
        if (length > 0) yield chunk.subarray(0, length);
        if (length < CHUNK_BYTES) return;
        offset += length;
      }
    } finally {
      file.close();
    }
  } catch (error) {
    throw fileError('reading', path, error);
  }
}

/** A readable stream of this process that somebody may be typing into. */
export interface InputStream extends AsyncIterable<unknown> {
  readonly isTTY?: boolean | undefined;
}

/** The bytes that come in on stdin. Throws `E_USAGE` when that is a keyboard. */
export function bytesOfInput(input: InputStream): BytesIn {
  if (input.isTTY === true) {
    throw new RcopyError('E_USAGE', 'nothing to write: stdin is a terminal', {
      hint: 'give --data TEXT, --file PATH, or pipe something in',
    });
  }
  return { data: gathered(input), length: undefined };
}

/** A pipe brings small pieces; a journal likes large records. */
async function* gathered(input: InputStream): AsyncGenerator<Uint8Array> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const piece of input) {
    const part = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece));
    parts.push(part);
    size += part.length;
    if (size < CHUNK_BYTES) continue;
    const whole = Buffer.concat(parts, size);
    const cut = size - (size % CHUNK_BYTES);
    yield whole.subarray(0, cut);
    parts = cut === size ? [] : [whole.subarray(cut)];
    size -= cut;
  }
  if (size > 0) yield Buffer.concat(parts, size);
}
