/** The programs of real hosts on a primary that is served, while its secondary follows. */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { MarkAnswer, StatusAnswer, WaitAnswer } from '../../src/node/answers.ts';
import { rcopy, rcopyJson } from '../commands/harness.ts';
import { begin, succeed, testWith } from '../support/programs.ts';
import { seededRandom } from '../sim/random.ts';
import { DB_BYTES, ServedPair, expectEqual, qemuIo } from '../support/served-pair.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const TEST_MS = 60_000;

/** The Python that Debian's libnbd is for; `nbdsh` comes with it. */
const PYTHON = '/usr/bin/python3';

let pair: ServedPair;

beforeAll(async () => {
  pair = await ServedPair.start();
}, TEST_MS);

afterAll(async () => {
  await pair.end();
});

/** A disk with data, zeroes and holes, of the size of `db`. */
function someDisk(seed: number): string {
  const random = seededRandom(seed);
  const disk = Buffer.alloc(DB_BYTES);
  for (let count = 0; count < 40; count += 1) {
    const length = 1 + random.below(512 * KIB);
    const at = random.below(DB_BYTES - length);
    disk.fill(`disk ${seed}, piece ${count}. `, at, at + length);
  }
  const path = pair.at(`disk-${seed}`);
  writeFileSync(path, disk);
  return path;
}

const fio = (...words: string[]): string[] => [
  '--name=job',
  '--ioengine=nbd',
  `--uri=${pair.uri('tokyo')}`,
  '--bs=4k',
  '--iodepth=32',
  ...words,
];

describe('nbdinfo', () => {
  testWith(
    ['nbdinfo'],
    'tells that hosts may write to the primary, and only read the secondary',
    async () => {
      const told = async (name: string): Promise<unknown> =>
        JSON.parse(await succeed('nbdinfo', ['--json', pair.uri(name)]));
      const size = { 'export-name': 'db', 'export-size': DB_BYTES };
      expect(await told('tokyo')).toMatchObject({
        protocol: 'newstyle-fixed',
        structured: true,
        exports: [
          { ...size, is_read_only: false, can_flush: true, can_fua: true, can_multi_conn: true },
        ],
      });
      expect(await told('kyoto')).toMatchObject({
        exports: [{ ...size, is_read_only: true, can_trim: false, can_multi_conn: true }],
      });
      for (const name of ['tokyo', 'kyoto']) {
        const list = await succeed('nbdinfo', ['--list', '--json', pair.uri(name, '')]);
        const { exports } = JSON.parse(list) as { exports: { 'export-name': string }[] };
        expect(exports.map((each) => each['export-name'])).toEqual(['db', 'log']);
      }
    },
    TEST_MS,
  );

  testWith(
    ['nbdinfo', 'qemu-io'],
    'maps the same data and holes at both',
    async () => {
      await qemuIo(
        pair.uri('tokyo', 'log'),
        'write -P 7 256k 64k',
        'write -z -u 512k 64k',
        'flush',
      );
      await rcopyJson('wait', await pair.address('tokyo'), '--synced', '--timeout', '60s');
      for (const name of ['tokyo', 'kyoto']) {
        const map = await succeed('nbdinfo', ['--map', '--json', pair.uri(name, 'log')]);
        expect({ name, map: JSON.parse(map) as unknown }).toEqual({
          name,
          map: [
            { offset: 0, length: 256 * KIB, type: 3, description: 'hole,zero' },
            { offset: 256 * KIB, length: 64 * KIB, type: 0, description: 'data' },
            { offset: 320 * KIB, length: 704 * KIB, type: 3, description: 'hole,zero' },
          ],
        });
      }
    },
    TEST_MS,
  );
});

describe('disks that come and go', () => {
  testWith(
    ['nbdcopy', 'qemu-img'],
    'nbdcopy brings one in over four connections, and out of the secondary',
    async () => {
      const disk = someDisk(1);
      const four = ['--connections=4', '--requests=32'];
      await succeed('nbdcopy', [...four, '--flush', disk, pair.uri('tokyo')]);
      await expectEqual(pair);
      const out = pair.at('out');
      await succeed('nbdcopy', [...four, pair.uri('kyoto'), out]);
      await succeed('cmp', [disk, out]);
    },
    TEST_MS,
  );

  testWith(
    ['qemu-img'],
    'qemu-img converts one, and compares and maps it at both',
    async () => {
      const disk = someDisk(2);
      const raw = ['-f', 'raw'];
      await succeed('qemu-img', ['convert', '-n', ...raw, '-O', 'raw', disk, pair.uri('tokyo')]);
      await expectEqual(pair);
      for (const name of ['tokyo', 'kyoto']) {
        await succeed('qemu-img', ['compare', ...raw, '-F', 'raw', disk, pair.uri(name)]);
        const map = await succeed('qemu-img', ['map', ...raw, '--output=json', pair.uri(name)]);
        const extents = JSON.parse(map) as { start: number; length: number; zero: boolean }[];
        const covered = extents.reduce((sum, { length }) => sum + length, 0);
        expect({ name, covered }).toEqual({ name, covered: DB_BYTES });
        expect(extents.some(({ zero }) => zero)).toBe(true);
        expect(extents.some(({ zero }) => !zero)).toBe(true);
      }
    },
    TEST_MS,
  );
});

