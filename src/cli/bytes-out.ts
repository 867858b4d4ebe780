/** Where the bytes of a volume go: raw to stdout, or into a file. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { fileError } from '../base/errors.ts';
import type { FileSystem } from '../sys/files.ts';

/** Writes `bytes` at the reader's pace. A reader that has gone is no error, only the end. */
export async function writeToStream(
  bytes: AsyncIterable<Uint8Array>,
  output: Writable,
): Promise<void> {
  // Those who end the process when the pipe closes would leave the set open.
  const others = output.listeners('error') as ((error: Error) => void)[];
  output.removeAllListeners('error');
  let failure: Error | undefined;
  const note = (error: Error): void => {
    failure ??= error;
  };
  output.on('error', note);
  try {
    for await (const part of bytes) {
      if (failure !== undefined) break;
      if (!output.write(part)) await drained(output);
    }
    await flushed(output);
  } finally {
    // Of a closed pipe the stream may tell once more: then ours stays alone.
    if (failure === undefined) {
      output.off('error', note);
      for (const other of others) output.on('error', other);
    }
  }
  if (failure === undefined || (failure as NodeJS.ErrnoException).code === 'EPIPE') return;
  throw fileError('writing', 'stdout', failure);
}

/** Resolves when there is room again, or when there is nobody left. */
async function drained(output: Writable): Promise<void> {
  if (output.destroyed) return;
  const done = new AbortController();
  const { signal } = done;
  const gone = once(output, 'close', { signal }).catch(() => undefined);
  try {
    await Promise.race([once(output, 'drain', { signal }), gone]);
  } catch {
    // It failed instead: the listener of our caller has noted why.
  } finally {
    done.abort();
  }
}

/** Resolves when all that was written has left this process, or cannot. */
async function flushed(output: Writable): Promise<void> {
  if (output.destroyed) return;
  await new Promise<void>((resolve) => {
    output.write('', () => resolve());
  });
}

/** Writes `bytes` into the file at `path`, synced; resolves to how many they were. */
export async function writeToFile(
  bytes: AsyncGenerator<Uint8Array>,
  files: FileSystem,
  path: string,
): Promise<number> {
  // What cannot be read must not cost the file that is there.
  const first = await bytes.next();
  try {
    const file = files.open(path, 'replace', 'READ:CREATE');
    let position = 0;
    try {
      if (first.done !== true) {
        file.write([first.value], 0, 'READ:WRITE');
        position = first.value.length;
        for await (const part of bytes) {
          file.write([part], position, 'READ:WRITE');
          position += part.length;
        }
      }
      // A device such as /dev/null knows no sync.
      if (files.status(path, 'READ:STATUS')?.kind === 'file') await file.sync('READ:SYNC');
    } finally {
      file.close();
    }
    return position;
  } catch (error) {
    throw fileError('writing', path, error);
  }
}
