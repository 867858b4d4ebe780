/** The control interface as a stranger meets it: what is refused, and how; what a cut leaves. */
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { CONTROL_CONNECTIONS_MAX, JOURNAL_BYTES_MIN, MIB } from '../../src/base/limits.ts';
import { dialHosts, dialLink } from '../../src/control/http-client.ts';
import { RemoteSet } from '../../src/control/remote-set.ts';
import { ControlServer } from '../../src/control/server.ts';
import { setRoutes } from '../../src/control/set-routes.ts';
import type { HostsCaller } from '../../src/control/set-routes.ts';
import { Site } from '../../src/control/site.ts';
import type { ImagePiece } from '../../src/node/requests.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';

const VOLUME_BYTES = 4 * MIB;

let scratch = '';
let site: Site;
let node: StorageNode;
let server: ControlServer;
let port = 0;
let remote: RemoteSet;
/** What the set does with NBD streams of controllers. */
let acceptHosts: (stream: ByteStream, as: HostsCaller) => void;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-control-'));
  site = new Site(nodeEnvironment, { lockWaitMs: 0 });
  const folder = join(scratch, 'tokyo');
  const volumes = [{ name: 'db', sizeBytes: VOLUME_BYTES }];
  await site.create({ folder, volumes, journalBytes: JOURNAL_BYTES_MIN, ifMissing: false });
  node = await site.openHere(folder);
  server = new ControlServer(
    setRoutes({
      find: async (set) => {
        if (set === 'own' || set === node.set.file.setId) return node;
        throw new RcopyError('E_NOT_FOUND', `no set ${set}`);
      },
      acceptLink: async (_, stream) => node.acceptLink(stream),
      acceptHosts: async (_, stream, as) => acceptHosts(stream, as),
      remake: async () => undefined,
    }),
    nodeEnvironment.clock,
  );
  port = await server.listen({ host: '127.0.0.1', port: 0 });
  remote = new RemoteSet({ name: 'tokyo', at: { host: '127.0.0.1', port } }, 'own');
});

afterEach(async () => {
  await server.close();
  await site.close();
  rmSync(scratch, { recursive: true, force: true });
});

function url(path: string): string {
  return `http://127.0.0.1:${port}/v1/sets/own/${path}`;
}

async function post(path: string, body: string, type = 'application/json') {
  const headers = { 'content-type': type };
  const response = await fetch(url(path), { method: 'POST', headers, body });
  return { status: response.status, body: (await response.json()) as { error?: RcopyError } };
}

describe('what is no call is refused, and the daemon lives on', () => {
  test.each([
    ['mark', '{"name":7}', 'application/json', 400, 'name'],
    ['mark', '{"name":"x","colour":1}', 'application/json', 400, 'colour'],
    ['mark', '{"name":', 'application/json', 400, 'JSON'],
    ['mark', 'name=x', 'application/x-www-form-urlencoded', 400, 'Unsupported Media Type'],
    ['mark', '{"name":"x"}', 'text/plain', 400, ''],
    ['dance', '{}', 'application/json', 404, 'dance'],
    ['write?offset=0', '{}', 'application/json', 400, 'octet-stream'],
    ['write?offset=-1', 'x', 'application/octet-stream', 400, 'offset'],
    ['write?offset=9e99', 'x', 'application/octet-stream', 400, 'offset'],
    ['write?offset=4194304', 'x', 'application/octet-stream', 416, 'db'],
    ['import?size=4', 'abcdefghijklmnopqrstuvw', 'application/octet-stream', 400, 'broken'],
    ['import?size=5000000', 'x', 'application/octet-stream', 409, 'db'],
    ['__proto__', '{}', 'application/json', 404, ''],
  ])('POST %s %s as %s: %d', async (path, body, type, status, says) => {
    const answer = await post(path, body, type);
    expect(answer.body.error?.message).toContain(says);
    expect(answer.status).toBe(status);
    expect((await remote.status()).set.name).toBe('tokyo');
  });

  test('more JSON than a call can have is not read', async () => {
    const { body } = await post('mark', JSON.stringify({ name: 'x'.repeat(2 * MIB) }));
    expect(body.error).toMatchObject({ code: 'E_PROTOCOL' });
  });

  test('another set is not found, whatever its name', async () => {
    for (const set of ['0'.repeat(32), '..', '%2e%2e', 'x'.repeat(1000)]) {
      const response = await fetch(`http://127.0.0.1:${port}/v1/sets/${set}/status`, {
        method: 'POST',
      });
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
    }
  });

  test('a link is spoken only to who asks for it by name', async () => {
    const says = await new Promise<string>((resolve, reject) => {
      const asked = request(url('link'), { headers: { connection: 'Upgrade', upgrade: 'nbd' } });
      asked.on('upgrade', () => reject(new Error('it was upgraded')));
      asked.on('error', reject);
      asked.on('response', (response) => resolve(`${response.statusCode}`));
      asked.end();
    });
    expect(says).toBe('400');
  });

  test.each([
    ['text', 'GARBAGE\r\n\r\n'],
    ['a request without a host', 'GET / HTTP/1.1\r\n\r\n'],
    ['an endless path', `GET /${'x'.repeat(100_000)}`],
    ['a zero', '\0'],
  ])('bytes that are no HTTP are cut off: %s', async (_, bytes) => {
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
      socket.on('error', () => undefined);
      socket.resume();
      socket.on('close', () => resolve());
    });
    expect((await remote.status()).set.name).toBe('tokyo');
  });
});

