/** The demo's host: its connections, which are made once, and what it asks over them. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { HostConnections } from '../../src/cli/demo/connections.ts';
import { Traffic } from '../../src/cli/demo/traffic.ts';
import type { Place } from '../../src/cli/demo/traffic.ts';
import { VOLUMES } from '../../src/cli/demo/volumes.ts';
import type { DeviceRequest, Done } from '../../src/device/device.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import type { Clock } from '../../src/sys/clock.ts';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import type { Network, NetworkAddress } from '../../src/sys/network.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { seededRandom } from '../sim/random.ts';
import { MemoryDevice } from '../support/memory-device.ts';

const SEED = 2026;
const random = seededRandom(SEED);
const VOLUME_BYTES = 64 * 1024;
const at: NetworkAddress = { kind: 'unix', path: 'gate' };

/** What the host measures with: it goes on only when a test says so. */
let nowMs = 0;
const clock: Clock = { ...nodeEnvironment.clock, monotonicMs: () => nowMs };

/** Answers when a test says so, or refuses. */
class HeldDevice extends MemoryDevice {
  refusal: RcopyError | undefined;
  isHeld = false;
  readonly held: (() => void)[] = [];

  override submit(request: DeviceRequest, done: Done): void {
    const { refusal } = this;
    const answer = (): void =>
      refusal ? done({ ok: false, error: refusal }) : super.submit(request, done);
    if (this.isHeld) this.held.push(answer);
    else answer();
  }

  async untilHeld(requests: number): Promise<void> {
    while (this.held.length < requests) await clock.sleep(1);
  }

  release(): void {
    this.isHeld = false;
    for (const answer of this.held.splice(0)) answer();
  }
}

let db = new HeldDevice(VOLUME_BYTES);
let log = new HeldDevice(VOLUME_BYTES);
let server: NbdServer;
let connections: HostConnections;
/** The controller's ends of all streams that were ever dialled. */
let accepted: ByteStream[] = [];

const network: Network = {
  dial: async () => {
    const [mine, theirs] = memoryStreamPair(nodeEnvironment.clock, random, {
      names: ['host', 'gate'],
    });
    accepted.push(theirs);
    server.accept(theirs);
    return mine;
  },
  listen: () => Promise.reject(new Error('nobody listens here')),
};

beforeEach(async () => {
  nowMs = 0;
  accepted = [];
  db = new HeldDevice(VOLUME_BYTES);
  log = new HeldDevice(VOLUME_BYTES);
  const devices = new Map([
    ['db', db],
    ['log', log],
  ]);
  server = new NbdServer({
    clock: nodeEnvironment.clock,
    exports: {
      list: () => [],
      find: (volume) => {
        const device = devices.get(volume);
        return device && { name: volume, description: '', device };
      },
    },
  });
  connections = await HostConnections.open({ network, clock }, at);
});

afterEach(async () => {
  connections.drop();
  await server.stop();
});

function write(index: number): DeviceRequest {
  const data = [Buffer.from(`request ${index}`)];
  return { kind: 'write', offset: index * 100, data, length: 9, fua: false };
}

/** What it rejects with; undefined when it does not. */
function errorOf(asked: Promise<unknown>): Promise<unknown> {
  return asked.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('the connections of the host', () => {
  test('are one to each volume, and carry what was asked of it', async () => {
    await connections.ask('db', write(1));
    await connections.ask('log', write(2));
    expect(accepted).toHaveLength(VOLUMES.length);
    expect(db.content.toString('latin1', 100, 109)).toBe('request 1');
    const given = await connections.ask('log', { kind: 'read', offset: 200, length: 9 });
    expect(Buffer.from(given).toString()).toBe('request 2');
  });

  test.each([
    ['E_NO_SPACE', 'E_NO_SPACE'],
    ['E_IO', 'E_IO'],
    ['E_SEALED', 'E_STOPPED'],
  ] as const)('%s is an error for the host: it goes nowhere else', async (code, seen) => {
    db.refusal = new RcopyError(code, 'no');
    await expect(connections.ask('db', write(0))).rejects.toMatchObject({ code: seen });
    expect(accepted).toHaveLength(VOLUMES.length);
  });

  test('are not made again when one breaks', async () => {
    for (const stream of accepted) stream.destroy(new RcopyError('E_UNREACHABLE', 'cut'));
    await expect(connections.ask('db', write(0))).rejects.toThrow('the host got an error on db');
    await expect(connections.ask('db', write(1))).rejects.toThrow('the host got an error on db');
    expect(accepted).toHaveLength(VOLUMES.length);
  });

  test('measure the longest wait for an answer, from one look to the next', async () => {
    db.isHeld = true;
    const slow = [connections.ask('db', write(0))];
    await db.untilHeld(1);
    nowMs = 250;
    slow.push(connections.ask('db', write(1)));
    await db.untilHeld(2);
    nowMs = 400;
    db.release();
    await Promise.all(slow);
    expect(connections.longestMs).toBe(400);
    expect(connections.takeLongestMs()).toBe(400);
    expect(connections.longestMs).toBe(0);
    await connections.ask('log', write(2));
    expect(connections.takeLongestMs()).toBe(0);
  });

  test('a wait that ended with an error counts as well', async () => {
    db.isHeld = true;
    db.refusal = new RcopyError('E_IO', 'no');
    const refused = errorOf(connections.ask('db', write(0)));
    await db.untilHeld(1);
    nowMs = 70;
    db.release();
    expect(await refused).toMatchObject({ code: 'E_IO' });
    expect(connections.takeLongestMs()).toBe(70);
  });

  test('a host that leaves at once waits for no answer', async () => {
    db.isHeld = true;
    const refused = errorOf(connections.ask('db', write(0)));
    await db.untilHeld(1);
    connections.drop();
    expect(await refused).toMatchObject({ code: 'E_STOPPED' });
    db.release();
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
    // What is written matters nothing here, and seeded bytes take long.
    const places = { ...random, bytes: (length: number) => new Uint8Array(length) };
    const traffic = new Traffic({ random: places, changes, later, due: () => due });
    const written: Place[] = [];
    const outside: Place[] = [];
    const overlapping: (readonly [Place, Place])[] = [];
    for (let burst = 0; burst < 2_000; burst += 1) {
      due = burst / 1_000;
      const changed = traffic.burst();
      for (const [index, one] of changed.entries()) {
        const size = VOLUMES.find(({ name }) => name === one.volume)?.sizeBytes ?? 0;
        if (one.offset + one.length > size) outside.push(one);
        for (const other of changed.slice(index + 1)) {
          const apart =
            one.volume !== other.volume ||
            one.offset + one.length <= other.offset ||
            other.offset + other.length <= one.offset;
          if (!apart) overlapping.push([one, other]);
        }
      }
      written.push(...changed.filter(({ volume }) => volume === 'db'));
    }
    expect(outside).toEqual([]);
    expect(overlapping).toEqual([]);
    expect(written.map(({ offset, length }) => ({ offset, length }))).toEqual(changes);
    expect(traffic.rest()).toEqual([]);
  });
});
