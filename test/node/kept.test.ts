/**
 * Links that daemons keep: dialled again by themselves, found dead when nothing comes, not tried
 * in vain; and the pair and the migration that go on over them.
 */
import { describe, expect, test } from '@jest/globals';
import {
  KIB,
  LINK_BEAT_MS,
  LINK_SILENT_BEATS,
  RETRY_LAST_MS,
  RETRY_REFUSED_MS,
  SEND_BATCH_BYTES,
} from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import type { Completion } from '../../src/device/device.ts';
import { difference, peekAll, requestOf, write, TINY_JOURNAL } from '../support/image-sets.ts';
import type { Change } from '../support/image-sets.ts';
import { Network } from '../support/network.ts';
import { A, B, C, MIGRATE, REPLICATE, Sites } from '../support/sites.ts';
import type { SitesOptions } from '../support/sites.ts';

/** Room for several frames of records. */
const ROOMY_JOURNAL: JournalSizes = {
  segmentBytes: 512 * KIB,
  segmentsMax: 8,
  recordPayloadBytesMax: 16 * KIB,
  requestBytesMax: 32 * KIB,
};

const SILENCE_MS = LINK_BEAT_MS * (LINK_SILENT_BEATS + 1);

/** A pair in step, both sets had by daemons. */
async function kept(options: SitesOptions = {}) {
  const sites = new Sites({ daemons: {}, ...options });
  const network = new Network(sites);
  const { a, c } = await sites.paired();
  await sites.write(A, write(0, 0, 9000, 1));
  await inStep(sites);
  return { sites, network, a, c };
}

/** Until C has restored all that A has. */
async function inStep(sites: Sites, primary = A): Promise<void> {
  const [from, to] = [await sites.open(primary), await sites.open(C)];
  await sites.clock.run(() => {
    for (const { set } of [from, to]) if (set.failure) throw set.failure;
    const { applied, usable, file } = to.set;
    const { newest, secondary } = from.set;
    const isThere = usable && applied.epoch === file.epoch && applied.sequence >= newest;
    if (!isThere || (secondary?.restored.sequence ?? 0) < newest) return false;
    return from.set.file.pair?.state === 'paired';
  });
}

/** Hosts that do not wait for each other's answers. */
function submit(sites: Sites, node: Awaited<ReturnType<Sites['open']>>, change: Change): string[] {
  const ends: string[] = [];
  if (change.kind === 'mark') throw new Error('no host sets marks');
  sites.model.apply(change);
  const done = (completion: Completion) => ends.push(completion.ok ? 'ok' : 'failed');
  node.set.volumes[change.volume]?.submit(requestOf(change), done);
  return ends;
}

