/** Commands and daemons: the same answer with a daemon as without one, whoever is asked. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { StatusAnswer } from '../../src/node/answers.ts';
import { rcopy, rcopyJson } from '../commands/harness.ts';
import { DaemonProcess } from '../support/daemons.ts';

let scratch = '';
let daemons: DaemonProcess[] = [];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rcopy-daemon-'));
  daemons = [];
});

afterEach(async () => {
  await Promise.all(daemons.map((daemon) => daemon.kill()));
  rmSync(scratch, { recursive: true, force: true });
});

const at = (name: string): string => join(scratch, name);

async function create(name: string): Promise<void> {
  await rcopyJson('create', at(name), '--volume', 'db=8M', '--journal-size', '128M');
}

async function serve(name: string, ...words: string[]): Promise<DaemonProcess> {
  const daemon = new DaemonProcess(at(name), ...words);
  daemons.push(daemon);
  await daemon.ready;
  return daemon;
}

async function text(set: string, length: number, offset = 0): Promise<string> {
  const ended = await rcopy('read', set, '--offset', String(offset), '--length', String(length));
  expect(ended.stderr).toBe('');
  return ended.stdout;
}

describe('a daemon holds its set', () => {
  test('commands on its folder ask it, and on its address too, with the same errors', async () => {
    await create('tokyo');
    const daemon = await serve('tokyo', '--listen', '127.0.0.1:0');
    const { address } = await daemon.ready;
    for (const set of [at('tokyo'), String(address)]) {
      const written = await rcopyJson('write', set, '--offset', '0', '--data', `by ${set.length}`);
      expect(written).toMatchObject({ volume: 'db', offset: 0 });
      expect(await text(set, 4)).toBe(`by ${String(set.length)[0]}`);
      const status = await rcopyJson<StatusAnswer>('status', set);
      expect(status.set).toMatchObject({ name: 'tokyo', role: 'primary', path: at('tokyo') });
      // Errors are those of the set, with their exit codes.
      const far = await rcopy('write', set, '--offset', '8M', '--data', 'x');
      expect(far.code).toBe(2);
      expect(far.stderr).toContain('leave volume db');
      const none = await rcopy('read', set, '--volume', 'x', '--offset', '0', '--length', '1');
      expect(none.code).toBe(3);
      expect((await rcopy('replicate', set)).code).toBe(5);
    }
    expect(await rcopyJson('verify', at('tokyo'))).toMatchObject({ ok: true });
    expect(await daemon.stop()).toBe(0);
    expect((await rcopy('status', String(address))).code).toBe(7);
    // Nobody holds it now: the same commands open it themselves.
    expect(await text(at('tokyo'), 2)).toBe('by');
    const image = readFileSync(join(at('tokyo'), 'volumes', 'db.img'));
    expect(image.subarray(0, 2).toString()).toBe('by');
  });

  test('a second daemon is refused with who holds the set; after kill -9 it is free', async () => {
    await create('tokyo');
    const first = await serve('tokyo');
    const second = new DaemonProcess(at('tokyo'), '--lock-wait', '0');
    expect((await second.ended).code).toBe(4);
    expect(JSON.stringify([second.log, second.noise])).toContain(String(first.pid));
    await first.kill();
    const third = await serve('tokyo');
    expect(await third.stop()).toBe(0);
  });

  test('with --until-stdin-ends, in a folder too deep for a socket, it is like any', async () => {
    const deep = join('d'.repeat(60), 'e'.repeat(60));
    mkdirSync(at(deep), { recursive: true });
    await create(join(deep, 'tokyo'));
    const daemon = await serve(join(deep, 'tokyo'), '--until-stdin-ends');
    await rcopyJson('write', at(join(deep, 'tokyo')), '--offset', '0', '--data', 'deep');
    expect(await text(at(join(deep, 'tokyo')), 4)).toBe('deep');
    // It stops in order when who started it is gone.
    daemon.endInput();
    expect(await daemon.ended).toEqual({ code: 0, signal: null });
    expect(daemon.log.at(-1)?.msg).toBe('stopped: everything acknowledged is safe');
    expect(existsSync(join(at(deep), 'tokyo', 'control'))).toBe(false);
  });

  test('images go in and out, holes kept', async () => {
    await create('tokyo');
    const image = Buffer.alloc(8 * 1024 * 1024);
    image.write('beginning', 0);
    image.write('end', image.length - 3);
    writeFileSync(at('image'), image);
    const daemon = await serve('tokyo', '--listen', '127.0.0.1:0');
    const { address } = await daemon.ready;
    await rcopyJson('import', String(address), '--file', at('image'));
    const exported = await rcopyJson('export', at('tokyo'), '--output', at('out'));
    expect(exported).toMatchObject({ volume: 'db', length: image.length });
    expect(readFileSync(at('out')).equals(image)).toBe(true);
    const longer = Buffer.concat([image, Buffer.from('x')]);
    writeFileSync(at('longer'), longer);
    const refused = await rcopy('import', String(address), '--file', at('longer'));
    expect(refused.code).toBe(5);
  });
});

describe('a pair of daemons', () => {
  test('is made, copies by itself, follows, is split and goes on', async () => {
    await create('tokyo');
    await create('kyoto');
    const a = await serve('tokyo', '--listen', '127.0.0.1:0');
    const c = await serve('kyoto', '--listen', '127.0.0.1:0');
    const primary = String((await a.ready).address);
    const secondary = String((await c.ready).address);
    await rcopyJson('write', primary, '--offset', '0', '--data', 'before');
    const made = await rcopyJson('pair', 'create', primary, secondary, '--wait');
    expect(made).toMatchObject({ changed: true, pair: { state: 'paired' } });
    await rcopyJson('write', at('tokyo'), '--offset', '4096', '--data', 'after');
    await rcopyJson('wait', primary, '--synced', '--timeout', '30s');
    expect(await text(secondary, 5, 4096)).toBe('after');
    const status = await rcopyJson<StatusAnswer>('status', primary);
    expect(status.pair).toMatchObject({ state: 'paired', usable: true, link: 'up' });
    expect(status.health.healthy).toBe(true);

    expect(await rcopyJson('pair', 'split', primary)).toMatchObject({ changed: true });
    await rcopyJson('write', primary, '--offset', '8192', '--data', 'split');
    await rcopyJson('pair', 'resync', primary);
    await rcopyJson('wait', primary, '--synced', '--timeout', '30s');
    expect(await rcopyJson('verify', primary, '--against', secondary)).toMatchObject({
      equal: true,
    });
  });

  test('a target that is overwritten is served on, by its address and by its folder', async () => {
    await create('tokyo');
    await create('kyoto');
    const a = await serve('tokyo', '--listen', '127.0.0.1:0');
    const c = await serve('kyoto', '--listen', '127.0.0.1:0');
    const secondary = String((await c.ready).address);
    await rcopyJson('write', secondary, '--offset', '0', '--data', 'old');
    await rcopyJson('write', at('tokyo'), '--offset', '0', '--data', 'new');
    const before = await rcopyJson<StatusAnswer>('status', at('kyoto'));
    await rcopyJson('pair', 'create', at('tokyo'), secondary, '--overwrite', '--wait');
    expect(await text(at('kyoto'), 3)).toBe('new');
    const after = await rcopyJson<StatusAnswer>('status', at('kyoto'));
    expect(after.set.role).toBe('secondary');
    expect(after.set.id).not.toBe(before.set.id);
    // A secondary stops in order while its primary is connected to it.
    expect(await c.stop()).toBe(0);
    expect(await rcopyJson('verify', at('kyoto'))).toMatchObject({ ok: true });
    expect(await a.stop()).toBe(0);
  });

  test('a secondary that nobody serves is opened by the daemon itself', async () => {
    await create('tokyo');
    await serve('tokyo');
    await rcopyJson('write', at('tokyo'), '--offset', '0', '--data', 'words');
    await rcopyJson('pair', 'create', at('tokyo'), at('kyoto'), '--create', '--wait');
    expect(await text(at('kyoto'), 5)).toBe('words');
    const status = await rcopyJson<StatusAnswer>('status', at('kyoto'));
    expect(status.set.role).toBe('secondary');
  });
});

describe('a start that fails', () => {
  test('says why, once in the log, and nothing of what it never had', async () => {
    await create('tokyo');
    const first = await serve('tokyo', '--listen', '127.0.0.1:0');
    const taken = String((await first.ready).address).replace('rcopy://', '');
    await create('kyoto');
    writeFileSync(at('file'), 'no set');
    const cases = [
      { name: 'kyoto', words: ['--listen', taken], code: 5, says: `${taken} is in use` },
      { name: 'kyoto', words: ['--nbd', taken], code: 5, says: `${taken} is in use` },
      {
        name: 'kyoto',
        words: ['--nbd', `unix:${at('none/sock')}`],
        code: 3,
        says: `there is no unix:${at('none/sock')}`,
      },
      { name: 'kyoto', words: ['--config', at('none')], code: 3, says: `${at('none')} is not a` },
      { name: 'file', words: [], code: 3, says: `${at('file')} is not a folder` },
    ];
    for (const { name, words, code, says } of cases) {
      const daemon = new DaemonProcess(at(name), ...words);
      expect({ words, code: (await daemon.ended).code }).toEqual({ words, code });
      // Settings are read before there is a log: then it is said as by any command.
      const isLogged = !words.includes('--config');
      const lines = daemon.log.map(({ msg }) => msg);
      expect(isLogged ? lines : daemon.noise.slice(0, 1)).toEqual([expect.stringContaining(says)]);
      expect(isLogged ? daemon.noise : lines).toEqual([]);
    }
    // What was in the way of them serves on.
    expect(await first.stop()).toBe(0);
  });

  test('an address without its scheme is not looked for as a folder', async () => {
    const { code, stderr } = await rcopy('status', '127.0.0.1:7070');
    expect(code).toBe(3);
    expect(stderr).toContain('written rcopy://127.0.0.1:7070');
  });
});
