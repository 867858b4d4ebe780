// The real programs that hosts use, against the server over a volume of a real image set.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { JOURNAL_BYTES_MIN, KIB, MIB, journalSizesFor } from '../../src/base/limits.ts';
import { readDevice } from '../../src/device/device.ts';
import type { Device } from '../../src/device/device.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { openImageSet } from '../../src/imageset/open-set.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import type { NbdExport } from '../../src/nbd/exports.ts';
import { NbdServer } from '../../src/nbd/server.ts';
import type { Listening } from '../../src/sys/network.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { seededRandom } from '../sim/random.ts';
import { run, succeed, testWith } from '../support/programs.ts';

const SIZE = 64 * MIB;

/** The Python that Debian's libnbd is for; `nbdsh` comes with it. */
const PYTHON = '/usr/bin/python3';

let folder: string;
let set: ImageSet;
let server: NbdServer;
let listening: Listening;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-nbd-'));
  await makeSetFolder(nodeEnvironment, join(folder, 'tokyo'), {
    name: 'tokyo',
    volumes: [
      { name: 'db', sizeBytes: SIZE },
      { name: 'log', sizeBytes: 1 * MIB + 512 },
    ],
    journal: journalSizesFor(JOURNAL_BYTES_MIN),
  });
  set = await openImageSet(nodeEnvironment, join(folder, 'tokyo'), {
    lockWaitMs: 0,
    roomWaitMs: 10_000,
    pid: process.pid,
  });
  server = new NbdServer({ clock: nodeEnvironment.clock, exports: exportsOf(set) });
  const path = join(folder, 'nbd.sock');
  listening = await nodeNetwork.listen({ kind: 'unix', path }, (stream) => server.accept(stream));
});

afterEach(async () => {
  await listening.close();
  await server.stop();
  expect(server.usage().memory.usedBytes).toBe(0);
  expect(server.usage().connections.count).toBe(0);
  await set.close();
  rmSync(folder, { recursive: true });
});

/** The volumes, the first one as the default too, and as one that may only be read. */
function exportsOf({ volumes, file }: ImageSet) {
  const all: NbdExport[] = [];
  for (const [index, volume] of volumes.entries()) {
    const name = file.volumes[index]?.name ?? '';
    all.push({ name, description: `volume ${name} of tokyo`, device: volume });
  }
  const [first] = all;
  const readOnly = first && { ...first, name: 'seen', device: seenOnly(first.device) };
  if (readOnly) all.push(readOnly);
  return {
    list: () => all,
    find: (name: string) => all.find((found) => found.name === (name || 'db')),
  };
}

function seenOnly(volume: Device): Device {
  return {
    sizeBytes: volume.sizeBytes,
    readOnly: true,
    submit: (request, done) => volume.submit(request, done),
    nextExtent: (offset, end) => volume.nextExtent(offset, end),
  };
}

function uri(name = 'db'): string {
  return `nbd+unix:///${name}?socket=${join(folder, 'nbd.sock')}`;
}

function device(name = 'db'): Device {
  const found = set.volumes[set.file.volumes.findIndex((volume) => volume.name === name)];
  if (!found) throw new Error(`no volume ${name}`);
  return found;
}

/** An image with data, holes and zeroes. */
function someImage(seed: number): Buffer {
  const random = seededRandom(seed);
  const image = Buffer.alloc(SIZE);
  for (let count = 0; count < 40; count += 1) {
    const length = 1 + random.below(512 * KIB);
    const at = random.below(SIZE - length);
    const byte = 1 + random.below(255);
    for (let index = at; index < at + length; index += 1) image[index] = (byte + index) & 0xff;
  }
  return image;
}

