/**
 * What the stories are made of: commands given to a world with one fault in it, with the checks
 * that must hold after every step (R1, R2, R3) and at the end.
 */
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import type { Site } from '../../src/control/site.ts';
import type { MigrationCopy, MigrationMode } from '../../src/node/answers.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { DeviceRequest } from '../../src/device/device.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import { isRcopyError } from '../../src/base/errors.ts';
import { seededRandom } from '../sim/random.ts';
import { SMALL_JOURNAL, TWO_VOLUMES } from '../support/image-sets.ts';
import { Model } from './model.ts';
import type { ModelRequest } from './model.ts';
import type { StoryWorld } from './world.ts';

export const A = '/tokyo';
export const B = '/osaka';
export const C = '/kyoto';
/** Between host requests: together, before the journal's own sync, behind the applier's wait. */
const PAUSES_MS = [0, 20, 70, 300];
const SIZES = TWO_VOLUMES.map(({ sizeBytes }) => sizeBytes);

/** How a story's migration goes. */
export interface How {
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
}

export class Teller {
  /** Full copies that were begun. */
  copies = 0;
  readonly model = new Model(SIZES);
  /** The set that hosts write to. */
  primary = A;
  private readonly world: StoryWorld;
  private readonly random;

  constructor(world: StoryWorld, seed: number) {
    this.world = world;
    this.random = seededRandom(seed);
  }

  /** Another set goes on from number `sequence`; what came behind it is lost, and known to be. */
  goOnFrom(folder: string, sequence: number): void {
    this.primary = folder;
    this.model.flushed = Math.min(this.model.flushed, sequence);
    this.model.cutBehind(sequence);
  }

  /** A command that a fault may end, and that is given again then. */
  command<T>(action: (site: Site) => Promise<T>): Promise<T> {
    return this.world.command(action);
  }

  get clock() {
    return this.world.clock;
  }

  async create(folder: string): Promise<void> {
    const make = () =>
      makeSetFolder(this.world.environment, folder, {
        name: folder.slice(1),
        volumes: TWO_VOLUMES,
        journal: SMALL_JOURNAL,
      });
    await this.world.command(make, async () => {
      await make().catch((error: unknown) => {
        if (!isRcopyError(error, 'E_NOT_EMPTY')) throw error;
      });
    });
  }

  /**
   * One command with `count` host requests, some flushed; a crash may lose what was not. To any
   * volume, unless one is named.
   */
  async write(count: number, volume?: number): Promise<void> {
    const requests = Array.from({ length: count }, (_, index) => this.makeRequest(index, volume));
    const newestBefore = this.model.newest;
    await this.world.command(
      (site) => this.writeAll(site, requests),
      async (site) => {
        await this.learnWhatSurvived(site);
        // A write that was lost is given again by its host; one that is there is not.
        const there = this.requestsSince(newestBefore, requests);
        await this.writeAll(site, requests.slice(there));
      },
    );
    await this.checkSecondary();
  }

  private async writeAll(site: Site, requests: readonly ModelRequest[]): Promise<void> {
    const node = await site.openHere(this.primary);
    await ensureEpoch(node.set);
    for (const request of requests) {
      await this.submit(node, request);
      if (this.random.below(2) === 0) await this.flush(node);
    }
    await this.flush(node);
  }

  private async submit(node: StorageNode, request: ModelRequest): Promise<void> {
    const expected = this.model.add(request);
    const completion = await submitAndWait(deviceOf(node, request.volume), asDevice(request));
    if (!completion.ok || completion.sequence !== expected) {
      throw new Error(`expected number ${expected}, got ${JSON.stringify(completion)}`);
    }
  }

  private async flush(node: StorageNode): Promise<void> {
    const newest = this.model.newest;
    await submitAndWait(deviceOf(node, 0), { kind: 'flush' });
    this.model.flushed = newest;
  }

  private requestsSince(before: number, requests: readonly ModelRequest[]): number {
    let last = before;
    let there = 0;
    for (const request of requests) {
      last += request.records;
      if (last <= this.model.newest) there += 1;
    }
    return there;
  }

  /** After a restart the primary says how much of what was given it has: a prefix (R2). */
  private async learnWhatSurvived(site: Site): Promise<void> {
    const node = await site.openHere(this.primary);
    this.model.cutBehind(node.set.newest);
    await compare(node, this.model.at(node.set.newest), '[R2]');
  }

  async replicate(): Promise<void> {
    const answer = await this.world.command((site) => this.replicateOnce(site));
    if (answer.restoredSequence < this.model.newest) {
      throw new Error(`restored ${answer.restoredSequence} of ${this.model.newest}`);
    }
    await this.checkSecondary();
  }

  async replicateOnce(site: Site) {
    const node = await site.openHere(this.primary);
    const before = node.replication.counts.copiesBegun;
    try {
      return await node.replicate({ timeoutMs: 60_000, maxRate: undefined });
    } finally {
      this.copies += node.replication.counts.copiesBegun - before;
    }
  }

  /** With `detach` the copy behind is left for later. */
  async migrate(how: How, detach: boolean): Promise<void> {
    const answer = await this.world.command((site) => this.migrateOnce(site, how, detach));
    if (detach && answer.nextSequence !== this.model.newest + 1) {
      throw new Error(`[R4] B begins at ${answer.nextSequence}, A ended at ${this.model.newest}`);
    }
    this.primary = B;
    await this.refuses(A);
    await this.checkSecondary();
  }

