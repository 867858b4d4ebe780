/** What operators change at path controllers while sets come and go: exports, sets, takeovers. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { idFromBytes } from '../../src/base/ids.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { DeviceRequest } from '../../src/device/device.ts';
import { FrameChannel } from '../../src/link/channel.ts';
import type { Hello } from '../../src/link/messages.ts';
import { PeerClient } from '../../src/link/service.ts';
import { migrationCallOf } from '../../src/node/migration-target.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { helloOf } from '../../src/node/path-session.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { Gate, GateHost } from '../support/gates.ts';
import { A, B, C, MIGRATE, Sites } from '../support/sites.ts';

/** One controller in front of all volumes of one set, and a host at each. */
async function gated(seed = 1) {
  const sites = new Sites({ seed, daemons: {}, syncMs: 1 });
  const a = await sites.create(A);
  const gate = new Gate(sites, 'gate');
  await gate.start();
  const [first, second] = sites.volumes.map(({ name }) => name);
  if (!first || !second) throw new Error('there are two volumes');
  await gate.lead(A, first, second);
  const host = new GateHost(gate.connect(first), sites.random);
  const other = new GateHost(gate.connect(second), sites.random);
  return { sites, a, gate, first, second, host, other };
}

/** The same, the set with a secondary. */
async function paired(seed = 1) {
  const world = await gated(seed);
  const { sites, a } = world;
  const c = await sites.create(C);
  await sites.drive(a.createPair({ secondary: C }));
  await sites.clock.run(() => c.set.usable && a.set.file.pair?.state === 'paired');
  return { ...world, c };
}

const OTHER = idFromBytes<'controller'>(Buffer.alloc(16, 9));
const FIRST = { offset: 0, length: 4096 };
const FLUSH: DeviceRequest = { kind: 'flush' };
const SECOND = { offset: 2048, length: 4096 };

describe('exports that come and go', () => {
  test('an export that is removed and added again serves hosts at once', async () => {
    const { sites, gate, second, host, other } = await gated();
    await sites.drive(other.write(FIRST));
    await sites.drive(gate.node.remove({ export: second }));
    expect(await sites.drive(other.flush())).toBe(false);
    const adding = gate.lead(A, second);
    await sites.clock.run(() => gate.node.exports.find(second) !== undefined);
    const again = new GateHost(gate.connect(second), sites.random);
    const early = again.write(SECOND);
    await adding;
    await sites.drive(early);
    await sites.drive(again.flush());
    await sites.drive(host.write(FIRST));
    expect([again.errors, host.errors]).toEqual([[], []]);
    await sites.closeAll();
  });

  test('an export that could not be saved is not there, and can be added again', async () => {
    const { sites, gate, first, second } = await gated();
    await sites.drive(gate.node.remove({ export: second }));
    await sites.drive(gate.node.remove({ export: first }));
    for (const volume of [first, second]) {
      const request = { export: volume, set: A, volume, replace: false };
      gate.diskIsFull = true;
      expect((await sites.refusal(gate.node.add(request))).code).toBe('E_NO_SPACE');
      expect(gate.node.exports.find(volume)).toBeUndefined();
      sites.cutLinks('gate');
      const others = gate.node.exports.list().map(({ device }) => submitAndWait(device, FLUSH));
      await sites.drive(Promise.all(others));
      gate.diskIsFull = false;
      await sites.drive(gate.node.add(request));
      const host = new GateHost(gate.connect(volume), sites.random);
      await sites.drive(host.write(FIRST));
      expect(host.errors).toEqual([]);
    }
    await sites.closeAll();
  });

  test('no way is kept without an export, wherever a removal is cut off', async () => {
    const { sites, a, gate, first, second } = await gated();
    await sites.drive(gate.node.remove({ export: second }));
    await sites.clock.run(() => a.status().controllers.length === 1);
    const removing = gate.node.remove({ export: first });
    await sites.clock.run(() => {
      const [way] = gate.saved.ways;
      expect(way?.exports).not.toEqual([]);
      return a.status().controllers.length === 0;
    });
    await sites.drive(removing);
    expect(gate.saved.ways).toEqual([]);
    await sites.closeAll();
  });

  test('what a removed export had lost holds nobody up', async () => {
    const { sites, gate, second, host, other } = await gated();
    await sites.drive(host.write(FIRST));
    await sites.drive(other.write(FIRST));
    await sites.crash(A, 'lose');
    await sites.drive(gate.node.remove({ export: second }));
    const a = await sites.open(A);
    await sites.drive(host.write(SECOND));
    await sites.drive(host.check(0, 8192));
    expect(a.status().notices.join(' ')).not.toContain('are not waited for');
    expect(host.errors).toEqual([]);
    await sites.closeAll();
  });

  test('a request that was under way when its export was removed holds nobody up', async () => {
    const { sites, a, gate, second, host, other } = await gated();
    await sites.clock.pass(100);
    const letGo = a.set.hosts.hold();
    const late = other.write(FIRST);
    await sites.clock.pass(50);
    await sites.drive(gate.node.remove({ export: second }));
    sites.cutLinks('gate');
    await sites.clock.pass(0);
    letGo();
    await sites.drive(host.write(SECOND));
    await sites.drive(late);
    expect([host.errors, other.errors]).toEqual([[], ['E_STOPPED']]);
    await sites.closeAll();
  });
});

