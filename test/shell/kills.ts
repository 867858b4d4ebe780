/**
 * kill -9 of the real `rcopy migrate` at random moments, then `migrate resume`: real processes on a
 * real file system. What hosts wrote is kept beside in plain buffers.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB, JOURNAL_BYTES_MIN } from '../../src/base/limits.ts';
import { isRcopyError } from '../../src/base/errors.ts';
import { Site } from '../../src/control/site.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { seededRandom } from '../sim/random.ts';
import { WAYS } from '../support/sites.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'run.js');
const VOLUME_BYTES = 24 * MIB;
const PIECE_BYTES = 64 * 1024;

export type Way = (typeof WAYS)[number];

/** In which of the ways to migrate a life goes. */
export function wayOf(seed: number): Way {
  return WAYS[seed % WAYS.length] ?? { mode: 'drain', copy: 'post' };
}

export interface KillReport {
  /** How far the migration had come when its process died. */
  readonly state: string;
  readonly killedAfterMs: number;
}

/** How long `rcopy migrate` takes here, from making its target on, when nobody kills it. */
export async function measureMigration(seed: number): Promise<number> {
  return inScratch(async (folder) => {
    const story = new KillStory(folder, seed);
    await story.prepare();
    return story.migrateProcess(undefined);
  });
}

/** One life: prepared, killed `delayMs` after the target was made, resumed, written, proved. */
export async function killOnce(seed: number, delayMs: number): Promise<KillReport> {
  return inScratch(async (folder) => {
    const story = new KillStory(folder, seed);
    await story.prepare();
    await story.migrateProcess(delayMs);
    const state = await story.stateAfterKill();
    await story.writeSomewhere();
    await story.finish();
    return { state, killedAfterMs: Math.round(delayMs) };
  });
}

async function inScratch<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'rcopy-kills-'));
  try {
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class KillStory {
  private readonly folder: string;
  private readonly random;
  private readonly way: Way;
  private readonly model: Buffer;

  constructor(folder: string, seed: number) {
    this.folder = folder;
    this.random = seededRandom(seed);
    this.way = wayOf(seed);
    this.model = Buffer.alloc(VOLUME_BYTES);
  }

  private at(name: string): string {
    return join(this.folder, name);
  }

  /** A with data, C with a copy of all but the last writes. */
  async prepare(): Promise<void> {
    const piece = Buffer.from(this.random.bytes(PIECE_BYTES));
    for (let offset = 0; offset < VOLUME_BYTES; offset += PIECE_BYTES) {
      if (offset % (3 * MIB) >= 2 * MIB) continue; // every third MiB stays a hole
      piece.writeUInt32LE(offset, 0);
      this.model.set(piece, offset);
    }
    writeFileSync(this.at('image'), this.model);
    await this.site(async (site) => {
      await site.create({
        folder: this.at('tokyo'),
        volumes: [{ name: 'db', sizeBytes: VOLUME_BYTES }],
        journalBytes: JOURNAL_BYTES_MIN,
        ifMissing: false,
      });
      const source = await site.openHere(this.at('tokyo'));
      await site.importImage(this.at('tokyo'), { volume: undefined, file: this.at('image') });
      await site.makeLike(this.at('kyoto'), this.at('tokyo'));
      await source.createPair({ secondary: this.at('kyoto') });
      await source.replicate({ timeoutMs: 60_000, maxRate: undefined });
    });
    await this.write('tokyo', 40);
  }

  /**
   * The real program; killed with SIGKILL `delayMs` after its target was made, unless it ended
   * before. Returns how long it lived from there on.
   */
  async migrateProcess(delayMs: number | undefined): Promise<number> {
    const { mode, copy } = this.way;
    const how = ['--create', '--mode', mode, '--copy', copy];
    const words = [PROGRAM, 'migrate', this.at('tokyo'), this.at('osaka'), ...how];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    const closed = once(child, 'close') as Promise<[number | null, string | null]>;
    while (!existsSync(this.at('osaka/set.json')) && child.exitCode === null) await sleep(1);
    const start = performance.now();
    if (delayMs !== undefined) {
      await Promise.race([closed, sleep(delayMs)]);
      child.kill('SIGKILL');
    }
    const [code, signal] = await closed;
    if (code !== 0 && signal !== 'SIGKILL') {
      throw new Error(`rcopy migrate ended with ${code}: ${errors}`);
    }
    return performance.now() - start;
  }

  /** What `migrate status` says of B; `none` when B knows of no migration. */
  async stateAfterKill(): Promise<string> {
    return this.site(async (site) => {
      try {
        const target = await site.openHere(this.at('osaka'));
        return target.migrationStatus().migration?.state ?? 'none';
      } catch (error) {
        if (isRcopyError(error, 'E_NOT_FOUND')) return 'not made';
        throw error;
      }
    });
  }

  /** Hosts go on at once, wherever they may. */
  async writeSomewhere(): Promise<void> {
    try {
      await this.write('tokyo', 5);
    } catch (error) {
      if (!isRcopyError(error, 'E_SEALED')) throw error;
      const state = await this.stateAfterKill();
      if (state === 'copying' || state === 'done') await this.write('osaka', 5);
    }
  }

  /** Resumes, writes to B, replicates, and compares B and C with the model. */
  async finish(): Promise<void> {
    await this.site(async (site) => {
      const osaka = this.at('osaka');
      if (!(await site.describe(osaka))) await site.makeLike(osaka, this.at('tokyo'));
      const target = await site.openHere(this.at('osaka'));
      const known = target.migrationStatus().migration;
      if (known) await target.resumeMigration({ maxRate: undefined });
      else {
        const from = this.at('tokyo');
        await target.migrate({ from, ...this.way, maxRate: undefined, detach: false });
      }
    });
    await this.write('osaka', 10);
    await this.site(async (site) => {
      const target = await site.openHere(this.at('osaka'));
      const answer = await target.replicate({ timeoutMs: 60_000, maxRate: undefined });
      if (answer.copies !== 0) throw new Error('[R6] a second full copy was sent');
      const { equal } = await target.verifyAgainst(this.at('kyoto'));
      if (!equal) throw new Error('osaka and kyoto differ');
      await this.compare(site, 'osaka');
      await this.compare(site, 'kyoto');
    });
  }

  private async compare(site: Site, name: string): Promise<void> {
    const node = await site.openHere(this.at(name));
    const parts: Buffer[] = [];
    for await (const part of node.read({ volume: undefined, offset: 0, length: VOLUME_BYTES })) {
      parts.push(part);
    }
    if (!Buffer.concat(parts).equals(this.model)) throw new Error(`${name} differs from the model`);
  }

  /** Flushed writes of odd sizes: nothing of them may be lost. */
  private async write(name: string, count: number): Promise<void> {
    await this.site(async (site) => {
      const node = await site.openHere(this.at(name));
      for (let left = count; left > 0; left -= 1) {
        const length = 1 + this.random.below(10_000);
        const offset = this.random.below(VOLUME_BYTES - length);
        const data = Buffer.from(this.random.bytes(length));
        await node.write({ volume: undefined, offset, data: [data], sync: true });
        this.model.set(data, offset);
      }
    });
  }

  private async site<T>(action: (site: Site) => Promise<T>): Promise<T> {
    const site = new Site(nodeEnvironment, { lockWaitMs: 5_000 });
    try {
      return await action(site);
    } finally {
      await site.close();
    }
  }
}
