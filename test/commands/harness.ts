/**
 * Two ways to run commands in tests: inside this process from their sources, which is quick, and as
 * the real program in a process of its own, for what only a process can show.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, jest } from '@jest/globals';
import type { Command } from '@oclif/core/command';
import { Config } from '@oclif/core/config';
import Adopt from '../../commands/adopt.ts';
import Create from '../../commands/create.ts';
import Export from '../../commands/export.ts';
import Import from '../../commands/import.ts';
import Inspect from '../../commands/inspect/index.ts';
import InspectFile from '../../commands/inspect/file.ts';
import InspectJournal from '../../commands/inspect/journal.ts';
import Mark from '../../commands/mark.ts';
import MigrateAbort from '../../commands/migrate/abort.ts';
import Migrate from '../../commands/migrate/index.ts';
import MigrateResume from '../../commands/migrate/resume.ts';
import MigrateStatus from '../../commands/migrate/status.ts';
import PairAddress from '../../commands/pair/address.ts';
import PairCreate from '../../commands/pair/create.ts';
import PairDelete from '../../commands/pair/delete.ts';
import PairResync from '../../commands/pair/resync.ts';
import PairSplit from '../../commands/pair/split.ts';
import PathAdd from '../../commands/path/add.ts';
import PathList from '../../commands/path/list.ts';
import PathMigrate from '../../commands/path/migrate.ts';
import PathRemove from '../../commands/path/remove.ts';
import PathServe from '../../commands/path/serve.ts';
import PathStatus from '../../commands/path/status.ts';
import Read from '../../commands/read.ts';
import Replicate from '../../commands/replicate.ts';
import Status from '../../commands/status.ts';
import Takeover from '../../commands/takeover.ts';
import Verify from '../../commands/verify.ts';
import Wait from '../../commands/wait.ts';
import Write from '../../commands/write.ts';

/** What a command left behind. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const ROOT = join(import.meta.dirname, '..', '..');

/** A command as a class. */
export interface CommandClass {
  new (argv: string[], config: Config): Command;
  id: string;
  readonly summary?: string;
  run(argv: string[], config: Config): Promise<unknown>;
}

/** Every command by its id. */
export const COMMANDS: ReadonlyMap<string, CommandClass> = new Map(
  Object.entries({
    adopt: Adopt,
    create: Create,
    export: Export,
    import: Import,
    inspect: Inspect,
    'inspect:file': InspectFile,
    'inspect:journal': InspectJournal,
    mark: Mark,
    migrate: Migrate,
    'migrate:abort': MigrateAbort,
    'migrate:resume': MigrateResume,
    'migrate:status': MigrateStatus,
    'pair:address': PairAddress,
    'pair:create': PairCreate,
    'pair:delete': PairDelete,
    'pair:resync': PairResync,
    'pair:split': PairSplit,
    'path:add': PathAdd,
    'path:list': PathList,
    'path:migrate': PathMigrate,
    'path:remove': PathRemove,
    'path:serve': PathServe,
    'path:status': PathStatus,
    promote: Takeover,
    read: Read,
    replicate: Replicate,
    status: Status,
    takeover: Takeover,
    verify: Verify,
    wait: Wait,
    write: Write,
  }),
);

/** A folder of its own for a test file; gone when its tests are over. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rcopy-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

let loading: Promise<Config> | undefined;

/** oclif's settings without its own way to find commands, which the harness replaces. */
function loadConfig(): Promise<Config> {
  loading ??= (async () => {
    const pjson = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      oclif: Record<string, unknown>;
    };
    pjson.oclif = { bin: 'rcopy', topicSeparator: ' ' };
    const config = new Config({ root: ROOT, pjson: pjson as never });
    await config.load();
    return config;
  })();
  return loading;
}

/** Runs `rcopy ...words` in this process. Not two at a time: stdout and stderr are caught. */
export async function rcopy(...words: readonly string[]): Promise<Outcome> {
  const config = await loadConfig();
  const two = COMMANDS.get(words.slice(0, 2).join(':'));
  const command = two ?? COMMANDS.get(words[0] ?? '');
  if (command === undefined) throw new Error(`no command ${words.join(' ')}`);
  const id = words.slice(0, two === undefined ? 1 : 2);
  command.id = id.join(':');
  const stdout = catchOutput(process.stdout);
  const stderr = catchOutput(process.stderr);
  let code = 0;
  try {
    await command.run(words.slice(id.length), config);
  } catch (error) {
    const exit = (error as { oclif?: { exit?: number } }).oclif?.exit;
    if (exit === undefined) throw error;
    code = exit;
  } finally {
    stdout.release();
    stderr.release();
  }
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

/** Keeps what is written to `stream` instead of showing it; it is text in the end. */
function catchOutput(stream: NodeJS.WriteStream): { text: () => string; release: () => void } {
  const parts: Buffer[] = [];
  const spy = jest.spyOn(stream, 'write').mockImplementation((chunk, encoding, done) => {
    parts.push(Buffer.from(chunk as Uint8Array));
    const callback = typeof encoding === 'function' ? encoding : done;
    callback?.(null);
    return true;
  });
  return { text: () => Buffer.concat(parts).toString('utf8'), release: () => spy.mockRestore() };
}

/** The one JSON object that `rcopy ...words --json` prints; fails when there is anything else. */
export async function rcopyJson<T = Record<string, unknown>>(
  ...words: readonly string[]
): Promise<T> {
  const { stdout, stderr, code } = await rcopy(...words, '--json');
  if (code !== 0) throw new Error(`exit ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as T;
}

/** A program that runs, or ran, in a process of its own. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly outcome: Promise<Outcome & { readonly signal: NodeJS.Signals | null }>;
}

/** Starts the built program. */
export function start(
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Running {
  return startProcess(process.execPath, [join(ROOT, 'bin', 'run.js'), ...words], options);
}

/** Starts any program, such as a shell with a pipe. */
export function startProcess(
  program: string,
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Running {
  const env: NodeJS.ProcessEnv = { ...process.env, ...options.env };
  // jest's own settings are not what a user has.
  delete env['NODE_ENV'];
  delete env['NODE_OPTIONS'];
  const child = spawn(program, words, { cwd: options.cwd, env, stdio: 'pipe' });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program that reads no stdin may be gone before we have closed it.
  child.stdin.on('error', () => undefined);
  const outcome = new Promise<Outcome & { signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const text = {
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      };
      resolve({ code: code ?? -1, signal, ...text });
    });
  });
  return { child, outcome };
}

/** Runs the built program to its end, with nothing on stdin. */
export function runProgram(
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Running['outcome'] {
  const running = start(words, options);
  running.child.stdin.end();
  return running.outcome;
}
