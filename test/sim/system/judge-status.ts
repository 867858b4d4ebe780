/** The part of the judge that looks at status: what it says can be seen to be so (R10). */
import { LINK_BEAT_MS, LINK_SILENT_BEATS } from '../../../src/base/limits.ts';
import type { StatusAnswer } from '../../../src/node/answers.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import { Broken } from './broken.ts';
import type { Running } from './judge.ts';
import type { World } from './world.ts';

/** A dead link is found after so many beats, and one more that was under way. */
const SILENCE_MS = LINK_BEAT_MS * (LINK_SILENT_BEATS + 2);
/** So soon a secondary's word is there, where nothing is held back. */
const WORDS_MS = 1000;
/** A primary that heard nothing new for so long, though nothing is held back, says that. */
const STALL_MS = SILENCE_MS;

type PairStatus = NonNullable<StatusAnswer['pair']>;

/** Where a secondary stands that does not move, though it lacks something. */
interface Stall {
  readonly secondary: StorageNode;
  readonly durable: number;
  readonly sinceMs: number;
}

export class StatusJudge {
  private readonly world: World;
  /** Since when each set is no usable secondary. */
  private readonly unusableSince = new WeakMap<StorageNode, number>();
  /** Since when the secondary of each set lacks something and makes nothing durable. */
  private readonly stalled = new WeakMap<StorageNode, Stall>();

  constructor(world: World) {
    this.world = world;
  }

  lookAt({ site, node }: Running): void {
    this.noteUsable({ site, node });
    const { pair, health, journal } = node.status();
    const where = site.folder;
    const durable = node.set.ownRun()?.durable;
    if (durable !== undefined && journal.durableSequence > durable) {
      throw new Broken('R10', `${where} shows ${journal.durableSequence} as durable`);
    }
    if (node.set.failure && health.healthy)
      throw new Broken('R10', `${where} is healthy and failed`);
    if (!pair) return;
    this.lookAtLink({ site, node }, pair);
    if (node.set.file.role === 'primary') this.lookAtPair({ site, node }, pair);
  }

  private lookAtLink({ site, node }: Running, pair: PairStatus): void {
    const where = site.folder;
    const { health } = node.status();
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
  }

  private lookAtPair({ site, node }: Running, pair: PairStatus): void {
    const where = site.folder;
    const { health } = node.status();
    const secondary = this.world.node(pair.peer.address);
    if (!secondary || secondary.set.file.pair?.id !== node.set.file.pair?.id) return;
    const isOld = this.world.judge.rolledBack.has(pair.peer.address); // and it has not said so yet
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

  private noteUsable({ node }: Running): void {
    if (node.set.usable) this.unusableSince.delete(node);
    else if (!this.unusableSince.has(node)) {
      this.unusableSince.set(node, this.world.sites.clock.monotonicMs());
    }
  }

  /** Under a copy there is nothing that could be used, nor that would have been restored. */
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

  /** A secondary that lacks something and does not move is nothing healthy. */
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
}

function peerOf({ set }: StorageNode): string {
  return set.file.pair?.peer.address ?? '';
}
