/**
 * A disk in memory that loses what was not synced. Deterministic: what survives a crash depends on
 * the seed and on the order of operations alone.
 *
 * - A file's sync makes its bytes and its size durable, not its name; `syncFolder` of the folder
 *   it is in does that, and only that.
 * - What a sync makes durable is what was written before the call; it is durable when the promise
 *   resolves, or when the crash came in the midst of it and the seed says so.
 * - After a sync that failed (ordered by the hook) reads still show what was written, and the next
 *   sync succeeds, and yet a power loss may take it: that is how Linux behaves, and why a failed
 *   sync must never be tried again as if nothing had happened.
 * - `crashAt` cuts the power in the midst of an operation; `survivors` is what is found afterwards.
 */
import type {
  FileHandle,
  FileLock,
  FileStatus,
  FileSystem,
  Label,
  OpenMode,
} from '../../src/sys/files.ts';
import { systemCode, systemError } from '../../src/sys/system-error.ts';
import { CrashableDevice } from './device.ts';
import type { OperationKind } from './device.ts';
import { SimulatedFile } from './disk-file.ts';
import {
  findNode,
  pathsTo,
  requireFile,
  requireFolder,
  requireNode,
  requirePlace,
  resolvePath,
} from './lookup.ts';
import { PAGE_BYTES, Space } from './pages.ts';
import { LOSE_ALL, lossBySeed } from './power-loss.ts';
import { seededRandom } from './random.ts';
import { refuseRename, removalsWithin, Tree } from './tree.ts';
import type { EntryChange, FileNode, TreeNode } from './tree.ts';

/** How a disk behaves. */
export interface DiskOptions {
  /** Decides where operations tear when the power is cut. */
  readonly seed?: number;
  /** ENOSPC beyond it; without it there is always room. */
  readonly capacityBytes?: number;
  /** When a sync completes: a microtask later unless told; `clock.after` makes a slow disk. */
  readonly defer?: (action: () => void) => void;
}

/** What is found after a crash: only what was synced, everything, or anything in between. */
export type Survival = 'lose' | 'keep' | 'random';

export class SimulatedDisk extends CrashableDevice implements FileSystem {
  private readonly defer: (action: () => void) => void;
  private readonly tree: Tree;

  constructor(options: DiskOptions = {}, original?: SimulatedDisk) {
    super(seededRandom(options.seed ?? 0));
    this.defer = options.defer ?? queueMicrotask;
    const space = new Space(options.capacityBytes ?? Number.POSITIVE_INFINITY);
    this.tree = new Tree(space, original?.tree);
  }

  /** ENOSPC beyond it; a test may change it on the way. */
  get capacityBytes(): number {
    return this.tree.space.capacityBytes;
  }

  set capacityBytes(bytes: number) {
    this.tree.space.capacityBytes = bytes;
  }

  /** Room taken by files. */
  get bytesAllocated(): number {
    return this.tree.space.pagesUsed * PAGE_BYTES;
  }

  /**
   * A new disk with what is there after a crash of this one; it has neither locks nor a hook.
   * `lose` and `random` are power losses: what they leave is durable. `keep` is kill -9: all that
   * was written is seen, and what was not synced is still not durable, so that a power loss of
   * the new disk can take it.
   */
  survivors(mode: Survival, seed: number): SimulatedDisk {
    const disk = new SimulatedDisk({ seed, defer: this.defer }, this);
    if (mode === 'lose') disk.tree.losePower(LOSE_ALL);
    if (mode === 'random') disk.tree.losePower(lossBySeed(seededRandom(seed)));
    disk.tree.recountSpace();
    disk.capacityBytes = this.capacityBytes;
    return disk;
  }

  open(path: string, mode: OpenMode, label: Label): FileHandle {
    const makes = mode === 'create' || mode === 'replace';
    return this.step('open', path, label, makes, () => {
      const node = makes ? this.makeFile(path, mode) : requireFile(this.tree, path);
      node.handles += 1;
      return new SimulatedFile(path, node, mode !== 'read', {
        device: this,
        defer: this.defer,
        pick: (bound) => this.random.below(bound),
        closed: (closedNode) => this.closed(closedNode),
      });
    });
  }

  status(path: string, label: Label): FileStatus | undefined {
    return this.step('status', path, label, false, () => {
      const node = this.nodeOrNothing(path);
      if (node === undefined) return undefined;
      const sizeBytes = node.kind === 'file' ? node.content.size : PAGE_BYTES;
      return { kind: node.kind, sizeBytes, inode: String(node.inode) };
    });
  }

  list(path: string, label: Label): string[] {
    return this.step('list', path, label, false, () =>
      [...requireFolder(this.tree, path).entries.keys()].toSorted(),
    );
  }

  makeFolder(path: string, label: Label): void {
    const make = (paths: readonly string[]): void => {
      for (const step of paths) this.makeOneFolder(step);
    };
    this.perform({
      kind: 'makeFolder',
      label,
      path,
      mutating: true,
      whole: () => make(pathsTo(path)),
      partly: () => make(this.someOf(pathsTo(path))),
    });
  }

