/**
 * Where mutants are tried: a scratch copy of the tree with one of them in it, its compiler, and its
 * simulator as a process of its own with a time limit.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { patched } from './mutant.ts';
import type { Mutant } from './mutant.ts';

/** What a simulator needs of the tree. */
const PARTS = ['src', 'test', 'bin', 'commands', 'package.json', 'tsconfig.json'];

/** What became of one program. */
export interface Ended {
  /** Null when it was stopped at its time limit. */
  readonly code: number | null;
  /** The end of what it printed. */
  readonly output: string;
}

/** What the simulator said of a tree. */
export type Finding =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly seed: number; readonly message: string }
  /** No seed has failed, but a test does. */
  | { readonly kind: 'tested'; readonly message: string }
  /** It did not come to its end. */
  | { readonly kind: 'late' }
  /** It ended without a word about any seed. */
  | { readonly kind: 'broken'; readonly reason: string };

const OUTPUT_CHARACTERS = 4_000;
/** How long one test file may take. */
const TESTS_MS = 300_000;

/** Runs `action` in a copy of the tree at `root`, with the mutant in it if there is one. */
export async function inScratch<T>(
  root: string,
  mutant: Mutant | undefined,
  action: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'rcopy-mutant-'));
  try {
    for (const part of PARTS) await cp(join(root, part), join(folder, part), { recursive: true });
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    if (mutant) {
      const path = join(folder, mutant.file);
      await writeFile(path, patched(mutant, await readFile(path, 'utf8')));
    }
    return await action(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Why the sources of the tree are no program; undefined when they are. */
export async function compileError(folder: string): Promise<string | undefined> {
  const compiler = join('node_modules', '.bin', 'tsc');
  const { code, output } = await run(folder, compiler, ['--noEmit'], 300_000);
  return code === 0 ? undefined : output.trim();
}

/** Runs the simulator of the tree from seed 1 until one fails. */
export async function simulate(folder: string, seeds: number, limitMs: number): Promise<Finding> {
  const report = join(folder, 'mutant.json');
  const simulator = ['--import', 'tsx', join('test', 'sim', 'sim.ts')];
  const range = ['--seeds', String(seeds), '--from', '1', '--jobs', '1'];
  const manner = ['--no-shrink', '--json', report];
  const ended = await run(folder, process.execPath, [...simulator, ...range, ...manner], limitMs);
  if (ended.code === null) return { kind: 'late' };
  if (ended.code === 0) return { kind: 'passed' };
  const [failure] = await failuresIn(report);
  return failure ? { kind: 'failed', ...failure } : { kind: 'broken', reason: ended.output };
}

/** Runs one test file of the tree: the name of the first test that fails; undefined when none. */
export async function testFailure(folder: string, test: string): Promise<string | undefined> {
  const report = join(folder, 'mutant-tests.json');
  const jest = join('node_modules', 'jest', 'bin', 'jest.js');
  const manner = ['--runInBand', '--silent', '--json', `--outputFile=${report}`];
  const program = ['--experimental-vm-modules', jest, ...manner, `${test}\\.test`];
  const { code, output } = await run(folder, process.execPath, program, TESTS_MS);
  if (code === 0) return undefined;
  try {
    return firstFailure(JSON.parse(await readFile(report, 'utf8')) as TestReport);
  } catch {
    return `no report: ${output.slice(0, 200)}`;
  }
}

function firstFailure({ testResults }: TestReport): string {
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed');
  return failed?.fullName ?? 'it does not run';
}

interface TestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

async function failuresIn(path: string): Promise<{ seed: number; message: string }[]> {
  try {
    const report = JSON.parse(await readFile(path, 'utf8')) as {
      failures: { seed: number; message: string }[];
    };
    return report.failures;
  } catch {
    return []; // it did not come so far
  }
}

function run(
  folder: string,
  program: string,
  words: readonly string[],
  limitMs: number,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    // A group of its own: whatever the program has started ends with it.
    const child = spawn(program, words, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    let late = false;
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, limitMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: late ? null : (code ?? 1), output });
    });
  });
}
