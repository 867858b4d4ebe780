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
  /** Its standard input stays open until {@link Running.endInput}. */
  readonly keepsInput?: boolean;
  /** It is killed after so long; two minutes unless told. */
  readonly timeoutMs?: number;
}

/** A program under way. */
export interface Running {
  readonly finished: Promise<Finished>;
  /** What it wrote to its standard output so far. */
  output(): string;
  /** Writes to its standard input, which it has to keep. */
  say(text: string): void;
  endInput(): void;
  kill(signal: NodeJS.Signals): void;
}

const TIMEOUT_MS = 120_000;

/** Runs a program to its end, while this process goes on serving. */
export function run(
  program: string,
  words: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return begin(program, words, options).finished;
}

/** Starts a program. */
export function begin(
  program: string,
  words: readonly string[],
  { input, keepsInput = false, cwd, timeoutMs = TIMEOUT_MS }: RunOptions = {},
): Running {
  const child = spawn(program, words, {
    cwd,
    stdio: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const stdout: Buffer[] = [];
  const finished = new Promise<Finished>((resolve, reject) => {
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
  });
  // Whoever started it may look later.
  finished.catch(() => undefined);
  // A program that ends before it has read everything closes the pipe.
  child.stdin.on('error', () => undefined);
  if (!keepsInput) child.stdin.end(input);
  return {
    finished,
    output: () => Buffer.concat(stdout).toString(),
    say: (text) => void child.stdin.write(text),
    endInput: () => child.stdin.end(),
    kill: (signal) => void child.kill(signal),
  };
}