describe('[R1] a takeover by force', () => {
  test('of the source of a migration: nothing is written again into its epoch', async () => {
    const { sites, a, gate, first, host, other } = await paired();
    const b = await sites.create(B);
    await sites.drive(host.write(FIRST));
    await sites.drive(b.migrate({ ...MIGRATE, detach: true, maxRate: 512 }));
    await sites.clock.run(() => gate.events.some(({ facts }) => facts['set'] === 'osaka'));
    await sites.drive(other.write(FIRST));
    await sites.drive(other.flush());
    await sites.drive(host.write(SECOND));
    await sites.crash(B);
    sites.away.add(B);
    await sites.drive(a.takeOver({ force: true }));
    const { newest } = a.set;
    await sites.drive(gate.node.add({ export: first, set: A, volume: first, replace: true }));
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    expect(await sites.drive(other.flush())).toBe(false);
    expect(a.set.newest).toBe(newest);
    sites.machine(B).node = undefined;
    await sites.closeAll();
  });

  test('[R2] that lost what a flush had promised is told as well', async () => {
    const { sites, c, gate, first, host, other } = await flushedWhatOnlyAHad();
    await sites.drive(c.takeOver({ force: true }));
    await sites.drive(gate.node.add({ export: first, set: C, volume: first, replace: true }));
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    expect(await sites.drive(other.flush())).toBe(true);
    sites.machine(A).node = undefined;
    await sites.closeAll();
  });
});

/** A is gone for good, and with it what a flush had promised: C never got it. */
async function flushedWhatOnlyAHad() {
  const world = await paired();
  const { sites, host } = world;
  sites.leaveAlone(C);
  await sites.drive(host.write(FIRST));
  expect(await sites.drive(host.flush())).toBe(true);
  await sites.crash(A);
  sites.away.add(A);
  sites.away.delete(C);
  return world;
}

test('[R2] a controller that comes late to a takeover tells what was lost with it', async () => {
  // Seed 83: the set had gone on behind the number at which it took over, and was opened again.
  const { sites, c, gate, first, host } = await flushedWhatOnlyAHad();
  await sites.drive(c.takeOver({ force: true }));
  const device = c.hostDevice(0);
  if (!device) throw new Error('it has a volume');
  const direct = new GateHost(device, sites.random);
  for (let count = 0; count < 4; count += 1) await sites.drive(direct.write(SECOND));
  await sites.close(C);
  await sites.open(C);
  await sites.drive(gate.node.add({ export: first, set: C, volume: first, replace: true }));
  expect(await sites.drive(host.flush())).toBe(false);
  expect(await sites.drive(host.flush())).toBe(true);
  sites.machine(A).node = undefined;
  await sites.closeAll();
});

/** Nobody at the controller reaches a set any more, until what comes back is called. */
function blockFrom(sites: Sites, from: string, address = A): () => void {
  let blocked = true;
  const dial = sites.dial.bind(sites);
  const noRoute = (): Promise<never> => Promise.reject(new Error('no route'));
  sites.dial = (...words) =>
    blocked && words[0] === from && words[1] === address ? noRoute() : dial(...words);
  return () => {
    blocked = false;
  };
}

