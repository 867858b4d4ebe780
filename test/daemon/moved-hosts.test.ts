/**
 * Hosts of real programs behind path controllers, in processes of their own, while the primary
 * moves under them: none of them disconnects, sees an error, or reads anything but what it wrote.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { MigrateAnswer, StatusAnswer } from '../../src/node/answers.ts';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { parseAddress } from '../../src/sys/network.ts';
import { rcopyJson } from '../commands/harness.ts';
import { seededRandom } from '../sim/random.ts';
import { begin, testWith } from '../support/programs.ts';
import { DB_BYTES, ServedPair, expectEqual, qemuIo } from '../support/served-pair.ts';
import { WAYS } from '../support/sites.ts';
import { VerifiedLoad } from '../support/verified-load.ts';

const TEST_MS = 120_000;
const PYTHON = '/usr/bin/python3';

let pair: ServedPair;

beforeEach(async () => {
  pair = await ServedPair.start();
  await pair.make('osaka');
  await pair.serve('osaka');
  await pair.guard('gate', 'tokyo');
}, TEST_MS);

afterEach(async () => {
  await pair.end();
});

async function migrate(from: string, to: string, ...words: string[]): Promise<MigrateAnswer> {
  const [a, b] = [await pair.address(from), await pair.address(to)];
  return rcopyJson<MigrateAnswer>('migrate', a, b, '--overwrite', ...words);
}

async function client(gate: string, exportName = 'db'): Promise<NbdClient> {
  const stream = await nodeNetwork.dial(parseAddress(`unix:${pair.socket(gate)}`));
  return NbdClient.open(stream, { clock: nodeClock, exportName });
}

/** What C took so far, by the word of whoever sends: records, and bytes of copies. */
async function sentBy(name: string): Promise<NonNullable<StatusAnswer['pair']>['sent']> {
  return (await pair.status(name)).pair?.sent;
}

describe('[R4] hosts stay connected while the primary moves', () => {
  testWith(
    ['fio', 'qemu-img'],
    'fio, in each of the six ways, one after the other: there and back again',
    async () => {
      let [from, to] = ['tokyo', 'osaka'];
      for (const { mode, copy } of WAYS) {
        const words = ['--name=job', '--ioengine=nbd', `--uri=${pair.uri('gate')}`, '--bs=4k'];
        const how = ['--rw=randrw', '--iodepth=16', '--fsync=16', '--verify=crc32c'];
        const much = ['--size=12m', '--io_size=12m', '--rate_iops=1200', '--verify_backlog=256'];
        const fio = begin('fio', [...words, ...how, ...much], { cwd: pair.scratch });
        await pair.untilHosts(from, (hosts) => hosts.some(({ writtenBytes }) => writtenBytes > 0));
        const answer = await migrate(from, to, '--mode', mode, '--copy', copy);
        expect(answer).toMatchObject({ mode, copy, state: 'done' });
        const { code, said } = await fio.finished;
        expect(`${mode} ${copy}: ${code === 0 ? 'ok' : said}`).toBe(`${mode} ${copy}: ok`);
        expect(said).toContain('err= 0');
        // Dense across the seal, and no copy but of what the map named.
        const { pair: follows } = await pair.status(to);
        expect(follows?.state).toBe('paired');
        const copied = (await sentBy(to))?.copiedBytes ?? 0;
        if (mode === 'bitmap') expect(copied).toBeLessThan(DB_BYTES / 2);
        else expect(copied).toBe(0);
        [from, to] = [to, from];
      }
      await expectEqual(pair, from, 'kyoto');
    },
    TEST_MS,
  );

  testWith(
    ['qemu-io', 'nbdsh'],
    'qemu-io and libnbd with 4 connections, behind two controllers that switch together',
    async () => {
      await pair.guard('other', 'tokyo');
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
      const { controllers } = await pair.status('tokyo');
      expect(controllers.map(({ name }) => name).toSorted()).toEqual(['gate', 'other']);
      await migrate('tokyo', 'osaka');
      qemu.say('read -P 7 8M 64k\nwrite -P 8 9M 64k\nflush\nread -P 8 9M 64k\nquit\n');
      const rounds = program.output().trim().split('\n').length + 5;
      await pair.until('more rounds', () => program.output().trim().split('\n').length > rounds);
      program.endInput();
      expect(await ended(program)).toBe('ended with 0');
      const said = await qemu.finished;
      expect([said.code, said.said]).toEqual([0, expect.not.stringMatching(/failed|error/i)]);
      for (const gate of ['gate', 'other']) {
        const status = await rcopyJson<PathStatusAnswer>('path', 'status', pair.at(gate));
        expect(status.sets).toMatchObject([{ state: 'open', set: { name: 'osaka' } }]);
      }
      expect((await pair.status('osaka')).controllers.map(({ attached }) => attached)).toEqual([
        true,
        true,
      ]);
      await qemuIo(pair.uri('gate'), 'read -P 8 9M 64k');
      await expectEqual(pair, 'osaka', 'kyoto');
    },
    TEST_MS,
  );

  test(
    'a controller alone performs it, and A may be switched off afterwards',
    async () => {
      const load = new VerifiedLoad(seededRandom(5), DB_BYTES);
      const host = await client('gate');
      load.start(host);
      const to = await pair.address('osaka');
      const words = ['--mode', 'handoff', '--copy', 'pre'];
      const answer = await rcopyJson<MigrateAnswer>(
        ...['path', 'migrate', pair.at('gate'), 'db', to, ...words],
      );
      expect(answer.state).toBe('done');
      expect(await pair.daemon('tokyo').stop()).toBe(0);
      const { counts } = load;
      const before = counts.answered;
      await pair.until('more writes', () => counts.answered > before + 500);
      expect(await load.stop()).toBeUndefined();
      expect(await load.check(host)).toEqual([]);
      await host.close();
      await expectEqual(pair, 'osaka', 'kyoto');
    },
    TEST_MS,
  );
});

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
  test.each(['tokyo', 'osaka', 'kyoto', 'gate'])(
    '%s, with kill -9: it comes to its end, and nothing that was answered is lost',
    async (victim) => {
      const random = seededRandom(victim.length);
      const load = new VerifiedLoad(random, DB_BYTES);
      const wrong: string[] = [];
      let host = await client('gate');
      load.start(host);
      await pair.until('writes', () => load.counts.answered > 2000);
      const going = migrate('tokyo', 'osaka', '--max-rate', '16M').catch(() => undefined);
      const isUnderWay = async () =>
        (await pair.status('osaka').catch(() => undefined))?.migration?.state === 'copying';
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
      await pair.until(
        'its end',
        async () => (await pair.status('osaka')).migration?.state === 'done',
      );
      const { answered } = load.counts;
      await pair.until('more writes', () => load.counts.answered > answered + 200);
      expect(await load.stop()).toBeUndefined();
      expect([...wrong, ...(await load.check(host))]).toEqual([]);
      await host.close();
      await expectEqual(pair, 'osaka', 'kyoto');
    },
    TEST_MS,
  );
});