describe('a link that is kept', () => {
  test('[R6] comes back by itself, and goes on where it was', async () => {
    const { sites, network, a, c } = await kept();
    const before = a.replication.counts;
    for (let times = 1; times <= 5; times += 1) {
      network.cut();
      await sites.clock.pass(1);
      expect(a.status().pair?.link).toBe('down');
      await sites.write(A, write(0, 0, 4000, times));
      await inStep(sites);
    }
    const { sentBytes, copiesBegun } = a.replication.counts;
    // Five records of 4,000 bytes, each once, or twice where a cut came between.
    expect(sentBytes - before.sentBytes).toBeLessThan(2 * 5 * 4400);
    expect(copiesBegun).toBe(before.copiesBegun);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    await sites.closeAll();
  });

  test('[R6] keeps what arrived whole before a cut, however soon that comes', async () => {
    const { sites, network, a, c } = await kept({ journal: ROOMY_JOURNAL });
    sites.leaveAlone(C);
    for (let id = 0; id < 60; id += 1) await sites.write(A, write(0, 0, 16 * KIB, id));
    sites.away.delete(C);
    // Each link brings one whole frame, and is cut with the beginning of the next one.
    const frames = (60 * 16 * KIB) / SEND_BATCH_BYTES;
    const isThere = () => c.set.newest === a.set.newest;
    for (let links = 0; !isThere(); links += 1) {
      expect(links).toBeLessThanOrEqual(frames + 1);
      network.nextCutBytes = SEND_BATCH_BYTES + 40 * KIB;
      const { dials } = network;
      const isCut = () => network.dials > dials && a.status().pair?.link === 'down';
      await sites.clock.run(() => isCut() || isThere());
    }
    await sites.closeAll();
  });

  test('[R10] is not healthy where the secondary speaks and takes nothing', async () => {
    const { sites, a } = await kept({ syncMs: 1 });
    sites.machine(C).syncMs = 3_600_000; // its disk hangs
    for (let id = 0; id < 20; id += 1) {
      await sites.write(A, write(0, 0, 700, id));
      await sites.clock.pass(1000);
    }
    const { pair, health } = a.status();
    expect(pair?.link).toBe('up');
    expect(health.healthy).toBe(false);
    expect(health.reason).toContain('has taken nothing');
    await sites.crash(C);
    await sites.closeAll();
  });

  test('ends at once also while a suspended pair is being let go on', async () => {
    const { sites, a } = await kept({ syncMs: 5 });
    sites.leaveAlone(C);
    await sites.write(A, write(0, 0, 3000, 2));
    await sites.drive(
      a.set.identity.update((file) => ({
        ...file,
        pair: file.pair && { ...file.pair, state: 'suspended', reason: 'a test' },
      })),
    );
    sites.away.delete(C);
    for (let ms = 0; ms < 400; ms += 3) {
      await sites.clock.pass(3);
      // However far it has come by now: what stops it is never waited for in vain.
      if (ms % 60 === 0) await sites.drive(a.replication.stop());
    }
    await inStep(sites);
    expect(await sites.differs(C)).toBeUndefined();
    await sites.closeAll();
  });

  test('is dialled soon, then after longer, and at once by whoever asks', async () => {
    const { sites, network, a } = await kept();
    sites.leaveAlone(C);
    const startMs = sites.clock.monotonicMs();
    network.dialledMs.length = 0;
    await sites.clock.pass(10 * 60_000);
    const [first = Number.NaN] = network.dialledMs;
    expect(first - startMs).toBeLessThan(1000);
    const waits = network.dialledMs.map((at, index) => at - (network.dialledMs[index - 1] ?? at));
    expect(Math.max(...waits)).toBeLessThanOrEqual(RETRY_LAST_MS);
    expect(Math.max(...waits)).toBeGreaterThan(RETRY_LAST_MS / 2);
    expect(network.dials).toBeLessThan(60);
    const { dials } = network;
    expect((await sites.refusal(a.replicate(REPLICATE))).code).toBe('E_UNREACHABLE');
    expect(network.dials).toBe(dials + 1);
    sites.away.delete(C);
    await sites.drive(a.replicate(REPLICATE));
    await sites.closeAll();
  });

  test('begins to wait anew when it has worked', async () => {
    const { sites, network } = await kept();
    sites.leaveAlone(C);
    await sites.clock.pass(5 * 60_000);
    sites.away.delete(C);
    await sites.clock.pass(RETRY_LAST_MS);
    await sites.write(A, write(0, 0, 100, 2));
    await inStep(sites);
    network.dialledMs.length = 0;
    const cutMs = sites.clock.monotonicMs();
    network.cut();
    await sites.clock.pass(2000);
    expect((network.dialledMs[0] ?? Number.NaN) - cutMs).toBeLessThan(1000);
    await sites.closeAll();
  });

  test('[R10] in a black hole it is down soon, with its reason, age and lag', async () => {
    const { sites, network, a, c } = await kept();
    await sites.clock.pass(SILENCE_MS);
    const contact = a.status().pair?.lastContact ?? '';
    expect(sites.clock.now() - Date.parse(contact)).toBeLessThanOrEqual(2 * LINK_BEAT_MS);
    const heard = c.status().pair?.lastContact ?? '';
    expect(sites.clock.now() - Date.parse(heard)).toBeLessThanOrEqual(2 * LINK_BEAT_MS);
    expect(c.status().pair).toMatchObject({ lag: { entries: 0 }, link: 'up' });
    const beganMs = sites.clock.now();
    network.change({ blackHole: true });
    await sites.write(A, write(0, 0, 4000, 2));
    await sites.clock.pass(SILENCE_MS);
    const down = a.status();
    expect(down.pair).toMatchObject({ link: 'down', kept: true, lag: { entries: 1 } });
    expect(down.pair?.reason).toMatch(/nothing came from it for 10 s/);
    expect(Date.parse(down.pair?.lastContact ?? '')).toBeLessThanOrEqual(beganMs);
    const sinceMs = Date.parse(down.pair?.downSince ?? '');
    expect(sinceMs).toBeGreaterThan(beganMs);
    expect(sinceMs).toBeLessThanOrEqual(beganMs + SILENCE_MS);
    expect(down.health).toMatchObject({ healthy: false, word: 'link down' });
    expect(down.health.reason).toMatch(/since .*: .*nothing came.*tried again by itself/);
    expect(c.status().pair).toMatchObject({ link: 'down' });
    expect(c.status().health).toMatchObject({ healthy: false, word: 'link down' });
    await sites.write(A, write(0, 8192, 4000, 3));
    await sites.clock.pass(60_000);
    const later = a.status().pair;
    expect(later).toMatchObject({ downSince: down.pair?.downSince, lag: { entries: 2 } });
    expect(later?.lag?.seconds).toBeGreaterThanOrEqual(60);
    expect(c.status().pair?.lagAgeSeconds).toBeGreaterThanOrEqual(60);
    network.fair();
    await inStep(sites);
    await sites.clock.pass(SILENCE_MS);
    expect(a.status()).toMatchObject({
      pair: { link: 'up', downSince: null, lag: { entries: 0 } },
      health: { healthy: true, word: 'healthy' },
    });
    expect(c.status()).toMatchObject({ pair: { link: 'up' }, health: { healthy: true } });
    await sites.closeAll();
  });

  test('[R10] a slow network is no dead one, and the lag is told to the secondary', async () => {
    const { sites, network, a, c } = await kept();
    network.change({ bytesPerSecond: 1000, delayMs: 700 });
    for (let id = 0; id < 6; id += 1) await sites.write(A, write(0, id * 4096, 6000, id));
    await sites.flush(A);
    let entries = 0;
    let unhealthy = 0;
    for (let times = 0; times < 60; times += 1) {
      await sites.clock.pass(1000);
      entries = Math.max(entries, c.status().pair?.lag?.entries ?? 0);
      if (a.status().pair?.link !== 'up') unhealthy += 1;
    }
    expect(entries).toBeGreaterThan(1);
    expect(unhealthy).toBe(0);
    network.fair();
    await inStep(sites);
    await sites.closeAll();
  });

  test('what needs a person is not tried over and over, and taken up once mended', async () => {
    const { sites, network, a } = await kept();
    // Another set stands at the address of the secondary.
    await sites.remake(C);
    const { dials } = network;
    await sites.clock.pass(10 * 60_000);
    expect(network.dials - dials).toBeLessThan(10 * (60_000 / RETRY_REFUSED_MS) + 10);
    expect(a.status().health).toMatchObject({ healthy: false, word: 'link down' });
    expect(a.status().health.reason).toMatch(/this needs somebody/);
    await sites.drive(a.deletePair({ local: true }));
    const before = network.dials;
    await sites.clock.pass(10 * 60_000);
    expect(network.dials).toBe(before);
    await sites.drive(a.createPair({ secondary: C }));
    await inStep(sites);
    await sites.closeAll();
  });

  test('a daemon that stops does not wait for who does not answer', async () => {
    const { sites, network, a } = await kept();
    network.change({ blackHole: true });
    network.cut();
    await sites.clock.pass(2000);
    expect(a.status().pair?.link).toBe('down');
    const startMs = sites.clock.monotonicMs();
    await sites.close(A);
    expect(sites.clock.monotonicMs() - startMs).toBeLessThan(1000);
    await sites.close(C);
  });

  test('a split ends it, a resync takes it up', async () => {
    const { sites, network, a, c } = await kept();
    await sites.drive(a.splitPair());
    const { dials } = network;
    await sites.write(A, write(0, 0, 100, 2));
    await sites.clock.pass(5 * 60_000);
    // The one that told the secondary may have been dialled for that.
    expect(network.dials - dials).toBeLessThanOrEqual(1);
    expect(a.status().pair).toMatchObject({ state: 'split', link: 'down' });
    await sites.drive(a.resyncPair());
    await inStep(sites);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    await sites.closeAll();
  });

  test('a delete that the secondary cannot hear of leaves it kept', async () => {
    const { sites, a } = await kept();
    sites.leaveAlone(C);
    expect((await sites.refusal(a.deletePair())).code).toBe('E_UNREACHABLE');
    sites.away.delete(C);
    await sites.write(A, write(0, 0, 100, 2));
    await inStep(sites);
    await sites.drive(a.deletePair());
    await sites.clock.pass(60_000);
    expect(a.status()).toMatchObject({ pair: null, health: { healthy: true } });
    await sites.closeAll();
  });

  test('commands wait on the same link', async () => {
    const { sites, network, a } = await kept();
    const { dials } = network;
    await sites.write(A, write(0, 0, 100, 2));
    const replicated = await sites.drive(a.replicate(REPLICATE));
    expect(replicated).toMatchObject({ sentRecords: 1, copies: 0, state: 'paired' });
    const wait = { until: { kind: 'synced' }, timeoutMs: 1000 } as const;
    expect(await sites.drive(a.wait(wait))).toMatchObject({ restoredSequence: a.set.newest });
    expect(network.dials).toBe(dials);
    expect(a.status().pair?.link).toBe('up');
    await sites.closeAll();
  });

  test.each([false, true])('a takeover, forced %s, ends it', async (force) => {
    const { sites, network, a, c } = await kept();
    await sites.write(A, write(0, 0, 100, 2));
    await sites.flush(A);
    await inStep(sites);
    await sites.drive(c.takeOver({ force }));
    await sites.clock.pass(1000);
    const { dials } = network;
    await sites.clock.pass(10 * 60_000);
    expect(network.dials - dials).toBeLessThan(30);
    expect(a.set.file.role).toBe(force ? 'primary' : 'retired');
    expect(c.status().set.role).toBe('primary');
    await sites.write(C, write(0, 0, 100, 3));
    await sites.closeAll();
  });
});

