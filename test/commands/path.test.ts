// The commands on a path controller, against one made by hand: what they ask, say, and refuse.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { Site } from '../../src/control/site.ts';
import { HandPathServer, MIGRATED } from '../support/hand-path.ts';
import { rcopy, rcopyJson, scratch } from './harness.ts';

const folder = scratch();
const at = (name: string): string => join(folder, name);
const gate = at('gate');
const TO = 'rcopy://127.0.0.1:7072';

let server: HandPathServer;

beforeEach(async () => {
  server = await HandPathServer.start(gate);
});

afterEach(() => server.stop());

describe('what is asked', () => {
  test('path add: a folder goes as its whole path, for who stands elsewhere', async () => {
    const added = await rcopyJson('path', 'add', gate, 'db', 'tokyo');
    expect(added).toMatchObject({ changed: true, entry: { export: 'db' } });
    await rcopyJson('path', 'add', gate, 'mail', TO, '--volume', 'log', '--replace');
    expect(server.path.asked).toEqual([
      ['add', { export: 'db', set: resolve('tokyo'), volume: undefined, replace: false }],
      ['add', { export: 'mail', set: TO, volume: 'log', replace: true }],
    ]);
  });

  test('path remove, list and status', async () => {
    expect(await rcopyJson('path', 'list', gate)).toEqual(await server.path.list());
    expect(await rcopyJson('path', 'status', gate)).toEqual(await server.path.status());
    const removed = { changed: true, entry: null };
    expect(await rcopyJson('path', 'remove', gate, 'db')).toEqual(removed);
    expect(await rcopyJson('path', 'remove', gate, 'db')).toEqual({ ...removed, changed: false });
  });

  test('path migrate: as migrate, from where the controller is', async () => {
    const plain = await rcopyJson('path', 'migrate', gate, 'db', TO);
    expect(plain).toEqual(MIGRATED);
    const flags = ['--mode', 'handoff', '--copy', 'pre', '--create', '--overwrite', '--force'];
    const more = ['--max-rate', '1M', '--detach', '--controller', gate];
    await rcopyJson('path', 'migrate', gate, 'db', 'osaka', ...flags, ...more);
    expect(server.path.asked).toEqual([
      [
        'migrate',
        {
          export: 'db',
          to: TO,
          mode: 'drain',
          copy: 'post',
          maxRate: undefined,
          detach: false,
          create: false,
          overwrite: false,
          controllers: undefined,
          force: false,
        },
      ],
      [
        'migrate',
        {
          export: 'db',
          to: resolve('osaka'),
          mode: 'handoff',
          copy: 'pre',
          maxRate: 1024 ** 2,
          detach: true,
          create: true,
          overwrite: true,
          controllers: [server.id],
          force: true,
        },
      ],
    ]);
  });

  test('path migrate --dry-run: only whether it could start', async () => {
    const dry = ['path', 'migrate', gate, 'db', TO, '--dry-run'];
    expect(await rcopyJson(...dry)).toMatchObject({ ready: true });
    server.path.ready = false;
    const { code, stdout } = await rcopy(...dry, '--json');
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ ready: false, error: { code: 'E_STATE' } });
    expect(server.path.asked.map(([call]) => call)).toEqual(['migrate-check', 'migrate-check']);
  });
});

describe('what is said', () => {
  test('to people', async () => {
    const { stdout: added } = await rcopy('path', 'add', gate, 'db', TO);
    expect(added).toMatch(/^✓ db leads to db of tokyo \(1 GiB\)\n {2}set {2}rcopy:/);
    const { stdout: listed } = await rcopy('path', 'list', gate);
    expect(listed).toBe('db  db of tokyo  1 GiB  rcopy://127.0.0.1:7070\n');
    const { stdout: status } = await rcopy('path', 'status', gate);
    expect(status).toMatch(/^● healthy {2}gate · path controller\n/);
    const { stdout: moved } = await rcopy('path', 'migrate', gate, 'db', TO);
    expect(moved).toContain('it writes from N = 585 on');
    const { stdout: removed } = await rcopy('path', 'remove', gate, 'db');
    expect(removed).toBe('✓ db is removed: its hosts get an error\n');
  });

  test('path status --check ends with 5 when something is wrong, and still says what', async () => {
    expect((await rcopy('path', 'status', gate, '--check')).code).toBe(0);
    server.path.healthy = false;
    expect((await rcopy('path', 'status', gate)).code).toBe(0);
    const { code, stdout, stderr } = await rcopy('path', 'status', gate, '--check');
    expect({ code, stderr }).toEqual({ code: 5, stderr: '' });
    expect(stdout).toContain('tokyo is out of reach');
  });

  test('what the controller refuses is refused, word for word', async () => {
    server.path.failure = new RcopyError('E_ROLE', 'kyoto is a secondary', { hint: 'use tokyo' });
    const { code, stderr } = await rcopy('path', 'add', gate, 'db', 'kyoto');
    expect({ code, stderr }).toEqual({
      code: 5,
      stderr: 'error: kyoto is a secondary\nhint:  use tokyo\n',
    });
  });
});

