/** Path controllers between simulated sites: hosts keep their disk, whatever happens to sets. */
import { describe, expect, test } from '@jest/globals';
import { Gate, GateHost } from '../support/gates.ts';
import { A, B, C, MIGRATE, Sites, WAYS } from '../support/sites.ts';
import { difference, peekAll } from '../support/image-sets.ts';

async function gated(seed: number) {
  const sites = new Sites({ seed, daemons: {}, syncMs: 1 });
  const a = await sites.create(A);
  const c = await sites.create(C);
  await sites.drive(a.createPair({ secondary: C }));
  await sites.clock.run(() => a.set.file.pair?.state === 'paired');
  const gate = new Gate(sites, 'gate');
  await gate.start();
  const names = sites.volumes.map(({ name }) => name);
  await gate.lead(A, ...names);
  const hosts = names.map((name) => new GateHost(gate.connect(name), sites.random));
  const pause = () => sites.clock.sleep(1 + sites.random.below(6));
  return { sites, a, c, gate, hosts, run: () => hosts.forEach((host) => host.run(pause)) };
}

type World = Awaited<ReturnType<typeof gated>>;

async function rest({ sites, hosts }: World): Promise<void> {
  await sites.drive(Promise.all(hosts.map((host) => host.stop())));
  for (const host of hosts) {
    await sites.drive(host.check());
    expect(host.errors).toEqual([]);
  }
}

/** The set holds what hosts know, and C what the set holds. */
async function expectSame({ sites, hosts }: World, primary: string): Promise<void> {
  const { set } = await sites.open(primary);
  const found = await sites.contents(primary);
  for (const [index, host] of hosts.entries()) {
    const ours = found[index]?.subarray(0, host.expected.length);
    expect(ours && host.expected.equals(ours)).toBe(true);
  }
  const c = await sites.open(C);
  const upTo = set.newest;
  await sites.clock.run(() => c.set.applied.sequence >= upTo && c.set.usable);
  expect(difference(peekAll(c.set), found)).toBeUndefined();
}

describe('a path controller', () => {
  test('carries the requests of its hosts, and tells where they go', async () => {
    const world = await gated(1);
    world.run();
    await world.sites.clock.pass(500);
    await rest(world);
    const status = await world.gate.node.status();
    expect(status.sets).toMatchObject([{ state: 'open', set: { name: 'tokyo' }, next: null }]);
    expect(world.a.status().controllers).toMatchObject([{ name: 'gate', attached: true }]);
    await expectSame(world, A);
    await world.gate.stop();
    expect(world.a.status().controllers).toEqual([]);
    await world.sites.closeAll();
  });

  test.each(WAYS)('moves its hosts while they write: $mode, $copy', async ({ mode, copy }) => {
    const world = await gated(2);
    const { sites, gate } = world;
    await sites.create(B);
    world.run();
    await sites.clock.pass(300);
    const b = await sites.open(B);
    const answer = await sites.drive(b.migrate({ ...MIGRATE, mode, copy }));
    expect(answer.state).toBe('done');
    await sites.clock.pass(300);
    await rest(world);
    expect(world.a.set.file.seal?.nextSequence).toBe(answer.nextSequence);
    expect(b.set.ownRun()?.identity.first).toBe(answer.nextSequence);
    const { sets } = await gate.node.status();
    expect(sets).toMatchObject([{ state: 'open', set: { name: 'osaka' }, next: null }]);
    await expectSame(world, B);
    await sites.closeAll();
  });
});

describe('a set that loses what was not flushed', () => {
  test.each([1, 2, 3, 4])(
    '[R2] gets it again, and no flush covers up a loss (seed %d)',
    async (seed) => {
      const world = await gated(seed);
      const { sites } = world;
      world.run();
      for (let round = 0; round < 4; round += 1) {
        await sites.clock.pass(100 + sites.random.below(100));
        await sites.crash(A, 'lose');
        await sites.clock.pass(sites.random.below(300));
        world.a = await sites.open(A);
      }
      await sites.clock.pass(300);
      await rest(world);
      await expectSame(world, A);
      await sites.closeAll();
    },
  );
});

/** One host at one export of one set, through one controller. */
async function simple(seed = 1, holdMs?: number) {
  const sites = new Sites({ seed, daemons: {}, syncMs: 1 });
  const a = await sites.create(A);
  const gate = new Gate(sites, 'gate');
  if (holdMs !== undefined) gate.holdMs = holdMs;
  await gate.start();
  const [volume] = sites.volumes;
  if (!volume) throw new Error('there is a volume');
  await gate.lead(A, volume.name);
  const host = new GateHost(gate.connect(volume.name), sites.random);
  return { sites, a, gate, host, volume: volume.name };
}

