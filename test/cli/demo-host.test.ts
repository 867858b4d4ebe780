/** The demo's host: where its requests go when the set that it writes to is sealed, and which. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { HostPath } from '../../src/cli/demo/host-path.ts';
import { Traffic } from '../../src/cli/demo/traffic.ts';
import type { Place } from '../../src/cli/demo/traffic.ts';
import { VOLUMES } from '../../src/cli/demo/volumes.ts';
import type { DeviceRequest, Done } from '../../src/device/device.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import type { Network, NetworkAddress } from '../../src/sys/network.ts';
import { seededRandom } from '../sim/random.ts';
import { MemoryDevice } from '../support/memory-device.ts';

const { clock } = nodeEnvironment;
const SEED = 2026;
const random = seededRandom(SEED);
const VOLUME_BYTES = 64 * 1024;

/** A set that hosts reach over NBD, and what it does with them. */
class FakeSet {
  readonly nbd: NetworkAddress;
  readonly devices = new Map(VOLUMES.map(({ name }) => [name, new RefusingDevice(this)]));
  readonly server: NbdServer;
  /** Why it lets no host in. */
  closed: RcopyError | undefined;
  /** Why it refuses requests, once so many were done. */
  refusal: RcopyError | undefined;
  doneMax = 0;
  done = 0;
  refusedHosts = 0;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    this.nbd = { kind: 'unix', path: name };
    this.server = new NbdServer({
      clock,
      exports: {
        list: () => [],
        find: (volume) => {
          const device = this.devices.get(volume as 'db' | 'log');
          if (this.closed) this.refusedHosts += 1;
          return this.closed ?? (device && { name: volume, description: '', device });
        },
      },
    });
  }
}

class RefusingDevice extends MemoryDevice {
  private readonly set: FakeSet;

  constructor(set: FakeSet) {
    super(VOLUME_BYTES);
    this.set = set;
  }

  override submit(request: DeviceRequest, done: Done): void {
    const { set } = this;
    if (set.refusal && set.done >= set.doneMax) {
      done({ ok: false, error: set.refusal });
      return;
    }
    set.done += 1;
    super.submit(request, done);
  }
}

let tokyo = new FakeSet('tokyo');
let osaka = new FakeSet('osaka');
let path: HostPath | undefined;

const network: Network = {
  dial: async (address) => {
    const set = [tokyo, osaka].find(({ nbd }) => nbd === address);
    if (!set) throw new Error('nobody is there');
    const [mine, theirs] = memoryStreamPair(clock, random, { names: ['host', set.name] });
    set.server.accept(theirs);
    return mine;
  },
  listen: () => Promise.reject(new Error('nobody listens here')),
};

beforeEach(async () => {
  tokyo = new FakeSet('tokyo');
  osaka = new FakeSet('osaka');
  osaka.closed = new RcopyError('E_ROLE', 'it has not taken over');
  path = await HostPath.open({ network, clock }, tokyo);
});

afterEach(async () => {
  await path?.close();
  await Promise.all([tokyo.server.stop(), osaka.server.stop()]);
});

function write(index: number): DeviceRequest {
  const data = [Buffer.from(`request ${index}`)];
  return { kind: 'write', offset: index * 100, data, length: 9, fua: false };
}

describe('the way of the host', () => {
  test('what a sealed set refused is done by the next one, once that lets it in', async () => {
    const host = path;
    if (!host) throw new Error('there is a host');
    tokyo.refusal = new RcopyError('E_SEALED', 'tokyo is sealed');
    tokyo.doneMax = 3;
    host.next = osaka;
    const volumes = ['db', 'log'] as const;
    const asked = Array.from({ length: 8 }, async (_, index) =>
      host.ask(volumes[index % 2] ?? 'db', write(index)),
    );
    while (osaka.refusedHosts < 3) await clock.sleep(1);
    expect(host.heldSinceMs).toBeDefined();
    expect(host.pauseMs).toBe(0);
    osaka.closed = undefined;
    const answers = await Promise.all(asked);
    expect(answers.filter(({ at }) => at === 'tokyo')).toHaveLength(3);
    expect(answers.filter(({ at }) => at === 'osaka')).toHaveLength(5);
    for (const [index, { at }] of answers.entries()) {
      const volume = volumes[index % 2] ?? 'db';
      for (const set of [tokyo, osaka]) {
        const content = set.devices
          .get(volume)
          ?.content.toString('latin1', index * 100, index * 100 + 9);
        expect(content === `request ${index}`).toBe(set.name === at);
      }
    }
    expect(host.at).toBe('osaka');
    expect(host.heldSinceMs).toBeUndefined();
    expect(host.pauseMs).toBeGreaterThan(0);
  });

  test.each([
    ['E_NO_SPACE', 'E_NO_SPACE'],
    ['E_IO', 'E_IO'],
  ] as const)('%s is an error for the host, not a reason to move', async (code, seen) => {
    tokyo.refusal = new RcopyError(code, 'no');
    osaka.closed = undefined;
    if (path) path.next = osaka;
    await expect(path?.ask('db', write(0))).rejects.toMatchObject({ code: seen });
    expect(osaka.done).toBe(0);
  });

  test('a sealed set is an error as long as the host knows no other', async () => {
    tokyo.refusal = new RcopyError('E_SEALED', 'tokyo is sealed');
    await expect(path?.ask('db', { kind: 'flush' })).rejects.toMatchObject({ code: 'E_STOPPED' });
  });
});

describe('the traffic of the host', () => {
  test(`has no two overlapping requests in a burst, and stays in its volumes: seed ${SEED}`, () => {
    const later = { read: () => 0 } as unknown as ConstructorParameters<typeof Traffic>[0]['later'];
    const changes = Array.from({ length: 500 }, (_, index) => ({
      offset: index * 4096,
      length: 4096,
    }));
    let due = 0;
    const traffic = new Traffic({ random, changes, later, due: () => due });
    const db: Place[] = [];
    for (let burst = 0; burst < 2_000; burst += 1) {
      due = burst / 1_000;
      const places = traffic.burst();
      for (const [index, one] of places.entries()) {
        const size = VOLUMES.find(({ name }) => name === one.volume)?.sizeBytes ?? 0;
        expect(one.offset + one.length).toBeLessThanOrEqual(size);
        for (const other of places.slice(index + 1)) {
          const apart =
            one.volume !== other.volume ||
            one.offset + one.length <= other.offset ||
            other.offset + other.length <= one.offset;
          expect(apart).toBe(true);
        }
      }
      db.push(...places.filter(({ volume }) => volume === 'db'));
    }
    expect(db.map(({ offset, length }) => ({ offset, length }))).toEqual(changes);
    expect(traffic.rest()).toEqual([]);
  });
});
