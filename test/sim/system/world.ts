/**
 * The whole system in one process: four machines with an image set each, path controllers, hosts,
 * and the network between them. It starts, stops and breaks things; what must hold meanwhile is
 * the judge's business ({@link Judge}), what is asked for the operator's.
 */
import { messageOf } from '../../../src/base/errors.ts';
import type { JournalSizes } from '../../../src/base/limits.ts';
import { exportsOf } from '../../../src/daemon/exports.ts';
import { NbdServer } from '../../../src/nbd/server.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import type { ByteStream } from '../../../src/sys/stream.ts';
import { Gate } from '../../support/gates.ts';
import { SMALL_JOURNAL, TINY_JOURNAL } from '../../support/image-sets.ts';
import { Sites } from '../../support/sites.ts';
import type { Machine } from '../../support/sites.ts';
import type { Survival } from '../disk.ts';
import { seededRandom } from '../random.ts';
import { BadDisk } from './disks.ts';
import { GroupLog } from './group-log.ts';
import { Host } from './host.ts';
import { Judge } from './judge.ts';
import type { Shape } from './events.ts';
import { SECTOR_BYTES, SectorHistory } from './sector-history.ts';
import { MINUTE_JOURNAL, TRANSFERS, VOLUMES } from './sizes.ts';
import { tap } from './tap.ts';
import { Wires } from './wires.ts';

/** The machines, by the folder of the set that each of them has. */
export const FOLDERS = ['/tokyo', '/osaka', '/kyoto', '/sapporo'] as const;
export const GATES = ['north', 'south'] as const;

const JOURNALS = { small: SMALL_JOURNAL, tiny: TINY_JOURNAL, minute: MINUTE_JOURNAL };
/** How long hosts are at work in one place, and how large that is. */
const HOT_MS = 1200;
const HOT_SECTORS = 16;
/** How soon a set is opened again that could not be. */
const RETRY_MS = 2000;
/** NBD clients of all hosts of a machine may hold so much. */
const HOST_LIMITS = { memoryBytes: 256 * 1024, connectionsMax: 16, requestsInFlightMax: 16 };

/** One machine and what runs on it. */
export interface Site {
  readonly folder: string;
  readonly machine: Machine;
  readonly disk: BadDisk;
  /** Not to be started before this is over. */
  down: boolean;
  /** On which disk an opening is under way. */
  opening: unknown;
  /** It closes in order. */
  closing: boolean;
  /** Bits were turned over in its files. */
  flipped: boolean;
  /** Why it could not be opened last. */
  refusal: unknown;
}

export class World {
  readonly shape: Shape;
  readonly sites: Sites;
  readonly wires: Wires;
  readonly log: GroupLog;
  readonly judge: Judge;
  readonly machines: readonly Site[];
  readonly gates: readonly Gate[];
  readonly hosts: Host[] = [];
  /** Of each volume. */
  readonly histories: readonly SectorHistory[];
  /** What happened, for people: one line each, with the time. */
  readonly trace: string[] = [];
  /** Servers of hosts, by the machine or the controller that they are at. */
  readonly servers = new Map<string, NbdServer>();
  readonly journal: JournalSizes;
  /** Of the group that all this is about. */
  groupId: string | undefined;
  /** The wall clock jumped: ages by it mean nothing. */
  clockJumped = false;

  constructor(seed: number, shape: Shape) {
    this.shape = shape;
    this.journal = JOURNALS[shape.journal];
    const { journal } = this;
    const { syncMs, patienceMs } = shape;
    const daemons = { transfers: TRANSFERS, roomWaitMs: patienceMs };
    this.sites = new Sites({ seed, volumes: VOLUMES, journal, syncMs, daemons });
    this.wires = new Wires(this.sites, shape.linkBytesPerSecond);
    this.log = new GroupLog(VOLUMES.map(({ sizeBytes }) => sizeBytes));
    this.histories = VOLUMES.map(
      ({ name, sizeBytes }) => new SectorHistory(name, Math.floor(sizeBytes / SECTOR_BYTES)),
    );
    this.judge = new Judge(this);
    this.machines = FOLDERS.map((folder) => siteOf(folder, this.sites.machine(folder)));
    this.gates = GATES.slice(0, shape.gates).map((name) => new Gate(this.sites, name));
    for (const gate of this.gates) gate.holdMs = patienceMs;
  }

  note(what: string): void {
    this.trace.push(`${this.sites.clock.monotonicMs().toFixed(0).padStart(8)}  ${what}`);
  }