  rename(from: string, to: string, label: Label): void {
    this.step('rename', from, label, true, () => {
      const source = requirePlace(this.tree, from);
      const node = requireNode(this.tree, from);
      const target = requirePlace(this.tree, to);
      const replaced = target.folder.entries.get(target.name);
      if (replaced === node) return;
      refuseRename(node, target.folder, replaced, `${from} -> ${to}`);
      this.tree.change([
        { ...source, node: undefined },
        { ...target, node },
      ]);
    });
  }

  remove(path: string, label: Label): void {
    const removals = (): EntryChange[] => {
      const node = this.nodeOrNothing(path);
      if (node === undefined) return [];
      const place = requirePlace(this.tree, path);
      return [...removalsWithin(node), { ...place, node: undefined }];
    };
    const run = (changes: readonly EntryChange[]): void => {
      for (const change of changes) this.tree.change([change]);
    };
    this.perform({
      kind: 'remove',
      label,
      path,
      mutating: true,
      whole: () => run(removals()),
      partly: () => run(this.someOf(removals())),
    });
  }

  async syncFolder(path: string, label: Label): Promise<void> {
    const pending = this.tree.pendingNow();
    const folder = this.step('syncFolder', path, label, true, () => requireFolder(this.tree, path));
    await new Promise<void>((resolve) => {
      this.defer(resolve);
    });
    this.refuseIfCrashed();
    this.tree.makeDurable(folder, pending);
  }

  tryLock(path: string, label: Label): FileLock | undefined {
    return this.step('lock', path, label, false, () => {
      const found = findNode(this.tree, path);
      const node =
        found === undefined ? this.makeFile(path, 'create') : requireFile(this.tree, path);
      if (node.locked) return undefined;
      node.locked = true;
      let held = true;
      return {
        release() {
          if (held) node.locked = false;
          held = false;
        },
      };
    });
  }

  resolve(path: string): string {
    return resolvePath(path);
  }

  // What tests do to the disk behind the program's back: no labels, no hook, durable at once.

  readFile(path: string): Uint8Array {
    const { content } = requireFile(this.tree, path);
    const bytes = new Uint8Array(content.size);
    content.read(bytes, 0);
    return bytes;
  }

  /** Puts a file in place, with the folders on the way. */
  writeFile(path: string, bytes: Uint8Array): void {
    const node = this.tree.newFile();
    node.content.write(bytes, 0);
    node.content.forgetVersions();
    this.plant(path, node);
  }

  /** Turns bit `bit` (0 to 7) of one byte over, as a decaying medium does. */
  flipBit(path: string, byteOffset: number, bit: number): void {
    requireFile(this.tree, path).content.flipBit(byteOffset, bit);
  }

  /** Cuts a file short, or extends it with a hole. */
  truncate(path: string, bytes: number): void {
    const { content } = requireFile(this.tree, path);
    content.setSize(bytes);
    content.forgetVersions();
  }

  /** Copies a folder with all in it, as cp -r does: the copies are new inodes. */
  copyFolder(from: string, to: string): void {
    this.plant(to, this.tree.newFolder());
    for (const [name, node] of requireFolder(this.tree, from).entries) {
      if (node.kind === 'folder') this.copyFolder(`${from}/${name}`, `${to}/${name}`);
      else this.plant(`${to}/${name}`, this.tree.copyOfFile(node));
    }
  }

  /** An operation that takes effect as a whole or, with a crash, perhaps not at all. */
  private step<Result>(
    kind: OperationKind,
    path: string,
    label: Label,
    mutating: boolean,
    whole: () => Result,
  ): Result {
    return this.perform({ kind, label, path, mutating, whole });
  }

  private closed(node: FileNode): void {
    node.handles -= 1;
    this.tree.releaseIfGone(node);
  }

  /** Creates a file, or cuts the one that is there to nothing. */
  private makeFile(path: string, mode: 'create' | 'replace'): FileNode {
    if (findNode(this.tree, path) === undefined) {
      const place = requirePlace(this.tree, path);
      const node = this.tree.newFile();
      this.tree.change([{ ...place, node }]);
      return node;
    }
    if (mode === 'create') throw systemError('EEXIST', `file already exists, ${path}`);
    const node = requireFile(this.tree, path);
    node.content.setSize(0);
    return node;
  }

  private makeOneFolder(path: string): void {
    const present = findNode(this.tree, path);
    if (present?.kind === 'folder') return;
    if (present !== undefined) throw systemError('EEXIST', `file already exists, ${path}`);
    this.tree.change([{ ...requirePlace(this.tree, path), node: this.tree.newFolder() }]);
  }

  /** What an operation of several steps has done when the crash comes. */
  private someOf<Item>(items: readonly Item[]): readonly Item[] {
    return items.slice(0, this.random.below(items.length + 1));
  }

  /** What is at a path; below a file there is nothing. */
  private nodeOrNothing(path: string): TreeNode | undefined {
    try {
      return findNode(this.tree, path);
    } catch (error) {
      if (systemCode(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  private plant(path: string, node: TreeNode): void {
    for (const folder of pathsTo(path).slice(0, -1)) {
      if (findNode(this.tree, folder) === undefined) this.plant(folder, this.tree.newFolder());
    }
    const { folder, name } = requirePlace(this.tree, path);
    this.tree.plant(folder, name, node);
    this.tree.recountSpace();
  }
}
