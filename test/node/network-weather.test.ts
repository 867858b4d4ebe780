/**
 * A pair of daemons on a bad network: links are cut at any byte, delayed, throttled and swallowed,
 * and machines lose their power, at random moments of a random plan, while a host writes. At every
 * moment C is an exact prefix, and both ends say truthfully how the link and the lag are.
 */
import { describe, expect, test } from '@jest/globals';
import { isRcopyError } from '../../src/base/errors.ts';
import { LINK_BEAT_MS, LINK_SILENT_BEATS } from '../../src/base/limits.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { seededRandom } from '../sim/random.ts';
import { Model } from '../story/model.ts';
import {
  SMALL_JOURNAL,
  TINY_JOURNAL,
  TWO_VOLUMES,
  difference,
  peekAll,
} from '../support/image-sets.ts';
import { assertSame } from '../support/asserts.ts';
import { FAIR } from '../support/middleman.ts';
import { Network } from '../support/network.ts';
import { A, C, Sites } from '../support/sites.ts';

const SIZES = TWO_VOLUMES.map(({ sizeBytes }) => sizeBytes);
/** What had left the middleman when the hole began. */
const JUST_ARRIVED_MS = 50;
/** A dead link is found after so many beats, and one more that was under way. */
const SILENCE_MS = LINK_BEAT_MS * (LINK_SILENT_BEATS + 2);

