// The built program as a process: its streams, its signals, its lock, its way of ending.
import { createWriteStream, existsSync, readFileSync, readdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { StatusAnswer } from '../../src/node/answers.ts';
import { COMMANDS, ROOT, rcopyJson, runProgram, scratch, start, startProcess } from './harness.ts';
import type { Running } from './harness.ts';

const folder = scratch();
const at = (name: string): string => join(folder, name);
const JOURNAL = ['--journal-size', '128M'];
const PROGRAM = `${process.execPath} ${join(ROOT, 'bin', 'run.js')}`;
const WAIT_MS_MAX = 20_000;
/** An image of twice what the buffers take. */
const IMAGE_MIB = 96;

/** Resolves when `condition` holds; what a process does is seen in its files. */
async function until(what: string, { child }: Running, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + WAIT_MS_MAX; !condition(); await sleep(20)) {
    if (child.exitCode !== null) throw new Error(`${what}: ended with ${child.exitCode} before`);
    if (Date.now() > end) throw new Error(`${what}: did not come`);
  }
}

/** Resolves when the process holds the set. */
function holding(running: Running, set: string): Promise<void> {
  const lock = join(set, 'lock');
  const held = () =>
    existsSync(lock) && readFileSync(lock, 'utf8').includes(`${running.child.pid}`);
  return until(`${set} held`, running, held);
}

/** Whether the journal has grown to so many segment files: work is well under way. */
function hasRecords(set: string, atLeast: number): boolean {
  const journal = join(set, 'journal');
  return readdirSync(journal).filter((name) => name.endsWith('.rcj')).length >= atLeast;
}

const ready = (name: string, size: string, journal = JOURNAL): Promise<unknown> =>
  rcopyJson('create', at(name), '--volume', `db=${size}`, ...journal);

beforeAll(async () => {
  for (const name of ['quick', 'held', 'piped', 'stopped']) await ready(name, '4M');
  await rcopyJson('write', at('quick'), '--offset', '0', '--data', 'first line\nsecond line\n');
});

describe('words', () => {
  test('help and version are complete, and unknown commands are refused', async () => {
    const asked = [
      ['--version'],
      ['--version', 'at', 'length'],
      ['--help'],
      ['pair', '--help'],
      ['migrate', '--help'],
    ];
    const [version, atLength, all, pair, migrate] = await Promise.all(
      asked.map((words) => runProgram(words)),
    );
    expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^rcopy\/\d+\./) });
    // Said without loading anything, it is what oclif says.
    expect(version).toEqual(atLength);
    for (const id of COMMANDS.keys()) {
      expect(all?.stdout).toMatch(new RegExp(`^ {2}${id.split(':')[0]} `, 'm'));
    }
    expect(pair?.stdout).toMatch(/pair create .*\n? *.*secondary/);
    expect(migrate?.stdout).toMatch(/FROM .*\n(.*\n)*.*TO /);
    expect(migrate?.stdout).toContain('$ rcopy migrate ./tokyo ./kyoto --create');
  });

  test('unknown commands are refused, with a suggestion where there is one', async () => {
    const asked = [
      ['statsu', 'x'],
      ['pair', 'crate', 'a', 'b'],
      ['frobnicate', '--json'],
    ];
    const [status, pair, json] = await Promise.all(asked.map((words) => runProgram(words)));
    expect(status).toMatchObject({ code: 2, stdout: '' });
    expect(status?.stderr).toMatch(/^error: .*`rcopy statsu`\nhint: {2}.*`rcopy status`.*\n$/);
    expect(pair).toMatchObject({ code: 2, stdout: '' });
    expect(pair?.stderr).toMatch(/`rcopy pair crate`\n.*`rcopy pair create`/);
    expect(json).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(json?.stdout ?? '')).toMatchObject({ error: { code: 'E_USAGE' } });
  });

  test('nothing is coloured for a file or a pipe, and JSON is alone on stdout', async () => {
    const env = { TERM: 'xterm-256color', COLORTERM: 'truecolor', NO_COLOR: '' };
    const [human, failed, json] = await Promise.all([
      runProgram(['status', at('quick')], { env }),
      runProgram(['status', at('nowhere')], { env }),
      runProgram(['status', at('quick'), '--json'], { env }),
    ]);
    expect(`${human?.stdout}${failed?.stderr}`).not.toContain('\u001B');
    expect(human).toMatchObject({ code: 0, stderr: '' });
    expect(failed).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(json?.stdout ?? '')).toMatchObject({ set: { name: 'quick' } });
    expect(json?.stderr).toBe('');
  });
});