describe('disks in use', () => {
  testWith(
    ['qemu-io', 'qemu-img'],
    'qemu-io writes, flushes, zeroes, discards, with and without FUA',
    async () => {
      await qemuIo(
        pair.uri('tokyo'),
        'write -P 6 0 24M',
        'write -P 9 0 4k',
        'flush',
        'write -f -P 8 3k 2k', // FUA
        'write -z -u 8M 1M',
        'write -z 16M 512k',
        'discard 17301504 512k',
        'aio_write -P 5 20M 1M',
        'aio_write -P 4 21M 1M',
        'aio_flush',
      );
      await expectEqual(pair);
      await qemuIo(
        pair.uri('kyoto'),
        'read -P 9 0 3k',
        'read -P 8 3k 2k',
        'read -P 6 5k 2M',
        'read -P 0 8M 1M',
        'read -P 0 16M 1M',
        'read -P 5 20M 1M',
        'read -P 4 21M 1M',
      );
    },
    TEST_MS,
  );

  testWith(
    ['fio', 'qemu-img'],
    'fio verifies what it wrote at depth 32, with fsyncs and trims',
    async () => {
      const written = ['--rw=randwrite', '--size=6m', '--verify=crc32c', '--fsync=16'];
      const options = { cwd: pair.scratch, timeoutMs: TEST_MS };
      const said = await succeed('fio', fio(...written, '--randseed=7'), options);
      expect(said).toContain('err= 0');
      const mixed = ['--rw=randtrimwrite', '--offset=16m', '--size=4m', '--fsync=16'];
      expect(await succeed('fio', fio(...mixed), options)).toContain('err= 0');
      await expectEqual(pair);
    },
    TEST_MS,
  );

  testWith(
    ['nbdsh', 'qemu-img'],
    '[R2] libnbd writes over eight connections, and one flush is for all of them',
    async () => {
      await succeed(PYTHON, ['-c', EIGHT, pair.uri('tokyo')], { timeoutMs: TEST_MS });
      // What the flush covers survives a kill: nothing was closed in order.
      await pair.daemon('tokyo').kill();
      await pair.serve('tokyo');
      await succeed(PYTHON, ['-c', EIGHT_THERE, pair.uri('tokyo')], { timeoutMs: TEST_MS });
      await expectEqual(pair);
      await succeed(PYTHON, ['-c', EIGHT_THERE, pair.uri('kyoto')], { timeoutMs: TEST_MS });
    },
    TEST_MS,
  );
});

/** Eight connections that each write their own stripes; then one that wrote none flushes. */
const EIGHT = `
import nbd, sys
handles = []
for n in range(9):
    h = nbd.NBD(); h.connect_uri(sys.argv[1]); handles.append(h)
*writers, flusher = handles
assert all(h.can_multi_conn() and h.can_flush() for h in handles)
for i in range(16):
    for n, h in enumerate(writers):
        stripe = bytearray(bytes([(n * 16 + i + 1) % 251]) * 65536)
        h.aio_pwrite(nbd.Buffer.from_bytearray(stripe), (i * 8 + n) * 65536)
for h in writers:
    while h.aio_in_flight() > 0: h.poll(-1)
flusher.flush()
for i in range(16):
    for n in range(8):
        got = writers[(n + 5) % 8].pread(65536, (i * 8 + n) * 65536)
        assert got == bytes([(n * 16 + i + 1) % 251]) * 65536, (i, n)
`;

const EIGHT_THERE = `
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(16):
    for n in range(8):
        got = h.pread(65536, (i * 8 + n) * 65536)
        assert got == bytes([(n * 16 + i + 1) % 251]) * 65536, (i, n)
`;

describe('marks', () => {
  testWith(
    ['fio', 'qemu-io', 'qemu-img'],
    '[R1] a mark under load comes with all that was written before it',
    async () => {
      const [primary, secondary] = [await pair.address('tokyo'), await pair.address('kyoto')];
      const load = begin(
        'fio',
        fio(
          '--rw=randwrite',
          '--time_based',
          '--runtime=50',
          '--rate_iops=2000',
          '--size=32m',
          '--fsync=64',
        ),
        { cwd: pair.scratch, timeoutMs: TEST_MS },
      );
      await pair.untilHosts('tokyo', (hosts) => hosts.some((host) => host.writtenBytes > 1 * MIB));
      for (const [index, name] of ['first', 'second'].entries()) {
        await qemuIo(pair.uri('tokyo', 'log'), `write -P ${index + 1} 0 64k`);
        const mark = await rcopyJson<MarkAnswer>('mark', primary, name);
        const waited = await rcopyJson<WaitAnswer>('wait', secondary, '--mark', name);
        expect(waited.sequence).toBe(mark.sequence);
        expect(waited.restoredSequence).toBeGreaterThanOrEqual(mark.sequence);
        const range = ['--volume', 'log', '--offset', '0', '--length', '64k'];
        const { stdout } = await rcopy('read', secondary, ...range);
        expect(stdout).toBe(String.fromCodePoint(index + 1).repeat(64 * KIB));
      }
      const { hosts } = await rcopyJson<StatusAnswer>('status', primary);
      expect(hosts).toHaveLength(1);
      load.kill('SIGINT');
      expect((await load.finished).said).toContain('err= 0');
      await expectEqual(pair);
    },
    TEST_MS,
  );
});
