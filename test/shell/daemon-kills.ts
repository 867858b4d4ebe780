/**
 * kill -9 of daemons under load: A, C, or both, at random moments, while a host writes over NBD.
 * After each kill the daemon is started again; the host finds what was answered, and at the end C
 * is equal to A, without a second full copy.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StatusAnswer } from '../../src/node/answers.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { seededRandom } from '../sim/random.ts';
import { Station } from '../support/station.ts';
import { VerifiedLoad, flush } from '../support/verified-load.ts';

const VOLUME_BYTES = 16 * 1024 * 1024;
const SYNC_MS = 60_000;

export const VICTIMS = ['a', 'c', 'both'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface KillReport {
  readonly kills: Readonly<Record<Victim, number>>;
  readonly answered: number;
  readonly flushes: number;
  readonly unanswered: number;
}

/** Rejects, naming the seed, when anything is lost, or does not go on by itself. */
export async function killDaemons(
  seed: number,
  victims: readonly Victim[],
  onKill: (done: number) => void = () => undefined,
): Promise<KillReport> {
  const scratch = mkdtempSync(join(tmpdir(), 'rcopy-kills-'));
  const stations = { a: new Station(join(scratch, 'a')), c: new Station(join(scratch, 'c')) };
  try {
    return await new Campaign(seed, stations, onKill).run(victims);
  } catch (error) {
    throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
  } finally {
    await Promise.all([stations.a.kill(), stations.c.kill()]);
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Campaign {
  private readonly stations: { readonly a: Station; readonly c: Station };
  private readonly random: ReturnType<typeof seededRandom>;
  private readonly load: VerifiedLoad;
  private readonly onKill: (done: number) => void;
  private readonly kills = { a: 0, c: 0, both: 0 };

  constructor(
    seed: number,
    stations: { readonly a: Station; readonly c: Station },
    onKill: (done: number) => void,
  ) {
    this.stations = stations;
    this.random = seededRandom(seed);
    this.load = new VerifiedLoad(this.random, VOLUME_BYTES);
    this.onKill = onKill;
  }

  async run(victims: readonly Victim[]): Promise<KillReport> {
    const { a, c } = this.stations;
    for (const station of [a, c]) await station.create(VOLUME_BYTES);
    await Promise.all([a.start(), c.start()]);
    await a.set.createPair({ secondary: c.url });
    await this.inStep();
    for (const [done, victim] of victims.entries()) {
      await this.killOnce(victim);
      this.onKill(done + 1);
    }
    await this.inStep();
    await this.compare();
    for (const station of [a, c]) {
      const code = await station.stop();
      if (code !== 0) throw new Error(`${station.folder} ended with ${code}`);
    }
    return { kills: this.kills, ...this.load.counts };
  }

  private async killOnce(victim: Victim): Promise<void> {
    const { a, c } = this.stations;
    let host = await a.connect();
    this.load.start(host);
    await this.pause(600);
    this.kills[victim] += 1;
    if (victim !== 'c') await a.kill();
    if (victim !== 'a') await c.kill();
    await this.pause(200);
    if (victim === 'c') {
      // The host goes on, whatever C does.
      await c.start();
      await this.pause(200);
    }
    const failure = await this.load.stop();
    if (victim === 'c' && failure) throw failure;
    if (victim !== 'c') {
      await Promise.all([a.start(), victim === 'both' ? c.start() : undefined]);
      host = await a.connect();
    }
    const wrong = await this.load.check(host);
    if (wrong.length > 0)
      throw new Error(`${wrong.length} blocks: ${wrong.slice(0, 5).join('; ')}`);
    await flush(host);
    await host.close();
    await this.inStep();
  }

  /** C has everything, and was not copied to again. */
  private async inStep(): Promise<void> {
    const { a } = this.stations;
    await a.set.wait({ until: { kind: 'synced' }, timeoutMs: SYNC_MS });
    const { pair, health } = await a.set.status();
    if (pair?.state !== 'paired') throw new Error(`the pair is ${pair?.state}: ${health.reason}`);
    this.checkCopies(pair);
  }

  private checkCopies({ sent }: NonNullable<StatusAnswer['pair']>): void {
    const starts = this.kills.a + this.kills.both;
    if (!sent || starts === 0) return;
    // Since its last start: records from the cursor on, and nothing else.
    if (sent.copies === 0 && sent.copiedBytes === 0) return;
    throw new Error(`${sent.copies} copies, ${sent.copiedBytes} bytes, after ${starts} kills`);
  }

  private async compare(): Promise<void> {
    const { a, c } = this.stations;
    const compared = await a.set.verifyAgainst(c.url);
    if (!compared.equal) throw new Error(`C differs: ${JSON.stringify(compared.differences)}`);
    for (const { set } of [a, c]) {
      const verified = await set.verify();
      if (!verified.ok) throw new Error(JSON.stringify(verified.findings));
    }
  }

  private pause(ms: number): Promise<void> {
    return nodeClock.sleep(this.random.below(ms));
  }
}
