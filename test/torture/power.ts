/**
 * Power losses of a pair under a host's verified load: of A, whose host must find what was flushed
 * and of the rest an exact beginning; of C, which must go on from the cursor; of both. Opening must
 * never call that damage, and C gets no second copy. Where flushes are acknowledged remotely, A is
 * lost for good at the end, and the host finds at C what was flushed.
 */
import type { NbdClient } from '../../src/nbd/client.ts';
import type { StatusAnswer } from '../../src/node/answers.ts';
import { MIB } from '../../src/base/limits.ts';
import type { Station } from '../support/station.ts';
import { flush } from '../support/verified-load.ts';
import type { VerifiedLoad } from '../support/verified-load.ts';
import { Party } from './party.ts';
import type { Scene } from './scene.ts';

const VOLUME_BYTES = 16 * MIB;
const SYNC_MS = 90_000;
const LOSSES = { least: 6, more: 5 };

type Victim = 'A' | 'C' | 'both';
type Sent = Pick<NonNullable<NonNullable<StatusAnswer['pair']>['sent']>, 'copies' | 'copiedBytes'>;

/** Rejects when anything is lost, or does not go on by itself. */
export async function losePower(scene: Scene): Promise<void> {
  const { random } = scene;
  // Half of the pairs have C on ordinary storage.
  const victims: readonly Victim[] = random.below(2) === 0 ? ['A'] : ['A', 'A', 'C', 'both'];
  const onDisk = victims.length > 1 ? 'disk' : 'folder';
  // However slow this machine is, flushes go on to wait for C.
  const patient = ['--ack-timeout', '5m'];
  const a = await Party.set(scene, 'A', { on: 'disk', sizeBytes: VOLUME_BYTES }, ...patient);
  const c = await Party.set(scene, 'C', { on: onDisk, sizeBytes: VOLUME_BYTES });
  const ack = random.below(4) === 0 ? 'remote' : 'local';
  await a.runner.set.createPair({ secondary: c.runner.url, ack });
  const campaign = new Campaign(scene, a, c);
  // Some lose their power in the first copy.
  if (random.below(3) > 0) await campaign.inStep();
  const losses = LOSSES.least + random.below(LOSSES.more);
  for (let loss = 0; loss < losses; loss += 1) {
    await campaign.loseOnce(victims[random.below(victims.length)] ?? 'A');
  }
  await campaign.compare();
  if (ack === 'remote') await campaign.loseForGood(victims.includes('both'));
  for (const party of ack === 'remote' ? [c] : [a, c]) {
    const code = await party.runner.stop();
    if (code !== 0) throw new Error(`${party.name} ended with ${code}`);
  }
}

class Campaign {
  private readonly scene: Scene;
  private readonly a: Party<Station>;
  private readonly c: Party<Station>;
  private readonly load: VerifiedLoad;
  /** What A has copied since its last start that it may have copied. */
  private copied: Sent | undefined;

  constructor(scene: Scene, a: Party<Station>, c: Party<Station>) {
    this.scene = scene;
    this.a = a;
    this.c = c;
    this.load = scene.load(VOLUME_BYTES);
  }

  async loseOnce(victim: Victim): Promise<void> {
    const { scene, a, c, load } = this;
    let host = await a.runner.connect();
    // Power may also fail again before anything was written: what was found has to stay.
    const isLoaded = scene.random.below(4) > 0;
    if (isLoaded) await this.underLoad(host);
    const struck = [...(victim === 'C' ? [] : [a]), ...(victim === 'A' ? [] : [c])];
    // One after the other: what both plan comes from one seed.
    await Promise.all(struck.map((party) => party.strike('power', true)));
    if (victim === 'C') {
      await scene.pause(200);
      await c.revive('power');
      await scene.pause(200);
    }
    const failure = await load.stop();
    if (victim === 'C' && isLoaded && failure) throw failure;
    if (victim !== 'C') {
      await Promise.all(struck.map((party) => party.revive('power')));
      // What the first copy had left over it may still send.
      this.copied = this.copied && { copies: 0, copiedBytes: 0 };
      host = await a.runner.connect();
    }
    await this.look(host, victim === 'C' ? 'kill' : 'power');
    if (scene.random.below(3) > 0) await this.inStep();
    for (const party of struck) await sound(party);
  }

  /** A is gone, and maybe C loses its power with it: what was flushed is at C. */
  async loseForGood(both: boolean): Promise<void> {
    const { a, c, load } = this;
    const { pair } = await a.runner.set.status();
    if (pair?.ackDegraded !== false) throw new Error(`flushes do not wait: ${pair?.ackReason}`);
    await this.underLoad(await a.runner.connect());
    await Promise.all((both ? [a, c] : [a]).map((party) => party.strike('power', true)));
    await load.stop();
    if (both) await c.revive('power');
    await c.runner.set.takeOver({ force: true });
    await this.look(await c.runner.connect(), 'power');
    await sound(c);
  }

  /** For a while, with a few flushes, or without any. */
  private async underLoad(host: NbdClient): Promise<void> {
    const { scene, load } = this;
    const flushes = load.counts.flushes + scene.random.below(4);
    load.start(host);
    await scene.until('flushes', () => {
      if (load.error) throw load.error;
      return load.counts.flushes >= flushes;
    });
    await scene.pause(900);
  }

  private async look(host: NbdClient, fault: 'kill' | 'power'): Promise<void> {
    const wrong = await this.load.check(host, fault);
    if (wrong.length > 0) {
      throw new Error(`${wrong.length} losses: ${wrong.slice(0, 5).join('; ')}`);
    }
    if (this.scene.random.below(2) === 0) await flush(host);
    await host.close();
  }

  /** C has everything, and was not copied to again. */
  async inStep(): Promise<void> {
    const { set } = this.a.runner;
    await set.wait({ until: { kind: 'synced' }, timeoutMs: SYNC_MS });
    const { pair, health } = await set.status();
    if (pair?.state !== 'paired') throw new Error(`the pair is ${pair?.state}: ${health.reason}`);
    if (!pair.sent) return;
    const { copies, copiedBytes } = pair.sent;
    this.copied ??= { copies, copiedBytes };
    if (copies === this.copied.copies && copiedBytes === this.copied.copiedBytes) return;
    throw new Error(`copied again: ${copies} copies, ${copiedBytes} bytes`);
  }

  async compare(): Promise<void> {
    await this.inStep();
    const compared = await this.a.runner.set.verifyAgainst(this.c.runner.url);
    if (!compared.equal) throw new Error(`C differs: ${JSON.stringify(compared.differences)}`);
    for (const party of [this.a, this.c]) await sound(party);
  }
}

/** `rcopy verify` finds nothing. */
export async function sound({ name, runner }: Party<Station>): Promise<void> {
  const verified = await runner.set.verify();
  if (!verified.ok) throw new Error(`${name} is damaged: ${JSON.stringify(verified.findings)}`);
}
