/**
 * Folders and files of a simulated disk. Every folder has its entries twice: as programs see them
 * and as they would be after a power loss. Between the two stand the pending operations, in the
 * order in which they happened:
 *
 * ```
 *   create tmp     [folder: tmp = inode 7]
 *   rename tmp x   [folder: tmp gone, x = inode 7]     one operation: all of it survives, or none
 *   syncFolder     all pending operations of the folder become durable
 *   power loss     of each folder a prefix of its pending operations survives: journals of
 *                  metadata keep the order
 * ```
 */
import { systemError } from '../../src/sys/system-error.ts';
import { FileContent } from './content.ts';
import type { ChooseVersion } from './content.ts';
import type { Space } from './pages.ts';

export interface FileNode {
  readonly kind: 'file';
  readonly inode: number;
  readonly content: FileContent;
  /** Open handles: they keep an unlinked file's room taken. */
  handles: number;
  linked: boolean;
  locked: boolean;
}

export interface FolderNode {
  readonly kind: 'folder';
  readonly inode: number;
  entries: Map<string, TreeNode>;
  durableEntries: Map<string, TreeNode>;
}

export type TreeNode = FileNode | FolderNode;

/** One name in one folder means something else now: another node, or nothing. */
export interface EntryChange {
  readonly folder: FolderNode;
  readonly name: string;
  readonly node: TreeNode | undefined;
}

/** Changes that survive a power loss together or not at all. */
type PendingOperation = readonly EntryChange[];

/** What a power loss spares. */
export interface PowerLoss {
  /** How many of `count` pending operations of a folder survive. */
  keptOperations(count: number): number;
  /** How the sectors and the size of one file are chosen. */
  versionsOfFile(): ChooseVersion;
}

export class Tree {
  readonly root: FolderNode;
  readonly space: Space;
  private pending: PendingOperation[];
  private inodesUsed: number;

  constructor(space: Space, original?: Tree) {
    this.space = space;
    this.inodesUsed = original?.inodesUsed ?? 0;
    const copier = new Copier(space);
    this.root = original === undefined ? this.newFolder() : copier.folder(original.root);
    this.pending = original?.pending.map((operation) => copier.operation(operation)) ?? [];
  }

  newFile(): FileNode {
    const content = new FileContent(this.space);
    const inode = this.nextInode();
    return { kind: 'file', inode, content, handles: 0, linked: true, locked: false };
  }

  /** A new file with the same bytes, durable as if it had been there for long. */
  copyOfFile(original: FileNode): FileNode {
    const content = new FileContent(this.space, original.content);
    content.forgetVersions();
    return { ...this.newFile(), content };
  }

  newFolder(): FolderNode {
    const inode = this.nextInode();
    return { kind: 'folder', inode, entries: new Map(), durableEntries: new Map() };
  }

  /** What programs see from now on; it is durable only after a sync of the folder. */
  change(operation: PendingOperation): void {
    const replaced = operation.map(({ folder, name }) => folder.entries.get(name));
    for (const { folder, name, node } of operation) setEntry(folder.entries, name, node);
    for (const node of replaced) if (node?.kind === 'file') node.linked = false;
    for (const { node } of operation) if (node?.kind === 'file') node.linked = true;
    for (const node of replaced) if (node?.kind === 'file') this.releaseIfGone(node);
    this.pending.push(operation);
  }

  /** Gives back the room of a file that has neither a name nor an open handle any more. */
  releaseIfGone(node: FileNode): void {
    if (!node.linked && node.handles === 0) this.space.give(node.content.pageCount);
  }

  /** Puts a node in place as if it had been there for long. */
  plant(folder: FolderNode, name: string, node: TreeNode): void {
    folder.entries.set(name, node);
    folder.durableEntries.set(name, node);
  }

  /** The pending operations now: what a sync that is called now is about. */
  pendingNow(): ReadonlySet<PendingOperation> {
    return new Set(this.pending);
  }

  /**
   * Makes those of `among` durable that concern `folder`. An operation over two folders takes all
   * earlier ones of the other folder with it, since a journal keeps the order.
   */
  makeDurable(folder: FolderNode, among: ReadonlySet<PendingOperation>): void {
    const folders = new Set([folder]);
    const durable = new Set<PendingOperation>();
    for (const operation of this.pending.toReversed()) {
      if (!among.has(operation)) continue;
      if (!operation.some((change) => folders.has(change.folder))) continue;
      durable.add(operation);
      for (const change of operation) folders.add(change.folder);
    }
    for (const operation of this.pending) if (durable.has(operation)) applyDurably(operation);
    this.pending = this.pending.filter((operation) => !durable.has(operation));
  }

