/**
 * Unix sockets in deep folders. Their address holds 107 bytes of path (sun_path of unix(7)); a
 * longer one is reached through the folder's descriptor, which Linux shows under /proc/self/fd.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RcopyError } from '../base/errors.ts';

const SOCKET_PATH_BYTES_MAX = 107;

/** A path that a socket call takes, good until it is released. */
export interface SocketPath {
  readonly path: string;
  release(): void;
}

/** Throws `E_USAGE` where the system has no way to take so long a path. */
export function socketPath(path: string): SocketPath {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) {
    return { path, release: () => undefined };
  }
  if (process.platform !== 'linux') {
    throw new RcopyError('E_USAGE', `${path} is too long for a unix socket`, {
      hint: `use a folder with a shorter path: at most ${SOCKET_PATH_BYTES_MAX} bytes in all`,
    });
  }
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    path: join('/proc/self/fd', String(folder), basename(path)),
    release: () => closeSync(folder),
  };
}
