/** The volumes of a daemon's set as NBD exports: one a volume, under its name. */
import { RcopyError } from '../base/errors.ts';
import type { NbdExport, NbdExports } from '../nbd/exports.ts';
import type { StorageNode } from '../node/storage-node.ts';

/** `node` gives the set as it is open now; undefined while it is being made anew. */
export function exportsOf(node: () => StorageNode | undefined): NbdExports {
  return {
    list: () => listOf(node()),
    find: (name) => findIn(node(), name),
  };
}

function listOf(node: StorageNode | undefined): NbdExport[] {
  if (!node) return [];
  const { file } = node.set;
  return file.volumes.flatMap(({ name }, index) => {
    const device = node.hostDevice(index);
    return device ? [{ name, description: `volume of ${file.name}`, device }] : [];
  });
}

/** The only volume is also the default one, which clients ask for without a name. */
function findIn(node: StorageNode | undefined, name: string): NbdExport | RcopyError | undefined {
  if (!node) return new RcopyError('E_STATE', 'the set is being made anew');
  const refused = node.set.refusal('read');
  if (refused) return refused;
  const all = listOf(node);
  if (name === '' && all.length === 1) return all[0];
  return all.find((each) => each.name === name);
}