  at(folder: string): Site {
    const found = this.machines.find((site) => site.folder === folder);
    if (!found) throw new Error(`no machine has ${folder}`);
    return found;
  }

  node(folder: string): StorageNode | undefined {
    return this.at(folder).machine.node;
  }

  /** Those that run, in order. */
  get running(): { readonly site: Site; readonly node: StorageNode }[] {
    return this.machines.flatMap((site) => {
      const { node } = site.machine;
      return node ? [{ site, node }] : [];
    });
  }

  /** Makes a set on an empty disk and serves it. */
  async make(folder: string): Promise<void> {
    const site = this.at(folder);
    site.down = false;
    const { disk } = site.machine;
    try {
      await this.sites.making(folder);
    } catch (error) {
      if (!disk.crashed) throw error;
      return; // its power went: who starts it finds no set, and makes one
    }
    const { whenFull } = this.shape;
    await this.start(folder, async ({ set }) => {
      await set.identity.update((file) => ({ ...file, journal: { ...file.journal, whenFull } }));
    });
  }

  /** Opens the set of a machine and serves it; tries again while that does not succeed. */
  async start(folder: string, first?: (node: StorageNode) => Promise<void>): Promise<void> {
    const site = this.at(folder);
    const { machine } = site;
    const { disk } = machine;
    site.down = false;
    if (machine.node || site.opening === disk || site.closing) return;
    site.opening = disk;
    try {
      const node = await this.sites.opening(folder);
      await first?.(node).catch((error: unknown) => {
        node.set.release();
        throw error;
      });
      if (machine.disk !== disk) return; // the power went meanwhile
      site.refusal = undefined;
      this.attempt(() => this.judge.opened(site, node));
      // What a set of a history that was given up is asked for is nobody's.
      if (!this.judge.outlawed.has(folder)) {
        tap(node.set, folder, this.log, (error) => this.judge.tell(error));
      }
      let wasUsable = node.set.usable;
      node.set.onChange(() => {
        const { usable } = node.set;
        const lives = machine.disk === disk;
        if (lives && usable && !wasUsable)
          this.attempt(() => this.judge.becameUsable({ site, node }));
        wasUsable = usable;
      });
      machine.node = node;
      const { clock } = this.sites;
      const server = new NbdServer({
        clock,
        exports: exportsOf(() => machine.node),
        limits: HOST_LIMITS,
      });
      this.servers.set(folder, server);
      node.serveHosts(server);
      node.startServing();
      this.note(`${folder} is up as ${node.set.file.role}`);
    } catch (error) {
      if (machine.disk !== disk) return;
      if (messageOf(error) !== messageOf(site.refusal)) {
        this.note(`${folder} does not open: ${messageOf(error)}`);
      }
      site.refusal = error;
      this.judge.refusedToOpen(site, error);
      this.sites.clock.after(RETRY_MS, () => {
        if (!site.down && machine.disk === disk) void this.start(folder);
      });
    } finally {
      if (site.opening === disk) site.opening = undefined;
    }
  }