describe('a journal that becomes full of what the secondary lacks', () => {
  test('[R9] slow: hosts wait, and go on when the link returns', async () => {
    const { sites, a, c } = await kept({
      journal: TINY_JOURNAL,
      daemons: { roomWaitMs: 3600_000 },
    });
    sites.leaveAlone(C);
    const hosts = Array.from({ length: 30 }, (_, id) =>
      submit(sites, a, write(1, 4096, 4096 + (id % 3) * 1000, id)),
    );
    await sites.clock.pass(60_000);
    const answered = () => hosts.flat().filter((end) => end === 'ok').length;
    const before = answered();
    expect(before).toBeLessThan(30);
    expect(hosts.flat()).not.toContain('failed');
    expect(a.status()).toMatchObject({ set: { state: 'journal-full' }, pair: { link: 'down' } });
    await sites.clock.pass(120_000);
    expect(answered()).toBe(before);
    sites.away.delete(C);
    await sites.clock.run(() => answered() === 30);
    await inStep(sites);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    expect(a.replication.counts.copiesBegun).toBe(1);
    await sites.closeAll();
  });

  test('[R6] [R9] map: hosts go on, and only what changed is sent when it returns', async () => {
    const { sites, a, c } = await kept({ journal: TINY_JOURNAL });
    await sites.keepByMap(A);
    sites.leaveAlone(C);
    const before = a.replication.counts;
    await sites.writeMuch(A);
    await sites.clock.pass(60_000);
    expect(a.status()).toMatchObject({ set: { state: 'suspended' }, pair: { link: 'down' } });
    expect(a.status().health.reason).toMatch(/full.*tried again by itself/);
    expect(a.status().pair?.lag?.bytes).toBeLessThan(20_000);
    sites.away.delete(C);
    await inStep(sites);
    const { copiedBytes, copiesBegun } = a.replication.counts;
    // `writeMuch` touches two blocks behind 4096, again and again.
    expect(copiedBytes - before.copiedBytes).toBeGreaterThan(0);
    expect(copiedBytes - before.copiedBytes).toBeLessThanOrEqual(4 * 4096);
    expect(copiesBegun).toBe(before.copiesBegun);
    expect(difference(peekAll(c.set), sites.model.now)).toBeUndefined();
    expect(a.set.contents.dirty.inUse).toBe(false);
    await sites.closeAll();
  });
});

