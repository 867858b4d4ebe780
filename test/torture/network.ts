/**
 * A pair with a bad network between A and C under a host's verified load, and daemons that are
 * killed meanwhile. The host must not notice anything of it but that A dies, and C must go on from
 * the cursor each time.
 */
import type { NbdClient } from '../../src/nbd/client.ts';
import { MIB } from '../../src/base/limits.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import type { VerifiedLoad } from '../support/verified-load.ts';
import { bother } from './bad-links.ts';
import { Party } from './party.ts';
import { sound } from './power.ts';
import type { Scene } from './scene.ts';

const VOLUME_BYTES = 16 * MIB;
const SYNC_MS = 90_000;
const TURNS = 6;

/** Rejects when anything is lost, or does not go on by itself. */
export async function cutLinks(scene: Scene): Promise<void> {
  const { random } = scene;
  const a = await Party.set(scene, 'A', { on: 'folder', sizeBytes: VOLUME_BYTES });
  const c = await Party.set(scene, 'C', { on: 'folder', sizeBytes: VOLUME_BYTES });
  const proxy = await TcpProxy.start(c.runner.listens);
  scene.onEnd(() => proxy.close());
  await a.runner.set.createPair({ secondary: `rcopy://${proxy.address}` });
  const load = scene.load(VOLUME_BYTES);
  let host = await a.runner.connect();
  /** Copies that A may have begun since it started: the first one, until it is complete. */
  let copiesMost = 1;
  let hasCopy = false;
  for (let turn = 0; turn < TURNS; turn += 1) {
    load.start(host);
    await bother(scene, [proxy]);
    const dying = [a, c, undefined, undefined][random.below(4)];
    if (dying) await dying.strike('kill');
    if (dying === c) await c.revive('kill');
    await scene.pause(300);
    const failure = await load.stop();
    if (failure && dying !== a) throw failure;
    if (dying === a) {
      await a.revive('kill');
      copiesMost = hasCopy ? 0 : 1;
      host = await a.runner.connect();
    }
    await look(load, host);
    if (random.below(2) === 0) await inStep();
  }
  await inStep();
  const compared = await a.runner.set.verifyAgainst(c.runner.url);
  if (!compared.equal) throw new Error(`C differs: ${JSON.stringify(compared.differences)}`);
  for (const party of [a, c]) await sound(party);
  await host.close();

  async function inStep(): Promise<void> {
    await a.runner.set.wait({ until: { kind: 'synced' }, timeoutMs: SYNC_MS });
    const { pair, health } = await a.runner.set.status();
    if (pair?.state !== 'paired') throw new Error(`the pair is ${pair?.state}: ${health.reason}`);
    const copies = pair.sent?.copies ?? 0;
    if (copies > copiesMost) throw new Error(`${copies} copies were begun`);
    hasCopy = true;
  }
}

async function look(load: VerifiedLoad, host: NbdClient): Promise<void> {
  const wrong = await load.check(host);
  if (wrong.length > 0) {
    throw new Error(`${wrong.length} losses at A: ${wrong.slice(0, 5).join('; ')}`);
  }
}
