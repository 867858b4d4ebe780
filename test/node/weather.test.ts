/**
 * Three sites in bad weather: hosts write, replicate and migrate while one site after the other
 * loses its power and links break, at random moments of a random plan. In the end everything comes
 * to rest, and on the way no rule was broken.
 */
import { describe, expect, test } from '@jest/globals';
import { isRcopyError } from '../../src/base/errors.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import { submitAndWait } from '../../src/device/device.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
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
import { A, B, C, MIGRATE, REPLICATE, Sites } from '../support/sites.ts';

const SIZES = TWO_VOLUMES.map(({ sizeBytes }) => sizeBytes);
/** What a command may end with when the weather is bad; all else is a bug. */
/** What a migration says that was ended at one side only. */
const ENDED = ['was aborted', 'has sealed its epoch', ' meanwhile'];
const MODES = ['drain', 'handoff', 'bitmap'] as const;
const WEATHER = new Set(['E_UNREACHABLE', 'E_STOPPED', 'E_IO', 'E_TIMEOUT', 'ECRASHED']);

class Weather {
  /** What happened, for the message of a failure. */
  readonly log: string[] = [];
  readonly sites: Sites;
  readonly model = new Model(SIZES);
  crashes = 0;
  private readonly random;
  private primary = A;
  private readonly journal: JournalSizes;

  constructor(seed: number) {
    this.random = seededRandom(seed * 977);
    // Every other time the journal is so small that maps have to keep what it cannot.
    this.journal = seed % 2 === 0 ? TINY_JOURNAL : SMALL_JOURNAL;
    this.sites = new Sites({ seed, syncMs: 1 + (seed % 3), journal: this.journal });
  }

  async live(steps: number): Promise<void> {
    const { sites } = this;
    const a = await sites.create(A);
    await sites.create(C);
    await sites.create(B);
    await this.sites.keepByMap(A, B);
    await this.write(3);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.replicate(A);
    for (let step = 0; step < steps; step += 1) {
      await this.oneStep();
      await this.freshTarget();
      await this.checkSecondary();
    }
    await this.comeToRest();
  }

  private async oneStep(): Promise<void> {
    switch (this.random.below(9)) {
      case 0:
      case 1:
        return this.write(1 + this.random.below(4));
      case 2:
      case 3:
        return this.under('replicate', async () => {
          const node = await this.node(this.primary);
          const { seal, migration } = node.set.file;
          // Between seal and acceptance the primary has nothing to send.
          const owesMap = seal !== null && migration?.mode === 'bitmap';
          if (!owesMap && !isSplit(node)) await node.replicate(REPLICATE);
        });
      case 4:
        return this.under('migrate', () => this.migrate(this.random.below(2) === 0));
      case 5:
        return this.under('abort', () => this.abort([A, B][this.random.below(2)] ?? A));
      case 6:
        return this.under('replicate A', async () => {
          const former = await this.node(A);
          const { role, seal, migration } = former.set.file;
          const owesMap = seal !== null && migration?.mode === 'bitmap';
          if (role !== 'retired' && !owesMap && !isSplit(former)) await former.replicate(REPLICATE);
        });
      case 7:
        return this.under('split', () => this.operate((node) => node.splitPair()));
      case 8:
        return this.under('resync', () => this.operate((node) => node.resyncPair()));
    }
  }

  /** What an operator asks of the primary; refused while it moves. */
  private async operate(action: (node: StorageNode) => Promise<unknown>): Promise<void> {
    try {
      await action(await this.node(this.primary));
    } catch (error) {
      if (!isRcopyError(error, 'E_STATE') && !isRcopyError(error, 'E_SEALED')) throw error;
    }
  }

