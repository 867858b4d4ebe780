/** A path controller as a process: its start, its folder, its end. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { decodePathFile } from '../../src/format/path-file.ts';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import { rcopy, rcopyJson } from '../commands/harness.ts';
import { PathProcess } from '../support/daemons.ts';

let scratch = '';
let controllers: PathProcess[] = [];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-path-'));
  controllers = [];
});

afterEach(async () => {
  await Promise.all(controllers.map((controller) => controller.kill()));
  rmSync(scratch, { recursive: true, force: true });
});

const at = (name: string): string => join(scratch, name);

function begin(name: string, ...words: string[]): PathProcess {
  const controller = new PathProcess(at(name), ...words);
  controllers.push(controller);
  return controller;
}

const NBD = ['--nbd', '127.0.0.1:0'];

function stored() {
  const path = at('gate/paths.json');
  return decodePathFile(path, readFileSync(path));
}

test('it says where it is, answers by folder and address, and stops in order', async () => {
  const socket = at('hosts.sock');
  const gate = begin('gate', '--nbd', `unix:${socket}`, '--listen', '127.0.0.1:0');
  const { address, nbd, controller, exports, pid } = await gate.ready;
  expect({ nbd, controller, exports, pid }).toEqual({
    nbd: `unix:${socket}`,
    controller: at('gate'),
    exports: [],
    pid: gate.pid,
  });
  const status = await rcopyJson<PathStatusAnswer>('path', 'status', at('gate'));
  expect(status).toMatchObject({
    controller: { id: stored().controllerId, name: 'gate', path: at('gate'), nbd },
    exports: [],
    sets: [],
    hosts: [],
    daemon: { pid },
  });
  expect(status.limits.map(({ name }) => name)).toContain('nbdConnections');
  expect(await rcopyJson('path', 'list', String(address))).toEqual({ exports: [] });
  expect(await gate.stop()).toBe(0);
  expect(gate.log.at(-1)?.msg).toBe('stopped: everything acknowledged is safe');
  expect(existsSync(socket)).toBe(false);
  expect(existsSync(at('gate/control'))).toBe(false);
});

test('one process has a folder; after kill -9 it is free, and each start counts', async () => {
  const first = begin('gate', ...NBD);
  await first.ready;
  const { controllerId } = stored();
  const second = begin('gate', ...NBD, '--lock-wait', '0');
  expect((await second.ended).code).toBe(4);
  expect(JSON.stringify(second.log)).toContain(String(first.pid));
  await first.kill();
  const { code, stderr } = await rcopy('path', 'list', at('gate'), '--lock-wait', '0');
  expect({ code, stderr }).toEqual({ code: 7, stderr: expect.stringContaining('not running') });
  const third = begin('gate', ...NBD);
  await third.ready;
  expect(stored()).toMatchObject({ controllerId, starts: 2 });
});

test('a start that fails says why once, and lets go of everything', async () => {
  const first = begin('gate', ...NBD);
  const taken = String((await first.ready).nbd);
  writeFileSync(at('file'), 'no folder');
  const cases = [
    { name: 'other', words: ['--nbd', taken], code: 5, says: `${taken} is in use` },
    { name: 'another', words: [...NBD, '--listen', taken], code: 5, says: `${taken} is in use` },
    { name: 'file', words: NBD, code: 5, says: `${at('file')} is not a folder` },
  ];
  const check = async ({ name, words, code, says }: (typeof cases)[number]): Promise<void> => {
    const gate = begin(name, ...words);
    expect({ words, code: (await gate.ended).code }).toEqual({ words, code });
    expect(gate.log.map(({ msg }) => msg)).toEqual([expect.stringContaining(says)]);
  };
  await Promise.all(cases.map(check));
  const other = begin('other', ...NBD);
  expect((await other.ready).controller).toBe(at('other'));
});

test('its settings can stand in its folder; it stops when its input ends, if told', async () => {
  mkdirSync(at('gate'));
  writeFileSync(at('gate/rcopy.toml'), `nbd = "unix:${at('hosts.sock')}"\nhold-limit = "5s"\n`);
  const gate = begin('gate', '--until-stdin-ends');
  expect((await gate.ready).nbd).toBe(`unix:${at('hosts.sock')}`);
  gate.endInput();
  expect(await gate.ended).toEqual({ code: 0, signal: null });
});
