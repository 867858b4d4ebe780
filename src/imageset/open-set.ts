/**
 * Opening an image set: lock → set.json → cursors → images and maps → journal → what is not applied
 * yet goes into the overlay. Where they disagree after a crash, the journal wins where it is ahead,
 * then the cursors, then set.json.
 */
import { RcopyError, fileError } from '../base/errors.ts';
import { ACK_TIMEOUT_MS_DEFAULT, TRANSFER_SIZES } from '../base/limits.ts';
import type { TransferSizes } from '../base/limits.ts';
import type { SetFile } from '../format/set-file.ts';
import { Journal } from '../journal/journal.ts';
import type { Environment } from '../sys/environment.ts';
import type { FileLock, FileSystem } from '../sys/files.ts';
import { Contents } from './contents.ts';
import type { VolumeImage } from './contents.ts';
import { CursorsStore } from './cursors-store.ts';
import { becomeUsable, dropUnreferenced, enterEpoch, followJournal } from './follower.ts';
import { Identity } from './identity.ts';
import { ImageSet } from './image-set.ts';
import { fallBackToMap } from './lacking.ts';
import { Overlay } from './overlay.ts';
import { checkHome, lockSet, noteHolder, setPaths } from './set-folder.ts';
import type { LockWait } from './set-folder.ts';
import { readSetFile } from './set-file-store.ts';
import { openMaps, removeUnnamed } from './set-maps.ts';
import { ensureEpoch, repairSeal } from './succession.ts';

export interface OpenOptions extends LockWait {
  /** How long a host request may wait for room in the journal; 0 when nobody can make any. */
  readonly roomWaitMs: number;
  /** How long FLUSH and FUA wait for a silent secondary (`--ack remote`); a default unless told. */
  readonly ackTimeoutMs?: number | undefined;
  /** How much goes over its links at a time; {@link TRANSFER_SIZES} unless told. */
  readonly transfers?: TransferSizes | undefined;
  /** Written into the lock file for people, and for who looks for the daemon. */
  readonly pid: number;
  readonly control?: string | undefined;
  /** Takes a copied folder for the set from now on. */
  readonly adoptCopy?: boolean;
}

/**
 * Opens a set for use, recovering what a crash left. Throws `E_NOT_FOUND`, `E_HELD`, `E_COPIED`,
 * `E_DAMAGED`, `E_VERSION`, `E_IO`.
 */
export async function openImageSet(
  environment: Environment,
  folder: string,
  options: OpenOptions,
): Promise<ImageSet> {
  const { files } = environment;
  readSetFile(files, folder); // before the lock: a folder that is no set is not given a lock file
  const lock = await lockSet(environment, folder, options);
  const opened: Opened[] = [];
  try {
    noteHolder(files, folder, { pid: options.pid, control: options.control });
    // A killed process may have replaced set.json without making that durable; what it says is
    // built upon from here on.
    await files.syncFolder(folder, 'SET:SYNC-FOLDER');
    const file = readSetFile(files, folder);
    const identity = new Identity(files, folder, file);
    if (options.adoptCopy) await adopt(identity, files, folder);
    else checkHome(files, folder, file);
    const set = await assemble(environment, folder, { options, lock, identity, opened });
    await recover(set);
    return set;
  } catch (error) {
    // The last one first: what still writes ends before its files and the lock go.
    for (const part of opened.toReversed()) await part.close();
    lock.release();
    throw fileError('opening the image set', folder, error);
  }
}

interface Opened {
  close(): void | Promise<void>;
}

interface Assembly {
  readonly options: OpenOptions;
  readonly lock: FileLock;
  readonly identity: Identity;
  /** What must be closed when opening fails. */
  readonly opened: Opened[];
}

async function assemble(
  environment: Environment,
  folder: string,
  { options, lock, identity, opened }: Assembly,
): Promise<ImageSet> {
  const { files } = environment;
  const { file } = identity;
  const { store, file: cursorsFile } = CursorsStore.open(files, setPaths.cursors(folder));
  opened.push(store);
  const { cursors } = cursorsFile;
  const images = openImages(files, folder, file, opened);
  const { clock } = environment;
  const giveWay = () => new Promise<void>((resolve) => clock.soon(resolve));
  const contents = new Contents(images, new Overlay(images.length), giveWay);
  openMaps(files, folder, { file, applied: cursors.applied, contents });
  opened.push({ close: () => contents.maps.forEach((maps) => maps.stop()) });
  removeUnnamed(files, folder, file);
  // From here on the set is in use: a crash must find that it was not closed in order.
  if (cursors.clean) await store.save(() => ({ ...cursors, clean: false }));
  for (const maps of contents.maps) await maps.heal();
  const journal = await Journal.open({
    folder: setPaths.journal(folder),
    environment,
    sizes: file.journal,
    ownSet: file.setId,
    known: cursors.epochs,
    applied: cursors.applied,
    clean: cursors.clean,
    readOnly: false,
  });
  opened.push({ close: () => journal.close().catch(() => undefined) });
  const set = new ImageSet({
    environment,
    folder,
    lock,
    identity,
    journal,
    contents,
    cursorsStore: store,
    cursors,
    flaws: [
      ...(cursorsFile.flaw ? [cursorsFile.flaw] : []),
      ...contents.maps.flatMap(({ flaws }) => flaws),
      ...journal.cuts,
    ],
    roomWaitMs: options.roomWaitMs,
    ackTimeoutMs: options.ackTimeoutMs ?? ACK_TIMEOUT_MS_DEFAULT,
    transfers: options.transfers ?? TRANSFER_SIZES,
    openEpoch: ensureEpoch,
    fallBack: (full) => fallBackToMap(full, { state: 'suspended', reason: 'the journal was full' }),
  });
  opened.push({ close: () => set.applier.stop() });
  return set;
}

async function recover(set: ImageSet): Promise<void> {
  await repairSeal(set);
  dropUnreferenced(set);
  await followJournal(set);
  // A sealed set has no epoch to open, and may hold its successor's on its way to the secondary.
  if (set.file.role === 'primary' && set.file.epoch > 0 && !set.file.seal) {
    await ensureEpoch(set);
    await followJournal(set);
  }
  if (set.file.role === 'secondary') {
    await enterEpoch(set);
    await becomeUsable(set);
  }
  await set.saveCursors();
  set.trim(); // a crash may have come behind an applied number, before what it lets go was gone
}

function openImages(
  files: FileSystem,
  folder: string,
  file: SetFile,
  opened: Opened[],
): VolumeImage[] {
  return file.volumes.map(({ name, sizeBytes }) => {
    const path = setPaths.image(folder, name);
    const status = files.status(path, 'IMAGE:STATUS');
    if (status?.kind !== 'file' || status.sizeBytes !== sizeBytes) {
      const found = status ? `has ${status.sizeBytes} bytes` : 'is missing';
      throw new RcopyError('E_DAMAGED', `${path} ${found}; volume ${name} has ${sizeBytes}`, {
        hint: 'put the image back, or take the data from the pair of this set',
      });
    }
    try {
      const handle = files.open(path, 'write', 'IMAGE:OPEN');
      opened.push(handle);
      return { name, sizeBytes, handle };
    } catch (error) {
      throw fileError('opening the image', path, error);
    }
  });
}

async function adopt(identity: Identity, files: FileSystem, folder: string): Promise<void> {
  const home = files.status(setPaths.journal(folder), 'SET:STATUS')?.inode ?? '';
  if (home !== identity.file.home) await identity.update((file) => ({ ...file, home }));
}
