/**
 * The demo as a user runs it, and the parts that its proof stands on: a witness that objects when
 * there is something to object to, and a picture that says what is so.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { DemoAnswer, Proof } from '../../src/cli/demo/answer.ts';
import { changesBetween, makeImages } from '../../src/cli/demo/images.ts';
import { PICTURE_COLUMNS, PICTURE_LINES, pictureOf } from '../../src/cli/demo/picture.ts';
import type { Scene } from '../../src/cli/demo/picture.ts';
import { playDemo } from '../../src/cli/demo/play.ts';
import { sceneOf } from '../../src/cli/demo/scene.ts';
import { demoView } from '../../src/cli/demo/view.ts';
import { plainPaint } from '../../src/cli/paint.ts';
import { lockSet } from '../../src/imageset/set-folder.ts';
import type { StatusAnswer } from '../../src/node/answers.ts';
import type { PathStatusAnswer } from '../../src/node/path-service.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { parseAddress } from '../../src/sys/network.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Every run of the whole demo, not only the one that `npm test` has time for. */
const EVERY_RUN = process.env['DEMO_RUNS'] === 'all';
const program = join(root, 'bin', 'run.js');
const witnessProgram = join(root, 'bin', 'witness.js');
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rcopy-demo-test-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Program {
  readonly words: readonly string[];
  readonly input?: Buffer | undefined;
  /** Where it makes its scratch folder. */
  readonly temporary?: string | undefined;
  /** Called with each piece of its stdout. */
  readonly watch?: ((child: ChildProcess, text: string) => void) | undefined;
}

function run({ words, input, temporary, watch }: Program): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, TMPDIR: temporary ?? tmpdir() };
    const child = spawn(process.execPath, words, { cwd: root, env: environment });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      watch?.(child, stdout);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

/** The demo, ended by a signal once it has told of something. */
function stopped(
  signal: 'SIGINT' | 'SIGKILL',
  { once, words = [] }: { readonly once: string; readonly words?: readonly string[] },
): Promise<Ended> {
  let asked = false;
  return run({
    words: ['bin/run.js', 'demo', ...words],
    temporary: folder,
    watch: (child, stdout) => {
      if (asked || !stdout.includes(once)) return;
      asked = true;
      child.kill(signal);
    },
  });
}

/** The addresses of the daemons that the demo has told of. */
function daemonsIn(stdout: string): string[] {
  return stdout.match(/[0-9]+(?:\.[0-9]+){3}:[0-9]+/g) ?? [];
}

/** Waits until nobody answers there any more: who is killed takes nobody along at once. */
async function untilNobodyAt(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    while (await isAnswered(address)) await nodeEnvironment.clock.sleep(50);
  }
}

async function isAnswered(address: string): Promise<boolean> {
  try {
    (await nodeNetwork.dial(parseAddress(address))).destroy();
    return true;
  } catch {
    return false;
  }
}

function expectProved(answer: DemoAnswer): void {
  const failed = answer.proof.filter(({ ok }) => ok === false);
  expect(failed).toEqual([]);
  expect(answer.proved).toBe(true);
}

function proofNamed(answer: DemoAnswer, name: Proof['name']): Proof | undefined {
  return answer.proof.find((proof) => proof.name === name);
}

