/**
 * The narrow door to files. Everything that reads or writes a file takes a {@link FileSystem}, so
 * that a whole system runs on simulated disks which lose what was not synced.
 *
 * Every operation that can fail or be cut off by a crash carries a label, `PART:WHAT` in capitals
 * ("JOURNAL:APPEND"), so that a test can fail exactly that call, or crash there.
 *
 * Errors: what the operating system says, with its `code` (`ENOENT`, `ENOSPC`, …); callers wrap
 * them with `fileError`. Reads, writes and metadata are synchronous: on a warm page cache they
 * cost a few microseconds, a thread-pool round trip costs ten times that. Syncs are asynchronous,
 * and so are large batches of writes, which go to a thread of their own as one.
 */

import type { Extent } from '../base/extent.ts';

/** `PART:WHAT`, for example `CURSORS:WRITE`. */
export type Label = `${string}:${string}`;

/**
 * How a file is opened: `read` an existing one; `write` an existing one for reading and writing;
 * `create` a new one for reading and writing (EEXIST if it is there); `replace` creates it or cuts
 * it to nothing.
 */
export type OpenMode = 'read' | 'write' | 'create' | 'replace';

/** One range of a file and the bytes that go there: `parts`, one behind the other. */
export interface RangeWrite {
  readonly position: number;
  readonly parts: readonly Uint8Array[];
}

/** One open file. The one who opened it closes it. */
export interface FileHandle {
  readonly path: string;

  /** Fills `target` from `position` on; returns the bytes read, fewer only at the end of file. */
  read(target: Uint8Array, position: number, label: Label): number;

  /** Writes all of `parts`, one behind the other, at `position` (one writev where possible). */
  write(parts: readonly Uint8Array[], position: number, label: Label): void;

  /**
   * Writes many ranges that do not overlap, off the loop where there is much to write. When it
   * resolves, all of them can be read, and a sync makes them durable; when it rejects, any of them
   * may be there. Parts do not change until then. A close in between does not call it off.
   */
  writeRanges(ranges: readonly RangeWrite[], label: Label): Promise<void>;

  /**
   * Makes a range read as zeroes. With `keepAllocated` its blocks stay allocated (so that a later
   * write there cannot run out of space); else they are freed where the file system can do that.
   * Never changes the file's size; the range lies within it.
   */
  zero(position: number, length: number, keepAllocated: boolean, label: Label): void;

  /** The first stretch at or after `position`: all data or all hole; may call holes data. */
  nextExtent(position: number, end: number, label: Label): Extent;

  size(label: Label): number;
  setSize(bytes: number, label: Label): void;

  /** fdatasync: when it resolves, everything written before the call is durable. */
  sync(label: Label): Promise<void>;

  close(): void;
}

/** What a path is. */
export interface FileStatus {
  readonly kind: 'file' | 'folder' | 'other';
  readonly sizeBytes: number;
  /** Tells a folder or file from a copy of it: the inode number. */
  readonly inode: string;
}

/** Held until released or until the process ends, however it ends. */
export interface FileLock {
  release(): void;
}

/** A tree of files. Paths are absolute or relative to the working directory, as the user typed. */
export interface FileSystem {
  open(path: string, mode: OpenMode, label: Label): FileHandle;
  /** `undefined` when there is nothing at `path`. */
  status(path: string, label: Label): FileStatus | undefined;
  /** Names in a folder, sorted. */
  list(path: string, label: Label): string[];
  /** Makes a folder and its parents; no error when it is there. */
  makeFolder(path: string, label: Label): void;
  /** Atomically; replaces what is at `to`. Durable after `syncFolder` of the parent. */
  rename(from: string, to: string, label: Label): void;
  /** Removes a file, or a folder with all in it; no error when it is not there. */
  remove(path: string, label: Label): void;
  /** Makes creations, renames and removals in this folder durable. */
  syncFolder(path: string, label: Label): Promise<void>;
  /**
   * Takes the exclusive lock on a file, which is created if missing; `undefined` when any other
   * holder has it, this process included. A lock is advisory and lives in the kernel: it goes with
   * its process.
   */
  tryLock(path: string, label: Label): FileLock | undefined;
  /** The absolute form of a path, links followed, for showing and for keeping. */
  resolve(path: string): string;
}
