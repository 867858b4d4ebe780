/**
 * Looks at a whole world and says which rule is broken. It goes by what sets show of themselves,
 * by the disks, and by the log of what hosts were answered; it changes nothing.
 */
import { RcopyError, isRcopyError, messageOf } from '../../../src/base/errors.ts';
import { SYNC_INTERVAL_MS } from '../../../src/base/limits.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import { difference, peekAll } from '../../support/image-sets.ts';
import type { Run } from '../../../src/journal/run.ts';
import { Broken } from './broken.ts';
import { GateWatch } from './gate-watch.ts';
import { LimitsJudge } from './judge-limits.ts';
import { StatusJudge } from './judge-status.ts';
import type { Site, World } from './world.ts';

/** Syncs of files and folders in a round of a journal, and in the one that was under way. */
const SYNCS_OF_TWO_ROUNDS = 12;
const SYNC_PATIENCE_MS = 50;
/** So long after a disk became slow, one that is not any more has ended what it did then. */
const SLOW_SYNCS_END_MS = 1000;
export interface Running {
  readonly site: Site;
  readonly node: StorageNode;
}

/** A copy that a secondary is in, and what it comes from. */
/** A copy as it was at a look. */
interface SeenCopy {
  readonly primary: StorageNode;
  readonly pairId: string;
  readonly fallBacks: number;
  readonly base: string;
  /** A range of it is there: before that, its primary may not have heard of it. */
  readonly hasBegun: boolean;
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
  private readonly limits: LimitsJudge;
  private readonly status: StatusJudge;
  /** The copy that each secondary was in at the last look. */
  private readonly copies = new WeakMap<StorageNode, SeenCopy>();
  /** Of each site, up to where its journal was written when it was all synced last, and when. */
  private readonly unsynced = new Map<
    Site,
    {
      readonly run: Run;
      readonly slow: number;
      readonly slowSinceMs: number;
      readonly syncMs: number;
      readonly end: number;
      readonly sinceMs: number;
    }
  >();
  constructor(world: World) {
    this.world = world;
    this.limits = new LimitsJudge(world);
    this.status = new StatusJudge(world);
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
    this.limits.opened(node);
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
    this.limits.lookAtHosts();
    for (const running of this.world.running) {
      this.lookAtOne(running);
      this.limits.lookAt(running);
      this.lookAtRuns(running);
      this.lookAtSyncs(running);
      this.status.lookAt(running);
    }
    this.throwBroken();
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
      this.limits.lookAtSegments({ site, node });
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
    const since = known?.slow === slow ? known.slowSinceMs : nowMs;
    // What became slow a while ago may have syncs under way that still are.
    const isFresh = slow > 0 && nowMs - since < SLOW_SYNCS_END_MS;
    if (known?.run !== run || isFresh || run.durable >= known.end) {
      const end = run.writtenEnd;
      this.unsynced.set(site, { run, slow, slowSinceMs: since, syncMs, end, sinceMs: nowMs });
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
    const hasBegun = copy.volume > 0 || copy.offset > 0;
    const seen = this.copies.get(secondary);
    this.copies.set(secondary, { primary: node, pairId: pair.id, fallBacks, base, hasBegun });
    if (!seen?.hasBegun || seen.base === base || this.rolledBack.has(pair.peer.address)) return;
    if (seen.primary !== node || seen.fallBacks !== fallBacks || seen.pairId !== pair.id) return;
    throw new Broken('R6', `${site.folder} copies anew from ${base}, it was at ${seen.base}`);
  }
}

function isSystemError(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'ECRASHED' || code === 'EIO' || code === 'ENOSPC';
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
