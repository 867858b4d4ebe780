/** Paths on a simulated disk: POSIX, without links; relative ones begin at the root. */
import { posix } from 'node:path';
import { systemError } from '../../src/sys/system-error.ts';
import type { FileNode, FolderNode, Tree, TreeNode } from './tree.ts';

/** Where a name is or would be. */
export interface Place {
  readonly folder: FolderNode;
  readonly name: string;
}

export function resolvePath(path: string): string {
  return posix.resolve('/', path);
}

/** What is at a path; throws ENOTDIR when the way leads through a file. */
export function findNode(tree: Tree, path: string): TreeNode | undefined {
  let node: TreeNode | undefined = tree.root;
  for (const name of namesOf(path)) {
    if (node === undefined) return undefined;
    if (node.kind === 'file') throw systemError('ENOTDIR', `not a directory, ${path}`);
    node = node.entries.get(name);
  }
  return node;
}

export function requireNode(tree: Tree, path: string): TreeNode {
  const node = findNode(tree, path);
  if (node === undefined) throw systemError('ENOENT', `no such file or directory, ${path}`);
  return node;
}

export function requireFile(tree: Tree, path: string): FileNode {
  const node = requireNode(tree, path);
  if (node.kind === 'folder') throw systemError('EISDIR', `is a directory, ${path}`);
  return node;
}

export function requireFolder(tree: Tree, path: string): FolderNode {
  const node = requireNode(tree, path);
  if (node.kind === 'file') throw systemError('ENOTDIR', `not a directory, ${path}`);
  return node;
}

/** The folder that holds a path's last name, which need not exist. */
export function requirePlace(tree: Tree, path: string): Place {
  const name = namesOf(path).at(-1);
  if (name === undefined) throw systemError('EBUSY', `the root stays where it is, ${path}`);
  return { folder: requireFolder(tree, posix.dirname(resolvePath(path))), name };
}

/** Every folder from the root down to a path, the path itself included. */
export function pathsTo(path: string): string[] {
  const names = namesOf(path);
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`);
}

function namesOf(path: string): string[] {
  return resolvePath(path)
    .split('/')
    .filter((name) => name !== '');
}
