/** The part of the judge that looks at limits: nothing grows or waits without end (R9). */
import { OVERLAY_BYTES } from '../../../src/base/limits.ts';
import { setPaths } from '../../../src/imageset/set-folder.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import { Broken } from './broken.ts';
import type { Running } from './judge.ts';
import { TRANSFERS } from './sizes.ts';
import type { World } from './world.ts';

/** A sender's credit, and what one step of it brings on top. */
const LINK_BYTES_MAX = TRANSFERS.creditBytes + 2 * TRANSFERS.rangeBytes;
/** A host waits for a set, then for room in its journal, and so long for itself. */
const HOST_WAIT_MS_MORE = 30_000;
/** What a controller, or a set, may be late. */
const LATE_MS = 2000;

export class LimitsJudge {
  private readonly world: World;
  /** How large the journal was when the set was opened, or came to its epoch. */
  private readonly atFirst = new WeakMap<StorageNode, { epoch: number; bytes: number }>();
  /** When each set was seen to take or refuse hosts' changes last, and how many. */
  private readonly taking = new WeakMap<object, { readonly count: number; readonly ms: number }>();

  constructor(world: World) {
    this.world = world;
  }

  opened(node: StorageNode): void {
    this.noteJournal(node);
  }

  private noteJournal(node: StorageNode): void {
    const { journal, file } = node.set;
    this.atFirst.set(node, { epoch: file.epoch, bytes: journal.bytes });
  }

  lookAt(running: Running): void {
    this.lookAtUsage(running);
    this.lookAtJournal(running);
    this.lookAtTaking(running);
  }

  /** A host that a controller serves is answered in time, be it with an error. */
  lookAtHosts(): void {
    if (this.world.gates.length === 0) return;
    const { patienceMs } = this.world.shape;
    this.world.judge.gates.look(this.world.gates, this.world.sites.clock.monotonicMs());
    for (const { name, waitsMs, heldMs } of this.world.hosts) {
      if (waitsMs > 2 * patienceMs + HOST_WAIT_MS_MORE)
        throw new Broken('R9', `${name} waits for ${waitsMs} ms`);
      if (heldMs > patienceMs + LATE_MS)
        throw new Broken('R9', `${name} is held up for ${heldMs} ms`);
    }
  }

  /** Whoever waits for room is taken in, or told, in time. */
  private lookAtTaking({ site, node }: Running): void {
    const { hosts } = node.set;
    const { log, shape, sites } = this.world;
    const nowMs = sites.clock.monotonicMs();
    const count = hosts.takenRequests + log.refused;
    const before = this.taking.get(hosts);
    const isIdle = hosts.waitingRequests === 0 || before?.count !== count;
    const ms = isIdle ? nowMs : before.ms;
    this.taking.set(hosts, { count, ms });
    if (nowMs - ms > shape.patienceMs + LATE_MS)
      throw new Broken('R9', `${site.folder} neither takes nor refuses for ${nowMs - ms} ms`);
  }

  /** No segment is longer than it may be. */
  lookAtSegments({ site, node }: Running): void {
    const { disk } = site.machine;
    const { sizes } = node.set.journal;
    const folder = setPaths.journal(site.folder);
    if (disk.crashed) return;
    site.disk.isWatched = true;
    for (const name of disk.list(folder, 'TEST:LOOK')) {
      const bytes = disk.status(`${folder}/${name}`, 'TEST:LOOK')?.sizeBytes ?? 0;
      if (bytes > sizes.segmentBytes) throw new Broken('R9', `${site.folder}/${name}: ${bytes}`);
    }
    site.disk.isWatched = false;
  }

  private lookAtUsage({ site, node }: Running): void {
    const { set } = node;
    const { overlay } = set.contents;
    const overlayMax = OVERLAY_BYTES + set.journal.sizes.requestBytesMax;
    if (overlay.heldBytes > overlayMax) throw new Broken('R9', `overlay of ${overlay.heldBytes}`);
    const { waiting, asking, controllers, calls, unacknowledged } = node.linkUsage();
    if (unacknowledged.count > LINK_BYTES_MAX) {
      throw new Broken('R9', `${site.folder}: ${unacknowledged.count} bytes are under way`);
    }
    for (const [name, { count, max }] of Object.entries({ waiting, asking, controllers, calls })) {
      if (count > max) throw new Broken('R9', `${site.folder}: ${count} ${name} of ${max}`);
    }
  }

  private lookAtJournal({ site, node }: Running): void {
    const { journal } = node.status();
    // A start after a crash may write the tail anew, into one segment more; a secondary may need
    // one more for the head of an epoch. Whoever takes hosts' writes has kept room for its seal.
    // A takeover goes on behind a full journal.
    const most = journal.capacityBytes + node.set.journal.sizes.segmentBytes;
    const { epoch } = node.set.file;
    if (this.atFirst.get(node)?.epoch !== epoch) this.noteJournal(node);
    const atFirst = this.atFirst.get(node)?.bytes ?? most;
    const own = Math.min(most, Math.max(journal.capacityBytes, atFirst));
    if (journal.bytes > (node.set.file.role === 'primary' ? own : most)) {
      throw new Broken('R9', `the journal of ${site.folder} has ${journal.bytes} bytes`);
    }
  }
}
