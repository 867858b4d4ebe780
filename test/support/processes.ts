/** Programs in processes of their own, run to their end; of use to tests and to campaigns. */
import { spawn } from 'node:child_process';

export interface Finished {
  /** The exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Both its outputs as text, for messages. */
  readonly said: string;
}

export interface RunOptions {
  /** What it reads on its standard input. */
  readonly input?: Buffer;
  readonly cwd?: string;
}

const TIMEOUT_MS = 120_000;

/** Runs a program to its end, while this process goes on serving. */
export function run(
  program: string,
  words: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      cwd: options.cwd,
      stdio: 'pipe',
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, LC_ALL: 'C' },
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      const output = Buffer.concat(stdout);
      const errors = Buffer.concat(stderr);
      const said = output.subarray(0, 10_000).toString() + errors.toString();
      resolve({ code: code ?? -1, stdout: output, stderr: errors, said });
    });
    // A program that ends before it has read everything closes the pipe.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
  });
}