describe('[R2] what a controller that was given up has lost is never covered up', () => {
  /** A has lost a write of the host; others have gone on. */
  async function givenUp() {
    const world = await paired();
    const { sites, host } = world;
    await sites.drive(host.write(FIRST));
    await sites.crash(A, 'lose');
    const unblock = blockFrom(sites, 'gate');
    const a = await sites.open(A);
    const device = a.hostDevice(0);
    if (!device) throw new Error('it has a volume');
    const direct = new GateHost(device, sites.random);
    for (let count = 0; count < 4; count += 1) await sites.drive(direct.write(SECOND));
    expect(a.status().notices.join(' ')).toContain('are not waited for: gate');
    await sites.drive(direct.flush());
    return { ...world, a, unblock };
  }

  test('by the seal of a set where it was not known any more', async () => {
    const { sites, c, host, unblock } = await givenUp();
    await sites.drive(c.takeOver({ force: false }));
    unblock();
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    await sites.closeAll();
  });

  test('by writing it again where there is no room for it', async () => {
    const { sites, host } = await gated();
    await sites.drive(host.write(FIRST));
    await sites.drive(host.write(SECOND));
    await sites.crash(A, 'lose');
    const unblock = blockFrom(sites, 'gate');
    const a = await sites.open(A, { roomWaitMs: 1_000 });
    const letGo = a.set.hosts.hold();
    unblock();
    await sites.clock.run(() => a.set.hosts.waitingRequests === 2);
    sites.cutLinks('gate'); // what it comes back to is not known yet
    await sites.clock.pass(2_000);
    letGo();
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    await sites.closeAll();
  });

  test('by a later reign, when it came back and heard nothing of the one between', async () => {
    const { sites, gate, host, unblock } = await givenUp();
    const { id, name } = gate;
    const hello = helloOf({ id, name, address: null });
    const client = new PeerClient(await sites.asker(A), hello);
    const { setId } = (await sites.open(A)).set.file;
    const call = { controllerId: id, generation: 1, setId, name, address: null };
    await sites.drive(client.call('path.attach', call));
    client.close();
    await sites.clock.pass(100);
    await sites.crash(A, 'lose');
    await sites.open(A);
    unblock();
    expect(await sites.drive(host.flush())).toBe(false);
    expect(await sites.drive(host.flush())).toBe(true);
    await sites.closeAll();
  });
});

test('[R2] a planned takeover waits for what controllers have lost', async () => {
  const { sites, c, host } = await paired();
  await sites.drive(host.write(FIRST));
  await sites.crash(A, 'lose');
  const unblock = blockFrom(sites, 'gate');
  await sites.open(A);
  const taken = sites.drive(c.takeOver({ force: false }));
  await sites.clock.pass(500);
  unblock();
  await taken;
  await sites.drive(host.flush());
  await sites.drive(host.check(0, 4096));
  expect(host.errors).toEqual([]);
  await sites.closeAll();
});

test('[R1] what was written again without an answer stays before what came later', async () => {
  const { sites, a, host, gate } = await gated();
  const device = a.hostDevice(0);
  if (!device) throw new Error('it has a volume');
  const direct = new GateHost(device, sites.random);
  for (let count = 0; count < 4; count += 1) await sites.drive(direct.write(SECOND));
  await sites.drive(host.write(FIRST)); // number 5, and the only one that is not lost for good
  await sites.crash(A, 'lose');
  const unblock = blockFrom(sites, 'gate');
  const again = await sites.open(A);
  const letGo = again.set.hosts.hold();
  unblock();
  await sites.clock.run(() => again.set.hosts.waitingRequests === 1);
  sites.cutLinks('gate');
  await sites.clock.pass(0);
  letGo();
  await sites.clock.run(
    () => gate.events.filter(({ message }) => message === 'hosts go on').length === 2,
  );
  await sites.drive(host.write(SECOND));
  await sites.crash(A, 'lose');
  await sites.open(A);
  await sites.drive(host.check(0, 8192));
  expect(host.errors).toEqual([]);
  await sites.closeAll();
});

test('[R4] the streams of a controller that was given up are of no use any more', async () => {
  const { sites, gate, host, first } = await gated();
  await sites.drive(host.write(FIRST));
  await sites.crash(A, 'lose');
  blockFrom(sites, 'gate');
  const a = await sites.open(A);
  const as = { controllerId: gate.id, generation: 2 ** 40 };
  const { setId } = a.set.file;
  const hello = helloOf({ id: gate.id, name: gate.name, address: null });
  const client = new PeerClient(await sites.asker(A), hello);
  await sites.drive(client.call('path.attach', { ...as, setId, name: gate.name, address: null }));
  const stream = await sites.dialHosts('/asker', A, as);
  const opening = NbdClient.open(stream, { clock: sites.clock, exportName: first });
  const device = await sites.drive(opening);
  client.close(); // its link has ended, and its stream has not
  await sites.clock.run(() => a.status().notices.join(' ').includes('are not waited for: gate'));
  const late = { kind: 'write', offset: 0, length: 512, data: [Buffer.alloc(512)], fua: false };
  const refused = await sites.refusal(submitAndWait(device, late as DeviceRequest));
  expect(refused.code).toBe('E_UNREACHABLE');
  expect(a.set.newest).toBe(0);
  await sites.closeAll();
});

