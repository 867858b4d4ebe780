/** The folder of an image set: names, making one, locking one, telling a copy from the original. */
import { join } from 'node:path';
import { RcopyError, fileError } from '../base/errors.ts';
import { idFromBytes } from '../base/ids.ts';
import type { GroupId } from '../base/ids.ts';
import type { JournalSizes } from '../base/limits.ts';
import type { Cursors } from '../format/cursors.ts';
import type { SetFile, VolumeEntry } from '../format/set-file.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileLock, FileSystem } from '../sys/files.ts';
import { CursorsStore } from './cursors-store.ts';
import { SET_FILE_NAME, readSetFile, writeSetFile } from './set-file-store.ts';

/** Paths inside a set's folder. */
export const setPaths = {
  journal: (folder: string) => join(folder, 'journal'),
  cursors: (folder: string) => join(folder, 'cursors'),
  lock: (folder: string) => join(folder, 'lock'),
  /** The control socket of the daemon that holds the set; a killed one leaves it. */
  control: (folder: string) => join(folder, 'control'),
  volumes: (folder: string) => join(folder, 'volumes'),
  image: (folder: string, name: string) => join(folder, 'volumes', `${name}.img`),
  maps: (folder: string) => join(folder, 'maps'),
  map: (folder: string, file: string) => join(folder, 'maps', file),
  /** Stands in the folder from the first moment of its making to the last. */
  unfinished: (folder: string) => join(folder, 'unfinished'),
} as const;

export interface NewSet {
  readonly name: string;
  readonly volumes: readonly VolumeEntry[];
  readonly journal: JournalSizes;
  /** What a full journal does to hosts; slows them unless told. */
  readonly whenFull?: SetFile['journal']['whenFull'];
  /** Given when the set is made for a group that exists already. */
  readonly groupId?: GroupId;
}

/** What the cursors of a set say that was never written. */
export const BLANK_CURSORS: Cursors = {
  applied: { epoch: 0, sequence: 0, chain: 0 },
  epochs: [],
  secondary: null,
  usable: false,
  copy: null,
  marks: [],
  clean: true,
};

/**
 * Makes an image set in a folder that is empty or does not exist. Durable when it resolves; a crash
 * in between leaves a folder that a second try clears. Throws `E_NOT_EMPTY`, `E_NO_SPACE`.
 */
export async function makeSetFolder(
  environment: Environment,
  folder: string,
  set: NewSet,
): Promise<void> {
  const { files, random } = environment;
  clearUnfinished(files, folder);
  try {
    files.makeFolder(folder, 'SET:FOLDER');
    files.open(setPaths.unfinished(folder), 'replace', 'SET:UNFINISHED').close();
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    for (const make of [setPaths.volumes, setPaths.journal, setPaths.maps]) {
      files.makeFolder(make(folder), 'SET:FOLDER');
    }
    for (const volume of set.volumes) {
      await makeImage(files, setPaths.image(folder, volume.name), volume.sizeBytes);
    }
    await files.syncFolder(setPaths.volumes(folder), 'SET:SYNC-FOLDER');
    (await CursorsStore.create(files, setPaths.cursors(folder), BLANK_CURSORS)).close();
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    await writeSetFile(files, folder, {
      format: 'rcopy image set',
      version: 1,
      setId: idFromBytes<'set'>(random.bytes(16)),
      groupId: set.groupId ?? idFromBytes<'group'>(random.bytes(16)),
      name: set.name,
      home: homeOf(files, folder),
      role: 'primary',
      epoch: 0,
      volumes: [...set.volumes],
      journal: { ...set.journal, whenFull: set.whenFull ?? 'slow' },
      pair: null,
      seal: null,
      migration: null,
      parentSeal: null,
      takenOverAt: null,
      abortedMigrations: [],
      maps: [],
    });
    files.remove(setPaths.unfinished(folder), 'SET:FINISHED');
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    await files.syncFolder(join(folder, '..'), 'SET:SYNC-PARENT');
  } catch (error) {
    throw fileError('making the image set', folder, error);
  }
}

/**
 * Gives a used set a fresh life: what it holds is lost, its name, volumes and sizes stay, its
 * identity is new (R5). Throws `E_HELD`. A crash in between leaves an unfinished folder.
 */
export async function remakeSetFolder(
  environment: Environment,
  folder: string,
  wait: LockWait,
): Promise<void> {
  const { files } = environment;
  const { name, volumes, journal } = readSetFile(files, folder);
  const lock = await lockSet(environment, folder, wait);
  try {
    files.open(setPaths.unfinished(folder), 'replace', 'SET:UNFINISHED').close();
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    files.remove(join(folder, SET_FILE_NAME), 'SET:CLEAR');
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    const { whenFull, ...sizes } = journal;
    await makeSetFolder(environment, folder, { name, volumes, journal: sizes, whenFull });
  } catch (error) {
    throw fileError('overwriting the image set', folder, error);
  } finally {
    lock.release();
  }
}

/** The inode of the journal folder, which a copy of the files does not share. */
export function homeOf(files: FileSystem, folder: string): string {
  return files.status(setPaths.journal(folder), 'SET:STATUS')?.inode ?? '';
}

