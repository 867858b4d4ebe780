/** The real file system behind {@link FileSystem}. */
import {
  close,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
  writevSync,
  realpathSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ensureDirSync, removeSync } from 'fs-extra/esm';
import type { Extent } from '../base/extent.ts';
import { MIB } from '../base/limits.ts';
import { scanExtent } from './extent-scan.ts';
import type {
  FileHandle,
  FileLock,
  FileStatus,
  FileSystem,
  OpenMode,
  RangeWrite,
} from './files.ts';
import { lockDescriptor, punchHole, seekExtent } from './node-native.ts';
import { systemCode, systemError } from './system-error.ts';
import { WRITE_BYTES_MAX, WRITE_PARTS_MAX, partsBehind } from './write-bytes.ts';
import { paysOffThread, writeOffThread } from './write-thread.ts';

const OPEN_FLAGS = { read: 'r', write: 'r+', create: 'wx+', replace: 'w+' } as const;

/** Source of all zeroes that are written; nobody writes into it. */
const ZEROES = Buffer.alloc(MIB);

const syncData = promisify(fdatasync);
const syncAll = promisify(fsync);
const closeLater = promisify(close);

/** Files of the machine that this process runs on. */
export const nodeFiles: FileSystem = {
  open: (path, mode) => new NodeFileHandle(path, mode),
  status: statusOf,
  list: (path) => readdirSync(path).toSorted(),
  makeFolder: (path) => ensureDirSync(path),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => removeSync(path),
  syncFolder,
  tryLock,
  resolve: realPath,
};

class NodeFileHandle implements FileHandle {
  readonly path: string;
  private readonly openDescriptor: number;
  private closed = false;
  private callsRunning = 0;

  constructor(path: string, mode: OpenMode) {
    this.path = path;
    this.openDescriptor = openSync(path, OPEN_FLAGS[mode]);
  }

  read(target: Uint8Array, position: number): number {
    const descriptor = this.descriptor();
    let done = 0;
    while (done < target.length) {
      const count = readSync(descriptor, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(parts: readonly Uint8Array[], position: number): void {
    const descriptor = this.descriptor();
    let pending = parts.filter((part) => part.length > 0);
    let offset = position;
    while (pending.length > 0) {
      const written = writeSome(descriptor, partsAtOnce(pending), offset);
      if (written === 0) throw systemError('EIO', `nothing could be written, write ${this.path}`);
      offset += written;
      pending = partsBehind(pending, written);
    }
  }

  zero(position: number, length: number, keepAllocated: boolean): void {
    const descriptor = this.descriptor();
    const end = position + length;
    if (end > this.size()) throw systemError('EINVAL', `range beyond the end, zero ${this.path}`);
    if (length === 0) return;
    if (!keepAllocated && punchHole(descriptor, position, length)) return;
    for (let offset = position; offset < end; offset += ZEROES.length) {
      this.write([ZEROES.subarray(0, Math.min(ZEROES.length, end - offset))], offset);
    }
  }

  nextExtent(position: number, end: number): Extent {
    const known = seekExtent(this.descriptor(), position, end);
    if (known !== undefined) return known;
    return scanExtent((target, offset) => this.read(target, offset), position, end);
  }

  size(): number {
    return fstatSync(this.descriptor()).size;
  }

  setSize(bytes: number): void {
    ftruncateSync(this.descriptor(), bytes);
  }

  async writeRanges(ranges: readonly RangeWrite[]): Promise<void> {
    if (paysOffThread(ranges)) {
      await this.holding((descriptor) => writeOffThread(descriptor, ranges));
      return;
    }
    for (const { parts, position } of ranges) this.write(parts, position);
  }

  sync(): Promise<void> {
    return this.holding(syncData);
  }

  /**
   * A call that still runs keeps the descriptor until it is through: its number could go to another
   * file in between, and the call would be about that one.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.callsRunning === 0) closeSync(this.openDescriptor);
  }

  private async holding(call: (descriptor: number) => Promise<void>): Promise<void> {
    const descriptor = this.descriptor();
    this.callsRunning += 1;
    try {
      await call(descriptor);
    } finally {
      this.callsRunning -= 1;
      if (this.closed && this.callsRunning === 0) await closeLater(descriptor);
    }
  }

  /** Throws after a close, since the number may belong to another file by now. */
  private descriptor(): number {
    if (this.closed) throw systemError('EBADF', `file is closed, ${this.path}`);
    return this.openDescriptor;
  }
}

/** What of `parts` goes into one call. */
function partsAtOnce(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  for (const [index, part] of parts.entries()) {
    if (index === WRITE_PARTS_MAX) return parts.slice(0, index);
    if (bytes + part.length > WRITE_BYTES_MAX) {
      return [...parts.slice(0, index), part.subarray(0, WRITE_BYTES_MAX - bytes)];
    }
    bytes += part.length;
  }
  return parts;
}

/** One system call; a single part needs no vector. */
function writeSome(descriptor: number, parts: readonly Uint8Array[], position: number): number {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) {
    return writeSync(descriptor, first, 0, first.length, position);
  }
  return writevSync(descriptor, parts, position);
}

function statusOf(path: string): FileStatus | undefined {
  const status = statOf(path);
  if (status === undefined) return undefined;
  let kind: FileStatus['kind'] = 'other';
  if (status.isFile()) kind = 'file';
  if (status.isDirectory()) kind = 'folder';
  return { kind, sizeBytes: Number(status.size), inode: String(status.ino) };
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    // A file stands where a folder would have to be: there is nothing below it either.
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await syncAll(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function tryLock(path: string): FileLock | undefined {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o666);
  let locked = false;
  try {
    locked = lockDescriptor(descriptor);
  } finally {
    if (!locked) closeSync(descriptor);
  }
  return locked ? lockOn(descriptor) : undefined;
}

/** The lock goes with its descriptor. */
function lockOn(descriptor: number): FileLock {
  let released = false;
  return {
    release() {
      if (released) return;
      released = true;
      closeSync(descriptor);
    },
  };
}

/** Through links as far as the path exists: one folder has one name. */
function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(realPath(parent), basename(absolute));
  }
}
