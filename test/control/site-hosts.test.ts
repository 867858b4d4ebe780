/** How a path controller's NBD streams find a set: open here, at its daemon, or not at all. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { JOURNAL_BYTES_MIN, MIB } from '../../src/base/limits.ts';
import { ControlServer } from '../../src/control/server.ts';
import { setRoutes } from '../../src/control/set-routes.ts';
import type { HostsCaller } from '../../src/control/set-routes.ts';
import { Site } from '../../src/control/site.ts';
import { setPaths } from '../../src/imageset/set-folder.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import type { ByteStream } from '../../src/sys/stream.ts';

const AS: HostsCaller = { controllerId: 'c'.repeat(32), generation: 5 };

let scratch = '';
let folder = '';
/** Has the set open, as its daemon does. */
let owner: Site;
/** Where a controller is. */
let gate: Site;
let server: ControlServer | undefined;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-hosts-'));
  folder = join(scratch, 'tokyo');
  owner = new Site(nodeEnvironment, { lockWaitMs: 0, control: setPaths.control(folder) });
  const volumes = [{ name: 'db', sizeBytes: MIB }];
  await owner.create({ folder, volumes, journalBytes: JOURNAL_BYTES_MIN, ifMissing: false });
  gate = new Site(nodeEnvironment, { lockWaitMs: 0, onlyServed: true });
});

afterEach(async () => {
  await gate.close();
  await server?.close();
  server = undefined;
  await owner.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** Says a word on each stream that it takes, and who came. */
function greeter(node: StorageNode): HostsCaller[] {
  const callers: HostsCaller[] = [];
  jest.spyOn(node, 'acceptHosts').mockImplementation((stream, as) => {
    callers.push(as);
    stream.listen({ data: () => undefined, drained: () => undefined, closed: () => undefined });
    stream.write([Buffer.from('hello')]);
    stream.end();
  });
  return callers;
}

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

async function serve(): Promise<StorageNode> {
  const node = await owner.openHere(folder);
  const routes = setRoutes({
    find: async () => node,
    acceptLink: async (_, stream) => node.acceptLink(stream),
    acceptHosts: async (_, stream, as) => node.acceptHosts(stream, as),
    remake: async () => undefined,
  });
  server = new ControlServer(routes, nodeEnvironment.clock);
  await server.listenOnSocket(setPaths.control(folder), nodeEnvironment.files);
  return node;
}

test('a set that is open in the same process takes them over a stream in memory', async () => {
  const callers = greeter(await owner.openHere(folder));
  expect(await heard(await owner.dialHosts(folder, AS))).toBe('hello');
  expect(callers).toEqual([AS]);
});

describe('a set in a folder', () => {
  test('takes them at its daemon', async () => {
    const callers = greeter(await serve());
    expect(await heard(await gate.dialHosts(folder, AS))).toBe('hello');
    expect(callers).toEqual([AS]);
  });

  test('refuses them in its own words', async () => {
    jest.spyOn(await serve(), 'acceptHosts').mockImplementation(() => {
      throw new RcopyError('E_STATE', 'an older generation');
    });
    await expect(gate.dialHosts(folder, AS)).rejects.toMatchObject({
      code: 'E_STATE',
      message: 'an older generation',
    });
  });

  test('is out of reach without a daemon, which may be about to start', async () => {
    const away = { code: 'E_UNREACHABLE', hint: expect.stringContaining('rcopy daemon') };
    for (const _ of ['never served', 'served before']) {
      await expect(gate.dialHosts(folder, AS)).rejects.toMatchObject(away);
      await expect(gate.dial(folder)).rejects.toMatchObject(away);
      await serve();
      await server?.close();
      await owner.letGo(folder);
    }
  });

  test('is not opened by a controller, whatever is asked', async () => {
    await expect(gate.open(folder)).rejects.toMatchObject({
      code: 'E_STATE',
      hint: expect.stringContaining('rcopy daemon'),
    });
    await expect(gate.open(join(scratch, 'none'))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  test('is asked at its daemon when there is one, for links too', async () => {
    const node = await serve();
    const accept = jest.spyOn(node, 'acceptLink');
    expect((await (await gate.open(folder)).identity()).setId).toBe(node.set.file.setId);
    const link = await gate.dial(folder);
    const ended = heard(link);
    link.end();
    expect(await ended).toBe('');
    expect(accept).toHaveBeenCalledTimes(1);
  });

  test('can be locked by others at any moment: dialling leaves the lock alone', async () => {
    const locks = jest.spyOn(nodeEnvironment.files, 'tryLock');
    await gate.dialHosts(folder, AS).catch(() => undefined);
    await gate.dial(folder).catch(() => undefined);
    expect(locks).not.toHaveBeenCalled();
    locks.mockRestore();
  });
});