describe('a migration in daemons', () => {
  async function moving(options: SitesOptions = {}) {
    const made = await kept(options);
    const b = await made.sites.create(B);
    return { ...made, b };
  }

  test.each(['drain', 'handoff', 'bitmap'] as const)(
    '[R6] %s: a target that restarts goes on by itself',
    async (mode) => {
      const { sites, b } = await moving({ syncMs: 1 });
      await sites.drive(b.migrate({ ...MIGRATE, mode, detach: true }));
      await sites.crash(B);
      await sites.open(B);
      const again = sites.machine(B).node;
      await sites.clock.run(() => again?.set.file.migration?.state === 'done');
      await sites.write(B, write(0, 0, 3000, 5));
      await inStep(sites, B);
      expect(await sites.differs(B)).toBeUndefined();
      await sites.closeAll();
    },
  );

  test('goes on behind --detach; a resume meanwhile waits for it', async () => {
    const { sites, network, b } = await moving();
    network.change({ bytesPerSecond: 20_000 });
    await sites.drive(b.migrate({ ...MIGRATE, detach: true }));
    expect(b.set.file.migration?.state).toBe('copying');
    const [first, second] = await Promise.all([
      sites.drive(b.resumeMigration({ maxRate: undefined })),
      sites.drive(b.resumeMigration({ maxRate: undefined })),
    ]);
    expect([first.state, second.state]).toEqual(['done', 'done']);
    await sites.closeAll();
  });

  test('[R6] a source that is lost for a while is asked again', async () => {
    const { sites, network, b } = await moving();
    await sites.drive(b.migrate({ ...MIGRATE, detach: true }));
    sites.leaveAlone(A);
    // C has all that A owed, and could give what is absent: it is away as well.
    sites.leaveAlone(C);
    const { dials } = network;
    await sites.clock.pass(5 * 60_000);
    expect(b.set.file.migration?.state).toBe('copying');
    expect(network.dials - dials).toBeLessThan(400);
    sites.away.clear();
    await sites.clock.run(() => b.set.file.migration?.state === 'done');
    expect(await sites.differs(B)).toBeUndefined();
    await sites.closeAll();
  });

  test('an abort ends what is kept going', async () => {
    const { sites, network, a, b } = await moving();
    network.change({ bytesPerSecond: 2000 });
    await sites.drive(b.migrate({ ...MIGRATE, mode: 'handoff', detach: true }));
    await sites.clock.pass(100);
    const answer = await sites.drive(b.abortMigration());
    expect(answer.state).toBe('aborted');
    network.fair();
    await sites.clock.pass(60_000);
    await sites.write(A, write(0, 0, 3000, 5));
    await inStep(sites, A);
    expect(a.set.file.seal).toBeNull();
    await sites.closeAll();
  });
});

test('[R7] maps stay until what the journal let go is durable at the secondary', async () => {
  const sites = new Sites({ daemons: {}, journal: TINY_JOURNAL, syncMs: 1 });
  const { a, c } = await sites.paired();
  await sites.keepByMap(A);
  sites.machine(C).syncMs = 4_000; // it receives much sooner than it has it durable
  for (let id = 10; id < 40 && a.set.fallBacks === 0; id += 1) {
    await sites.write(A, write(1, 4096, 8000, id));
  }
  await sites.clock.run(() => {
    const lacks = (a.set.ownRun()?.firstKept ?? 0) > (c.set.ownRun()?.durable ?? 0) + 1;
    if (lacks && a.set.file.pair?.state === 'paired') throw new Error('nobody knows what C lacks');
    return a.set.fallBacks > 0 && a.set.file.pair?.state === 'paired';
  });
  await sites.crash(C, 'lose');
  sites.machine(C).syncMs = 1;
  await sites.open(C);
  await inStep(sites);
  expect(a.replication.counts.copiesBegun).toBe(1);
  await sites.closeAll();
});