describe('nbdinfo', () => {
  testWith(['nbdinfo'], 'tells what an export is and can do', async () => {
    const told = JSON.parse(await succeed('nbdinfo', ['--json', uri()])) as unknown;
    expect(told).toMatchObject({
      protocol: 'newstyle-fixed',
      structured: true,
      exports: [
        {
          'export-name': 'db',
          description: 'volume db of tokyo',
          'export-size': SIZE,
          contexts: ['base:allocation'],
          is_read_only: false,
          is_rotational: false,
          can_cache: true,
          can_df: true,
          can_fast_zero: true,
          can_flush: true,
          can_fua: true,
          can_multi_conn: true,
          can_trim: true,
          can_zero: true,
          block_size_minimum: 1,
          block_size_preferred: 4096,
          block_size_maximum: 32 * MIB,
        },
      ],
    });
    await succeed('nbdinfo', ['--can', 'structured-reply', uri()]);
    const seen = JSON.parse(await succeed('nbdinfo', ['--json', uri('seen')])) as unknown;
    expect(seen).toMatchObject({ exports: [{ is_read_only: true, can_trim: false }] });
  });

  testWith(['nbdinfo'], 'lists every export, and finds the default one', async () => {
    const list = await succeed('nbdinfo', ['--list', '--json', uri('')]);
    expect(JSON.parse(list)).toMatchObject({
      exports: [
        { 'export-name': 'db', 'export-size': SIZE },
        { 'export-name': 'log', 'export-size': 1 * MIB + 512 },
        { 'export-name': 'seen', is_read_only: true },
      ],
    });
    expect((await succeed('nbdinfo', ['--size', uri('')])).trim()).toBe(String(SIZE));
  });

  testWith(['nbdinfo', 'qemu-io'], 'maps data and holes', async () => {
    await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 7 1M 64k', uri()]);
    const map = JSON.parse(await succeed('nbdinfo', ['--map', '--json', uri()])) as unknown[];
    expect(map).toEqual([
      { offset: 0, length: 1 * MIB, type: 3, description: 'hole,zero' },
      { offset: 1 * MIB, length: 64 * KIB, type: 0, description: 'data' },
      {
        offset: 1 * MIB + 64 * KIB,
        length: 63 * MIB - 64 * KIB,
        type: 3,
        description: 'hole,zero',
      },
    ]);
  });
});

describe('nbdcopy', () => {
  testWith(['nbdcopy'], 'brings an image in and out over four connections', async () => {
    const image = someImage(1);
    const source = join(folder, 'source.img');
    writeFileSync(source, image);
    const four = ['--connections=4', '--requests=32'];
    await succeed('nbdcopy', [...four, '--flush', source, uri()]);
    expect((await readDevice(device(), 0, SIZE)).equals(image)).toBe(true);
    const { stdout } = await run('nbdcopy', [uri(), '-']);
    expect(stdout.equals(image)).toBe(true);
    const target = join(folder, 'target.img');
    await succeed('nbdcopy', [...four, uri('seen'), target]);
    expect(statSync(target).size).toBe(SIZE);
    await succeed('cmp', [source, target]);
  });
});

describe('qemu-io', () => {
  testWith(['qemu-io'], 'writes, flushes, zeroes, discards, with and without FUA', async () => {
    const words = [
      'write -P 9 0 4k',
      'flush',
      'read -P 9 0 4k',
      'write -f -P 8 3k 2k', // FUA
      'write -P 7 512 512',
      'write -z -u 8M 1M',
      'write -P 6 16M 1M',
      'write -z 16M 512k',
      'discard 17301504 512k',
      'read -P 9 0 512',
      'read -P 7 512 512',
      'read -P 8 3k 2k',
      'read -P 0 8M 1M',
      'read -P 0 16M 1M',
      'aio_write -P 5 20M 1M',
      'aio_write -P 4 21M 1M',
      'aio_flush',
      'read -P 5 20M 1M',
      'read -P 4 21M 1M',
    ].flatMap((command) => ['-c', command]);
    const said = await succeed('qemu-io', ['-f', 'raw', '-t', 'none', ...words, uri()]);
    expect(said).not.toMatch(/failed|error/i);
    await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 3 0 512', uri()]);
    expect((await readDevice(device(), 0, 512)).every((byte) => byte === 3)).toBe(true);
  });

  testWith(['qemu-io'], 'cannot write to what may only be read', async () => {
    const { code, said } = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', uri('seen')]);
    expect(`${code} ${said}`).toMatch(/^1 .*Permission denied/);
    expect((await readDevice(device(), 0, 512)).every((byte) => byte === 0)).toBe(true);
  });
});

