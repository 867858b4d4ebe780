/**
 * Looks at a whole world and says which rule is broken. It goes by what sets show of themselves,
 * by the disks, and by the log of what hosts were answered; it changes nothing.
 */
import { RcopyError, isRcopyError, messageOf } from '../../../src/base/errors.ts';
import {
  LINK_BEAT_MS,
  LINK_SILENT_BEATS,
  OVERLAY_BYTES,
  SYNC_INTERVAL_MS,
} from '../../../src/base/limits.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import { setPaths } from '../../../src/imageset/set-folder.ts';
import { difference, peekAll } from '../../support/image-sets.ts';
import type { Run } from '../../../src/journal/run.ts';
import { Broken } from './broken.ts';
import { GateWatch } from './gate-watch.ts';
import { TRANSFERS } from './sizes.ts';
import type { Site, World } from './world.ts';

/** A sender's credit, and what one step of it brings on top. */
const LINK_BYTES_MAX = TRANSFERS.creditBytes + 2 * TRANSFERS.rangeBytes;
/** Syncs of files and folders in a round of a journal, and in the one that was under way. */
const SYNCS_OF_TWO_ROUNDS = 12;
const SYNC_PATIENCE_MS = 50;
/** A host waits for a set, then for room in its journal, and so long for itself. */
const HOST_WAIT_MS_MORE = 30_000;
/** What a controller, or a set, may be late. */
const LATE_MS = 2000;
/** A dead link is found after so many beats, and one more that was under way. */
const SILENCE_MS = LINK_BEAT_MS * (LINK_SILENT_BEATS + 2);

/** So soon a secondary's word is there, where nothing is held back. */
const WORDS_MS = 1000;
/** A primary that heard nothing new for so long, though nothing is held back, says that. */
const STALL_MS = SILENCE_MS;

export interface Running {
  readonly site: Site;
  readonly node: StorageNode;
}

export class Judge {
  /** The first thing that was broken; the run ends with it. */
  broken: Error | undefined;
  /** A takeover by force has happened, or a disk went back: two histories may meet, and say so. */
  forced = false;
  /** Sets of a history that an operator gave up. */
  readonly outlawed = new Set<string>();
  /** Sets whose disk went back in time, and is found out. */
  readonly rolledBack = new Set<string>();
  /** Looks at the whole system so far. */
  looks = 0;
  readonly gates = new GateWatch();
  private readonly world: World;
  /** How large the journal was when the set was opened. */
  private readonly journalAtFirst = new WeakMap<StorageNode, number>();
  /** Since when each set is no usable secondary. */
  private readonly unusableSince = new WeakMap<StorageNode, number>();
  /** Since when the secondary of each set lacks something and makes nothing durable. */
  private readonly stalled = new WeakMap<StorageNode, Stall>();
  /** The copy that each secondary was in at the last look. */
  private readonly copies = new WeakMap<StorageNode, SeenCopy>();
  /** Of each site, up to where its journal was written when it was all synced last, and when. */
  private readonly unsynced = new Map<
    Site,
    {
      readonly run: Run;
      readonly slow: number;
      readonly syncMs: number;
      readonly end: number;
      readonly sinceMs: number;
    }
  >();
  /** When each set was seen to take or refuse hosts' changes last, and how many. */
  private readonly taking = new WeakMap<object, { readonly count: number; readonly ms: number }>();

  constructor(world: World) {
    this.world = world;
  }

  /** For what is found where nothing may be thrown. */
  tell(error: unknown): void {
    this.broken ??= error instanceof Error ? error : new Error(String(error));
  }

  /** The set that takes hosts' writes now, if one is up. */
  get primary(): Running | undefined {
    const takers = this.world.running.filter(({ site, node }) => {
      const { role, seal, epoch } = node.set.file;
      const isOpen = role === 'primary' && !seal && epoch > 0 && !node.set.failure;
      return isOpen && !this.isStrange(site, node);
    });
    if (takers.length > 1) {
      const names = takers
        .map(({ site, node }) => `${site.folder} (epoch ${node.set.file.epoch})`)
        .join(' and ');
      throw new Broken('R4', `${names} both take writes`);
    }
    return takers[0];
  }