describe('what is refused here', () => {
  test.each([
    ['no controller', ['path', 'list'], 2, /missing CONTROLLER/],
    ['no set', ['path', 'add', gate, 'db'], 2, /missing SET/],
    ['an export without a name', ['path', 'add', gate, '', TO], 2, /not a name/],
    ['an export with a strange name', ['path', 'remove', gate, 'a/b'], 2, /'a\/b' is not a name/],
    ['an unknown flag', ['path', 'add', gate, 'db', TO, '--force'], 2, /unknown flag --force/],
    ['an unknown mode', ['path', 'migrate', gate, 'db', TO, '--mode', 'x'], 2, /--mode/],
    ['no place for hosts', ['path', 'serve', at('new')], 2, /missing --nbd/],
    [
      'no time to wait',
      ['path', 'serve', at('new'), '--nbd', 'unix:/x', '--hold-limit', '0'],
      2,
      /h/,
    ],
    ['an open place', ['path', 'serve', at('new'), '--nbd', '0.0.0.0:1'], 2, /nbd: 0\.0\.0\.0/],
    ['no settings', ['path', 'serve', at('new'), '--config', at('none')], 3, /is not a file/],
    ['no such folder', ['path', 'list', at('none')], 3, /there is no folder/],
    ['no such controller', ['migrate', 'a', 'b', '--controller', at('none')], 3, /no folder/],
    ['a bad address', ['path', 'list', 'rcopy://gate'], 2, /no address/],
    ['nobody there', ['path', 'list', 'rcopy://127.0.0.1:1'], 7, /path serve/],
  ])('%s', async (_, words, code, says) => {
    const outcome = await rcopy(...words);
    expect({ code: outcome.code, stdout: outcome.stdout }).toEqual({ code, stdout: '' });
    expect(outcome.stderr).toMatch(/^error: [^\n]+\n(hint: {2}[^\n]+\n)?$/);
    expect(outcome.stderr).toMatch(says);
    expect(server.path.asked).toEqual([]);
  });

  test('a controller that does not run, with how to start it', async () => {
    await server.stop();
    const { code, stderr } = await rcopy('path', 'status', gate);
    expect(code).toBe(7);
    expect(stderr).toContain(`rcopy path serve ${gate}`);
    server = await HandPathServer.start(gate);
  });

  test('settings of a set in the folder of a controller', async () => {
    mkdirSync(at('wrong'));
    writeFileSync(at('wrong/rcopy.toml'), 'nbd = "unix:/x"\nroom-wait = "1s"\n');
    const { code, stderr } = await rcopy('path', 'serve', at('wrong'));
    expect(code).toBe(2);
    expect(stderr).toContain('room-wait');
  });
});

describe('migrate with controllers', () => {
  const migrate = ['migrate', at('tokyo'), at('osaka'), '--create', '--force'];

  test('passes on their ids, and whether it is forced', async () => {
    const ready = { ready: true, checks: [] };
    const check = jest.spyOn(Site.prototype, 'checkMigration').mockResolvedValue(ready);
    await rcopyJson(...migrate, '--dry-run', '--controller', gate, '--controller', gate);
    await rcopyJson('migrate', at('tokyo'), at('osaka'), '--dry-run');
    const requests = check.mock.calls.map(([, request]) => request);
    check.mockRestore();
    expect(requests).toMatchObject([
      { from: at('tokyo'), controllers: [server.id, server.id], force: true },
      { from: at('tokyo'), controllers: undefined, force: false },
    ]);
  });

  test('makes nothing when one of them cannot be asked', async () => {
    const moved = jest.spyOn(Site.prototype, 'migrate').mockResolvedValue(MIGRATED);
    const named = ['--controller', gate, '--controller', 'rcopy://127.0.0.1:1'];
    expect((await rcopy(...migrate, ...named)).code).toBe(7);
    expect(moved).not.toHaveBeenCalled();
    moved.mockRestore();
  });
});
