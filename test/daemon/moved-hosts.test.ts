/**
 * Hosts of real programs behind path controllers, in processes of their own, while the primary
 * moves under them: none of them disconnects, sees an error, or reads anything but what it wrote.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { submitAndWait } from '../../src/device/device.ts';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { parseAddress } from '../../src/sys/network.ts';
import { rcopyJson } from '../commands/harness.ts';
import { seededRandom } from '../sim/random.ts';
import { begin, testWith } from '../support/programs.ts';
import { ServedPair, expectEqual, qemuIo } from '../support/served-pair.ts';
import { WAYS } from '../support/sites.ts';
import { VerifiedLoad } from '../support/verified-load.ts';

const TEST_MS = 120_000;
const DB_BYTES = 16 * 1024 * 1024;
const PYTHON = '/usr/bin/python3';

/**
 * One way of the six, unless all are asked for: other tests here take one of each other mode, and
 * `node/gates.test.ts` takes all six, simulated.
 */
const WAYS_HERE = WAYS.filter(
  ({ mode, copy }) => process.env['MOVED_WAYS'] === 'all' || (mode === 'bitmap' && copy === 'pre'),
);

let pair: ServedPair;
/** Where the primary is, and where it moves to; it goes back and forth from test to test. */
let from = 'tokyo';
let to = 'osaka';

beforeAll(async () => {
  pair = await ServedPair.start(undefined, DB_BYTES);
  await pair.make('osaka');
  await pair.serve('osaka');
  await pair.guard('gate', 'tokyo');
}, TEST_MS);

afterAll(async () => {
  await pair.end();
});

afterEach(async () => {
  [from, to] = [to, from];
  await expectEqual(pair, from, 'kyoto');
}, TEST_MS);

async function migrate(...words: string[]): Promise<MigrateAnswer> {
  const [a, b] = [await pair.address(from), await pair.address(to)];
  return rcopyJson<MigrateAnswer>('migrate', a, b, '--overwrite', ...words);
}

async function client(gate: string, exportName = 'db'): Promise<NbdClient> {
  const stream = await nodeNetwork.dial(parseAddress(`unix:${pair.socket(gate)}`));
  return NbdClient.open(stream, { clock: nodeClock, exportName });
}

describe('[R4] hosts stay connected while the primary moves', () => {
  for (const { mode, copy } of WAYS_HERE) {
    testWith(
      ['fio', 'qemu-img'],
      `fio, ${mode}, ${copy}`,
      async () => {
        const words = ['--name=job', '--ioengine=nbd', `--uri=${pair.uri('gate')}`, '--bs=4k'];
        const how = ['--rw=randrw', '--iodepth=16', '--fsync=16', '--verify=crc32c'];
        const much = ['--size=8m', '--io_size=8m', '--rate_iops=1500', '--verify_backlog=256'];
        const fio = begin('fio', [...words, ...how, ...much], { cwd: pair.scratch });
        await pair.untilHosts(from, (hosts) => hosts.some(({ writtenBytes }) => writtenBytes > 0));
        const answer = await migrate('--mode', mode, '--copy', copy);
        expect(answer).toMatchObject({ mode, copy, state: 'done' });
        const { code, said } = await fio.finished;
        expect(code === 0 ? 'ok' : said).toBe('ok');
        expect(said).toContain('err= 0');
        // No copy, but of what the map named.
        const { pair: follows } = await pair.status(to);
        expect(follows?.state).toBe('paired');
        const copiedMost = mode === 'bitmap' ? DB_BYTES / 2 : 0;
        expect(follows?.sent?.copiedBytes).toBeLessThanOrEqual(copiedMost);
      },
      TEST_MS,
    );
  }

  testWith(
    ['qemu-io', 'nbdsh'],
    'qemu-io and libnbd with 4 connections, behind two controllers that switch together',
    async () => {
      await pair.guard('other', from);
      const program = begin(PYTHON, ['-c', FOUR_CONNECTIONS, pair.uri('gate')], {
        keepsInput: true,
        timeoutMs: TEST_MS,
      });
      const qemu = begin('qemu-io', ['-f', 'raw', '-t', 'none', pair.uri('other')], {
        keepsInput: true,
        timeoutMs: TEST_MS,
      });
      qemu.say('write -P 7 8M 64k\nflush\n');
      await pair.until('rounds', () => program.output().includes('rounds 5\n'));
      // qemu-io keeps what it says to itself until its end.
      await pair.until('a write of qemu-io', async () => {
        const { hosts } = await rcopyJson<PathStatusAnswer>('path', 'status', pair.at('other'));
        return hosts.some(({ writtenBytes }) => writtenBytes > 0);
      });
      const { controllers } = await pair.status(from);
      expect(controllers.map(({ name }) => name).toSorted()).toEqual(['gate', 'other']);
      await migrate();
      qemu.say('read -P 7 8M 64k\nwrite -P 8 9M 64k\nflush\nread -P 8 9M 64k\nquit\n');
      qemu.endInput(); // it looks at several lines only then
      const rounds = program.output().trim().split('\n').length + 5;
      await pair.until('more rounds', () => program.output().trim().split('\n').length > rounds);
      program.endInput();
      expect(await ended(program)).toBe('ended with 0');
      const said = await qemu.finished;
      expect([said.code, said.said]).toEqual([0, expect.not.stringMatching(/failed|error/i)]);
      for (const gate of ['gate', 'other']) {
        const status = await rcopyJson<PathStatusAnswer>('path', 'status', pair.at(gate));
        expect(status.sets).toMatchObject([{ state: 'open', set: { name: to } }]);
      }
      expect((await pair.status(to)).controllers.map(({ attached }) => attached)).toEqual([
        true,
        true,
      ]);
      await qemuIo(pair.uri('gate'), 'read -P 8 9M 64k');
      expect(await pair.daemon('other').stop()).toBe(0);
    },
    TEST_MS,
  );

  test(
    'a controller alone performs it, and A may be switched off afterwards',
    async () => {
      const host = await client('gate');
      const load = await loaded(host);
      const target = await pair.address(to);
      const words = ['--mode', 'handoff', '--copy', 'pre', '--overwrite'];
      const answer = await rcopyJson<MigrateAnswer>(
        ...['path', 'migrate', pair.at('gate'), 'db', target, ...words],
      );
      expect(answer.state).toBe('done');
      expect(await pair.daemon(from).stop()).toBe(0);
      await more(load, 500);
      expect(await load.stop()).toBeUndefined();
      expect(await load.check(host)).toEqual([]);
      await host.close();
      await pair.restart(from);
    },
    TEST_MS,
  );
});