describe('streams', () => {
  test('stdin is written as it is, however it comes in', async () => {
    const content = Buffer.alloc(1_500_000, 'a line of text\n');
    const writing = start(['write', at('piped'), '--offset', '8K', '--json']);
    for (let offset = 0; offset < content.length; offset += 100_003) {
      writing.child.stdin.write(content.subarray(offset, offset + 100_003));
    }
    writing.child.stdin.end();
    const { code, stdout } = await writing.outcome;
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, length: content.length });
    const output = at('piped.out');
    const range = ['--offset', '8K', '--length', String(content.length)];
    await rcopyJson('read', at('piped'), ...range, '--output', output);
    expect(readFileSync(output).equals(content)).toBe(true);
  });

  test('an empty stdin is wrong usage, and so is a terminal', async () => {
    const { code, stdout, stderr } = await runProgram(['write', at('quick'), '--offset', '0']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: .*nothing to write\nhint: .*--data/);
  });

  test('a reader that goes away ends it quietly, and the set is closed in order', async () => {
    const words = `read ${at('quick')} --offset 0 --length 4M`;
    const script = `set -o pipefail; ${PROGRAM} ${words} | head -c 5; echo " $?"`;
    const { stdout, stderr } = await startProcess('bash', ['-c', script]).outcome;
    expect({ stdout, stderr }).toEqual({ stdout: 'first 0\n', stderr: '' });
    expect(await rcopyJson('inspect', at('quick'))).toMatchObject({ images: { exact: true } });
  });

  test('so does one of a long list', async () => {
    const words = `inspect journal ${at('quick')}`;
    const script = `set -o pipefail; ${PROGRAM} ${words} | head -n 1; echo $?`;
    const { stdout, stderr } = await startProcess('bash', ['-c', script]).outcome;
    expect(stdout).toMatch(/^epoch .*\n0\n$/);
    expect(stderr).toBe('');
  });
});

describe('one set, two processes', () => {
  test('the second waits, then names the first; Ctrl-C ends the first in order', async () => {
    const writing = start(['write', at('held'), '--offset', '0']);
    writing.child.stdin.write(Buffer.alloc(2 * 1024 ** 2, 'held'));
    await holding(writing, at('held'));
    const words = ['status', at('held'), '--lock-wait'];
    const [refused, late, json] = await Promise.all([
      runProgram([...words, '0']),
      runProgram([...words, '300ms']),
      runProgram([...words, '0', '--json']),
    ]);
    for (const outcome of [refused, late]) {
      expect(outcome).toMatchObject({ code: 4, stdout: '' });
      expect(outcome?.stderr).toContain(`held by process ${writing.child.pid}`);
    }
    expect(json).toMatchObject({ code: 4, stderr: '' });
    expect(JSON.parse(json?.stdout ?? '')).toMatchObject({ error: { code: 'E_HELD' } });

    const patient = runProgram([...words, '20s', '--json']);
    writing.child.kill('SIGINT');
    const stopped = await writing.outcome;
    expect(stopped).toMatchObject({ code: 130, stdout: '' });
    expect(stopped.stderr).toMatch(/^error: stopped by SIGINT: [^\n]*\n(hint: .*\n)?$/);
    expect(await patient).toMatchObject({ code: 0, stderr: '' });
    expect(await rcopyJson('inspect', at('held'))).toMatchObject({ images: { exact: true } });
  });
});

