// The client against real servers: nbdkit, with and without chunks, and qemu-nbd.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { KIB, MIB } from '../../src/base/limits.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { Extent } from '../../src/base/extent.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { pattern } from '../support/image-sets.ts';
import { testWith } from '../support/programs.ts';

const SIZE = 64 * MIB;

let folder: string;
let path: string;
let server: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-servers-'));
  path = join(folder, 'nbd.sock');
});

afterEach(() => {
  server?.kill('SIGKILL');
  server = undefined;
  rmSync(folder, { recursive: true });
});

/** Starts a server that listens at `path`, and connects to it. */
async function served(program: string, words: readonly string[]): Promise<NbdClient> {
  server = spawn(program, words, { stdio: 'ignore' });
  for (let tries = 0; ; tries += 1) {
    try {
      const stream = await nodeNetwork.dial({ kind: 'unix', path });
      return await NbdClient.open(stream, { clock: nodeClock, exportName: '' });
    } catch (error) {
      if (tries > 500) throw error;
      await sleep(10);
    }
  }
}

/** Everything that a device can do, checked against what a plain buffer holds. */
async function exercise(client: NbdClient): Promise<void> {
  const model = Buffer.alloc(SIZE);
  expect(client.sizeBytes).toBe(SIZE);
  const writes = Array.from({ length: 200 }, (_, id) => {
    const bytes = pattern(id, 1 + ((id * 977) % (64 * KIB)));
    const offset = (id * 104_729) % (8 * MIB);
    model.set(bytes, offset);
    const [first, second] = [bytes.subarray(0, 1), bytes.subarray(1)];
    const data = second.length > 0 ? [first, second] : [first];
    const request = { offset, length: bytes.length, data, fua: id % 50 === 0 };
    // One behind the other, since they overlap and servers may reorder what is under way at once.
    return () => submitAndWait(client, { kind: 'write', ...request });
  });
  for (const write of writes) await write();
  model.fill(0, 1 * MIB, 3 * MIB);
  const zeroes = { kind: 'zeroes', offset: 1 * MIB, fua: true } as const;
  await submitAndWait(client, { ...zeroes, length: 1 * MIB, mayFree: false });
  await submitAndWait(client, { ...zeroes, length: 2 * MIB, mayFree: true });
  await submitAndWait(client, { kind: 'flush' });
  const reads = Array.from({ length: 64 }, (_, index) => readDevice(client, index * MIB, MIB));
  expect(Buffer.concat(await Promise.all(reads)).equals(model)).toBe(true);
  expect((await readDevice(client, 0, 32 * MIB)).equals(model.subarray(0, 32 * MIB))).toBe(true);
  await expect(readDevice(client, SIZE - 1, 2)).rejects.toMatchObject({ code: 'E_RANGE' });
  for (const extent of await allExtents(client)) {
    const { offset, length, data } = extent;
    const holds = model.subarray(offset, offset + length).some((byte) => byte !== 0);
    expect({ ...extent, wrong: holds && !data }).toEqual({ ...extent, wrong: false });
  }
  expect(client.requestsInFlight).toBe(0);
}

async function allExtents(client: NbdClient): Promise<Extent[]> {
  const found: Extent[] = [];
  for (let at = 0; at < SIZE;) {
    found.push(...(await client.allocation(at, SIZE)));
    const last = found.at(-1);
    at = last ? last.offset + last.length : SIZE;
  }
  return found;
}

testWith(['nbdkit'], 'nbdkit', async () => {
  const client = await served('nbdkit', ['-f', '-U', path, 'memory', String(SIZE)]);
  expect(client.session).toMatchObject({ structured: true, allocationContext: expect.any(Number) });
  await exercise(client);
  expect((await allExtents(client)).some(({ data }) => !data)).toBe(true);
  await client.close();
});

testWith(['nbdkit'], 'nbdkit without chunks', async () => {
  const client = await served('nbdkit', ['-f', '--no-sr', '-U', path, 'memory', String(SIZE)]);
  expect(client.session).toMatchObject({ structured: false, allocationContext: undefined });
  await exercise(client);
  await client.close();
});

testWith(['qemu-nbd'], 'qemu-nbd, which sends holes as such', async () => {
  const image = join(folder, 'image.raw');
  writeFileSync(image, '');
  truncateSync(image, SIZE);
  const client = await served('qemu-nbd', ['-f', 'raw', '-k', path, '--discard=unmap', image]);
  expect(client.session).toMatchObject({ structured: true });
  await exercise(client);
  expect((await allExtents(client)).some(({ data }) => !data)).toBe(true);
  await client.close();
});

testWith(['nbdkit'], 'a server that is killed: what is under way fails, and is told', async () => {
  const slow = ['--filter=delay', 'memory', String(SIZE), 'rdelay=60'];
  const client = await served('nbdkit', ['-f', '-U', path, ...slow]);
  const reading = readDevice(client, 0, 512);
  await submitAndWait(client, { kind: 'flush' });
  server?.kill('SIGKILL');
  await expect(reading).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
  await expect(readDevice(client, 0, 512)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
  await client.close();
});