const FIRST = { offset: 0, length: 4096 };
const SECOND = { offset: 2048, length: 4096 };

describe('two controllers in front of one set', () => {
  async function both(seed: number) {
    const world = await simple(seed);
    const { sites, volume } = world;
    const other = new Gate(sites, 'other');
    await other.start();
    await other.lead(A, volume);
    const neighbour = new GateHost(other.connect(volume), sites.random);
    return { ...world, other, neighbour };
  }

  test.each([1, 2, 3])(
    '[R2] what was lost is written again in one order (seed %d)',
    async (seed) => {
      const { sites, host, neighbour } = await both(seed);
      const last = Buffer.alloc(40 * 1024);
      for (let round = 0; round < 12; round += 1) {
        const writer = sites.random.below(2) === 0 ? host : neighbour;
        const offset = 512 * sites.random.below(20);
        await sites.drive(writer.write({ offset, length: 2048 }));
        writer.expected.copy(last, offset, offset, offset + 2048);
      }
      await sites.crash(A, 'lose');
      await sites.open(A);
      last.copy(host.expected);
      await sites.drive(host.check(0, last.length));
      expect([host.errors, neighbour.errors]).toEqual([[], []]);
      await sites.closeAll();
    },
  );

  test('nobody goes on before both are back, and a direct host waits as well', async () => {
    const { sites, gate, host, neighbour } = await both(4);
    await sites.drive(neighbour.write(FIRST));
    await sites.crash(A, 'lose');
    const unblock = blockFrom(sites, 'other');
    const a = await sites.open(A);
    const direct = new GateHost(must(a.hostDevice(0)), sites.random);
    const done: string[] = [];
    void host.write(SECOND).then(() => done.push('host'));
    void direct.write({ offset: 8192, length: 512 }).then(() => done.push('direct'));
    await sites.clock.pass(5_000);
    expect(done).toEqual([]);
    unblock();
    await sites.clock.pass(2_000);
    expect(done.toSorted()).toEqual(['direct', 'host']);
    neighbour.expected.copy(host.expected, 0, 0, 2048);
    await sites.drive(host.check(0, 6144));
    expect(gate.events.at(-1)?.message).toBe('hosts go on');
    await sites.closeAll();
  });

  test('one that never comes back is given up; its hosts are told by one flush each', async () => {
    const { sites, other, host, neighbour, volume } = await both(5);
    const second = new GateHost(other.connect(volume), sites.random);
    await sites.drive(neighbour.write(FIRST));
    await sites.crash(A, 'lose');
    const unblock = blockFrom(sites, 'other');
    const a = await sites.open(A);
    await sites.drive(host.write({ offset: 8192, length: 512 }));
    expect(host.errors).toEqual([]);
    expect(a.status().notices.join(' ')).toContain('are not waited for: other');
    unblock();
    const flushes = [await sites.drive(neighbour.flush()), await sites.drive(neighbour.flush())];
    expect(flushes).toEqual([false, true]);
    expect(await sites.drive(second.flush())).toBe(false);
    expect(await sites.drive(second.flush())).toBe(true);
    expect(await sites.drive(host.flush())).toBe(true);
    await sites.closeAll();
  });
});

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is there');
  return value;
}

/** Nobody at `from` reaches an address any more, until what comes back is called. */
function blockFrom(sites: Sites, from: string, address = A): () => void {
  let blocked = true;
  const isBlocked = (dialler: string, dialled: string): boolean =>
    blocked && dialler === from && dialled === address;
  const dial = sites.dial.bind(sites);
  const dialHosts = sites.dialHosts.bind(sites);
  const noRoute = (): Promise<never> => Promise.reject(new Error('no route'));
  sites.dial = (...words) => (isBlocked(words[0], words[1]) ? noRoute() : dial(...words));
  sites.dialHosts = (...words) => (isBlocked(words[0], words[1]) ? noRoute() : dialHosts(...words));
  return () => {
    blocked = false;
  };
}

describe('when no set answers', () => {
  test('hosts wait for the hold limit, then get an error; later ones go on', async () => {
    const { sites, host } = await simple(1, 10_000);
    await sites.drive(host.write(FIRST));
    await sites.close(A);
    const failed = host.write(SECOND);
    await sites.clock.pass(9_000);
    expect(host.errors).toEqual([]);
    await sites.clock.pass(2_000);
    await sites.drive(failed);
    expect(host.errors).toEqual(['E_TIMEOUT']);
    const waits = host.write({ offset: 8192, length: 512 });
    await sites.clock.pass(5_000);
    await sites.open(A);
    await sites.drive(waits);
    await sites.drive(host.check(0, 2048));
    expect(host.errors).toEqual(['E_TIMEOUT']);
    await sites.closeAll();
  });
});