describe('a page of somebody else, in a browser of somebody who may', () => {
  /** fetch sets Host and Origin itself. */
  function ask(headers: Record<string, string>, path = 'remake', upgrade = false) {
    return new Promise<number>((resolve, reject) => {
      const method = upgrade ? 'GET' : 'POST';
      const asked = request(url(path), { method, headers });
      asked.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on('upgrade', (_, socket) => {
        socket.destroy();
        resolve(101);
      });
      asked.on('error', reject);
      asked.end();
    });
  }
  const link = { connection: 'Upgrade', upgrade: 'rcopy-link/1' };

  test('is not obeyed', async () => {
    expect(await ask({})).toBe(200);
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { host: 'evil.example' },
      { host: 'evil.example:80' },
      { host: '127.0.0.1.evil.example' },
    ]) {
      expect([headers, await ask(headers)]).toEqual([headers, 400]);
      expect(await ask({ ...headers, ...link }, 'link', true)).toBe(400);
    }
  });

  test('addresses, and the names that it goes by, are its own', async () => {
    expect(await ask({ host: 'localhost:7070' })).toBe(200);
    expect(await ask({ host: '[::1]:7070' })).toBe(200);
    expect(await ask(link, 'link', true)).toBe(101);
    expect(await ask({ host: 'tokyo.example:7070' })).toBe(400);
    await server.listen({ host: '127.0.0.1', port: 0 }, { host: 'Tokyo.example', port: 7070 });
    expect(await ask({ host: 'tokyo.example:7070' })).toBe(200);
  });
});

test('a peer that resets while the set is still being opened ends nothing but itself', async () => {
  let opened = (): void => undefined;
  const slow = new ControlServer(
    setRoutes({
      find: () =>
        new Promise((resolve) => {
          opened = () => resolve(node);
        }),
      acceptLink: async () => {
        throw new Error('a dead connection became a link');
      },
      acceptHosts: async () => undefined,
      remake: async () => undefined,
    }),
    nodeEnvironment.clock,
  );
  const at = await slow.listen({ host: '127.0.0.1', port: 0 });
  const head = 'host: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: rcopy-link/1\r\n\r\n';
  const socket = connect(at, '127.0.0.1');
  await new Promise<void>((resolve) => {
    socket.write(`GET /v1/sets/own/link HTTP/1.1\r\n${head}`, () => setTimeout(resolve, 50));
  });
  socket.resetAndDestroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  opened();
  await slow.close();
  expect((await remote.status()).set.name).toBe('tokyo');
});

