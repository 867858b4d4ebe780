/** The demo's cast as the picture shows it now. */
import type { StorageNode } from '../../node/storage-node.ts';
import type { DemoHost } from './host.ts';
import type { BoxScene, Scene } from './picture.ts';

/** Who is on the stage; who is not made yet is undefined. */
export interface Cast {
  host: DemoHost | undefined;
  a: StorageNode | undefined;
  b: StorageNode | undefined;
  c: StorageNode | undefined;
  /** Whether A and B have a link to C now. */
  aSends: boolean;
  bSends: boolean;
  /** B fetches what it lacks from A. */
  fetching: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
}

export function emptyCast(): Cast {
  return {
    host: undefined,
    a: undefined,
    b: undefined,
    c: undefined,
    aSends: false,
    bSends: false,
    fetching: undefined,
  };
}

export function sceneOf({ host, a, b, c, aSends, bSends, fetching }: Cast): Scene {
  return {
    host: {
      writes: host?.counts.writes ?? 0,
      bytes: host?.counts.writtenBytes ?? 0,
      at: placeOfHost(host, a),
    },
    a: { ...boxOf(a), title: 'A tokyo', label: 'newest', number: a?.set.newest },
    b: {
      ...boxOf(b),
      title: 'B osaka',
      label: 'newest',
      number: isPrimary(b) ? b?.set.newest : undefined,
    },
    c: { ...boxOf(c), title: 'C kyoto', label: 'restored', number: c?.set.applied.sequence },
    fetching,
    sendingA: a && aSends ? toSend(a) : undefined,
    sendingB: b && bSends ? toSend(b) : undefined,
  };
}

function placeOfHost(host: DemoHost | undefined, a: StorageNode | undefined): Scene['host']['at'] {
  if (!host) return 'nobody';
  if (host.heldSinceMs !== undefined) return 'held';
  return host.current === a ? 'a' : 'b';
}

function isPrimary(node: StorageNode | undefined): boolean {
  return node?.set.file.role === 'primary';
}

function boxOf(node: StorageNode | undefined): Pick<BoxScene, 'role' | 'epoch' | 'alive'> {
  if (!node) return { role: '', epoch: undefined, alive: false };
  const { file, usable } = node.set;
  const { role, seal } = file;
  switch (role) {
    case 'primary':
      return { role: seal ? 'sealed' : 'primary', epoch: file.epoch, alive: !seal };
    case 'secondary':
      return { role: usable ? 'secondary' : 'not usable', epoch: file.epoch, alive: true };
    case 'target':
      return { role: 'target', epoch: undefined, alive: true };
    case 'retired':
      return { role: 'retired', epoch: file.epoch, alive: false };
  }
}

/** Numbers of its own epoch that the secondary has not made durable, by its last word. */
function toSend({ set }: StorageNode): number {
  const own = set.ownRun();
  const first = own?.identity.first ?? set.newest + 1;
  const durable = set.secondary?.durable.sequence ?? 0;
  return Math.max(0, set.newest - Math.max(durable, first - 1));
}