  /** Turns this tree into what is there after a power loss. */
  losePower(loss: PowerLoss): void {
    this.keepPrefixes(loss);
    this.pending = [];
    const settleFile = (node: FileNode): void => {
      node.content.losePower(loss.versionsOfFile());
      node.linked = true;
    };
    const settle = (folder: FolderNode): void => {
      folder.entries = new Map(folder.durableEntries);
      for (const node of folder.entries.values()) {
        if (node.kind === 'folder') settle(node);
        else settleFile(node);
      }
    };
    settle(this.root);
  }

  /** Counts the taken pages anew: of linked files only. */
  recountSpace(): void {
    const pagesOf = (node: TreeNode): number => {
      if (node.kind === 'file') return node.content.pageCount;
      return [...node.entries.values()].reduce((sum, entry) => sum + pagesOf(entry), 0);
    };
    this.space.pagesUsed = pagesOf(this.root);
  }

  /** Applies of each folder's pending operations as many as the loss spares. */
  private keepPrefixes(loss: PowerLoss): void {
    const left = new Map<FolderNode, number>();
    for (const folder of this.pending.flatMap((operation) => foldersOf(operation))) {
      left.set(folder, (left.get(folder) ?? 0) + 1);
    }
    for (const [folder, count] of left) left.set(folder, loss.keptOperations(count));
    for (const operation of this.pending) {
      const folders = foldersOf(operation);
      const kept = folders.every((folder) => (left.get(folder) ?? 0) > 0);
      if (kept) applyDurably(operation);
      // What is lost in one of its folders ends the prefix of the other as well.
      for (const folder of folders) left.set(folder, kept ? (left.get(folder) ?? 0) - 1 : 0);
    }
  }

  private nextInode(): number {
    this.inodesUsed += 1;
    return this.inodesUsed;
  }
}

/** What it takes to empty a folder, the deepest entries first. */
export function removalsWithin(node: TreeNode): EntryChange[] {
  if (node.kind === 'file') return [];
  const removals: EntryChange[] = [];
  for (const [name, entry] of node.entries) {
    removals.push(...removalsWithin(entry), { folder: node, name, node: undefined });
  }
  return removals;
}

/** Throws as POSIX rename does unless `node` may take the place of `replaced` in `folder`. */
export function refuseRename(
  node: TreeNode,
  folder: FolderNode,
  replaced: TreeNode | undefined,
  what: string,
): void {
  if (node.kind === 'folder' && holds(node, folder)) {
    throw systemError('EINVAL', `a folder cannot move into itself, rename ${what}`);
  }
  if (replaced === undefined) return;
  if (replaced.kind === 'folder' && node.kind === 'file') {
    throw systemError('EISDIR', `is a directory, rename ${what}`);
  }
  if (replaced.kind === 'file' && node.kind === 'folder') {
    throw systemError('ENOTDIR', `not a directory, rename ${what}`);
  }
  if (replaced.kind === 'folder' && replaced.entries.size > 0) {
    throw systemError('ENOTEMPTY', `directory not empty, rename ${what}`);
  }
}

function holds(folder: FolderNode, sought: FolderNode): boolean {
  if (folder === sought) return true;
  return [...folder.entries.values()].some((node) => node.kind === 'folder' && holds(node, sought));
}

function foldersOf(operation: PendingOperation): FolderNode[] {
  return [...new Set(operation.map(({ folder }) => folder))];
}

function applyDurably(operation: PendingOperation): void {
  for (const { folder, name, node } of operation) setEntry(folder.durableEntries, name, node);
}

function setEntry(entries: Map<string, TreeNode>, name: string, node: TreeNode | undefined): void {
  if (node === undefined) entries.delete(name);
  else entries.set(name, node);
}

/** Copies nodes, each once, with their inode numbers; open handles and locks are not copied. */
class Copier {
  private readonly space: Space;
  private readonly files = new Map<FileNode, FileNode>();
  private readonly folders = new Map<FolderNode, FolderNode>();

  constructor(space: Space) {
    this.space = space;
  }

  folder(original: FolderNode): FolderNode {
    const known = this.folders.get(original);
    if (known !== undefined) return known;
    const copy: FolderNode = { ...original, entries: new Map(), durableEntries: new Map() };
    this.folders.set(original, copy);
    for (const [name, node] of original.entries) copy.entries.set(name, this.node(node));
    for (const [name, node] of original.durableEntries) {
      copy.durableEntries.set(name, this.node(node));
    }
    return copy;
  }

  operation(original: PendingOperation): PendingOperation {
    return original.map(({ folder, name, node }) => ({
      folder: this.folder(folder),
      name,
      node: node && this.node(node),
    }));
  }

  private node(original: TreeNode): TreeNode {
    return original.kind === 'folder' ? this.folder(original) : this.file(original);
  }

  private file(original: FileNode): FileNode {
    const known = this.files.get(original);
    if (known !== undefined) return known;
    const content = new FileContent(this.space, original.content);
    const copy: FileNode = { ...original, content, handles: 0, locked: false };
    this.files.set(original, copy);
    return copy;
  }
}
