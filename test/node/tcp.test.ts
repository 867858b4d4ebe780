/** A pair of nodes over real sockets, with a proxy between them that cuts, delays and swallows. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MIB, SEGMENT_BYTES_MIN, journalSizesFor } from '../../src/base/limits.ts';
import { submitAndWait } from '../../src/device/device.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import { StorageNode } from '../../src/node/storage-node.ts';
import { formatAddress, parseAddress } from '../../src/sys/network.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { difference, pattern } from '../support/image-sets.ts';
import { FAIR } from '../support/middleman.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const VOLUMES = [{ name: 'data', sizeBytes: 4 * MIB }];
const BEAT_MS = 50;

let folder: string;
const closing: (() => Promise<void>)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-tcp-'));
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  rmSync(folder, { recursive: true, force: true });
});

/** A node that takes links at a port of its own. */
async function daemon(name: string) {
  const path = join(folder, name);

  await makeSetFolder(nodeEnvironment, path, {
    name,
    volumes: VOLUMES,
    journal: journalSizesFor(4 * SEGMENT_BYTES_MIN),
  });
  const taken: { node?: StorageNode } = {};
  const anywhere = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const listening = await nodeNetwork.listen(anywhere, (stream) => taken.node?.acceptLink(stream));
  const node = await StorageNode.open(nodeEnvironment, path, {
    lockWaitMs: 0,
    roomWaitMs: 0,
    pid: process.pid,
    connector: { dial: (address) => nodeNetwork.dial(parseAddress(address)) },
    address: formatAddress(listening.address),
    eager: true,
    beatMs: BEAT_MS,
  });
  taken.node = node;
  closing.push(async () => {
    await listening.close();
    await node.close();
  });
  node.startServing();
  return { node, address: formatAddress(listening.address) };
}

async function pair() {
  const c = await daemon('kyoto');
  const proxy = await TcpProxy.start(c.address);
  const a = await daemon('tokyo');
  closing.unshift(() => proxy.close());
  await a.node.createPair({ secondary: proxy.address, ack: 'remote' });
  return { a: a.node, c: c.node, proxy };
}

async function write(node: StorageNode, id: number): Promise<void> {
  const data = [pattern(id, 30_000)];
  const [device] = node.set.volumes;
  if (!device) throw new Error('no volume');
  await submitAndWait(device, {
    kind: 'write',
    offset: id * 50_000,
    data,
    length: 30_000,
    fua: false,
  });
}

/** Until C has restored all that A has. */
async function inStep(a: StorageNode, c: StorageNode): Promise<void> {
  await a.set.until(() => {
    const isThere = (a.set.secondary?.restored.sequence ?? -1) >= a.set.newest;
    return a.set.file.pair?.state === 'paired' && isThere;
  });
  const [mine, theirs] = [a, c].map(({ set }) => [set.contents.readNow(0, 0, 4 * MIB)]);
  expect(difference(mine ?? [], theirs ?? [])).toBeUndefined();
}

describe('over real sockets', () => {
  test('[R6] cut again and again, it goes on where it was', async () => {
    const { a, c, proxy } = await pair();
    for (let id = 0; id < 12; id += 1) {
      await write(a, id);
      if (id % 3 > 0) continue;
      proxy.cuts.push(35_000 + id * 7000); // a range of the copy has 30,000
      proxy.cut();
    }
    await inStep(a, c);
    expect(a.replication.counts.sentBytes).toBeLessThan(12 * 30_000 * 4);
  });

  test('[R10] in a black hole the link is down soon, and comes back', async () => {
    const { a, c, proxy } = await pair();
    await write(a, 0);
    await inStep(a, c);
    proxy.change({ blackHole: true });
    await write(a, 1);
    await a.set.until(() => a.status().pair?.link === 'down');
    expect(a.status().pair).toMatchObject({ kept: true, lag: { entries: 1 } });
    expect(a.status().pair?.reason).toMatch(/nothing came|did not answer|broke|cut/);
    await c.set.until(() => c.status().pair?.link === 'down');
    proxy.change(FAIR);
    await inStep(a, c);
    expect(a.status()).toMatchObject({ pair: { link: 'up' } });
  });

  test('slow and late, it is slow and late, and no more', async () => {
    const { a, c, proxy } = await pair();
    await write(a, 0);
    await inStep(a, c);
    proxy.change({ delayMs: 20, bytesPerSecond: 400_000 });
    for (let id = 1; id < 6; id += 1) await write(a, id);
    const { copiesBegun } = a.replication.counts;
    await inStep(a, c);
    expect(a.replication.counts.copiesBegun).toBe(copiesBegun);
  });
});