  /** Hosts are refused by a set that is sealed, also after it was opened anew. */
  async refuses(folder: string): Promise<void> {
    await this.world.command(async (site) => {
      const refused = (await site.openHere(folder)).set.refusal('write');
      if (refused?.code !== 'E_SEALED') throw new Error('[R4] a sealed set refuses hosts');
    });
  }

  async migrateOnce(site: Site, how: How, detach: boolean, maxRate?: number) {
    const target = await site.openHere(B);
    return target.migrate({ from: A, ...how, maxRate, detach });
  }

  /**
   * Hosts write, mostly without a flush, while `work` goes on: time passes in between, so that
   * records are synced, sent and applied at any moment of it.
   */
  async busy(count: number, work: (site: Site) => Promise<unknown>): Promise<void> {
    const requests = Array.from({ length: count }, (_, index) => this.makeRequest(index));
    const write = async (site: Site) => {
      const node = await site.openHere(this.primary);
      await ensureEpoch(node.set);
      for (const request of requests) {
        await this.submit(node, request);
        if (this.random.below(3) === 0) await this.flush(node);
        await this.world.clock.sleep(PAUSES_MS[this.random.below(PAUSES_MS.length)] ?? 0);
      }
      await this.flush(node);
    };
    const both = async (site: Site) => {
      for (const ended of await Promise.allSettled([work(site), write(site)])) {
        if (ended.status === 'rejected') throw ended.reason;
      }
    };
    // What a crash lost of these writes is not given again: their host is gone as well.
    await this.world.command(both, async (site) => {
      await this.learnWhatSurvived(site);
      await work(site);
    });
    await this.world.command((site) => this.learnWhatSurvived(site));
    await this.checkSecondary();
  }

  async readAll(folder: string): Promise<void> {
    await this.world.command(async (site) => {
      await compare(
        await site.openHere(folder),
        this.model.at(this.model.newest),
        '[R1] hosts read',
      );
    });
  }

  /** C is an exact prefix of what hosts were told is written, and holds nothing that A may lose. */
  async checkSecondary(): Promise<void> {
    await this.world.command(async (site) => {
      if (!this.exists(C) || this.primary === C) return;
      const node = await site.openHere(C);
      if (!node.set.usable) return;
      const { sequence } = node.set.feed.position;
      if (sequence > this.model.newest)
        throw new Error(`[R3] C has ${sequence}, lost at its source`);
      await compare(node, this.model.at(sequence), `[R1] C at ${sequence}`);
    });
  }

  private exists(folder: string): boolean {
    return this.world.disk.status(`${folder}/set.json`, 'TEST:STATUS') !== undefined;
  }

  /** The primary, and the secondary if there is one, hold what the model says, and are sound. */
  async prove(secondary: typeof C | 'none' = C): Promise<void> {
    const alone = secondary === 'none';
    await this.world.command(async (site) => {
      const node = await site.openHere(this.primary);
      const compared = alone ? undefined : await node.verifyAgainst(secondary);
      if (compared && !compared.equal) throw new Error(`they differ: ${JSON.stringify(compared)}`);
      const verified = await node.verify();
      if (!verified.ok) throw new Error(JSON.stringify(verified.findings));
      await compare(node, this.model.at(this.model.newest), 'the primary at the end');
      if (node.set.file.maps.length > 0)
        throw new Error(`maps are left: ${node.set.file.maps.join()}`);
    });
    // The raw images of sets that were closed in order are the truth for the eye.
    for (const folder of alone ? [this.primary] : [this.primary, secondary]) {
      const volumes = this.model.at(this.model.newest);
      for (const [index, { name }] of TWO_VOLUMES.entries()) {
        const image = this.world.disk.readFile(`${folder}/volumes/${name}.img`);
        if (!volumes[index]?.equals(image)) throw new Error(`[R1] ${folder}/${name}.img differs`);
      }
    }
  }

  private makeRequest(index: number, volume = this.random.below(SIZES.length)): ModelRequest {
    const size = SIZES[volume] ?? 0;
    const longest = [1, 700, 4096, SMALL_JOURNAL.requestBytesMax][index % 4] ?? 1;
    const length = 1 + this.random.below(Math.min(longest, size));
    const offset = this.random.below(size - length + 1);
    const zeroes = this.random.below(5) === 0;
    const data = zeroes ? undefined : Buffer.from(this.random.bytes(length));
    const pieces = Math.ceil(length / SMALL_JOURNAL.recordPayloadBytesMax);
    return { volume, offset, length, data, records: zeroes ? 1 : pieces };
  }
}

function deviceOf(node: StorageNode, volume: number) {
  const device = node.set.volumes[volume];
  if (!device) throw new Error(`no volume ${volume}`);
  return device;
}

function asDevice({ offset, length, data }: ModelRequest): DeviceRequest {
  return data
    ? { kind: 'write', offset, length, data: [data], fua: false }
    : { kind: 'zeroes', offset, length, fua: false, mayFree: true };
}

async function compare(
  node: StorageNode,
  expected: readonly Buffer[],
  what: string,
): Promise<void> {
  for (const [index, volume] of expected.entries()) {
    const actual = await node.set.contents.read(index, 0, volume.length);
    if (actual.equals(volume)) continue;
    const at = actual.findIndex((byte, position) => byte !== volume[position]);
    throw new Error(`${what}: volume ${index} differs at ${at}`);
  }
}
