/**
 * Several sites, each a machine with a disk of its own, one simulated clock, and links in memory
 * between them that a test may watch, cut or hold. A site that loses its power forgets everything
 * but what its disk kept.
 */
import { RcopyError } from '../../src/base/errors.ts';
import { submitAndWait } from '../../src/device/device.ts';
import { LINK_BEAT_MS } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import type { VolumeEntry } from '../../src/format/set-file.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { StorageNode } from '../../src/node/storage-node.ts';
import type { NodeOptions } from '../../src/node/storage-node.ts';
import type { Random } from '../../src/sys/random.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { Survival } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';
import {
  SMALL_JOURNAL,
  TINY_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  difference,
  requestOf,
  write,
} from './image-sets.ts';
import type { Change } from './image-sets.ts';

export const A = '/tokyo';
export const B = '/osaka';
export const C = '/kyoto';

export interface Machine {
  disk: SimulatedDisk;
  node: StorageNode | undefined;
  /** Streams that end here, to be cut when the power goes. */
  streams: ByteStream[];
  /** How long each of its syncs takes, in milliseconds of the simulated clock. */
  syncMs: number;
  /** While its disk hangs: what ends the syncs that were begun. */
  hung?: (() => void)[] | undefined;
}

/** Both ends of a new link; a test gives back what stands in their place. */
export type Wrap = (
  ends: [dialled: ByteStream, accepted: ByteStream],
  address: string,
  from: string,
) => void;

export interface SitesOptions {
  readonly seed?: number;
  readonly volumes?: readonly VolumeEntry[];
  readonly journal?: JournalSizes;
  /** How long each sync of a disk takes; a microtask unless told. */
  readonly syncMs?: number;
  /** Every set is had by a daemon, on links over a network, with these settings. */
  readonly daemons?: Partial<NodeOptions> | undefined;
}

/** Hosts come through path controllers only. */
const NO_EXPORTS = { list: () => [], find: () => undefined };

/** How daemons open their sets. */
const AS_DAEMON = { beatMs: LINK_BEAT_MS, roomWaitMs: 60_000 } as const;

export class Sites {
  readonly clock = new SimulatedClock();
  readonly volumes: readonly VolumeEntry[];
  /** What hosts were told is written, whoever took it. */
  readonly model: VolumesModel;
  /** Stands between the ends of every new link. */
  wrap: Wrap | undefined;
  /** Asked before each new link; one that does not answer is a network that does not. */
  beforeDial: ((address: string, from: string) => Promise<void>) | undefined;
  /** Addresses that nobody answers at. */
  readonly away = new Set<string>();
  private readonly machines = new Map<string, Machine>();
  readonly random;
  /** Into which pieces the network cuts what goes over it. */
  chunks: Random;
  private readonly daemons: Partial<NodeOptions> | undefined;
  private readonly seed: number;
  private readonly journal: JournalSizes;
  private readonly syncMs: number;

  constructor({ seed = 1, volumes, journal, syncMs = 0, daemons }: SitesOptions = {}) {
    this.daemons = daemons;
    this.seed = seed;
    this.random = seededRandom(seed);
    this.chunks = this.random;
    this.volumes = volumes ?? TWO_VOLUMES;
    this.journal = journal ?? SMALL_JOURNAL;
    this.syncMs = syncMs;
    this.model = VolumesModel.blank(this.volumes, this.journal);
  }

  machine(folder: string): Machine {
    const known = this.machines.get(folder);
    if (known) return known;
    const { syncMs, clock, seed } = this;
    const defer = (action: () => void) => {
      if (machine.hung) machine.hung.push(action);
      else if (machine.syncMs > 0) clock.after(machine.syncMs, action);
      else queueMicrotask(action);
    };
    const disk = new SimulatedDisk({ seed, defer });
    const machine: Machine = { disk, node: undefined, streams: [], syncMs };
    this.machines.set(folder, machine);
    return machine;
  }

  environment(folder: string) {
    return { files: this.machine(folder).disk, clock: this.clock, random: this.random };
  }

  /** Makes a set and opens it. */
  async create(folder: string, volumes = this.volumes): Promise<StorageNode> {
    await this.drive(this.making(folder, volumes));
    return this.open(folder);
  }

  /** Makes a set while somebody else moves the clock. */
  making(folder: string, volumes = this.volumes): Promise<unknown> {
    const set = { name: folder.slice(1), volumes, journal: this.journal };
    return makeSetFolder(this.environment(folder), folder, set);
  }