describe('qemu-img', () => {
  testWith(['qemu-img'], 'shows why an export is refused', async () => {
    const { code, said } = await run('qemu-img', ['info', uri('nothing')]);
    expect(code).toBe(1);
    expect(said).toContain('there is no export "nothing"');
  });

  testWith(['qemu-img'], 'converts, compares and maps', async () => {
    const image = someImage(2);
    const source = join(folder, 'source.img');
    writeFileSync(source, image);
    const raw = ['-f', 'raw'];
    await succeed('qemu-img', ['convert', '-n', ...raw, '-O', 'raw', source, uri()]);
    await succeed('qemu-img', ['compare', ...raw, '-F', 'raw', source, uri()]);
    expect((await readDevice(device(), 0, SIZE)).equals(image)).toBe(true);
    const map = await succeed('qemu-img', ['map', ...raw, '--output=json', uri()]);
    const extents = JSON.parse(map) as { start: number; length: number; zero: boolean }[];
    for (const { start, length, zero } of extents) {
      const holds = image.subarray(start, start + length).some((byte) => byte !== 0);
      expect({ start, zero: zero && holds }).toEqual({ start, zero: false });
    }
    expect(extents.some(({ zero }) => zero)).toBe(true);
    const target = join(folder, 'target.qcow2');
    await succeed('qemu-img', ['convert', ...raw, '-O', 'qcow2', uri('seen'), target]);
    await succeed('qemu-img', ['compare', ...raw, '-F', 'qcow2', uri(), target]);
  });
});

describe('fio', () => {
  testWith(['fio'], 'verifies what it wrote at depth 32, with fsyncs and trims', async () => {
    const common = ['--name=x', '--ioengine=nbd', `--uri=${uri()}`, '--bs=4k', '--iodepth=32'];
    const said = await succeed(
      'fio',
      [...common, '--rw=randwrite', '--size=16m', '--verify=crc32c', '--fsync=16', '--randseed=7'],
      { cwd: folder },
    );
    expect(said).toContain('err= 0');
    const mixed = ['--rw=randtrimwrite', '--offset=32m', '--size=8m', '--fsync=16'];
    expect(await succeed('fio', [...common, ...mixed], { cwd: folder })).toContain('err= 0');
  });
});

/** Writes with eight connections at once, each its own stripes, then checks them all. */
const EIGHT = `
import nbd, sys
uri, = sys.argv[1:]
handles = []
for n in range(8):
    h = nbd.NBD(); h.add_meta_context("base:allocation"); h.connect_uri(uri); handles.append(h)
assert all(h.can_multi_conn() and h.can_flush() and h.can_fua() for h in handles)
block = 64 * 1024
def content(n, i): return bytes([(n * 16 + i + 1) % 251]) * block
for i in range(16):
    for n, h in enumerate(handles):
        h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(content(n, i))), (i * 8 + n) * block)
for h in handles:
    while h.aio_in_flight() > 0: h.poll(-1)
handles[3].flush()
for i in range(16):
    for n in range(8):
        other = handles[(n + 5) % 8]
        assert other.pread(block, (i * 8 + n) * block) == content(n, i), (i, n)
h = handles[0]
size = h.get_size()
def errno(action):
    try: action()
    except nbd.Error as e: return e.errno
    return "no error"
h.set_strict_mode(0)
print(errno(lambda: h.pwrite(b"x" * 512, size)), errno(lambda: h.pread(512, size)),
  errno(lambda: h.zero(4096, size - 512)), errno(lambda: h.pread(0, 0)),
  errno(lambda: h.cache(1 << 21, 0)), errno(lambda: h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)),
  errno(lambda: h.trim(4096, 0, nbd.CMD_FLAG_FUA)))
assert h.pread(4096, 0) == bytes(4096)
h.pwrite(b"y" * 512, size - 512, nbd.CMD_FLAG_FUA)
extents = []
h.block_status(1 << 20, 0, lambda m, o, e, err: extents.extend(e), nbd.CMD_FLAG_REQ_ONE)
assert len(extents) == 2 and extents[0] <= 1 << 20, extents
for h in handles: h.shutdown()
`;

describe('libnbd', () => {
  testWith(['nbdsh'], 'writes and reads over eight connections', async () => {
    const said = await succeed(PYTHON, ['-c', EIGHT, uri()]);
    const none = 'no error';
    expect(said.trim()).toBe(`ENOSPC EINVAL ENOSPC EINVAL ${none} ${none} ${none}`);
    expect((await readDevice(device(), SIZE - 512, 512)).every((byte) => byte === 121)).toBe(true);
  });
});

test('a client that breaks off leaves nothing behind', async () => {
  const stream = await nodeNetwork.dial(listening.address);
  const heard = new Promise<void>((resolve) => {
    stream.listen({ data: () => resolve(), closed: () => resolve(), drained: () => undefined });
  });
  await heard;
  expect(server.usage().handshakes.count).toBe(1);
  stream.destroy();
});
