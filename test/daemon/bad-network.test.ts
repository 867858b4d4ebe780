/**
 * Two daemons with a bad network between them, under a host's verified load: the link is cut at
 * random bytes, delayed, throttled, and swallowed. Afterwards C is equal to A, without a second
 * copy; meanwhile status says what is so.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LINK_BEAT_MS, LINK_SILENT_BEATS, MIB } from '../../src/base/limits.ts';
import type { RemoteSet } from '../../src/control/remote-set.ts';
import type { NbdClient } from '../../src/nbd/client.ts';
import type { StatusAnswer } from '../../src/node/answers.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { seededRandom } from '../sim/random.ts';
import { FAIR } from '../support/middleman.ts';
import { Station } from '../support/station.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { VerifiedLoad, flush } from '../support/verified-load.ts';

const VOLUME_BYTES = 16 * MIB;
const SEED = 3;
const random = seededRandom(SEED);

const scratch = mkdtempSync(join(tmpdir(), 'rcopy-network-'));
const load = new VerifiedLoad(random, VOLUME_BYTES);
const stations = { a: new Station(join(scratch, 'a')), c: new Station(join(scratch, 'c')) };
let proxy: TcpProxy;
let a: RemoteSet;
let c: RemoteSet;
let host: NbdClient;

beforeAll(async () => {
  for (const station of [stations.a, stations.c]) {
    await station.create(VOLUME_BYTES);
    await station.start();
  }
  a = stations.a.set;
  c = stations.c.set;
  proxy = await TcpProxy.start(stations.c.listens);
  await a.createPair({ secondary: `rcopy://${proxy.address}` });
  host = await stations.a.connect();
}, 60_000);

afterAll(async () => {
  await proxy.close();
  await Promise.all([stations.a.kill(), stations.c.kill()]);
  rmSync(scratch, { recursive: true, force: true });
});

type Pair = NonNullable<StatusAnswer['pair']>;

/** Asks until the pair is as `holds` says; the test's own time-out is the limit. */
async function until(holds: (pair: Pair) => boolean, set = a): Promise<Pair> {
  for (;;) {
    const { pair } = await set.status();
    if (pair && holds(pair)) return pair;
    await nodeClock.sleep(100);
  }
}

/** Under load for a while; the host must not notice anything. */
async function underLoad(ms: number): Promise<void> {
  load.start(host);
  await nodeClock.sleep(ms);
  expect(await load.stop()).toBeUndefined();
}

async function inStep(): Promise<void> {
  proxy.change(FAIR);
  await a.wait({ until: { kind: 'synced' }, timeoutMs: 60_000 });
  expect(await load.check(host)).toEqual([]);
  expect(await a.verifyAgainst(`rcopy://${proxy.address}`)).toMatchObject({ equal: true });
  expect((await a.status()).pair?.sent).toMatchObject({ copies: 1 });
}

test('[R6] cut at random bytes, it goes on from where it was, the first copy too', async () => {
  for (let cuts = 0; cuts < 8; cuts += 1) proxy.cuts.push(random.below(3_000_000));
  proxy.cut();
  await underLoad(800);
  await inStep();
  expect(proxy.cuts.length).toBeLessThan(8);
}, 120_000);

test('delayed and throttled, it lags, and says by how much', async () => {
  proxy.change({ delayMs: 60, bytesPerSecond: 1 * MIB });
  await underLoad(600);
  await flush(host);
  const lagging = await until(({ lag }) => (lag?.bytes ?? 0) > 100_000);
  expect(lagging).toMatchObject({ state: 'paired', usable: true, link: 'up' });
  expect(lagging.lag?.entries).toBeGreaterThan(0);
  expect(lagging.lag?.seconds).toBeGreaterThan(0);
  await inStep();
  expect((await a.status()).pair?.lag).toMatchObject({ entries: 0, bytes: 0 });
}, 120_000);

test('[R10] in a black hole the link is soon down, the lag grows, the contact ages', async () => {
  proxy.change({ blackHole: true });
  await underLoad(300);
  const down = await until(({ link }) => link === 'down');
  expect(down).toMatchObject({ state: 'paired', usable: true });
  expect(down.reason).not.toBe('');
  const heard = Date.parse(down.lastContact ?? '');
  const silentMs = nodeClock.now() - heard;
  expect(silentMs).toBeGreaterThanOrEqual(LINK_SILENT_BEATS * LINK_BEAT_MS - 1_000);
  await flush(host);
  const before = await until(({ lag }) => (lag?.entries ?? 0) > 0);
  await underLoad(300);
  await flush(host);
  const after = await until(({ lag }) => (lag?.entries ?? 0) > (before.lag?.entries ?? 0));
  expect(after.lastContact).toBe(before.lastContact);
  // Its beats may come up to one later than those of A, and on a busy machine more.
  await until(({ link }) => link === 'down', c);
  expect((await c.status()).health.healthy).toBe(false);
  await inStep();
  const healed = await until(({ link }) => link === 'up');
  expect(Date.parse(healed.lastContact ?? '')).toBeGreaterThan(heard);
}, 120_000);