describe('rcopy demo', () => {
  test('proves its story, and leaves nothing behind', async () => {
    const words = ['bin/run.js', 'demo', '--json', '--seconds', '1'];
    const { code, stdout, stderr } = await run({ words, temporary: folder });
    expect(stderr).toBe('');
    const answer = JSON.parse(stdout) as DemoAnswer;
    expectProved(answer);
    expect(code).toBe(0);
    expect(readdirSync(folder)).toEqual([]);

    const { migration, witness, sent, host, controller, restoredSequence } = answer;
    const next = migration.nextSequence;
    expect(witness.report.numbers).toBe(restoredSequence);
    expect(next).toBeLessThan(restoredSequence);
    expect(migration.state).toBe('done');
    expect(migration.journalCursor).toBeLessThanOrEqual(next);
    expect(sent.tokyo.copies).toBe(1);
    expect(sent.tokyo.copiedBytes).toBeLessThan(answer.volumeBytes / 2);
    expect(sent.osaka).toMatchObject({ copies: 0, copiedBytes: 0 });
    expect(answer.comparedLive).toMatchObject({ equal: true, bytesCompared: answer.volumeBytes });
    expect(host.writes).toBeGreaterThan(0);
    expect(host.pauseMs).toBeGreaterThan(0);
    expect(controller.heldMs).toBeGreaterThan(0);
    expect(controller.connections).toEqual([
      expect.stringMatching(/^db from 127\.0\.0\.1:/),
      expect.stringMatching(/^log from 127\.0\.0\.1:/),
    ]);
    expect(answer.sourceDeleted).toBe(true);
    expect(answer.writesWithoutA).toBeGreaterThan(0);
    expect(answer.daemons.map(({ name }) => name)).toEqual(['gate', 'tokyo', 'osaka', 'kyoto']);
    for (const { residentBytes } of answer.daemons) expect(residentBytes).toBeGreaterThan(0);
    for (const { referenceSha256, imageSha256 } of witness.images) {
      expect(imageSha256).toBe(referenceSha256);
    }
    const shown = demoView(answer, plainPaint).join('\n');
    expect(shown).toContain('✓ e2fsck finds nothing on kyoto');
    expect(shown).not.toContain('Kept in');
  });

  // Of `npm run demos`; tests of the proof and of the images show the same in parts.
  const expectItPlaysWithoutMke2fs = async () => {
    const keep = join(folder, 'kept');
    const told: string[] = [];
    const answer = await playDemo({
      environment: nodeEnvironment,
      network: nodeNetwork,
      keep,
      mode: 'drain',
      copy: 'post',
      seconds: 1,
      program,
      witnessProgram,
      run: () => Promise.resolve(undefined),
      stopped: new Promise<never>(() => undefined),
      print: (line) => told.push(line),
      paint: plainPaint,
      screenPaint: undefined,
    });
    expectProved(answer);
    expect(proofNamed(answer, 'file-system')).toMatchObject({
      ok: null,
      detail: 'skipped: mke2fs is not here',
    });
    expect(told).toContainEqual(expect.stringMatching(/^✓ the switch: osaka is B and numbers on/));
    expect(told).toContain('✓ tokyo is switched off: the host goes on');
    expect(answer.sourceDeleted).toBe(false);
    expect(readdirSync(keep)).toEqual(expect.arrayContaining(['gate', 'kyoto', 'osaka', 'tokyo']));
    const shown = demoView(answer, plainPaint).join('\n');
    expect(shown).toContain('– e2fsck finds nothing on kyoto');
    expect(shown).toContain(`Kept in ${keep}.`);
  };
  if (EVERY_RUN) test('plays without mke2fs as well', () => expectItPlaysWithoutMke2fs());

  test('stops all in order in the middle of a migration, and leaves what is kept', async () => {
    const keep = join(folder, 'kept');
    const words = ['--seconds', '1', '--keep', keep];
    const { code, stderr } = await stopped('SIGINT', { once: 'the switch', words });
    expect(stderr).toContain('stopped by SIGINT');
    expect(code).toBe(130);
    for (const name of ['gate', 'tokyo', 'osaka', 'kyoto']) {
      // Rejects when a process has the folder still.
      (await lockSet(nodeEnvironment, join(keep, name), { lockWaitMs: 0 })).release();
    }
  });

  test('leaves no daemon behind when it is killed', async () => {
    const { stdout } = await stopped('SIGKILL', { once: 'first copy' });
    const addresses = daemonsIn(stdout);
    expect(addresses).toHaveLength(3); // tokyo, the controller, kyoto
    await untilNobodyAt(addresses);
  });

  test('does not play over what somebody has', async () => {
    writeFileSync(join(folder, 'mine'), 'mine');
    const { code, stderr } = await run({ words: ['bin/run.js', 'demo', '--keep', folder] });
    expect(stderr).toContain('is not empty');
    expect(code).toBe(5);
    expect(readdirSync(folder)).toEqual(['mine']);
  });
});

const IMAGE_BYTES = 3 * 1024 * 1024 + 512;

interface Testimony extends Ended {
  /** Its answers, one a line. */
  readonly answers: readonly Record<string, unknown>[];
}

