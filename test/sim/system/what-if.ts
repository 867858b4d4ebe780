/**
 * What would be found if a machine died now and a bit of its journal turned over meanwhile: looked
 * at on a copy of its disk, so that nobody else notices. Damage of what its cursors call durable is
 * refused or named; only behind that may something be taken for a torn tail (R8).
 */
import { isRcopyError, messageOf } from '../../../src/base/errors.ts';
import type { Cursors } from '../../../src/format/cursors.ts';
import { readCursors } from '../../../src/imageset/cursors-store.ts';
import { setPaths } from '../../../src/imageset/set-folder.ts';
import { StorageNode } from '../../../src/node/storage-node.ts';
import type { SimulatedDisk } from '../disk.ts';
import { Broken } from './broken.ts';
import type { Site, World } from './world.ts';

export async function lookIfFlipped(
  world: World,
  site: Site,
  { at, bit }: { readonly at: number; readonly bit: number },
): Promise<void> {
  if (!site.machine.node || site.flipped || site.machine.disk.crashed) return;
  const { folder } = site;
  const disk = site.machine.disk.survivors('keep', 0);
  const segments = disk.list(setPaths.journal(folder), 'TEST:LOOK');
  const name = segments[at % segments.length];
  if (name === undefined) return;
  const path = `${setPaths.journal(folder)}/${name}`;
  const { length } = disk.readFile(path);
  if (length === 0) return;
  const known = cursorsOn(disk, folder);
  disk.flipBit(path, at % length, bit);
  const where = `${folder}, with bit ${bit} of ${name} at ${at % length} turned over,`;
  const node = await opened(world, site, disk, where);
  if (!node) return;
  for (const { epoch, durable } of known.epochs) {
    const run = node.set.journal.run(epoch);
    // A seal has the number behind the last, and takes none.
    if (!run || (run.seal ? run.next : run.next - 1) >= durable) continue;
    throw new Broken('R8', `${where} opens without what follows ${run.next - 1} of epoch ${epoch}`);
  }
  await node.close().catch(() => undefined);
}

/** The set as it opens; undefined where it is refused for damage. */
async function opened(
  world: World,
  { folder }: Site,
  disk: SimulatedDisk,
  where: string,
): Promise<StorageNode | undefined> {
  try {
    return await StorageNode.open({ ...world.sites.environment(folder), files: disk }, folder, {
      lockWaitMs: 0,
      pid: 1,
      roomWaitMs: 0,
      connector: { dial: async () => Promise.reject(new Error('nobody else is here')) },
      address: folder,
      eager: true,
    });
  } catch (error) {
    if (isRcopyError(error, 'E_DAMAGED') || isRcopyError(error, 'E_VERSION')) return undefined;
    throw new Broken('R8', `${where} is refused with ${messageOf(error)}`);
  }
}

function cursorsOn(disk: SimulatedDisk, folder: string): Cursors {
  const path = setPaths.cursors(folder);
  const handle = disk.open(path, 'read', 'TEST:LOOK');
  try {
    return readCursors(handle, path).cursors;
  } finally {
    handle.close();
  }
}