  /** What the judge finds where nothing may be thrown. */
  private attempt(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.judge.tell(error);
    }
  }

  /** The power of a machine goes, or its process is killed (`keep`). */
  async crash(folder: string, survival: Survival): Promise<void> {
    const site = this.at(folder);
    const serves = site.machine.node?.set.file.role === 'primary';
    site.down = true;
    site.closing = false;
    site.opening = undefined;
    await this.sites.crash(folder, survival);
    if (serves) for (const host of this.hosts) host.setIsGone();
    site.disk.attach();
  }

  /** Stops the daemon of a machine in order; `then` when it has, or could not. */
  async stop(folder: string): Promise<void> {
    const site = this.at(folder);
    const { machine } = site;
    const { node, disk } = machine;
    site.down = true;
    if (!node) return;
    machine.node = undefined;
    site.closing = true;
    const streams = machine.streams.splice(0);
    try {
      await node.close();
      if (machine.disk !== disk) return;
      this.judge.closed(site, node);
    } catch (error) {
      if (machine.disk !== disk) return;
      this.note(`${folder} did not close in order: ${messageOf(error)}`);
      this.judge.failed(site, error);
      await this.crash(folder, 'keep');
    } finally {
      for (const stream of streams) stream.destroy(new Error('the daemon is gone'));
      if (machine.disk === disk) site.closing = false;
    }
  }

  /** A machine burns down; an empty one stands in its place. */
  async replace(folder: string): Promise<void> {
    await this.crash(folder, 'lose');
    const site = this.at(folder);
    site.flipped = false;
    site.disk.heal();
    const { disk } = site.machine;
    disk.remove(folder, 'TEST:REMOVE');
    await disk.syncFolder('/', 'TEST:REMOVE');
    this.log.forget(folder);
    this.judge.replaced(site);
    await this.make(folder);
  }

  /** A set took over by force: what hosts were answered behind this number is given up. */
  fallBackTo(sequence: number, taker: string): void {
    for (const { volume, data } of this.log.fallBackTo(sequence, taker)) {
      const owner = data && this.histories[volume]?.ownerOf(data);
      if (owner) this.hosts.find(({ id }) => id === owner.host)?.mustLearnOfLoss(owner.answered);
    }
    const volumes = this.log.at(sequence, 'takeover');
    for (const [index, history] of this.histories.entries()) {
      history.rebase(volumes[index] ?? Buffer.alloc(0));
    }
  }

  async startGate(name: string): Promise<void> {
    const gate = this.gates.find((each) => each.name === name);
    if (!gate || gate.isRunning) return;
    await gate.starting();
    if (this.servers.has(name)) return; // it was being started already
    const { clock } = this.sites;
    const { exports } = gate.node;
    this.servers.set(name, new NbdServer({ clock, exports, limits: HOST_LIMITS }));
    this.note(`${name} is up`);
  }

  killGate(name: string): void {
    const gate = this.gates.find((each) => each.name === name);
    if (!gate?.isRunning) return;
    this.servers.delete(name);
    gate.fell();
  }

  /** Two hosts on each volume, at different controllers, that write to the same sectors. */
  addHosts(): void {
    const { clock } = this.sites;
    for (const [index, history] of this.histories.entries()) {
      const { name = '', sizeBytes = 0 } = this.sites.volumes[index] ?? {};
      for (const part of [0, 1]) {
        const id = index * 2 + part + 1;
        const random = seededRandom(this.shape.seed * 31 + id);
        this.hosts.push(
          new Host({
            volume: name,
            sectors: Math.floor(sizeBytes / SECTOR_BYTES),
            history,
            hotPlace: () => this.hotPlace(history),
            clock,
            random,
            id,
            name: `host ${id}`,
            depth: this.shape.isQuiet ? 1 : 1 + (id % this.shape.depth),
            requestBytesMax: this.journal.requestBytesMax,
            isDirect: this.gates.length === 0,
            heldUpMs: () => this.judge.gates.heldUpMs(this.gateOf(part)?.name ?? ''),
            dial: () => this.dialFor(`host ${id}`, part),
            tell: (error) => this.judge.tell(error),
          }),
        );
      }
    }
  }

  /** The same for all hosts of a volume; another one soon. */
  private hotPlace({ count }: SectorHistory): { first: number; count: number } | undefined {
    if (!this.shape.isLocal) return undefined;
    const time = Math.floor(this.sites.clock.monotonicMs() / HOT_MS);
    const first = seededRandom(this.shape.seed + 7919 * time).below(count - HOT_SECTORS);
    return { first, count: HOT_SECTORS };
  }

  /** Lets hosts work or rest: all of them, unless it is quiet here. */
  letHostsWork(work: boolean): void {
    for (const host of this.shape.isQuiet ? this.hosts.slice(0, 1) : this.hosts) {
      host.isWorking = work;
    }
  }

  private gateOf(part: number): Gate | undefined {
    return this.gates[part % Math.max(1, this.gates.length)];
  }

  /** A host's stream to its controller, or to the set that takes its writes. */
  private async dialFor(host: string, part: number): Promise<ByteStream> {
    const gate = this.gateOf(part);
    const to = gate?.name ?? this.judge.primary?.site.folder;
    if (to === undefined) throw new Error('nobody takes writes');
    const [mine, theirs] = await this.wires.connect(host, to);
    const server = this.servers.get(to);
    // The network may have held it up; whoever looks for the disk by itself looks again then.
    if (!gate && this.judge.primary?.site.folder !== to) throw new Error(`${to} serves no more`);
    if (!server || (gate ? !gate.isRunning : !this.node(to))) throw new Error(`${to} is away`);
    this.sites.machine(to).streams.push(theirs);
    server.accept(theirs);
    return mine;
  }
}

function siteOf(folder: string, machine: Machine): Site {
  return {
    folder,
    machine,
    disk: new BadDisk(machine),
    down: true,
    opening: undefined,
    closing: false,
    flipped: false,
    refusal: undefined,
  };
}
