/**
 * The folder of a path controller: paths.json, and the lock that lets one process have it.
 *
 * ```
 *   gate/
 *     paths.json   what the controller must not forget; replaced as a whole
 *     lock         while a process has it: pid, control socket
 *     control      the control socket of that process
 *     rcopy.toml   settings, if somebody put them there
 * ```
 */
import { basename, join } from 'node:path';
import { RcopyError, fileError } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import { NAME_PATTERN } from '../base/limits.ts';
import {
  PATH_FILE_FORMAT,
  PATH_FILE_VERSION,
  decodePathFile,
  encodePathFile,
} from '../format/path-file.ts';
import type { PathFile } from '../format/path-file.ts';
import { lockSet, noteHolder, setPaths } from '../imageset/set-folder.ts';
import type { LockHolder, LockWait } from '../imageset/set-folder.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileLock, FileSystem } from '../sys/files.ts';
import { nextOf, readSmallFile, replaceFile } from '../sys/replace-file.ts';
import type { PathStore } from './path-node.ts';

const PATH_FILE_NAME = 'paths.json';
/** 256 exports with the longest names and addresses need a tenth of it. */
const PATH_FILE_BYTES_MAX = 1024 * 1024;

/** What may lie in a folder that is to become a controller's: its own first steps, settings. */
const ALLOWED: ReadonlySet<string> = new Set([
  'lock',
  'control',
  'rcopy.toml',
  nextOf(PATH_FILE_NAME),
]);

/** Where the controller of a folder answers. */
export function pathControlSocket(folder: string): string {
  return setPaths.control(folder);
}

/** Who takes the folder, and how he waits for it. */
export type PathFolderOptions = LockWait & LockHolder;

export class PathFolder implements PathStore {
  readonly folder: string;
  private readonly files: FileSystem;
  private readonly lock: FileLock;
  private content: PathFile;
  private last: Promise<unknown> = Promise.resolve();

  private constructor(files: FileSystem, folder: string, lock: FileLock, content: PathFile) {
    this.files = files;
    this.folder = folder;
    this.lock = lock;
    this.content = content;
  }

  /**
   * Takes the folder, which is made when there is none, and counts this start durably. Rejects with
   * `E_NOT_EMPTY` when it is something else's, with `HeldError`, `E_DAMAGED`, `E_VERSION`.
   */
  static async open(
    environment: Environment,
    path: string,
    options: PathFolderOptions,
  ): Promise<PathFolder> {
    const { files } = environment;
    checkFolder(files, path);
    try {
      files.makeFolder(path, 'PATH:FOLDER');
    } catch (error) {
      throw fileError('making the folder of the controller', path, error);
    }
    const folder = files.resolve(path);
    const lock = await lockSet(environment, folder, options);
    try {
      const { pid, control } = options;
      noteHolder(files, folder, { pid, control });
      const before = existingFile(files, folder);
      // A paths.json that is found proves that its folder is there for good.
      if (!before) await syncParent(files, folder);
      const content = before ?? newFile(environment, folder);
      const store = new PathFolder(files, folder, lock, content);
      await store.save((file) => ({ ...file, starts: file.starts + 1 }));
      return store;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get file(): PathFile {
    return this.content;
  }

  /** What is saved at a time has seen what was saved before it; a failure changes nothing. */
  save(change: (file: PathFile) => PathFile): Promise<void> {
    const saving = this.last.then(async () => {
      const next = change(this.content);
      const place = { folder: this.folder, name: PATH_FILE_NAME, part: 'PATH' };
      await replaceFile(this.files, place, encodePathFile(next));
      this.content = next;
    });
    this.last = saving.catch(() => undefined);
    return saving;
  }

  /** Lets go of the folder when all is saved. */
  async close(): Promise<void> {
    await this.last;
    this.lock.release();
  }
}

/** What paths.json says. Throws `E_NOT_FOUND`, `E_DAMAGED`, `E_VERSION`. */
export function readPathFile(files: FileSystem, folder: string): PathFile {
  const path = join(folder, PATH_FILE_NAME);
  if (!files.status(path, 'PATH:STATUS')) {
    throw new RcopyError('E_NOT_FOUND', `${folder} is no path controller: it has no paths.json`, {
      hint: '`rcopy path serve` makes one',
    });
  }
  try {
    const source = { part: 'PATH', bytesMax: PATH_FILE_BYTES_MAX };
    return decodePathFile(path, readSmallFile(files, path, source));
  } catch (error) {
    throw fileError('reading', path, error);
  }
}

function existingFile(files: FileSystem, folder: string): PathFile | undefined {
  const isThere = files.status(join(folder, PATH_FILE_NAME), 'PATH:STATUS') !== undefined;
  return isThere ? readPathFile(files, folder) : undefined;
}

/** Nothing of it is on disk yet. */
function newFile({ random }: Environment, folder: string): PathFile {
  return {
    format: PATH_FILE_FORMAT,
    version: PATH_FILE_VERSION,
    controllerId: idFromBytes<'controller'>(random.bytes(16)),
    name: basename(folder),
    starts: 0,
    ways: [],
  };
}

/** Nothing is written into a folder that may be somebody else's. */
function checkFolder(files: FileSystem, folder: string): void {
  const status = files.status(folder, 'PATH:STATUS');
  if (status && status.kind !== 'folder') throw notEmpty(folder, 'is not a folder');
  const names = status ? files.list(folder, 'PATH:LIST') : [];
  if (names.includes(PATH_FILE_NAME)) return;
  if (names.some((name) => !ALLOWED.has(name))) {
    throw notEmpty(folder, 'is not empty, and no path controller');
  }
  if (NAME_PATTERN.test(basename(files.resolve(folder)))) return;
  throw new RcopyError('E_USAGE', `${basename(folder)} is no name for a path controller`, {
    hint: 'use letters, digits, dots, dashes and underscores, at most 64',
  });
}

function notEmpty(folder: string, what: string): RcopyError {
  return new RcopyError('E_NOT_EMPTY', `${folder} ${what}`, {
    hint: 'name a folder that is empty or does not exist',
  });
}

async function syncParent(files: FileSystem, folder: string): Promise<void> {
  try {
    await files.syncFolder(join(folder, '..'), 'PATH:SYNC-PARENT');
  } catch (error) {
    throw fileError('making the folder of the controller', folder, error);
  }
}
