// Addresses as people write them, and the real network: sockets left behind, addresses in use.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { formatAddress, parseAddress } from '../../src/sys/network.ts';
import type { Listening, NetworkAddress } from '../../src/sys/network.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import type { ByteStream } from '../../src/sys/stream.ts';

describe('addresses', () => {
  test.each<[string, NetworkAddress]>([
    ['tokyo:10809', { kind: 'tcp', host: 'tokyo', port: 10_809 }],
    ['127.0.0.1:0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
    ['[::1]:65535', { kind: 'tcp', host: '::1', port: 65_535 }],
    ['unix:/run/rcopy.sock', { kind: 'unix', path: '/run/rcopy.sock' }],
    ['unix:relative:with:colons', { kind: 'unix', path: 'relative:with:colons' }],
  ])('%s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(address)).toBe(text);
  });

  test.each([
    ['tokyo', 'it names no port'],
    ['', 'it names no port'],
    [':10809', 'it names no host'],
    ['[]:1', 'it names no host'],
    ['tokyo:', 'its form is wrong'],
    ['tokyo:nbd', 'its form is wrong'],
    ['::1:10809', 'its form is wrong'],
    ['[::1]', 'its form is wrong'],
    ['tokyo:1:2', 'its form is wrong'],
    ['tokyo:65536', 'ports end at 65535'],
    ['a b:1', 'no host has such a name'],
    ['nbd://tokyo:1', 'its form is wrong'],
    ['/run/x:1', 'no host has such a name'],
    ['[tokyo]:1', '[ ] is for IPv6 addresses'],
    ['unix:', 'names no path'],
    ['unix:a\0b', 'zero byte'],
    [`unix:${'é'.repeat(54)}`, 'at most 107 bytes'],
  ])('%j is refused: %s', (text, why) => {
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining(why) }),
    );
  });

  test('a unix path may have 107 bytes', () => {
    expect(parseAddress(`unix:${'x'.repeat(107)}`).kind).toBe('unix');
  });
});

describe('this machine', () => {
  let folder: string;
  let listening: Listening[];
  let streams: ByteStream[];
  let at: NetworkAddress & { kind: 'unix' };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rcopy-network-'));
    at = { kind: 'unix', path: join(folder, 'socket') };
    listening = [];
    streams = [];
  });
  afterEach(async () => {
    for (const stream of streams) stream.destroy();
    for (const place of listening) await place.close();
    rmSync(folder, { recursive: true });
  });

  /** Accepts at `address`, and says who came. */
  async function accept(address: NetworkAddress): Promise<NetworkAddress> {
    const place = await nodeNetwork.listen(address, (stream) => {
      streams.push(stream);
      stream.listen({ data: (chunk) => stream.write([chunk]), closed: ignore, drained: ignore });
    });
    listening.push(place);
    return place.address;
  }

  /** What is echoed when it is said at `address`. */
  async function echo(address: NetworkAddress): Promise<string> {
    const stream = await nodeNetwork.dial(address);
    streams.push(stream);
    return new Promise((resolve, reject) => {
      const closed = (error?: Error) => reject(error ?? new Error('it ended'));
      stream.listen({ data: (chunk) => resolve(String(chunk)), closed, drained: ignore });
      stream.write([Buffer.from('hello')]);
    });
  }

  test.each(['127.0.0.1:0', '[::1]:0'])('%s gives the real port', async (text) => {
    const address = await accept(parseAddress(text));
    expect(address).toEqual({ ...parseAddress(text), port: expect.any(Number) });
    expect(address).not.toEqual(parseAddress(text));
    expect(await echo(address)).toBe('hello');
    expect(streams[0]?.peer.startsWith(text.slice(0, -2))).toBe(true);
  });

  test('a unix socket is there while it is listened at, and gone afterwards', async () => {
    await accept(at);
    expect(await echo(at)).toBe('hello');
    expect(streams.map(({ peer }) => peer)).toEqual([formatAddress(at), formatAddress(at)]);
    await listening.pop()?.close();
    expect(existsSync(at.path)).toBe(false);
    await expect(nodeNetwork.dial(at)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    await accept(at);
    expect(await echo(at)).toBe('hello');
  });

  test('streams live on when their place is closed', async () => {
    const address = await accept(parseAddress('127.0.0.1:0'));
    const stream = await nodeNetwork.dial(address);
    streams.push(stream);
    await echo(address);
    await listening.pop()?.close();
    const heard = new Promise((resolve) => {
      stream.listen({ data: resolve, closed: resolve, drained: ignore });
    });
    stream.write([Buffer.from('still here')]);
    expect(String(await heard)).toBe('still here');
    await expect(nodeNetwork.dial(address)).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
  });

  test('the socket of a killed process is replaced', async () => {
    const code = `require('net').createServer().listen(${JSON.stringify(at.path)}, () => {
      process.stdout.write('up');
    });`;
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => {
      child.stdout.once('data', resolve);
    });
    await expect(accept(at)).rejects.toMatchObject({ code: 'E_STATE' });
    const dead = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    child.kill('SIGKILL');
    await dead;
    expect(existsSync(at.path)).toBe(true);
    await accept(at);
    expect(await echo(at)).toBe('hello');
  });

  test('an address in use is told as such, and keeps working', async () => {
    const address = await accept(parseAddress('127.0.0.1:0'));
    await accept(at);
    for (const taken of [address, at]) {
      await expect(accept(taken)).rejects.toMatchObject({
        code: 'E_STATE',
        message: `listen: ${formatAddress(taken)} is in use by another process`,
      });
      expect(await echo(taken)).toBe('hello');
    }
  });

  test('a file that is no socket is never removed', async () => {
    writeFileSync(at.path, 'precious');
    await expect(accept(at)).rejects.toMatchObject({
      code: 'E_STATE',
      message: expect.stringContaining('is not a socket'),
    });
    rmSync(at.path);
    mkdirSync(at.path);
    await expect(accept(at)).rejects.toMatchObject({ code: 'E_STATE' });
    expect(existsSync(at.path)).toBe(true);
  });

  test('a place that is not on this machine is told', async () => {
    const nowhere = { kind: 'unix', path: join(folder, 'missing', 'socket') } as const;
    await expect(accept(nowhere)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    const foreign = { kind: 'tcp', host: '192.0.2.1', port: 0 } as const;
    await expect(accept(foreign)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  test('nobody at an address is unreachable', async () => {
    const address = await accept(parseAddress('127.0.0.1:0'));
    await listening.pop()?.close();
    for (const empty of [address, at]) {
      await expect(nodeNetwork.dial(empty)).rejects.toMatchObject({
        code: 'E_UNREACHABLE',
        message: expect.stringContaining(`nobody answers at ${formatAddress(empty)}`),
      });
    }
  });
});

function ignore(): void {
  // Not what the test looks at.
}
