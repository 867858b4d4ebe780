/** Hosts that behave badly, many hosts, and daemons that stop while hosts write. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { begin, run, succeed, testWith } from '../support/programs.ts';
import type { Running } from '../support/processes.ts';
import { ServedPair, expectEqual, qemuIo } from '../support/served-pair.ts';

const MIB = 1024 * 1024;
/** More than fio writes to. */
const DB_BYTES = 20 * MIB;
const TEST_MS = 60_000;
const CONNECTIONS_MAX = 104;

let pair: ServedPair;

beforeAll(async () => {
  pair = await ServedPair.start(`[limits]\nnbd-connections = ${CONNECTIONS_MAX}\n`, DB_BYTES);
}, TEST_MS);

afterAll(async () => {
  await pair.end();
});

/** Random writes with fsyncs, for as long as nobody ends it. */
function load(name: string): Running {
  const words = ['--name=job', '--ioengine=nbd', `--uri=${pair.uri(name)}`, '--bs=4k'];
  const how = ['--iodepth=32', '--rw=randwrite', '--size=16m', '--fsync=16', '--rate_iops=4000'];
  // One process, so that a signal reaches all of it.
  const ends = ['--time_based', '--runtime=50', '--thread'];
  return begin('fio', [...words, ...how, ...ends], { cwd: pair.scratch, timeoutMs: TEST_MS });
}

async function untilItWrites(name: string): Promise<void> {
  await pair.untilHosts(name, (hosts) => hosts.some((host) => host.writtenBytes > MIB));
}

/** A host that chose the export `db`, and says no more; `heard` counts what it took. */
async function idleHost(name: string): Promise<Socket> {
  const socket = connect(pair.socket(name));
  socket.on('error', () => undefined);
  const flags = Buffer.from([0, 0, 0, 3]);
  const option = Buffer.from('IHAVEOPT\0\0\0\u0001\0\0\0\u0002db', 'latin1');
  const greeting = 18;
  const chosen = greeting + 10;
  let heard = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.length;
      if (heard === greeting) socket.write(Buffer.concat([flags, option]));
      if (heard === chosen) resolve();
    });
    socket.on('close', () => reject(new Error(`cut off after ${heard} bytes`)));
  });
  socket.removeAllListeners('data');
  return socket;
}

/** Asks for `count` MiB at once. */
function askForMuch(socket: Socket, count: number): void {
  for (let cookie = 0; cookie < count; cookie += 1) {
    const request = Buffer.alloc(28);
    request.writeUInt32BE(0x25609513, 0);
    request.writeUInt32BE(cookie, 12);
    request.writeUInt32BE(MIB, 24);
    socket.write(request);
  }
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await pair.untilHosts('tokyo', (hosts) => hosts.length === 0);
}