/** A host at work that knows what it must find; what is there now it takes for zeroes. */
async function loaded(host: NbdClient): Promise<VerifiedLoad> {
  await submitAndWait(host, {
    kind: 'zeroes',
    offset: 0,
    length: DB_BYTES,
    fua: false,
    mayFree: true,
  });
  const load = new VerifiedLoad(seededRandom(5), DB_BYTES);
  load.start(host);
  await more(load, 300);
  return load;
}

async function more(load: VerifiedLoad, count: number): Promise<void> {
  const { counts } = load;
  const { answered } = counts;
  await pair.until('more answers', () => {
    if (load.error) throw load.error;
    return counts.answered > answered + count;
  });
}

/** Writes, flushes on another connection, and reads back on a third, round after round. */
const FOUR_CONNECTIONS = `
import nbd, os, select, sys
hs = [nbd.NBD() for _ in range(4)]
for h in hs:
    h.connect_uri(sys.argv[1])
    assert h.can_multi_conn()
rounds = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    data = os.urandom(8192)
    at = (rounds % 64) * 8192
    hs[rounds % 4].pwrite(data, at)
    hs[(rounds + 1) % 4].flush()
    assert hs[(rounds + 2) % 4].pread(8192, at) == data
    rounds += 1
    print("rounds", rounds, flush=True)
for h in hs: h.shutdown()
`;

async function ended(program: ReturnType<typeof begin>): Promise<string> {
  const { code, said } = await program.finished;
  return code === 0 ? 'ended with 0' : said.slice(-1000);
}

describe('[R2] [R6] processes that are killed in the midst of a migration', () => {
  test.each(['B', 'the controller'])(
    '%s, with kill -9: it comes to its end, and nothing that was answered is lost',
    async (who) => {
      const victim = who === 'B' ? to : 'gate';
      const wrong: string[] = [];
      let host = await client('gate');
      const load = await loaded(host);
      const going = migrate('--max-rate', '24M').catch(() => undefined);
      const isUnderWay = async () =>
        (await pair.status(to).catch(() => undefined))?.migration?.state === 'copying';
      await pair.until('the switch', isUnderWay);
      await pair.daemon(victim).kill();
      if (victim === 'gate') await load.stop();
      await pair.restart(victim);
      if (victim === 'gate') {
        host = await client('gate');
        wrong.push(...(await load.check(host)));
        load.start(host);
      }
      await going;
      const isDone = async () => (await pair.status(to)).migration?.state === 'done';
      await pair.until('its end', isDone);
      await more(load, 200);
      expect(await load.stop()).toBeUndefined();
      expect([...wrong, ...(await load.check(host))]).toEqual([]);
      await host.close();
    },
    TEST_MS,
  );
});
