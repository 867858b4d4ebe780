/**
 * The segment files of one journal: provides new ones, out of spares where there are any, and takes
 * back those that were trimmed. Counts them all (R9).
 */
import { join } from 'node:path';
import { fileError } from '../base/errors.ts';
import type { JournalSizes } from '../base/limits.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';

/** Spares are kept as long as there are no more files than a full journal has, and these. */
const SPARES_ABOVE_CAPACITY = 2;
const SPARE_PATTERN = /^spare-(\d+)\.rcj$/;

export class SegmentStore {
  readonly files: FileSystem;
  readonly folder: string;
  readonly segmentBytes: number;
  readonly capacityBytes: number;
  /** The folder has changes that a sync of the files alone does not make durable. */
  folderUnsynced = false;
  /** Bytes of the segments that runs hold; one that a start has cut counts what is left of it. */
  bytesInUse = 0;
  private readonly spares: string[] = [];
  /** Renamed to spares, but the rename is not durable: not to be overwritten yet (R8). */
  private retiring: string[] = [];
  /** Those whose renames are being made durable. */
  private becoming: readonly string[] = [];
  private nextSpare = 1;

  constructor(files: FileSystem, folder: string, sizes: JournalSizes) {
    this.files = files;
    this.folder = folder;
    this.segmentBytes = sizes.segmentBytes;
    this.capacityBytes = sizes.segmentsMax * sizes.segmentBytes;
  }

  /** How many segments may still be added. */
  get free(): number {
    return Math.max(0, Math.floor((this.capacityBytes - this.bytesInUse) / this.segmentBytes));
  }

  /** Takes in the spares that an earlier process left. Their names are durable: it synced them. */
  adopt(names: readonly string[]): void {
    for (const name of names) {
      const match = SPARE_PATTERN.exec(name);
      if (!match) continue;
      this.nextSpare = Math.max(this.nextSpare, Number(match[1]) + 1);
      this.retiring.push(join(this.folder, name));
    }
    this.folderUnsynced ||= this.retiring.length > 0;
  }

  /**
   * A file of full size under `path`, out of a spare where there is one. Its name is durable after
   * the next folder sync; what a spare held is still in it behind the new header.
   */
  provide(path: string): FileHandle {
    try {
      const spare = this.spares.pop();
      if (spare === undefined) this.limitSpares(this.segmentBytes);
      else this.files.rename(spare, path, 'JOURNAL:RECYCLE');
      const mode = spare === undefined ? 'replace' : 'write';
      const handle = this.files.open(path, mode, 'JOURNAL:CREATE');
      this.folderUnsynced = true;
      this.bytesInUse += this.segmentBytes;
      return handle;
    } catch (error) {
      throw fileError('starting a journal segment', path, error);
    }
  }

  /** Takes back a segment that is no longer needed. */
  retire(path: string, bytes: number): void {
    this.bytesInUse -= bytes;
    this.folderUnsynced = true;
    try {
      if (bytes < this.segmentBytes) {
        this.files.remove(path, 'JOURNAL:REMOVE');
        return;
      }
      const spare = join(this.folder, `spare-${this.nextSpare}.rcj`);
      this.nextSpare += 1;
      this.files.rename(path, spare, 'JOURNAL:RETIRE');
      this.retiring.push(spare);
      this.limitSpares(0);
    } catch (error) {
      throw fileError('trimming the journal', path, error);
    }
  }

  /** Gives back to the file system what is more than enough, when `added` bytes are to come. */
  private limitSpares(added: number): void {
    const limit = this.capacityBytes + SPARES_ABOVE_CAPACITY * this.segmentBytes;
    for (;;) {
      const spares = this.spares.length + this.retiring.length + this.becoming.length;
      if (this.bytesInUse + added + spares * this.segmentBytes <= limit) return;
      const spare = this.retiring.pop() ?? this.spares.pop();
      if (spare === undefined) return;
      this.files.remove(spare, 'JOURNAL:REMOVE');
    }
  }

  /** Makes names durable; afterwards what was retired may be overwritten. */
  async syncFolder(): Promise<void> {
    if (!this.folderUnsynced) return;
    this.folderUnsynced = false;
    this.becoming = this.retiring;
    this.retiring = [];
    await this.files.syncFolder(this.folder, 'JOURNAL:SYNC-FOLDER');
    this.spares.push(...this.becoming);
    this.becoming = [];
  }
}