describe('an NBD stream of a path controller', () => {
  const CONTROLLER = 'c'.repeat(32);
  const dial = (set = 'own', as = { controllerId: CONTROLLER, generation: 3 }) =>
    dialHosts({ name: 'tokyo', at: { host: '127.0.0.1', port } }, set, as);

  /** What comes out of `stream`, until it ends. */
  function heard(stream: ByteStream): Promise<string> {
    return new Promise((resolve) => {
      const parts: Uint8Array[] = [];
      stream.listen({
        data: (chunk) => parts.push(chunk),
        drained: () => undefined,
        closed: () => resolve(Buffer.concat(parts).toString()),
      });
    });
  }

  test('goes to the set with who dials it, and carries bytes both ways', async () => {
    const callers: HostsCaller[] = [];
    acceptHosts = (stream, as) => {
      callers.push(as);
      // An NBD server speaks first, before anybody knows that the stream was taken.
      stream.write([Buffer.from('NBDMAGIC')]);
      stream.listen({
        data: (chunk) => {
          stream.write([Buffer.from('you said '), chunk]);
          stream.end();
        },
        drained: () => undefined,
        closed: () => undefined,
      });
    };
    const stream = await dial();
    const says = heard(stream);
    stream.write([Buffer.from('hello')]);
    expect(await says).toBe('NBDMAGICyou said hello');
    expect(callers).toEqual([{ controllerId: CONTROLLER, generation: 3 }]);
  });

  test('one that is taken in silence is open as well', async () => {
    const taken = new Promise<ByteStream>((resolve) => {
      acceptHosts = resolve;
    });
    const stream = await dial(node.set.file.setId);
    const says = heard(stream);
    const theirs = await taken;
    theirs.write([Buffer.from('late')]);
    theirs.end();
    stream.end();
    expect(await says).toBe('late');
  });

  test('a refusal of the set is what the dialler gets, word for word', async () => {
    acceptHosts = () => {
      throw new RcopyError('E_SEALED', 'tokyo is sealed', { hint: 'use osaka instead' });
    };
    await expect(dial()).rejects.toMatchObject({
      code: 'E_SEALED',
      message: 'tokyo is sealed',
      hint: 'use osaka instead',
    });
    await expect(dial('0'.repeat(32))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  test('[R9] as many as there may be connections leave room for commands', async () => {
    const silent = { data: () => undefined, drained: () => undefined, closed: () => undefined };
    acceptHosts = (stream) => stream.listen(silent);
    const streams: ByteStream[] = [];
    for (let count = 0; count < CONTROL_CONNECTIONS_MAX; count += 1) streams.push(await dial());
    expect((await remote.status()).set.name).toBe('tokyo');
    for (const stream of streams) stream.destroy();
  });

  test('what fails behind the first byte cuts the stream', async () => {
    acceptHosts = (stream) => {
      stream.write([Buffer.from('NBD')]);
      throw new RcopyError('E_STATE', 'no more');
    };
    expect('NBD').toContain(await heard(await dial()));
  });

  test.each([
    [{ controllerId: 'mine', generation: 1 }, 'controller'],
    [{ controllerId: CONTROLLER, generation: -1 }, 'generation'],
    [{ controllerId: CONTROLLER, generation: 1.5 }, 'generation'],
    [{ controllerId: CONTROLLER, generation: 2 ** 53 }, 'generation'],
  ])('%j is nobody', async (as, name) => {
    acceptHosts = () => undefined;
    const message = expect.stringContaining(name);
    await expect(dial('own', as)).rejects.toMatchObject({ code: 'E_PROTOCOL', message });
  });
});

describe('what is cut in the middle', () => {
  test('a write that breaks off leaves what was answered to nobody, and no gap', async () => {
    async function* breaksOff(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(MIB, 'a');
      throw new Error('the user went away');
    }
    const write = remote.write({
      volume: undefined,
      offset: 0,
      data: breaksOff(),
      length: undefined,
      sync: true,
    });
    await expect(write).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    const answer = await remote.write({
      volume: undefined,
      offset: 0,
      data: [Buffer.from('b')],
      length: 1,
      sync: true,
    });
    // Also when what was cut off is still being numbered beside it.
    expect(answer.firstSequence).toBe(answer.lastSequence);
    expect((await remote.verify()).ok).toBe(true);
  });

  test('a disk that fails in the midst of an import says so, not that the link broke', async () => {
    function* pieces(): Generator<ImagePiece> {
      yield { length: MIB, data: Buffer.alloc(MIB, 'x') };
      node.set.fail(new RcopyError('E_NO_SPACE', 'no space left'));
      for (let at = 1; at < 4; at += 1) yield { length: MIB, data: Buffer.alloc(MIB, 'y') };
    }
    const imported = remote.importImage({
      volume: undefined,
      sizeBytes: VOLUME_BYTES,
      pieces: pieces(),
    });
    await expect(imported).rejects.toMatchObject({ code: 'E_NO_SPACE' });
    await expect(site.close()).rejects.toMatchObject({ code: 'E_NO_SPACE' });
  });
});

describe('a stop', () => {
  test('is not held up by a link, which its set ends later', async () => {
    const at = { host: '127.0.0.1', port };
    const link = await dialLink({ name: 'tokyo', at }, 'own');
    let isOpen = true;
    const ended = new Promise<void>((resolve) => {
      const closed = (): void => {
        isOpen = false;
        resolve();
      };
      link.listen({ data: () => undefined, drained: () => undefined, closed });
    });
    await server.close();
    expect(isOpen).toBe(true);
    await expect(remote.status()).rejects.toMatchObject({ code: 'E_UNREACHABLE' });
    await site.close();
    await ended;
  });
});