/** Throws `E_COPIED` when these files are a copy of a set (R5). */
export function checkHome(files: FileSystem, folder: string, set: SetFile): void {
  if (homeOf(files, folder) === set.home) return;
  throw new RcopyError(
    'E_COPIED',
    `${folder} is a copy of image set ${set.name} (${set.setId}), not that set itself`,
    {
      hint:
        '`rcopy inspect` reads it as it is; if the original is gone for good, `rcopy adopt` ' +
        'makes this folder the set',
    },
  );
}

/** How somebody waits for a set's lock. */
export interface LockWait {
  /** How long to wait for another holder of the lock, in milliseconds. */
  readonly lockWaitMs: number;
  /** Looked at while waiting: true ends the wait. */
  readonly isStopped?: () => boolean;
  /** Looked at while waiting: true when this holder serves the set to others, and ends the wait. */
  readonly isServed?: (holder: LockHolder) => Promise<boolean>;
}

/** The set is held by another process. */
export class HeldError extends RcopyError {
  /** What the holder wrote into the lock file, if it can be read. */
  readonly holder: LockHolder | undefined;

  constructor(folder: string, holder: LockHolder | undefined) {
    const who = holder ? `process ${holder.pid}` : 'another process';
    super('E_HELD', `${folder} is held by ${who}`, {
      hint: 'wait for it to end, or give `--lock-wait` more time',
    });
    this.holder = holder;
  }
}

/** Takes the set's lock, as long as the wait allows. Throws {@link HeldError}. */
export async function lockSet(
  environment: Environment,
  folder: string,
  { lockWaitMs, isStopped, isServed }: LockWait,
): Promise<FileLock> {
  const { files, clock } = environment;
  const path = setPaths.lock(folder);
  const deadline = clock.monotonicMs() + lockWaitMs;
  for (;;) {
    const lock = tryLock(files, path);
    if (lock) return lock;
    const holder = readHolder(files, folder);
    const served = holder !== undefined && (await isServed?.(holder));
    if (served || clock.monotonicMs() >= deadline || isStopped?.()) {
      throw new HeldError(folder, holder);
    }
    await clock.sleep(LOCK_RETRY_MS);
  }
}

function tryLock(files: FileSystem, path: string): FileLock | undefined {
  try {
    return files.tryLock(path, 'SET:LOCK');
  } catch (error) {
    throw fileError('locking the set', path, error);
  }
}
const LOCK_RETRY_MS = 50;
const LOCK_FILE_BYTES_MAX = 4096;

/** What a holder writes into its lock file, for people and for finding its daemon. */
export interface LockHolder {
  readonly pid: number;
  /** The unix socket of the daemon's control interface. */
  readonly control?: string | undefined;
}

/** Says in the lock file who holds the set. Only for people: the lock itself is the kernel's. */
export function noteHolder(files: FileSystem, folder: string, holder: LockHolder): void {
  try {
    const handle = files.open(setPaths.lock(folder), 'write', 'SET:LOCK-NOTE');
    try {
      handle.setSize(0, 'SET:LOCK-NOTE');
      handle.write([Buffer.from(`${JSON.stringify(holder)}\n`)], 0, 'SET:LOCK-NOTE');
    } finally {
      handle.close();
    }
  } catch {
    // A full disk, perhaps: the set can be used without the note.
  }
}

/** The note is a courtesy: where it cannot be read, messages say less. */
function readHolder(files: FileSystem, folder: string): LockHolder | undefined {
  try {
    const handle = files.open(setPaths.lock(folder), 'read', 'SET:LOCK-READ');
    try {
      const bytes = Buffer.alloc(LOCK_FILE_BYTES_MAX);
      const got = handle.read(bytes, 0, 'SET:LOCK-READ');
      const holder = JSON.parse(bytes.toString('utf8', 0, got)) as Partial<LockHolder>;
      const { pid, control } = holder;
      if (typeof pid !== 'number') return undefined;
      return { pid, control: typeof control === 'string' ? control : undefined };
    } finally {
      handle.close();
    }
  } catch {
    return undefined;
  }
}

async function makeImage(files: FileSystem, path: string, sizeBytes: number): Promise<void> {
  const handle = files.open(path, 'create', 'IMAGE:CREATE');
  try {
    handle.setSize(sizeBytes, 'IMAGE:SIZE');
    await handle.sync('IMAGE:SYNC');
  } finally {
    handle.close();
  }
}

/** What is not the set's, but of whoever holds it. */
const OF_HOLDERS: ReadonlySet<string> = new Set(['lock', 'control']);

/** Refuses a folder that holds anything, but for what an interrupted making left. */
function clearUnfinished(files: FileSystem, folder: string): void {
  const status = files.status(folder, 'SET:STATUS');
  if (!status) return;
  if (status.kind !== 'folder') throw notEmpty(folder);
  const names = files.list(folder, 'SET:LIST').filter((name) => !OF_HOLDERS.has(name));
  if (names.length === 0) return;
  if (!names.includes('unfinished') || names.includes(SET_FILE_NAME)) throw notEmpty(folder);
  for (const name of names.filter((candidate) => candidate !== 'unfinished')) {
    files.remove(join(folder, name), 'SET:CLEAR');
  }
}

function notEmpty(folder: string): RcopyError {
  return new RcopyError('E_NOT_EMPTY', `${folder} is not empty`, {
    hint: 'name a folder that is empty or does not exist',
  });
}