/** Tells the witness about an image and what it must hold; `messages` go in between. */
async function testify(image: Buffer, messages: readonly (string | Buffer)[]): Promise<Testimony> {
  const path = join(folder, 'an image.img');
  writeFileSync(path, image);
  const parts = [`volume db ${IMAGE_BYTES}\n`, ...messages, `compare db ${path}\nreport\n`];
  const input = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const ended = await run({ words: [witnessProgram, folder], input });
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  return { ...ended, answers: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('the witness', () => {
  const messages = [
    'write db 5 5\nhello',
    'write db 3145700 12\n',
    Buffer.from([0, 10, 13, 255, 0, 10, 1, 2, 3, 4, 5, 6]),
    'read db 6 3\nell',
    'zeroes db 7 2\n',
    'mark 4\n',
  ];
  const expected = Buffer.alloc(IMAGE_BYTES);
  expected.write('he\0\0o', 5);
  expected.set([0, 10, 13, 255, 0, 10, 1, 2, 3, 4, 5, 6], 3_145_700);

  test('is content with an image that is as it was told', async () => {
    const { code, answers } = await testify(expected, messages);
    expect(code).toBe(0);
    expect(answers).toMatchObject([
      { volume: 'db', equal: true, differsAt: null },
      { content: true, problems: [], acknowledged: 4, reads: 1, numbers: 4 },
    ]);
    expect(answers[0]?.['imageSha256']).toBe(answers[0]?.['referenceSha256']);
  });

  test.each([0, 7, 1_048_576, IMAGE_BYTES - 1])('sees one wrong byte, at %i', async (offset) => {
    const wrong = Buffer.from(expected);
    wrong.writeUInt8((wrong[offset] ?? 0) ^ 1, offset);
    const { code, answers } = await testify(wrong, messages);
    expect(code).toBe(1);
    expect(answers).toMatchObject([{ equal: false, differsAt: offset }, { content: false }]);
    expect(answers[0]?.['imageSha256']).not.toBe(answers[0]?.['referenceSha256']);
  });

  test('sees an image that ends early', async () => {
    const { code, answers } = await testify(expected.subarray(0, IMAGE_BYTES - 512), messages);
    expect(code).toBe(1);
    expect(answers).toMatchObject([{ equal: false, differsAt: IMAGE_BYTES - 512 }, {}]);
  });

  test.each([
    ['a number left out', 'mark 6\n', '6 to 6 were given where 5 comes next'],
    ['a number given twice', 'mark 4\n', '4 to 4 were given where 5 comes next'],
    [
      'a wrong read',
      'read db 5 2\nhe'.replace('he', 'ha'),
      'a read of 2 bytes at 5 of db was wrong',
    ],
  ])('sees %s', async (_what, message, problem) => {
    const { code, answers } = await testify(expected, [...messages, message]);
    expect(code).toBe(1);
    expect(answers[1]).toMatchObject({ content: false, problems: [problem] });
  });

  test.each(['write db 0 9\nshort', 'write db 3145728 513\n', 'hum\n'])(
    'does not guess at %j',
    async (message) => {
      const { code, stderr } = await run({
        words: [witnessProgram, folder],
        input: Buffer.from(`volume db ${IMAGE_BYTES}\n${message}`),
      });
      expect(code).toBe(2);
      expect(stderr).toMatch(/^witness: /);
    },
  );
});

describe('the images', () => {
  test('differ in what is listed, and nowhere else', async () => {
    const { files } = nodeEnvironment;
    const images = await makeImages(files, folder, () => Promise.resolve(undefined));
    const changes = changesBetween(files, images);
    const first = readFileSync(images.first);
    const later = readFileSync(images.later);
    expect(changes.length).toBeGreaterThan(10);
    for (const { offset, length } of changes) {
      expect(length).toBeGreaterThan(0);
      later.copy(first, offset, offset, offset + length);
    }
    expect(first.equals(later)).toBe(true);
  });
});

/** As much of a status as the picture shows. */
function statusOf(
  set: Partial<StatusAnswer['set']>,
  next: number,
  more: object = {},
): StatusAnswer {
  const journal = { nextSequence: next, appliedSequence: next - 3 };
  return { set, journal, pair: null, seal: null, migration: null, ...more } as StatusAnswer;
}

describe('the scene', () => {
  const nobody = { host: undefined, gate: undefined, a: undefined, b: undefined, c: undefined };
  const cast = { ...nobody, isAOff: false, isCAway: false, fetching: undefined };

  test('shows a target that nobody has written to as empty, and a stopped set as that', () => {
    const b = statusOf({ role: 'primary', epoch: 0, state: 'simplex' }, 1);
    const scene = sceneOf({ ...cast, b, isCAway: true });
    expect(scene.b).toMatchObject({ role: 'empty', epoch: undefined, number: undefined });
    expect(scene.c).toMatchObject({ role: 'stopped', alive: false, number: undefined });
    expect(scene.gate).toMatchObject({ state: '', leadsTo: 'nowhere' });
  });

  test.each([
    ['tokyo', 'open', 'a'],
    ['osaka', 'open', 'b'],
    ['tokyo', 'holding', 'held'],
    ['osaka', 'replaying', 'held'],
    ['tokyo', 'away', 'held'],
  ])('shows the controller at %s, %s, as %s', (name, state, leadsTo) => {
    const sets = [{ set: { name }, state, waitingRequests: 5 }];
    const gate = { sets, hosts: [{}, {}] } as unknown as PathStatusAnswer;
    const shown = sceneOf({ ...cast, gate }).gate;
    expect(shown).toEqual({ state, waiting: 5, connections: 2, leadsTo });
  });

  test('shows a source that is gone as that, whoever served it last', () => {
    expect(sceneOf({ ...cast, isAOff: true }).a).toMatchObject({
      role: 'switched off',
      alive: false,
      number: undefined,
    });
  });

  test('counts for each sender its own numbers, as long as its link is up', () => {
    const owing = { link: 'up', durableSequence: 812 };
    const a = statusOf({ role: 'primary', epoch: 1 }, 839, { pair: owing, seal: {} });
    const migration = { nextSequence: 839 };
    const b = statusOf({ role: 'primary', epoch: 2 }, 961, { pair: owing, migration });
    const c = statusOf({ role: 'secondary', epoch: 1 }, 816, { pair: { usable: true } });
    expect(sceneOf({ ...cast, a, b, c })).toMatchObject({
      a: { role: 'sealed', number: 838, alive: false },
      b: { role: 'primary', number: 960, alive: true },
      c: { role: 'secondary', number: 813 },
      sendingA: 26,
      sendingB: 122,
    });
    const cut = { link: 'down', durableSequence: 812 };
    const without = statusOf({ role: 'primary', epoch: 1 }, 839, { pair: cut });
    expect(sceneOf({ ...cast, a: without }).sendingA).toBeUndefined();
  });
});

describe('the picture', () => {
  const scene: Scene = {
    host: { writes: 1204, bytes: 64_000_000 },
    gate: { state: 'open', waiting: 0, connections: 2, leadsTo: 'b' },
    a: { title: 'A tokyo', role: 'sealed', epoch: 1, label: 'newest', number: 838, alive: false },
    b: { title: 'B osaka', role: 'primary', epoch: 2, label: 'newest', number: 960, alive: true },
    c: {
      title: 'C kyoto',
      role: 'secondary',
      epoch: 1,
      label: 'restored',
      number: 812,
      alive: true,
    },
    fetching: { doneBytes: 12, totalBytes: 100 },
    sendingA: 26,
    sendingB: 0,
  };

  test('shows the host at B, and two senders', () => {
    expect(pictureOf(scene, 3, plainPaint)).toEqual([
      '                           ┌─ host ───────────────┐',
      '                           │ writes         1,204 │ 61 MiB',
      '                           └──────────┬───────────┘',
      '                                      ▼',
      '                           ┌─ path controller ────┐',
      '                           │ open                 │ 2 connections',
      '                           └──────────┬───────────┘',
      '                                      └──●─────────────────────┐',
      '                                                               ▼',
      '  ┌─ A tokyo ────────────┐                          ┌─ B osaka ────────────┐',
      '  │ sealed       epoch 1 │ ───●───────────────────▶ │ primary      epoch 2 │',
      '  │ newest           838 │ ━━─────────────────  12% │ newest           960 │',
      '  └──────────┬───────────┘                          └──────────┬───────────┘',
      '             │ 26 to send                             all sent │',
      '             └─●─────────────────┐         ┌───────────────────┘',
      '                                 ▼         ▼',
      '                           ┌─ C kyoto ────────────┐',
      '                           │ secondary    epoch 1 │',
      '                           │ restored         812 │',
      '                           └──────────────────────┘',
    ]);
  });

  test('shows a host that waits at the controller', () => {
    const gate = { state: 'holding', waiting: 3, connections: 2, leadsTo: 'held' } as const;
    expect(pictureOf({ ...scene, gate }, 3, plainPaint).slice(3, 9)).toEqual([
      '                                      ▼',
      '                           ┌─ path controller ────┐',
      '                           │ holding    3 waiting │ 2 connections',
      '                           └──────────┬───────────┘',
      '                                      │',
      '                                    waits',
    ]);
  });

  test('stays within its place at every moment', () => {
    for (const leadsTo of ['a', 'b', 'held', 'nowhere'] as const) {
      for (let tick = 0; tick < 60; tick += 1) {
        const gate = { ...scene.gate, leadsTo, waiting: 128, state: 'replaying' };
        const lines = pictureOf({ ...scene, gate }, tick, plainPaint);
        expect(lines).toHaveLength(PICTURE_LINES);
        const widest = Math.max(...lines.map((line) => Array.from(line).length));
        expect(widest).toBeLessThanOrEqual(PICTURE_COLUMNS);
      }
    }
  });
});