describe('[R4] the generation fence', () => {
  test('a request on a stream of an older generation is not taken any more', async () => {
    const { sites, a, gate, host, volume } = await simple(2);
    await sites.drive(host.write(FIRST));
    const stream = await sites
      .dialHosts('gate', A, { controllerId: gate.id, generation: 0 })
      .catch((error: { code: string }) => error.code);
    expect(stream).toBe('E_STATE');
    const before = a.set.newest;
    await gate.kill();
    await gate.start();
    const again = new GateHost(gate.connect(volume), sites.random);
    await sites.drive(again.write(SECOND));
    expect(a.set.newest).toBe(before + 1);
    await sites.closeAll();
  });
});

describe('a migration under live hosts', () => {
  test('a controller that cannot reach the target stops it before the switch', async () => {
    const world = await gated(6);
    const { sites, a, gate } = world;
    const b = await sites.create(B);
    await sites.clock.pass(50);
    blockFrom(sites, 'gate', B);
    const refused = await sites.refusal(b.migrate({ ...MIGRATE }));
    expect(refused.message).toMatch(/path controller gate did not get ready/);
    expect(a.set.file.seal).toBeNull();
    world.run();
    await sites.clock.pass(100);
    await sites.drive(b.abortMigration());
    await sites.clock.pass(200);
    await rest(world);
    expect((await gate.node.status()).sets).toMatchObject([{ state: 'open', next: null }]);
    await expectSame(world, A);
    await sites.closeAll();
  });

  test('A may be lost for good once C has N - 1: the rest comes from C', async () => {
    const world = await gated(7);
    const { sites } = world;
    const b = await sites.create(B);
    world.run();
    await sites.clock.pass(300);
    const { nextSequence } = await sites.drive(
      b.migrate({ ...MIGRATE, copy: 'post', detach: true, maxRate: 4096 }),
    );
    await sites.clock.run(() => world.c.set.applied.sequence >= nextSequence - 1);
    expect(b.set.contents.absentBytes).toBeGreaterThan(0);
    await sites.crash(A);
    sites.away.add(A);
    await sites.clock.run(() => b.set.file.migration?.state === 'done');
    await sites.clock.pass(200);
    await rest(world);
    await expectSame(world, B);
    sites.machine(A).node = undefined;
    await sites.closeAll();
  });

  test('an abort behind the switch brings hosts back, while B has no record', async () => {
    const world = await gated(8);
    const { sites, gate, hosts, a } = world;
    const b = await sites.create(B);
    world.run();
    await sites.clock.pass(200);
    await rest(world); // idle hosts
    await sites.drive(b.migrate({ ...MIGRATE, detach: true, maxRate: 512 }));
    await sites.clock.run(() => gate.events.some(({ facts }) => facts['set'] === 'osaka'));
    for (const host of hosts) await sites.drive(host.check());
    await sites.drive(b.abortMigration());
    world.run();
    await sites.clock.pass(200);
    await rest(world);
    expect(a.set.file.epoch).toBe(3);
    expect((await gate.node.status()).sets).toMatchObject([{ set: { name: 'tokyo' }, epoch: 3 }]);
    await expectSame(world, A);
    await sites.closeAll();
  });

  test('A to B and back to A, under the same hosts', async () => {
    const world = await gated(9);
    const { sites } = world;
    await sites.create(B);
    world.run();
    await sites.clock.pass(100);
    await sites.migrate();
    await sites.clock.pass(100);
    await sites.remake(A);
    await sites.migrate(false, B, A);
    await sites.clock.pass(100);
    await rest(world);
    await expectSame(world, A);
    await sites.closeAll();
  });
});

describe('a takeover by force', () => {
  test('[R2] what only A had is lost, and each host is told by its next flush, once', async () => {
    const { sites, gate, hosts, c } = await gated(10);
    const [host, other] = hosts;
    if (!host || !other) throw new Error('there are two hosts');
    sites.leaveAlone(C);
    await sites.drive(host.write(FIRST));
    await sites.crash(A);
    sites.away.add(A);
    sites.away.delete(C);
    await sites.drive(c.takeOver({ force: true }));
    const [volume] = sites.volumes;
    const request = { export: volume?.name ?? '', set: C, volume: volume?.name, replace: true };
    await sites.drive(gate.node.add(request));
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    expect(await sites.drive(other.flush())).toBe(true);
    await sites.drive(host.write(SECOND));
    expect(host.errors).toEqual(['E_IO']);
    sites.machine(A).node = undefined;
    await sites.closeAll();
  });
});