  private async migrate(detach: boolean): Promise<void> {
    await this.node(A);
    await this.node(C);
    const mode = MODES[this.random.below(MODES.length)] ?? 'drain';
    const copy = this.random.below(2) === 0 ? 'pre' : 'post';
    const how = { ...MIGRATE, mode, copy, detach } as const;
    this.log.push(`  ${mode} ${copy}${detach ? ' detached' : ''}`);
    try {
      await (await this.node(B)).migrate(how);
    } catch (error) {
      // Aborted at A while B was out of reach, or half given back: it is ended, and begun anew.
      const says = (words: string) => isRcopyError(error) && error.message.includes(words);
      if (says('present epoch')) {
        // A has its group back, and C has not heard of that.
        const former = await this.node(A);
        if (isSplit(former)) await former.resyncPair();
        await former.replicate(REPLICATE);
        await (await this.node(B)).migrate(how);
        return;
      }
      if (says('or migrate with --mode bitmap')) {
        await (await this.node(B)).migrate({ ...how, mode: 'bitmap' });
        return;
      }
      if (!ENDED.some(says)) throw error;
      const node = await this.node(B);
      await node.abortMigration();
      if (node.set.file.role !== 'retired') await node.migrate({ ...how, mode: 'bitmap' });
    }
  }

  /** A target that has given its epoch back is history: another set takes its place. */
  private async freshTarget(): Promise<void> {
    const { set } = await this.sites.open(B);
    if (set.file.role !== 'retired') return;
    this.log.push('another target');
    await this.sites.remake(B);
    await this.sites.keepByMap(B);
  }

  /** A migration that is begun, and given up at once from one of its ends. */
  private async abort(folder: string): Promise<void> {
    const migrating = this.migrate(true).catch(() => undefined);
    await this.sites.clock.sleep(this.random.below(12));
    try {
      await this.sites.machine(folder).node?.abortMigration();
    } catch (error) {
      if (!isRcopyError(error, 'E_STATE') && !isRcopyError(error, 'E_SEALED')) throw error;
    } finally {
      await migrating;
    }
  }

  /** A command during which something may strike; what it ends with must have come from that. */
  private async under(what: string, work: () => Promise<void>): Promise<void> {
    const { sites } = this;
    for (const folder of [A, B, C]) await sites.open(folder);
    const strike = this.random.below(3);
    const victim = [A, B, C][this.random.below(3)] ?? C;
    const afterMs = this.random.below(40);
    this.log.push(`${what}; ${['quiet', 'cut', 'crash'][strike]} ${victim} after ${afterMs}`);
    const running = work().then(
      () => undefined,
      (error: unknown) => error,
    );
    await sites.clock.pass(afterMs);
    if (strike === 1) sites.cutLinks(victim);
    if (strike === 2) await this.crash(victim);
    const error = await sites.drive(running);
    await sites.clock.pass(50); // every end hears of what struck, and ends what it had begun
    await this.findPrimary();
    const { code, message } = (error ?? { code: 'E_IO' }) as { code: string; message: string };
    if (error !== undefined && (strike === 0 || !WEATHER.has(code))) {
      throw new Error(`${what} ended with ${code}: ${message}`, { cause: error });
    }
  }

  private async crash(folder: string): Promise<void> {
    this.crashes += 1;
    const survival = (['lose', 'keep', 'random'] as const)[this.random.below(3)] ?? 'lose';
    await this.sites.crash(folder, survival);
    const { set } = await this.sites.open(folder);
    if (folder === this.primary && !set.file.seal) this.model.cutBehind(set.newest);
  }

  /** Hosts find the set that takes their writes; there is never more than one. */
  private async findPrimary(): Promise<void> {
    const takers: string[] = [];
    for (const folder of [A, B]) {
      const { set } = await this.sites.open(folder);
      if (set.file.role === 'primary' && !set.file.seal && set.file.epoch > 0) takers.push(folder);
    }
    if (takers.length > 1) throw new Error(`[R4] ${takers.join(' and ')} both take writes`);
    this.primary = takers[0] ?? this.primary;
  }

  private async node(folder: string) {
    return this.sites.machine(folder).node ?? this.sites.open(folder);
  }

