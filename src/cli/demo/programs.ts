/** Programs of the machine that the demo uses where they are: mke2fs and e2fsck. */
import { spawn } from 'node:child_process';

export interface ProgramEnd {
  readonly exitCode: number;
  /** What it printed, on either stream. */
  readonly output: string;
}

/** Runs a program to its end; undefined when the machine does not have it. */
export type RunProgram = (
  name: string,
  words: readonly string[],
) => Promise<ProgramEnd | undefined>;

/** Where file system tools live that are not on everybody's PATH. */
const TOOL_FOLDERS = [
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
  '/opt/homebrew/opt/e2fsprogs/sbin',
  '/usr/local/opt/e2fsprogs/sbin',
];

export const runProgram: RunProgram = (name, words) =>
  new Promise((resolve, reject) => {
    const path = [process.env['PATH'] ?? '', ...TOOL_FOLDERS].join(':');
    const child = spawn(name, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: path, LC_ALL: 'C' },
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.on('close', (code) => {
      resolve({ exitCode: code ?? 1, output: Buffer.concat(output).toString('utf8').trim() });
    });
  });