test('[R9] a controller that comes back and says nothing holds nobody up for ever', async () => {
  const { sites, gate, host } = await gated();
  await sites.drive(host.write(FIRST));
  await sites.crash(A, 'lose');
  blockFrom(sites, 'gate');
  const a = await sites.open(A);
  const stream = await sites.dial('/asker', A);
  const channel = new FrameChannel(stream, { clock: sites.clock, beatMs: 2_000 });
  const client = new PeerClient(channel, helloOf({ id: gate.id, name: gate.name, address: null }));
  const { setId } = a.set.file;
  const as = { controllerId: gate.id, generation: 2 ** 40, setId, name: gate.name, address: null };
  await sites.drive(client.call('path.attach', as));
  const device = a.hostDevice(0);
  if (!device) throw new Error('it has a volume');
  const direct = new GateHost(device, sites.random);
  await sites.drive(direct.write(SECOND));
  expect(a.status().notices.join(' ')).toContain('are not waited for: gate');
  await sites.closeAll();
});

test('[R4] a controller never leads two ways to one group', async () => {
  const { sites, gate, first, c, host } = await paired();
  await sites.crash(A);
  sites.away.add(A);
  await sites.drive(c.takeOver({ force: true }));
  const request = { export: 'new', set: C, volume: first, replace: false };
  const refused = await sites.refusal(gate.node.add(request));
  expect([refused.code, refused.message]).toEqual([
    'E_STATE',
    expect.stringContaining('exports of its volumes lead to tokyo'),
  ]);
  await sites.drive(gate.node.add({ ...request, export: first, replace: true }));
  await sites.drive(gate.node.add(request));
  const again = new GateHost(gate.connect('new'), sites.random);
  await sites.drive(again.write(FIRST));
  await sites.drive(host.write(SECOND));
  expect([again.errors, host.errors]).toEqual([[], []]);
  sites.machine(A).node = undefined;
  await sites.closeAll();
});

test('[R1] what a host that has gone asked for is not sent any more', async () => {
  const { sites, a, gate, first } = await gated();
  await sites.clock.pass(100);
  const server = new NbdServer({ clock: sites.clock, exports: gate.node.exports });
  const names = { names: ['host', 'gate'] as const, chunkBytesMax: 16 * 1024 };
  const [near, far] = memoryStreamPair(sites.clock, sites.random, names);
  server.accept(far);
  const opening = NbdClient.open(near, { clock: sites.clock, exportName: first });
  const client = await sites.drive(opening);
  const unblock = blockFrom(sites, 'gate');
  sites.cutLinks('gate');
  const data = [Buffer.alloc(512, 7)];
  const stale = submitAndWait(client, { kind: 'write', offset: 0, length: 512, data, fua: false });
  stale.catch(() => undefined);
  await sites.clock.run(() => waitsAt(server));
  client.destroy(new RcopyError('E_STOPPED', 'the host goes elsewhere'));
  await sites.clock.pass(10);
  const device = a.hostDevice(0);
  if (!device) throw new Error('it has a volume');
  const elsewhere = new GateHost(device, sites.random);
  await sites.drive(elsewhere.write(FIRST));
  unblock();
  await sites.clock.pass(5_000);
  await sites.drive(elsewhere.check(0, 4096));
  expect(elsewhere.errors).toEqual([]);
  await sites.closeAll();
});

function waitsAt(server: NbdServer): boolean {
  return server.connections().some(({ requestsInFlight }) => requestsInFlight === 1);
}

test('a controller that could not note a migration tries again, and says so', async () => {
  const { sites, gate, host } = await paired();
  const b = await sites.create(B);
  await sites.drive(host.write(FIRST));
  gate.diskIsFull = true;
  const moved = sites.drive(b.migrate(MIGRATE));
  await sites.clock.pass(2_000);
  expect(gate.events.map(({ message }) => message)).toContain('paths.json could not be saved');
  gate.diskIsFull = false;
  expect((await moved).state).toBe('done');
  await sites.drive(host.check(0, 4096));
  await sites.closeAll();
});