  /** It is a set of another group, or of a history that an operator gave up. */
  private isStrange(site: Site, { set }: StorageNode): boolean {
    return this.outlawed.has(site.folder) || set.file.groupId !== this.world.groupId;
  }

  /** A set was opened and serves nobody yet. */
  opened(site: Site, node: StorageNode): void {
    const { set } = node;
    this.journalAtFirst.set(node, set.journal.bytes);
    const { log } = this.world;
    if (this.isStrange(site, node)) return;
    const { role, seal, epoch } = set.file;
    if (role === 'primary' && !seal && epoch > 0) {
      if (!set.ownRun()) return;
      log.reopened(site.folder, set.newest, epoch);
      if (set.contents.isComplete) this.compare({ site, node }, set.newest);
    } else log.settle(site.folder, seal ? seal.nextSequence - 1 : 0);
  }

  /** A set was closed in order: its raw images are the truth for the eye. */
  closed(site: Site, node: StorageNode): void {
    const { set } = node;
    const { role } = set.file;
    const isWhole = (role === 'secondary' && set.usable) || (role === 'primary' && !set.file.seal);
    const isBehind = set.applied.sequence !== set.newest;
    if (!isWhole || isBehind || this.isStrange(site, node) || set.file.epoch === 0) return;
    if (set.file.migration?.side === 'target' && set.file.migration.state !== 'done') return;
    const { log, sites } = this.world;
    if (role === 'primary') log.numbersUpTo(site.folder, set.newest, set.file.epoch);
    const { disk } = sites.machine(site.folder);
    const images = set.file.volumes.map(({ name }) =>
      Buffer.from(disk.readFile(`${site.folder}/volumes/${name}.img`)),
    );
    const different = difference(images, log.at(set.newest, `images of ${site.folder}`));
    if (different) throw new Broken('R1', `${site.folder}, closed at ${set.newest}: ${different}`);
  }

  /** What a set, a command or a closing ended with must have come from what was done to it. */
  failed(site: Site | undefined, error: unknown): void {
    const what = `${site?.folder ?? 'a command'}: ${messageOf(error)}`;
    const { machines } = this.world;
    if (isRcopyError(error, 'E_DAMAGED')) {
      if (!machines.some(({ flipped }) => flipped)) this.tell(new Broken('R8', what));
    } else if (isRcopyError(error, 'E_SPLIT_BRAIN')) {
      if (!this.forced) this.tell(new Broken('R4', what));
    } else if (isRcopyError(error, 'E_INTERNAL') || isRcopyError(error, 'E_VERSION')) {
      this.tell(new Broken('bug', what));
    } else if (!(error instanceof RcopyError) && !isSystemError(error)) {
      this.tell(new Broken('bug', stackOf(error)));
    }
  }

  refusedToOpen(site: Site, error: unknown): void {
    this.failed(site, error);
  }

  /** An empty machine stands in place of this one. */
  replaced(site: Site): void {
    this.outlawed.delete(site.folder);
    this.rolledBack.delete(site.folder);
  }

  /** Everything that can be looked at without touching anything. Throws {@link Broken}. */
  look(): void {
    this.looks += 1;
    this.throwBroken();
    const { primary } = this;
    if (primary) this.lookAtPrimary(primary);
    if (primary) this.lookAtCopy(primary);
    if (this.world.gates.length > 0) this.lookAtHosts();
    for (const running of this.world.running) {
      this.noteUsable(running);
      this.lookAtOne(running);
      this.lookAtTaking(running);
      this.lookAtRuns(running);
      this.lookAtSyncs(running);
      this.lookAtStatus(running);
    }
    this.throwBroken();
  }

  private noteUsable({ node }: Running): void {
    if (node.set.usable) this.unusableSince.delete(node);
    else if (!this.unusableSince.has(node)) {
      this.unusableSince.set(node, this.world.sites.clock.monotonicMs());
    }
  }

  private throwBroken(): void {
    const { broken } = this;
    if (broken) throw broken;
  }

  /** The same and the contents of every usable secondary. */
  lookDeep(): void {
    this.look();
    for (const { site, node } of this.world.running) {
      const { set } = node;
      this.lookAtSegments({ site, node });
      if (set.file.role !== 'secondary' || !set.usable || set.failure) continue;
      if (this.isStrange(site, node)) continue;
      this.compare({ site, node }, set.feed.position.sequence);
    }
  }