describe('stopping', () => {
  test('SIGTERM ends in order as well, a second signal at once', async () => {
    const writing = start(['write', at('stopped'), '--offset', '0', '--json']);
    await holding(writing, at('stopped'));
    writing.child.kill('SIGTERM');
    const { code, stdout, stderr } = await writing.outcome;
    expect({ code, stderr }).toEqual({ code: 143, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'E_STOPPED' } });

    const again = start(['write', at('stopped'), '--offset', '0']);
    await holding(again, at('stopped'));
    again.child.kill('SIGINT');
    again.child.kill('SIGTERM');
    expect([130, 143]).toContain((await again.outcome).code);
    expect(await rcopyJson('status', at('stopped'))).toMatchObject({ health: { healthy: true } });
  });

  test('a long import: the set stays sound', async () => {
    await ready('large', '128M');
    const image = at('large.img');
    const writer = createWriteStream(image);
    const block = Buffer.alloc(1024 ** 2, 'some content of an image');
    for (let index = 0; index < IMAGE_MIB; index++) {
      if (!writer.write(block)) await once(writer, 'drain');
    }
    await new Promise<void>((resolve) => {
      writer.end(resolve);
    });
    const importing = start(['import', at('large'), '--file', image]);
    importing.child.stdin.end();
    await until('a second segment', importing, () => hasRecords(at('large'), 2));
    importing.child.kill('SIGINT');
    const { code, stdout } = await importing.outcome;
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    expect(await rcopyJson('inspect', at('large'))).toMatchObject({ images: { exact: true } });
    expect(await rcopyJson('verify', at('large'))).toMatchObject({ ok: true });
  });

  test('the next import is complete, however much more than the buffers it is', async () => {
    expect(await rcopyJson('import', at('large'), '--file', at('large.img'))).toMatchObject({
      dataBytes: IMAGE_MIB * 1024 ** 2,
    });
  });

  test('a replicate: the next one goes on from there', async () => {
    await ready('sender', '8M');
    const all = ['write', at('sender'), '--offset', '0', '--file', at('piped.out')];
    await rcopyJson(...all);
    await rcopyJson('pair', 'create', at('sender'), at('receiver'), '--create');
    const sending = start(['replicate', at('sender'), '--max-rate', '500K']);
    await holding(sending, at('receiver'));
    await sleep(700);
    sending.child.kill('SIGINT');
    const ended = await sending.outcome;
    expect(ended).toMatchObject({ code: 130, stdout: '' });
    expect(ended.stderr).toMatch(/\nhint: {2}the same command goes on from here\n$/);
    const stopped = await rcopyJson<StatusAnswer>('status', at('sender'));
    expect(stopped.pair).toMatchObject({ state: 'copying', usable: false });
    expect(await rcopyJson('replicate', at('sender'))).toMatchObject({
      state: 'paired',
      copies: 0,
    });
    expect(await rcopyJson('verify', at('sender'), '--against', at('receiver'))).toMatchObject({
      equal: true,
    });
  });
});

describe('a wait', () => {
  test('for what nobody brings ends at its limit, and lets others have the set', async () => {
    await ready('patient', '1M');
    await rcopyJson('pair', 'create', at('patient'), at('follower'), '--create', '--wait');
    const late = await runProgram([
      'wait',
      at('follower'),
      '--sequence',
      '9',
      '--timeout',
      '600ms',
    ]);
    expect(late).toMatchObject({ code: 7, stderr: expect.stringMatching(/not within 600 ms/) });
    const waiting = start(['wait', at('follower'), '--sequence', '1', '--timeout', '20s']);
    await rcopyJson('write', at('patient'), '--offset', '0', '--data', 'x');
    await rcopyJson('replicate', at('patient'));
    expect(await waiting.outcome).toMatchObject({ code: 0 });
  });
});
