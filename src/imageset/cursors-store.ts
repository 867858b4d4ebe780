/** Keeps the cursors file: two slots in turn, one save at a time. */
import { fileError } from '../base/errors.ts';
import { CURSOR_SLOT_BYTES, chooseCursorSlot, encodeCursorSlot } from '../format/cursors.ts';
import type { Cursors, CursorsFile } from '../format/cursors.ts';
import type { FileHandle, FileSystem } from '../sys/files.ts';

export class CursorsStore {
  private readonly handle: FileHandle;
  private generation: number;
  /** What the file was opened with: it reads, but is not known to be durable. */
  private found: Cursors | undefined;
  private last: Promise<void> = Promise.resolve();

  private constructor(handle: FileHandle, generation: number, found?: Cursors) {
    this.handle = handle;
    this.generation = generation;
    this.found = found;
  }

  /** Makes the file with both its slots; durable when it resolves, but for its name. */
  static async create(files: FileSystem, path: string, first: Cursors): Promise<CursorsStore> {
    try {
      const handle = files.open(path, 'replace', 'CURSORS:CREATE');
      handle.setSize(2 * CURSOR_SLOT_BYTES, 'CURSORS:SIZE');
      const store = new CursorsStore(handle, -1);
      await store.save(() => first);
      await store.save(() => first);
      return store;
    } catch (error) {
      throw fileError('making the cursors', path, error);
    }
  }

  static open(files: FileSystem, path: string): { store: CursorsStore; file: CursorsFile } {
    try {
      const handle = files.open(path, 'write', 'CURSORS:OPEN');
      const file = readCursors(handle, path);
      return { store: new CursorsStore(handle, file.generation, file.cursors), file };
    } catch (error) {
      throw fileError('reading the cursors', path, error);
    }
  }

  /**
   * Writes and syncs what `current` returns when its turn comes. What the numbers speak of must be
   * synced before that: the caller puts them into what `current` reads only then.
   */
  save(current: () => Cursors): Promise<void> {
    const saved = this.last.then(() => this.write(current()));
    this.last = saved.catch(() => undefined);
    return saved;
  }

  close(): void {
    this.handle.close();
  }

  private async write(cursors: Cursors): Promise<void> {
    try {
      // A killed process, or one whose sync failed, leaves a newest slot that a power loss takes:
      // it is written anew before the other one, which may be all that is durable, is overwritten.
      if (this.found) await this.writeSlot(this.found);
      this.found = undefined;
      this.generation += 1;
      await this.writeSlot(cursors);
    } catch (error) {
      throw fileError('writing the cursors', this.handle.path, error);
    }
  }

  private async writeSlot(cursors: Cursors): Promise<void> {
    const slot = encodeCursorSlot(this.generation, cursors);
    this.handle.write([slot], (this.generation % 2) * CURSOR_SLOT_BYTES, 'CURSORS:WRITE');
    await this.handle.sync('CURSORS:SYNC');
  }
}

/** Reads both slots and chooses. Throws `E_DAMAGED` or `E_VERSION`. */
export function readCursors(handle: FileHandle, path: string): CursorsFile {
  const slots = [0, 1].map((slot) => {
    const bytes = Buffer.alloc(CURSOR_SLOT_BYTES);
    const got = handle.read(bytes, slot * CURSOR_SLOT_BYTES, 'CURSORS:READ');
    return bytes.subarray(0, got);
  });
  return chooseCursorSlot(path, slots[0] ?? Buffer.alloc(0), slots[1] ?? Buffer.alloc(0));
}