  /** A secondary that calls itself usable from now on. */
  becameUsable(running: Running): void {
    if (this.isStrange(running.site, running.node)) return;
    this.compare(running, running.node.set.feed.position.sequence);
  }

  /** Image and journal together, as a host would read them, against the log. */
  private compare({ site, node }: Running, sequence: number): void {
    if (site.machine.disk.crashed) return; // its power went a moment ago
    site.disk.isWatched = true;
    const found = peekAll(node.set);
    site.disk.isWatched = false;
    this.world.log.wasSent(sequence, node.set.feed.position.epoch);
    const different = difference(found, this.world.log.at(sequence, site.folder));
    if (different) throw new Broken('R1', `${site.folder} at ${sequence}: ${different}`);
  }

  /** R9: a host that a controller serves is answered in time, be it with an error. */
  private lookAtHosts(): void {
    const { patienceMs } = this.world.shape;
    this.gates.look(this.world.gates, this.world.sites.clock.monotonicMs());
    for (const { name, waitsMs, heldMs } of this.world.hosts) {
      if (waitsMs > 2 * patienceMs + HOST_WAIT_MS_MORE)
        throw new Broken('R9', `${name} waits for ${waitsMs} ms`);
      if (heldMs > patienceMs + LATE_MS)
        throw new Broken('R9', `${name} is held up for ${heldMs} ms`);
    }
  }

  /** R9: whoever waits for room is taken in, or told, in time. */
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

