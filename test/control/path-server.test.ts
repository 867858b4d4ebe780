/** The control interface of a path controller: the same near and far; how commands find it. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { controllerIds, openController } from '../../src/control/controllers.ts';
import { ControlServer } from '../../src/control/server.ts';
import { setRoutes } from '../../src/control/set-routes.ts';
import { RemotePath } from '../../src/control/remote-path.ts';
import { RemoteSet } from '../../src/control/remote-set.ts';
import type { Progress } from '../../src/node/answers.ts';
import type { MigrateRequest } from '../../src/node/requests.ts';
import type { SetService } from '../../src/node/set-service.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { HandPath, HandPathServer, MIGRATED } from '../support/hand-path.ts';

const WAIT = { lockWaitMs: 0 };
const FAR = { lockWaitMs: 20_000 };

let scratch = '';
let gate = '';
let server: HandPathServer;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-path-'));
  gate = join(scratch, 'gate');
  server = await HandPathServer.start(gate);
});

afterEach(async () => {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const open = (controller = gate, wait = WAIT) => openController(nodeEnvironment, controller, wait);

async function urlOf(call: string): Promise<string> {
  return `${(await server.listen()).replace('rcopy', 'http')}/v1/path/${call}`;
}

async function post(call: string, body: string, type = 'application/json') {
  const headers = { 'content-type': type };
  const response = await fetch(await urlOf(call), { method: 'POST', headers, body });
  return { status: response.status, body: (await response.json()) as { error?: RcopyError } };
}

const MIGRATE = {
  export: 'db',
  to: 'rcopy://127.0.0.1:7072',
  mode: 'handoff',
  copy: 'pre',
  maxRate: 1000,
  detach: true,
  create: false,
  overwrite: true,
  controllers: ['e'.repeat(32)],
  force: true,
} as const;

describe('a controller that is asked from afar', () => {
  test('gets every request as it was meant, and its answers come back', async () => {
    const far = await open();
    const { path } = server;
    const add = { export: 'db', set: '/tokyo', volume: undefined, replace: false };
    expect(await far.identity()).toEqual(await path.identity());
    expect(await far.add({ ...add, volume: 'log', replace: true })).toEqual(await path.add(add));
    expect(await far.list()).toEqual(await path.list());
    expect(await far.status()).toEqual(await path.status());
    expect(await far.checkMigration(MIGRATE)).toEqual(await path.checkMigration(MIGRATE));
    const progress: Progress[] = [];
    const migrated = await far.migrate({ ...MIGRATE, onProgress: (each) => progress.push(each) });
    expect(migrated).toEqual(MIGRATED);
    expect(await far.remove({ export: 'db' })).toEqual({ changed: true, entry: null });
    expect(path.asked).toEqual([
      ['add', { ...add, volume: 'log', replace: true }],
      ['add', add],
      ['list', {}],
      ['list', {}],
      ['status', {}],
      ['status', {}],
      ['migrate-check', MIGRATE],
      ['migrate-check', MIGRATE],
      ['migrate', MIGRATE],
      ['remove', { export: 'db' }],
    ]);
  });

  test('fails as it does near by', async () => {
    const far = await open();
    server.path.failure = new RcopyError('E_ROLE', 'kyoto is a secondary', { hint: 'use tokyo' });
    const add = far.add({ export: 'db', set: '/kyoto', volume: undefined, replace: false });
    await expect(add).rejects.toMatchObject({
      code: 'E_ROLE',
      message: 'kyoto is a secondary',
      hint: 'use tokyo',
    });
  });

  test('says how a migration goes on', async () => {
    const { path } = server;
    const steps: string[] = [];
    // Lines come at most every 100 ms; the first of them has to wait for that.
    path.migrate = async ({ onProgress }) => {
      while (steps.length === 0) {
        onProgress?.({ step: 'copying', doneBytes: 1, totalBytes: undefined });
        await new Promise((resolve) => {
          setTimeout(resolve, 10);
        });
      }
      return MIGRATED;
    };
    const far = await open();
    await far.migrate({ ...MIGRATE, onProgress: ({ step }) => steps.push(step) });
    expect(steps[0]).toBe('copying');
  });
});

describe('what is no call is refused', () => {
  test.each([
    ['dance', '{}', 404, 'dance'],
    ['__proto__', '{}', 404, '__proto__'],
    ['add', '{"export":"db"}', 400, 'set'],
    ['add', '{"export":"","set":"x"}', 400, 'export'],
    ['add', '{"export":"db","set":"x","colour":1}', 400, 'colour'],
    ['remove', '{', 400, 'JSON'],
    ['migrate', '{"export":"db","to":"x"}', 400, 'create'],
    ['list', '{"all":true}', 400, 'all'],
  ])('%s %s: %d', async (call, body, status, says) => {
    const answer = await post(call, body);
    expect(answer.status).toBe(status);
    expect(answer.body.error?.message).toContain(says);
    expect(server.path.asked).toEqual([]);
  });

  test('and so is a page in a browser', async () => {
    const headers = { 'content-type': 'application/json', origin: 'http://evil.example' };
    const response = await fetch(await urlOf('remove'), { method: 'POST', headers, body: '{}' });
    expect(response.status).toBe(400);
  });

  test('a set is not asked for here, nor a controller at the daemon of a set', async () => {
    const address = await server.listen();
    const port = Number(address.split(':').at(-1));
    const at = { host: '127.0.0.1', port };
    await expect(new RemoteSet({ name: 'x', at }, 'own').status()).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
      message: expect.stringContaining('this is a path controller'),
    });
    await withSetServer({}, async (endpoint) => {
      await expect(new RemotePath(endpoint).list()).rejects.toMatchObject({
        code: 'E_NOT_FOUND',
        message: expect.stringContaining('not a path controller'),
      });
    });
  });
});

async function withSetServer(
  set: Partial<SetService>,
  action: (endpoint: { name: string; at: { host: string; port: number } }) => Promise<void>,
): Promise<void> {
  const refuse = async (): Promise<void> => undefined;
  const house = { acceptLink: refuse, acceptHosts: refuse, remake: refuse };
  const find = async (): Promise<SetService> => set as SetService;
  const sets = new ControlServer(setRoutes({ ...house, find }), nodeEnvironment.clock);
  try {
    const port = await sets.listen({ host: '127.0.0.1', port: 0 });
    await action({ name: 'tokyo', at: { host: '127.0.0.1', port } });
  } finally {
    await sets.close();
  }
}

test('a migration of sets carries its controllers and its force', async () => {
  const asked: MigrateRequest[] = [];
  const migrate = async ({ onProgress: _report, ...request }: MigrateRequest) => {
    asked.push(request);
    return MIGRATED;
  };
  const { create: _create, overwrite: _overwrite, export: _export, to: _to, ...how } = MIGRATE;
  await withSetServer({ migrate }, async (endpoint) => {
    await new RemoteSet(endpoint, 'own').migrate({ ...how, from: '/tokyo' });
  });
  expect(asked).toEqual([{ ...how, from: '/tokyo' }]);
});

describe('a controller is found', () => {
  test('by its folder and by its address', async () => {
    const address = await server.listen();
    for (const controller of [gate, address]) {
      expect(await (await open(controller)).identity()).toEqual(await server.path.identity());
    }
    expect(await controllerIds(nodeEnvironment, [gate, address], WAIT)).toEqual([
      server.id,
      server.id,
    ]);
  });

  test('not when it does not run, and its folder can be taken afterwards', async () => {
    await server.stop();
    await expect(open()).rejects.toMatchObject({
      code: 'E_UNREACHABLE',
      hint: expect.stringContaining(`rcopy path serve ${gate}`),
    });
    server = await HandPathServer.start(gate);
  });

  test('not in a folder of something else, nor where there is none', async () => {
    mkdirSync(join(scratch, 'empty'));
    await expect(open(join(scratch, 'empty'))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await expect(open(join(scratch, 'none'))).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await expect(open('127.0.0.1:7080')).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
      hint: expect.stringContaining('rcopy://127.0.0.1:7080'),
    });
  });

  test('when it begins to answer while somebody waits for it', async () => {
    await server.stop();
    server = await HandPathServer.take(gate);
    await expect(open()).rejects.toMatchObject({ code: 'E_HELD' });
    const found = open(gate, FAR);
    await server.answer();
    expect(await (await found).identity()).toMatchObject({ id: server.id });
  });

  test('[R5] not when another one answers at its socket', async () => {
    await server.stop();
    server = await HandPathServer.start(gate, () => new HandPath('f'.repeat(32)));
    await expect(open()).rejects.toMatchObject({ code: 'E_HELD' });
  });
});
