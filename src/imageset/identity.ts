/** The set's identity while it is open: what set.json says, and its changes, one at a time. */
import { RcopyError } from '../base/errors.ts';
import { writeSetFile } from './set-file-store.ts';
import type { SetFile } from '../format/set-file.ts';
import type { FileSystem } from '../sys/files.ts';

export class Identity {
  private readonly files: FileSystem;
  private readonly folder: string;
  private current: SetFile;
  private last: Promise<void> = Promise.resolve();
  private closed = false;
  /** Told when set.json could not be replaced: nobody knows then what is on disk (R2). */
  onFailed: ((error: unknown) => void) | undefined;

  constructor(files: FileSystem, folder: string, file: SetFile) {
    this.files = files;
    this.folder = folder;
    this.current = file;
  }

  /** What set.json says, durably. */
  get file(): SetFile {
    return this.current;
  }

  /** Nothing is changed any more: the set may be another process's from now on. */
  close(): void {
    this.closed = true;
  }

  /** Resolves when no change is being written. */
  async settled(): Promise<void> {
    for (let last; last !== this.last;) {
      ({ last } = this);
      await last;
    }
  }

  /**
   * For what is durable elsewhere, and comes into set.json at a start if it is not there: it counts
   * at once, and is written behind. Rejects when the set is closed.
   */
  async repeat(change: (file: SetFile) => SetFile): Promise<void> {
    await this.settled(); // what is being written now does not know of it
    if (this.closed) throw new RcopyError('E_STOPPED', `${this.folder} is closed`);
    this.current = change(this.current);
    this.update((file) => file).catch(() => undefined); // told to `onFailed`
  }

  /**
   * Replaces set.json with what `change` makes of it. The new content counts, here too, only when
   * it is durable. After a rejection the old content still counts and may be on disk or not.
   */
  update(change: (file: SetFile) => SetFile): Promise<void> {
    const updated = this.last.then(async () => {
      if (this.closed) throw new RcopyError('E_STOPPED', `${this.folder} is closed`);
      const next = change(this.current);
      try {
        await writeSetFile(this.files, this.folder, next);
      } catch (error) {
        this.onFailed?.(error);
        throw error;
      }
      this.current = next;
    });
    this.last = updated.catch(() => undefined);
    return updated;
  }
}