  /** R9: no segment is longer than it may be. */
  private lookAtSegments({ site, node }: Running): void {
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

  private lookAtPrimary({ site, node }: Running): void {
    const { set } = node;
    const { log } = this.world;
    log.numbersUpTo(site.folder, set.newest, set.file.epoch);
    if (log.newest !== set.newest && set.ownRun()) {
      throw new Broken('R4', `${site.folder} is at ${set.newest}, hosts at ${log.newest}`);
    }
    this.lookAtTrims({ site, node });
  }

  /** R7: what is gone from the journal is durable at the secondary, or in a map. */
  private lookAtTrims({ site, node }: Running): void {
    const { pair, epoch } = node.set.file;
    if (pair?.state !== 'paired') return;
    const secondary = this.world.node(pair.peer.address);
    if (secondary?.set.file.pair?.id !== pair.id || secondary.set.file.epoch !== epoch) return;
    const run = node.set.ownRun();
    const theirs = secondary.set.ownRun();
    if (!run || !theirs || theirs.identity.id !== run.identity.id) return;
    if (this.world.at(pair.peer.address).flipped || this.rolledBack.has(pair.peer.address)) return;
    if (run.firstKept > theirs.durable + 1) {
      const what = `${site.folder} keeps from ${run.firstKept} on`;
      throw new Broken('R7', `${what}, ${pair.peer.address} has up to ${theirs.durable}`);
    }
  }

  /** A set that stopped has a reason that came from its disk. */
  private lookAtOne({ site, node }: Running): void {
    const { set } = node;
    if (set.failure && !site.machine.disk.crashed) {
      this.failed(site, set.failure);
      if (isRcopyError(set.failure, 'E_IO') || isRcopyError(set.failure, 'E_NO_SPACE')) {
        if (site.disk.struck.size === 0)
          throw new Broken('R2', `${site.folder}: ${messageOf(set.failure)}`);
      }
    }
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

  /** R3: what is written is synced soon, also when nobody flushes. */
  private lookAtSyncs({ site, node }: Running): void {
    const run = node.set.ownRun();
    if (!run || node.set.failure || site.machine.disk.crashed) return;
    const nowMs = this.world.sites.clock.monotonicMs();
    if (site.disk.hangs) {
      this.unsynced.delete(site);
      return;
    }
    const { syncMs } = site.machine;
    const slow = site.disk.struck.get('slow') ?? 0;
    const known = this.unsynced.get(site);
    if (known?.run !== run || known.slow !== slow || run.durable >= known.end) {
      this.unsynced.set(site, { run, slow, syncMs, end: run.writtenEnd, sinceMs: nowMs });
      return;
    }
    const waitMs = nowMs - known.sinceMs;
    const slowest = Math.max(known.syncMs, syncMs);
    if (waitMs > SYNC_INTERVAL_MS + SYNCS_OF_TWO_ROUNDS * slowest + SYNC_PATIENCE_MS) {
      throw new Broken('R3', `${site.folder}: number ${known.end} is unsynced for ${waitMs} ms`);
    }
  }

  /** R3: no site has what the giver of its numbers may still lose. */
  private lookAtRuns({ site, node }: Running): void {
    for (const other of this.world.running) {
      if (other.site === site) continue;
      for (const run of node.set.journal.runs) {
        if (this.world.log.giverOfEpoch(run.epoch) !== site.folder) continue;
        if (node.set.file.role !== 'primary') continue;
        const theirs = other.node.set.journal.run(run.epoch);
        if (!theirs || theirs.identity.id !== run.identity.id) continue;
        if (theirs.next - 1 > run.durable) {
          const what = `${other.site.folder} has number ${theirs.next - 1} of epoch ${run.epoch}`;
          throw new Broken('R3', `${what}, durable at ${site.folder}: ${run.durable}`);
        }
        const copied = other.node.set.copyReceived?.asOf ?? 0;
        const isOurs = other.node.set.file.pair?.id === node.set.file.pair?.id;
        if (run === node.set.ownRun() && isOurs && copied > run.durable) {
          throw new Broken('R3', `${other.site.folder} has ranges as of ${copied}`);
        }
      }
    }
  }

  /** R10: under a copy there is nothing that could be used, nor that would have been restored. */
  private lookAtCopying({ site, node }: Running, { set }: StorageNode): void {
    const { pair } = node.status();
    const there = this.world.running.find(({ node: { set: other } }) => other === set);
    if (!pair || !there || set.usable) return;
    if (pair.usable) {
      throw new Broken('R10', `${site.folder} calls its secondary usable, which is copied to`);
    }
    const { clock } = this.world.sites;
    const sinceMs = this.unusableSince.get(there.node) ?? clock.monotonicMs();
    const { peer, lastContact, restoredSequence } = pair;
    if (this.world.clockJumped || lastContact === null || pair.state !== 'copying') return;
    // Since then every word of it says so; but an older one may just have come.
    const heardMs = clock.monotonicMs() - (clock.now() - Date.parse(lastContact));
    const isSwift = this.world.wires.passesSinceMs(site.folder, peer.address) > WORDS_MS;
    if (isSwift && heardMs - sinceMs > WORDS_MS && restoredSequence > 0) {
      throw new Broken('R10', `${site.folder} shows ${restoredSequence} restored under a copy`);
    }
  }

  /** R10: a secondary that lacks something and does not move is nothing healthy. */
  private lookAtStall({ site, node }: Running, secondary: StorageNode): void {
    const nowMs = this.world.sites.clock.monotonicMs();
    const durable = secondary.set.ownRun()?.durable ?? 0;
    const known = this.stalled.get(node);
    const isHeld = this.world.wires.passesSinceMs(site.folder, peerOf(node)) <= STALL_MS;
    const isSame = known?.secondary === secondary && known.durable === durable && !isHeld;
    if (!isSame || durable >= node.set.newest || secondary.set.file.epoch !== node.set.file.epoch) {
      this.stalled.set(node, { secondary, durable, sinceMs: nowMs });
    } else if (nowMs - known.sinceMs > STALL_MS) {
      const what = `${node.set.newest - durable} numbers for ${nowMs - known.sinceMs} ms`;
      throw new Broken('R10', `${site.folder} is healthy, its secondary lacks ${what}`);
    }
  }

  /** R6: a whole copy that was cut off goes on, unless something became of the pair meanwhile. */
  private lookAtCopy({ site, node }: Running): void {
    const { pair, epoch } = node.set.file;
    const secondary = pair && this.world.node(pair.peer.address);
    if (!secondary || secondary.set.file.pair?.id !== pair.id) return;
    const { copy } = secondary.set;
    const isWhole = pair.state === 'copying' && !node.set.contents.dirty.inUse;
    if (!copy || !isWhole || copy.base.epoch !== epoch) {
      this.copies.delete(secondary);
      return;
    }
    const { fallBacks } = node.set;
    const base = JSON.stringify(copy.base);
    const seen = this.copies.get(secondary);
    this.copies.set(secondary, { primary: node, pairId: pair.id, fallBacks, epoch, base });
    if (!seen || seen.base === base || this.rolledBack.has(pair.peer.address)) return;
    if (seen.primary !== node || seen.fallBacks !== fallBacks || seen.pairId !== pair.id) return;
    throw new Broken('R6', `${site.folder} copies anew from ${base}, it was at ${seen.base}`);
  }

  /** R10: what status says can be seen to be so. */
  private lookAtStatus({ site, node }: Running): void {
    const { pair, health, journal } = node.status();
    const where = site.folder;
    // A start after a crash may write the tail anew, into one segment more; a secondary may need
    // one more for the head of an epoch. Whoever takes hosts' writes has kept room for its seal.
    const most = journal.capacityBytes + node.set.journal.sizes.segmentBytes;
    const atFirst = this.journalAtFirst.get(node) ?? most;
    const own = Math.min(most, Math.max(journal.capacityBytes, atFirst));
    if (journal.bytes > (node.set.file.role === 'primary' ? own : most)) {
      throw new Broken('R9', `the journal of ${where} has ${journal.bytes} bytes`);
    }
    const durable = node.set.ownRun()?.durable;
    if (durable !== undefined && journal.durableSequence > durable) {
      throw new Broken('R10', `${where} shows ${journal.durableSequence} as durable`);
    }
    if (node.set.failure && health.healthy)
      throw new Broken('R10', `${where} is healthy and failed`);
    if (!pair) return;
    const { role } = node.set.file;
    if (pair.link === 'down' && health.healthy) {
      throw new Broken('R10', `${where} is healthy and its link down`);
    }
    if (pair.link === 'up' && pair.downSince !== null) {
      throw new Broken('R10', `${where} says up, and down since ${pair.downSince}`);
    }
    // A secondary may hear from another set than the one that it follows.
    const isOut = role === 'primary' && !this.world.wires.isConnected(where, pair.peer.address);
    if (pair.link === 'up' && isOut) {
      throw new Broken('R10', `${where} says up, and nothing leads to ${pair.peer.address}`);
    }
    const nowMs = this.world.sites.clock.now();
    const contactMs = pair.lastContact === null ? undefined : Date.parse(pair.lastContact);
    if (pair.link === 'up' && contactMs !== undefined && !this.world.clockJumped) {
      if (nowMs - contactMs > SILENCE_MS) {
        throw new Broken('R10', `${where}: up, and not heard for ${nowMs - contactMs} ms`);
      }
      if (contactMs > nowMs) throw new Broken('R10', `${where}: a contact in the future`);
    }
    if (role !== 'primary') return;
    const secondary = this.world.node(pair.peer.address);
    if (!secondary || secondary.set.file.pair?.id !== node.set.file.pair?.id) return;
    const isOld = this.rolledBack.has(pair.peer.address); // and it has not said so yet
    if (this.world.at(pair.peer.address).flipped) return;
    if (pair.state !== 'paired') {
      if (!isOld) this.lookAtCopying({ site, node }, secondary);
      return;
    }
    if (health.healthy) this.lookAtStall({ site, node }, secondary);
    const isInEpoch = secondary.set.file.epoch === node.set.file.epoch && !node.set.file.seal;
    if (isInEpoch && pair.lag && !isOld) {
      const lacks = node.set.newest - (secondary.set.ownRun()?.durable ?? 0);
      if (pair.lag.entries < lacks) {
        throw new Broken('R10', `${where}: lag ${pair.lag.entries}, it is ${lacks}`);
      }
    }
    if (health.healthy && pair.usable && !secondary.set.usable) {
      throw new Broken('R10', `${where} calls its secondary usable`);
    }
  }
}

/** Where a secondary stands that does not move, though it lacks something. */
interface Stall {
  readonly secondary: StorageNode;
  readonly durable: number;
  readonly sinceMs: number;
}

/** A copy that a secondary is in, and what it comes from. */
interface SeenCopy {
  readonly primary: StorageNode;
  readonly pairId: string;
  readonly fallBacks: number;
  readonly epoch: number;
  readonly base: string;
}

function peerOf({ set }: StorageNode): string {
  return set.file.pair?.peer.address ?? '';
}

function isSystemError(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'ECRASHED' || code === 'EIO' || code === 'ENOSPC';
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
