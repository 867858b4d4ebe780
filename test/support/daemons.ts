/** Programs in processes of their own, for tests: rcopy as it was built, and its daemons. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import type { PathReadyAnswer } from '../../src/daemon/path-daemon.ts';
import type { ReadyAnswer } from '../../src/daemon/storage-daemon.ts';
import { run } from './processes.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'run.js');

/** What a command left behind. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `rcopy …words`, as it was built. */
export async function rcopyProgram(...words: readonly string[]): Promise<Ended> {
  const { code, stdout, stderr } = await run(process.execPath, [PROGRAM, ...words]);
  const text = stdout.toString();
  return { code, stdout: text, stderr: stderr.toString() };
}

/** The same with `--json`; it has to succeed. Resolves with its answer. */
export async function rcopyJson<T>(...words: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await rcopyProgram(...words, '--json');
  if (code !== 0) throw new Error(`rcopy ${words.join(' ')}: exit ${code}\n${stdout}${stderr}`);
  return JSON.parse(stdout) as T;
}

/** One line of a daemon's log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [fact: string]: unknown;
}

/** What runs for long, in a process of its own; `Ready` is what it logs when it can be reached. */
class LongProcess<Ready> {
  readonly log: LogLine[] = [];
  /** What it said that was no line of its log. */
  readonly noise: string[] = [];
  readonly ready: Promise<Ready>;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  private readonly child: ChildProcess;

  constructor(command: readonly string[], folder: string, words: readonly string[]) {
    const args = [PROGRAM, ...command, folder, '--log-format', 'json', ...words];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    this.child = child;
    this.ended = endOf(child);
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (text) => {
        const line = parsed(text);
        if (line) this.log.push(line);
        else this.noise.push(text);
        if (line?.msg === 'ready') resolve(line as never);
      });
      void this.ended.then(({ code }) => {
        const said = [...this.noise, ...this.log.map((line) => JSON.stringify(line))];
        reject(new Error(`the daemon of ${folder} ended with ${code}: ${said.join('\n')}`));
      });
    });
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** As it ends when this process dies. */
  endInput(): void {
    this.child.stdin?.end();
  }

  /** As a power switch would, but for the page cache. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** In order; resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return (await this.ended).code;
  }
}

/** A storage daemon. */
export class DaemonProcess extends LongProcess<ReadyAnswer> {
  constructor(folder: string, ...words: readonly string[]) {
    super(['daemon'], folder, words);
  }
}

/** What a path controller logs when it can be reached. */
export type PathReady = Omit<PathReadyAnswer, 'controller'> & { readonly controller: string };

/** A path controller. */
export class PathProcess extends LongProcess<PathReady> {
  constructor(folder: string, ...words: readonly string[]) {
    super(['path', 'serve'], folder, words);
  }
}

function parsed(text: string): LogLine | undefined {
  try {
    const value = JSON.parse(text) as LogLine;
    return typeof value === 'object' && typeof value.msg === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function endOf(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}