  /** The node of a set, opened when it is not. */
  async open(folder: string, options: Partial<NodeOptions> = {}): Promise<StorageNode> {
    const machine = this.machine(folder);
    if (machine.node) return machine.node;
    machine.node = await this.drive(this.opening(folder, options));
    machine.node.serveHosts(new NbdServer({ clock: this.clock, exports: NO_EXPORTS }));
    if (this.daemons) machine.node.startServing();
    return machine.node;
  }

  /** Opens a set while somebody else moves the clock; it serves nobody yet. */
  opening(folder: string, options: Partial<NodeOptions> = {}): Promise<StorageNode> {
    return StorageNode.open(this.environment(folder), folder, {
      lockWaitMs: 0,
      pid: 1,
      roomWaitMs: 0,
      connector: { dial: (address) => this.dial(folder, address) },
      address: folder,
      eager: true,
      ...(this.daemons && AS_DAEMON),
      ...this.daemons,
      ...options,
    });
  }

  async close(folder: string): Promise<void> {
    const machine = this.machine(folder);
    const { node } = machine;
    machine.node = undefined;
    if (node) await this.drive(node.close());
  }

  /** A set that is thrown away, and made anew under the same name. */
  async remake(folder: string): Promise<void> {
    await this.close(folder);
    this.machine(folder).disk.remove(folder, 'TEST:REMOVE');
    await this.create(folder);
  }

  async closeAll(): Promise<void> {
    for (const folder of this.machines.keys()) await this.close(folder);
  }

  /** The power of one site goes; `survival` says what of the unsynced is found afterwards. */
  async crash(folder: string, survival: Survival = 'lose'): Promise<void> {
    const machine = this.machine(folder);
    const { node } = machine;
    machine.disk.crash();
    machine.node = undefined;
    for (const stream of machine.streams.splice(0)) stream.destroy(new Error('the power is gone'));
    // Nobody waits for what a dead machine had under way.
    node?.set.fail(new Error('the power is gone'));
    node?.disconnect().catch(() => undefined);
    machine.disk = machine.disk.survivors(survival, this.seed);
    await this.clock.pass(0);
  }

  /** Cuts every link of a site, which stays up. */
  cutLinks(folder: string): void {
    for (const stream of this.machine(folder).streams.splice(0)) {
      stream.destroy(new Error('the test cut the link'));
    }
  }

  /** Cuts every link of a site that nobody reaches from now on; `away` says which these are. */
  leaveAlone(folder: string): void {
    this.away.add(folder);
    this.cutLinks(folder);
  }

  /** Lets maps take over in these sets when the journal is full. */
  async keepByMap(...folders: readonly string[]): Promise<void> {
    for (const folder of folders) {
      const { set } = await this.open(folder);
      await this.drive(
        set.identity.update((file) => ({ ...file, journal: { ...file.journal, whenFull: 'map' } })),
      );
    }
  }

  /** Waits for `work` while simulated time goes on. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    work.then(done, done);
    await this.clock.run(() => settled);
    return work;
  }

  /** What `work` was refused with. */
  async refusal(work: Promise<unknown>): Promise<RcopyError> {
    let failure: unknown;
    try {
      await this.drive(work);
    } catch (error) {
      failure = error;
    }
    if (failure instanceof RcopyError) return failure;
    throw new Error(`not refused, or not in order: ${String(failure)}`);
  }

  /** Lets A have a pair with C, the first copy done. */
  async paired(): Promise<{ a: StorageNode; c: StorageNode }> {
    const a = await this.create(A);
    const c = await this.create(C);
    await this.drive(a.createPair({ secondary: C }));
    await this.replicate(A);
    return { a, c };
  }

  async replicate(folder: string): Promise<void> {
    const node = await this.open(folder);
    await this.drive(node.replicate({ timeoutMs: 60_000, maxRate: undefined }));
  }

  async migrate(detach = false, from = A, to = B) {
    const target = await this.open(to);
    return this.drive(target.migrate({ ...MIGRATE, from, detach }));
  }

  /** Hosts do these to a set, one behind the other; the model follows, numbers are checked. */
  async write(folder: string, ...changes: readonly Change[]): Promise<void> {
    const { set } = await this.open(folder);
    for (const change of changes) {
      const expected = this.model.apply(change);
      const sequence = await this.drive(performOn(set, change));
      if (sequence !== expected) throw new Error(`number ${sequence}, expected ${expected}`);
    }
  }

