/** Path controllers between simulated sites: hosts keep their disk, whatever happens to the sets. */
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
  const pause = () => sites.clock.sleep(sites.random.below(3));
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
