/**
 * The main story, told to a world with one fault in it: write → replicate → migrate → write, with
 * the checks that must hold after every step (R1, R2, R3) and at the end.
 */
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import type { Site } from '../../src/control/site.ts';
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

const A = '/tokyo';
const B = '/osaka';
const C = '/kyoto';
/** Between host requests: together, before the journal's own sync, behind the applier's wait. */
const PAUSES_MS = [0, 20, 70, 300];
const SIZES = TWO_VOLUMES.map(({ sizeBytes }) => sizeBytes);

export interface StoryResult {
  /** Full copies that were begun. */
  readonly copies: number;
  readonly newest: number;
}

export async function tellStory(world: StoryWorld, seed: number): Promise<StoryResult> {
  return new Story(world, seed).tell();
}

class Story {
  private readonly world: StoryWorld;
  private readonly model = new Model(SIZES);
  private readonly random;
  private copies = 0;
  /** The set that hosts write to. */
  private primary = A;

  constructor(world: StoryWorld, seed: number) {
    this.world = world;
    this.random = seededRandom(seed);
  }

  async tell(): Promise<StoryResult> {
    await this.create(A);
    await this.write(4);
    await this.create(C);
    await this.world.command(async (site) => (await site.open(A)).createPair({ secondary: C }));
    await this.replicate();
    await this.write(5);
    await this.replicate();
    await this.busy(6, (site) => this.replicateOnce(site));
    await this.write(3);
    await this.create(B);
    await this.migrate(true);
    await this.write(4);
    await this.readAll(B);
    await this.busy(6, (site) => this.migrateOnce(site, false));
    await this.write(3);
    await this.replicate();
    await this.prove();
    return { copies: this.copies, newest: this.model.newest };
  }

  private async create(folder: string): Promise<void> {
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

  /** One command with `count` host requests, some flushed; a crash may lose what was not. */
  private async write(count: number): Promise<void> {
    const requests = Array.from({ length: count }, (_, index) => this.makeRequest(index));
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
    const node = await site.open(this.primary);
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
    const node = await site.open(this.primary);
    this.model.cutBehind(node.set.newest);
    await compare(node, this.model.at(node.set.newest), '[R2]');
  }

  private async replicate(): Promise<void> {
    const answer = await this.world.command((site) => this.replicateOnce(site));
    if (answer.restoredSequence < this.model.newest) {
      throw new Error(`restored ${answer.restoredSequence} of ${this.model.newest}`);
    }
    await this.checkSecondary();
  }

  private async replicateOnce(site: Site) {
    const node = await site.open(this.primary);
    const before = node.replication.counts.copiesBegun;
    try {
      return await node.replicate({ timeoutMs: 60_000, maxRate: undefined });
    } finally {
      this.copies += node.replication.counts.copiesBegun - before;
    }
  }

  /** With `detach` the copy behind is left for later. */
  private async migrate(detach: boolean): Promise<void> {
    const answer = await this.world.command((site) => this.migrateOnce(site, detach));
    if (detach && answer.nextSequence !== this.model.newest + 1) {
      throw new Error(`[R4] B begins at ${answer.nextSequence}, A ended at ${this.model.newest}`);
    }
    this.primary = B;
    await this.world.command(async (site) => {
      const source = await site.open(A);
      const refused = source.set.refusal('write');
      if (refused?.code !== 'E_SEALED') throw new Error('[R4] a sealed set refuses hosts');
    });
    await this.checkSecondary();
  }

  private async migrateOnce(site: Site, detach: boolean) {
    const target = await site.open(B);
    return target.migrate({ from: A, mode: 'drain', copy: 'post', maxRate: undefined, detach });
  }

  /**
   * Hosts write, mostly without a flush, while `work` goes on: time passes in between, so that
   * records are synced, sent and applied at any moment of it.
   */
  private async busy(count: number, work: (site: Site) => Promise<unknown>): Promise<void> {
    const requests = Array.from({ length: count }, (_, index) => this.makeRequest(index));
    const write = async (site: Site) => {
      const node = await site.open(this.primary);
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

  private async readAll(folder: string): Promise<void> {
    await this.world.command(async (site) => {
      await compare(await site.open(folder), this.model.at(this.model.newest), '[R1] hosts read');
    });
  }

  /** C is an exact prefix of what hosts were told is written, and holds nothing that A may lose. */
  private async checkSecondary(): Promise<void> {
    await this.world.command(async (site) => {
      if (!this.exists(C)) return;
      const node = await site.open(C);
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

  private async prove(): Promise<void> {
    await this.world.command(async (site) => {
      const node = await site.open(B);
      const compared = await node.verifyAgainst(C);
      if (!compared.equal) throw new Error(`B and C differ: ${JSON.stringify(compared)}`);
      const verified = await node.verify();
      if (!verified.ok) throw new Error(`B: ${JSON.stringify(verified.findings)}`);
      await compare(node, this.model.at(this.model.newest), 'B at the end');
    });
    // The raw images of sets that were closed in order are the truth for the eye.
    for (const folder of [B, C]) {
      const volumes = this.model.at(this.model.newest);
      for (const [index, { name }] of TWO_VOLUMES.entries()) {
        const image = this.world.disk.readFile(`${folder}/volumes/${name}.img`);
        if (!volumes[index]?.equals(image)) throw new Error(`[R1] ${folder}/${name}.img differs`);
      }
    }
  }

  private makeRequest(index: number): ModelRequest {
    const volume = this.random.below(SIZES.length);
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