  private async write(count: number): Promise<void> {
    const { sites, random } = this;
    await this.findPrimary();
    const { set } = await sites.open(this.primary);
    if (set.refusal('write')) return; // sealed, and its successor has not taken over yet
    this.log.push(`write ${count} to ${this.primary}`);
    await sites.drive(ensureEpoch(set));
    for (let index = 0; index < count; index += 1) {
      const volume = random.below(SIZES.length);
      const size = SIZES[volume] ?? 0;
      const longest = [100, 5000, this.journal.requestBytesMax][random.below(3)] ?? 1;
      const length = 1 + random.below(Math.min(longest, size - 1));
      const offset = random.below(size - length);
      const zero = random.below(5) === 0;
      const data = zero ? undefined : Buffer.from(random.bytes(length));
      const records = zero ? 1 : Math.ceil(length / this.journal.recordPayloadBytesMax);
      const expected = this.model.add({ volume, offset, length, data, records });
      const device = set.volumes[volume];
      if (!device) throw new Error('no such volume');
      const answer = await sites.drive(
        submitAndWait(
          device,
          data
            ? { kind: 'write', offset, length, data: [data], fua: false }
            : { kind: 'zeroes', offset, length, fua: false, mayFree: true },
        ),
      );
      if (!answer.ok || answer.sequence !== expected) {
        throw new Error(`[R4] expected ${expected}: ${JSON.stringify(answer)}`);
      }
    }
    if (random.below(2) === 0) {
      await sites.flush(this.primary);
      this.model.flushed = this.model.newest;
    }
  }

  private async checkSecondary(): Promise<void> {
    const { set } = await this.sites.open(C);
    if (set.failure) throw set.failure;
    if (!set.usable) return;
    const { sequence } = set.feed.position;
    if (sequence > this.model.newest) throw new Error(`[R3] C has ${sequence}`);
    const different = difference(peekAll(set), this.model.at(sequence));
    if (different !== undefined) throw new Error(`[R1] C at ${sequence}: ${different}`);
  }

  private async endSplit(): Promise<void> {
    for (const folder of [A, B]) {
      const node = await this.sites.open(folder);
      if (isSplit(node)) await this.sites.drive(this.operate(() => node.resyncPair()));
    }
  }

  private async comeToRest(): Promise<void> {
    const { sites } = this;
    for (const folder of [A, B, C]) await sites.open(folder);
    await this.endSplit();
    await sites.drive(this.migrate(false));
    await this.freshTarget();
    await this.findPrimary();
    if (this.primary === A) await sites.drive(this.migrate(false));
    await this.findPrimary();
    await this.write(2);
    await this.endSplit();
    await sites.replicate(B);
    for (const folder of [B, C]) {
      const { set } = await sites.open(folder);
      const different = difference(await sites.contents(folder), this.model.at(set.newest));
      if (different !== undefined) throw new Error(`${folder}: ${different}`);
      if (set.newest !== this.model.newest) throw new Error(`${folder} at ${set.newest}`);
    }
    const { set, replication } = await sites.open(A);
    if (set.file.role !== 'retired') throw new Error(`A is ${set.file.role}`);
    if (replication.counts.copiesBegun > 1) throw new Error('[R6] more than one copy');
    await sites.closeAll();
  }
}

function isSplit(node: StorageNode): boolean {
  return node.set.file.pair?.state === 'split';
}

const SEEDS = Array.from({ length: Number(process.env['WEATHER_SEEDS'] ?? 12) }, (_, at) => at + 1);

describe('three sites in bad weather', () => {
  test.each(SEEDS)('[R1] [R2] [R3] [R4] [R6] seed %d', async (seed) => {
    const weather = new Weather(seed);
    try {
      await weather.live(14);
    } catch (error) {
      const what = isRcopyError(error) ? `${error.code} ${error.message}` : String(error);
      throw new Error(`${what}\n${weather.log.join('\n')}`, { cause: error });
    }
    expect(weather.log.length).toBeGreaterThan(5);
  });
});