  /** So many times that a tiny journal lets go what was first; always to the same blocks. */
  async writeMuch(folder: string): Promise<void> {
    for (let id = 10; id < 40; id += 1) {
      await this.write(folder, write(1, 4096, 4096 + (id % 3) * 1000, id));
    }
  }

  async flush(folder: string): Promise<void> {
    const [device] = (await this.open(folder)).set.volumes;
    if (device) await this.drive(submitAndWait(device, { kind: 'flush' }));
  }

  /** Where a set's contents differ from the model at the number that it stands at. */
  async differs(folder: string): Promise<string | undefined> {
    const { set } = await this.open(folder);
    return difference(await this.contents(folder), this.model.after(set.newest) ?? []);
  }

  /** Everything that a set holds, absent blocks fetched. */
  async contents(folder: string): Promise<Buffer[]> {
    const { set } = await this.open(folder);
    const found: Buffer[] = [];
    for (const [index, { sizeBytes }] of set.file.volumes.entries()) {
      found.push(await this.drive(set.contents.read(index, 0, sizeBytes)));
    }
    return found;
  }

  /** What is said at this address comes late from now on, over each new link. */
  delayAnswers(address: string, ms: number): void {
    this.wrap = (ends, dialled) => {
      const [, far] = ends;
      if (dialled !== address) return;
      ends[1] = {
        peer: far.peer,
        listen: (listener) => far.listen(listener),
        pause: () => far.pause(),
        resume: () => far.resume(),
        end: () => far.end(),
        destroy: (error) => far.destroy(error),
        write: (parts) => {
          const kept = parts.map((part) => Buffer.from(part));
          this.clock.after(ms, () => void far.write(kept));
          return true;
        },
      };
    };
  }

  /** A channel of somebody who is no site here. */
  async asker(address: string): Promise<FrameChannel> {
    return new FrameChannel(await this.dial('/asker', address));
  }

  /** A link as `from` dials it. */
  dial(from: string, address: string): Promise<ByteStream> {
    return this.connect(from, address, (node, stream) => node.acceptLink(stream));
  }

  /** An NBD stream of a path controller at `from`. */
  dialHosts(
    from: string,
    address: string,
    as: { controllerId: string; generation: number },
  ): Promise<ByteStream> {
    return this.connect(from, address, (node, stream) => node.acceptHosts(stream, as));
  }

  private async connect(
    from: string,
    address: string,
    accept: (node: StorageNode, stream: ByteStream) => void,
  ): Promise<ByteStream> {
    await this.beforeDial?.(address, from);
    const node = this.away.has(address) ? undefined : this.machines.get(address)?.node;
    if (!node) throw new RcopyError('E_UNREACHABLE', `nobody answers at ${address}`);
    const names = { names: [from, address] as const, chunkBytesMax: 16 * 1024 };
    const ends = memoryStreamPair(this.clock, this.chunks, names);
    this.wrap?.(ends, address, from);
    this.machine(from).streams.push(ends[0]);
    this.machine(address).streams.push(ends[1]);
    accept(node, ends[1]);
    return ends[0];
  }
}

export const MIGRATE = {
  from: A,
  mode: 'drain',
  copy: 'post',
  maxRate: undefined,
  detach: false,
} as const;

/** Every way to migrate. */
export const WAYS = (['drain', 'handoff', 'bitmap'] as const).flatMap((mode) =>
  (['post', 'pre'] as const).map((copy) => ({ mode, copy })),
);

export const REPLICATE = { timeoutMs: 60_000, maxRate: undefined } as const;

/** Does it to the set; resolves with the number in its answer. */
export async function performOn(set: StorageNode['set'], change: Change): Promise<number> {
  await ensureEpoch(set);
  if (change.kind === 'mark') return set.mark(change.name);
  const device = set.volumes[change.volume];
  if (!device) throw new Error('no such volume');
  const completion = await submitAndWait(device, requestOf(change));
  return completion.ok ? (completion.sequence ?? 0) : 0;
}

/** A pair in step whose primary's journal holds little. */
export async function pairWithTinyJournal(options: SitesOptions = {}) {
  const sites = new Sites({ journal: TINY_JOURNAL, ...options });
  const nodes = await sites.paired();
  await sites.write(A, write(0, 0, 12_000, 1), write(1, 0, 12_000, 2));
  await sites.replicate(A);
  return { sites, ...nodes };
}