class Pair {
  readonly log: string[] = [];
  readonly sites: Sites;
  readonly network: Network;
  readonly model = new Model(SIZES);
  /** Cuts and crashes that struck. */
  strikes = 0;
  private crashes = 0;
  /** The bases of the copies that C heard of. */
  private readonly bases = new Set<string>();
  private readonly random;
  private readonly remote: boolean;
  private readonly tiny: boolean;
  private holeMs: number | undefined;
  private sentRecords = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed * 7919);
    this.remote = seed % 2 === 0;
    this.tiny = seed % 3 === 0;
    const journal = this.tiny ? TINY_JOURNAL : SMALL_JOURNAL;
    this.sites = new Sites({ seed, journal, syncMs: seed % 3, daemons: {} });
    this.network = new Network(this.sites);
  }

  async live(steps: number): Promise<void> {
    const { sites } = this;
    const a = await sites.create(A);
    await sites.create(C);
    if (this.tiny) await sites.keepByMap(A);
    await this.write();
    await sites.drive(a.createPair({ secondary: C, ack: this.remote ? 'remote' : 'local' }));
    for (let step = 0; step < steps; step += 1) {
      await this.change();
      for (let times = this.random.below(4); times > 0; times -= 1) await this.write();
      await sites.clock.pass(this.random.below([10, 300, 4000, 20_000][this.random.below(4)] ?? 1));
      await this.check();
    }
    await this.comeToRest();
  }

  private async change(): Promise<void> {
    const { random, network, sites } = this;
    const note = (what: string) => this.log.push(`${sites.clock.monotonicMs()} ${what}`);
    switch (random.below(10)) {
      case 0:
      case 1:
        note('cut');
        this.strikes += 1;
        network.cut();
        break;
      case 2:
      case 3:
        network.nextCutBytes = random.below(60_000);
        note(`the next link breaks after ${network.nextCutBytes} bytes`);
        this.strikes += 1;
        network.cut();
        break;
      case 4:
        note('slow');
        network.change({ ...FAIR, bytesPerSecond: 2000 + random.below(50_000) });
        break;
      case 5:
        note('late');
        network.change({ ...FAIR, delayMs: random.below(1500) });
        break;
      case 6:
        note('black hole');
        this.holeMs ??= sites.clock.now();
        network.change({ blackHole: true });
        break;
      case 7:
        await this.crash([A, C][random.below(2)] ?? C);
        break;
      default:
        note('fair');
        network.fair();
    }
    if (!network.conditions.blackHole) this.holeMs = undefined;
  }

  private async crash(folder: string): Promise<void> {
    const { sites, random } = this;
    const survival = (['lose', 'keep', 'random'] as const)[random.below(3)] ?? 'lose';
    this.log.push(`${sites.clock.monotonicMs()} crash of ${folder}, ${survival}`);
    this.strikes += 1;
    this.crashes += 1;
    if (folder === A) await this.noteCounts();
    await sites.crash(folder, survival);
    const { set } = await sites.open(folder);
    if (folder === A) this.model.cutBehind(set.newest);
  }

  private async noteCounts(): Promise<void> {
    this.sentRecords += (await this.sites.open(A)).replication.counts.sentRecords;
  }

  /** One request, and sometimes a flush: what it promises is looked at when it is answered. */
  private async write(): Promise<void> {
    const { sites, random, model } = this;
    const a = await sites.open(A);
    const volume = random.below(SIZES.length);
    const size = SIZES[volume] ?? 0;
    const length = 1 + random.below(Math.min([100, 5000, 12_000][random.below(3)] ?? 1, size - 1));
    const offset = random.below(size - length);
    const data = Buffer.from(random.bytes(length));
    const payload = (this.tiny ? TINY_JOURNAL : SMALL_JOURNAL).recordPayloadBytesMax;
    const end = { answered: false };
    const request = { kind: 'write', offset, length, data: [data], fua: false } as const;
    a.set.volumes[volume]?.submit(request, (completion) => {
      if (!completion.ok) throw completion.error;
      end.answered = true;
    });
    await sites.clock.run(() => end.answered);
    model.add({ volume, offset, length, data, records: Math.ceil(length / payload) });
    if (random.below(3) === 0) await this.flush(a);
  }

  private async flush(a: StorageNode): Promise<void> {
    const { sites, model } = this;
    const { newest } = model;
    const c = await sites.open(C);
    const end = { answered: false, isThere: true };
    a.set.volumes[0]?.submit({ kind: 'flush' }, (completion) => {
      if (!completion.ok) throw completion.error;
      end.answered = true;
      end.isThere = (c.set.ownRun()?.durable ?? 0) >= newest;
    });
    const before = a.status().pair;
    await sites.clock.run(() => end.answered);
    model.flushed = newest;
    const promises = [before, a.status().pair].every(
      (pair) => pair?.ack === 'remote' && !pair.ackDegraded && pair.state === 'paired',
    );
    if (promises && !end.isThere) throw new Error(`[R2] ${newest} was answered, and is not at C`);
  }

  private async check(): Promise<void> {
    const [a, c] = [await this.sites.open(A), await this.sites.open(C)];
    for (const { set } of [a, c]) if (set.failure) throw set.failure;
    if (c.set.copy) this.bases.add(JSON.stringify(c.set.copy.base));
    if (c.set.usable) {
      const { sequence } = c.set.feed.position;
      if (sequence > this.model.newest) throw new Error(`[R3] C has ${sequence}`);
      const different = difference(peekAll(c.set), this.model.at(sequence));
      if (different !== undefined) throw new Error(`[R1] C at ${sequence}: ${different}`);
    }
    this.checkStatus(a, c);
  }

  /** [R10] No number is better than the truth, and a dead link is said to be down soon. */
  private checkStatus(a: StorageNode, c: StorageNode): void {
    const [here, there] = [a.status(), c.status()];
    const nowMs = this.sites.clock.now();
    const { pair } = here;
    if (!pair) throw new Error('A has a pair');
    if (pair.lag && pair.state === 'paired') {
      const lacks = a.set.newest - (c.set.ownRun()?.durable ?? 0);
      if (pair.lag.entries < lacks) throw new Error(`lag ${pair.lag.entries} of ${lacks}`);
    }
    const contactMs = pair.lastContact === null ? undefined : Date.parse(pair.lastContact);
    if (contactMs !== undefined && contactMs > nowMs) throw new Error('a contact in the future');
    const inHole = this.holeMs === undefined ? 0 : nowMs - this.holeMs;
    if (inHole > 0 && contactMs !== undefined && contactMs > nowMs - inHole + JUST_ARRIVED_MS) {
      throw new Error('a contact in a black hole');
    }
    for (const [who, { pair: said, health }] of [
      ['A', here],
      ['C', there],
    ] as const) {
      if (inHole > SILENCE_MS && said?.link === 'up') throw new Error(`${who}'s link is up`);
      if (said?.link === 'down' && health.healthy) throw new Error(`${who} is healthy and alone`);
      if (said?.link === 'up' && said.downSince !== null) throw new Error(`${who} is up and down`);
    }
    if (pair.link === 'up' && contactMs !== undefined && nowMs - contactMs > SILENCE_MS) {
      throw new Error(`up, and not heard for ${nowMs - contactMs} ms`);
    }
  }

  private async comeToRest(): Promise<void> {
    const { sites, network, model } = this;
    network.fair();
    const [a, c] = [await sites.open(A), await sites.open(C)];
    await sites.clock.run(() => {
      const { set } = c;
      const isThere = set.usable && set.applied.sequence === a.set.newest;
      return isThere && a.status().health.healthy && c.status().health.healthy;
    });
    const different = difference(peekAll(c.set), model.at(model.newest));
    if (different !== undefined) throw new Error(`[R1] at the end: ${different}`);
    await this.noteCounts();
    // Another copy than the first: by maps, or where a crash forgot that one had been begun.
    const { size: copies } = this.bases;
    if (!this.tiny && copies > 1 + this.crashes) throw new Error(`[R6] ${copies} copies`);
    if (this.sentRecords > 3 * model.newest + 100) {
      throw new Error(`[R6] sent ${this.sentRecords} records of ${model.newest}`);
    }
    await sites.clock.pass(3 * LINK_BEAT_MS);
    for (const { pair } of [a.status(), c.status()]) {
      const rest = [pair?.link, pair?.lag?.entries, pair?.lag?.bytes, pair?.ackDegraded];
      assertSame(rest, ['up', 0, 0, false]);
    }
    await sites.closeAll();
  }
}

const SEEDS = Array.from({ length: Number(process.env['NETWORK_SEEDS'] ?? 18) }, (_, at) => at + 1);

describe('a pair on a bad network', () => {
  test.each(SEEDS)('[R1] [R2] [R6] [R10] seed %d', async (seed) => {
    const pair = new Pair(seed);
    try {
      await pair.live(25);
    } catch (error) {
      const what = isRcopyError(error) ? `${error.code} ${error.message}` : String(error);
      throw new Error(`seed ${seed}: ${what}\n${pair.log.join('\n')}`, { cause: error });
    }
    expect(pair.strikes).toBeGreaterThan(0);
  });
});