describe('[R9] hosts among others', () => {
  testWith(
    ['qemu-io', 'qemu-img'],
    'those that ask for much and take nothing hold no other one up, and status shows them',
    async () => {
      await qemuIo(pair.uri('tokyo'), `write -P 3 0 ${DB_BYTES}`);
      const slow = await Promise.all(Array.from({ length: 20 }, () => idleHost('tokyo')));
      for (const socket of slow) {
        socket.pause();
        askForMuch(socket, 200);
      }
      await pair.untilHosts('tokyo', (hosts) => hosts.every((host) => host.readBytes > 0));
      await qemuIo(pair.uri('tokyo'), 'write -P 4 1M 1M', 'flush', 'read -P 4 1M 1M');
      const { hosts, limits, daemon } = await pair.status('tokyo');
      expect(hosts).toHaveLength(slow.length);
      // Far less than they asked for was read for them.
      for (const host of hosts) expect(host.readBytes).toBeLessThan(100 * MIB);
      const memory = limits.find(({ name }) => name === 'nbdMemoryBytes');
      expect(memory?.used).toBeGreaterThan(0);
      expect(memory?.used).toBeLessThanOrEqual(memory?.limit ?? 0);
      expect(daemon?.residentBytes).toBeLessThan(256 * MIB);
      await closeAll(slow);
      expect(await pair.used('tokyo', 'nbdMemoryBytes')).toBe(0);
      await expectEqual(pair);
    },
    TEST_MS,
  );

  testWith(
    ['nbdinfo', 'qemu-io'],
    'a hundred that do nothing are served along with others; those beyond the limit are not',
    async () => {
      const idle: Socket[] = [];
      for (let count = 0; count < 100; count += 1) idle.push(await idleHost('tokyo'));
      await qemuIo(pair.uri('tokyo'), 'write -P 5 2M 64k', 'read -P 5 2M 64k');
      expect((await pair.status('tokyo')).hosts).toHaveLength(idle.length);
      while (idle.length < CONNECTIONS_MAX) idle.push(await idleHost('tokyo'));
      await expect(idleHost('tokyo')).rejects.toThrow('cut off after 0 bytes');
      const refused = await run('nbdinfo', ['--size', pair.uri('tokyo')], { timeoutMs: TEST_MS });
      expect(refused.code).toBe(1);
      const { limits } = await pair.status('tokyo');
      const shown = { name: 'nbdConnections', used: CONNECTIONS_MAX, limit: CONNECTIONS_MAX };
      expect(limits).toContainEqual(shown);
      expect(pair.daemon('tokyo').log).toContainEqual(
        expect.objectContaining({ msg: 'host refused', level: 40 }),
      );
      // Hosts of the other set, and commands, have room of their own.
      await succeed('nbdinfo', ['--size', pair.uri('kyoto')], { timeoutMs: TEST_MS });
      await closeAll(idle);
      await succeed('nbdinfo', ['--size', pair.uri('tokyo')], { timeoutMs: TEST_MS });
    },
    TEST_MS,
  );

  testWith(
    ['fio', 'qemu-img'],
    'one that is killed in the midst of its requests leaves nothing behind',
    async () => {
      for (let times = 0; times < 2; times += 1) {
        const host = load('tokyo');
        await untilItWrites('tokyo');
        host.kill('SIGKILL');
        await host.finished;
        await pair.untilHosts('tokyo', (hosts) => hosts.length === 0);
      }
      expect(await pair.used('tokyo', 'nbdMemoryBytes')).toBe(0);
      expect(await pair.used('tokyo', 'nbdConnections')).toBe(0);
      await expectEqual(pair);
    },
    TEST_MS,
  );
});

describe('a daemon that is stopped while hosts write', () => {
  testWith(
    ['fio', 'qemu-io', 'qemu-img'],
    '[R2] ends in order: hosts get an error, and the raw image has what was flushed',
    async () => {
      await qemuIo(pair.uri('tokyo'), 'write -P 77 18M 1M', 'flush');
      const host = load('tokyo');
      await untilItWrites('tokyo');
      expect(await pair.daemon('tokyo').stop()).toBe(0);
      const { code, said } = await host.finished;
      expect(code === 0 ? said : 'an error').toBe('an error');
      const raw = ['-f', 'raw', '-r', '-c', 'read -P 77 18M 1M', pair.image('tokyo')];
      expect(await succeed('qemu-io', raw)).not.toMatch(/failed/);
      expect(pair.daemon('tokyo').log.at(-1)?.msg).toBe('stopped: everything acknowledged is safe');
      await pair.serve('tokyo');
      await expectEqual(pair);
    },
    TEST_MS,
  );

  testWith(
    ['fio', 'qemu-img'],
    'is ended at once by a second Ctrl-C, and goes on after that',
    async () => {
      // A host that takes nothing holds an orderly stop up.
      const slow = await idleHost('tokyo');
      slow.pause();
      askForMuch(slow, 200);
      await pair.untilHosts('tokyo', ([host]) => (host?.readBytes ?? 0) > 0);
      const daemon = pair.daemon('tokyo');
      daemon.signal('SIGINT');
      await pair.until('stopping', () => daemon.log.some(({ msg }) => msg === 'stopping'));
      daemon.signal('SIGINT');
      expect(await daemon.ended).toEqual({ code: 130, signal: null });
      slow.destroy();
      await pair.serve('tokyo');
      await expectEqual(pair);
    },
    TEST_MS,
  );

  testWith(
    ['fio', 'qemu-img'],
    'the secondary too, while it is sent records: hosts of the primary do not notice',
    async () => {
      const host = load('tokyo');
      await untilItWrites('tokyo');
      expect(await pair.daemon('kyoto').stop()).toBe(0);
      await pair.serve('kyoto');
      host.kill('SIGINT');
      expect((await host.finished).said).toContain('err= 0');
      await expectEqual(pair);
    },
    TEST_MS,
  );
});