test('[R2] a seal that is asked for behind a restart waits for what was lost as well', async () => {
  const { sites, a, host } = await paired();
  const b = await sites.create(B);
  blockFrom(sites, 'gate', B);
  await sites.refusal(b.migrate(MIGRATE));
  const { migration } = b.set.file;
  if (!migration) throw new Error('it has begun');
  await sites.drive(host.write(FIRST));
  const { newest } = a.set;
  await sites.crash(A, 'lose');
  const unblock = blockFrom(sites, 'gate');
  const again = await sites.open(A);
  const hello = { ...helloOf({ id: OTHER, name: 'asker', address: null }), purpose: 'service' };
  const client = new PeerClient(await sites.asker(A), hello as Hello);
  const sealing = client.call('migration.seal', migrationCallOf(migration));
  await sites.clock.pass(100);
  unblock();
  await sites.drive(sealing);
  expect(again.set.file.seal?.nextSequence).toBe(newest + 1);
  await sites.closeAll();
});

test('[R5] a controller that means another set leaves this one as it is', async () => {
  const { sites, gate, host } = await gated();
  await sites.drive(host.write(FIRST));
  await sites.remake(A);
  await sites.clock.pass(20_000);
  const { file } = (await sites.open(A)).set;
  expect(file.epoch).toBe(0);
  expect(file.controllers).toBeUndefined();
  const [way] = (await gate.node.status()).sets;
  expect(way?.reason).toContain('is another set now');
  await gate.kill();
  await sites.closeAll();
});

test('[R9] a set remembers no controllers that it does not know', async () => {
  const { sites, a } = await gated();
  for (let count = 0; count < 3; count += 1) {
    const id = idFromBytes<'controller'>(sites.random.bytes(16));
    const client = new PeerClient(
      await sites.asker(A),
      helloOf({ id, name: 'passer-by', address: null }),
    );
    const { setId } = a.set.file;
    const call = { controllerId: id, generation: 1, setId, name: 'passer-by', address: null };
    await sites.drive(client.call('path.attach', call));
    client.close();
    await sites.clock.pass(10);
  }
  expect(a['controllers']['sessions'].size).toBe(1);
  await sites.closeAll();
});

test.each([1, 2, 3])(
  '[R2] what was lost is written again, whatever links are cut meanwhile (seed %d)',
  async (seed) => {
    const { sites, gate, first } = await gated(seed);
    const south = new Gate(sites, 'south');
    await south.start();
    await south.lead(A, first);
    const { sizeBytes } = gate.connect(first);
    const hosts = [
      new GateHost(gate.connect(first), sites.random, { from: 0, to: 10_240 }),
      new GateHost(south.connect(first), sites.random, { from: 10_240, to: sizeBytes }),
    ];
    const pause = () => sites.clock.sleep(1 + sites.random.below(6));
    for (const each of hosts) each.run(pause);
    for (let round = 0; round < 8; round += 1) {
      await sites.clock.pass(10 + sites.random.below(80));
      await sites.crash(A, sites.random.below(2) === 0 ? 'lose' : 'random');
      await sites.clock.pass(sites.random.below(40));
      await sites.open(A);
      for (let cuts = sites.random.below(4); cuts > 0; cuts -= 1) {
        await sites.clock.pass(sites.random.below(12));
        sites.cutLinks(['gate', 'south', A][sites.random.below(3)] ?? A);
      }
    }
    await sites.drive(Promise.all(hosts.map((each) => each.stop())));
    for (const each of hosts) {
      await sites.drive(each.check());
      expect(each.errors).toEqual([]);
    }
    await sites.closeAll();
  },
);

test('[R6] a target that waits for a controller stops at once when it is told to', async () => {
  const { sites, gate, host } = await paired();
  await sites.drive(host.write(FIRST));
  const b = await sites.create(B);
  const migrated = b.migrate({ ...MIGRATE, mode: 'bitmap' }).catch(() => undefined);
  await sites.clock.run(() => b.set.file.role === 'primary' && b.set.ownRun() !== undefined);
  await gate.kill();
  await sites.clock.pass(50);
  const before = sites.clock.monotonicMs();
  await sites.close(B);
  await migrated;
  expect(sites.clock.monotonicMs() - before).toBeLessThan(1_000);
  await sites.closeAll();
});
