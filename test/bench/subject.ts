/** Who is measured: a server of one volume over NBD at a unix socket. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Subject {
  readonly name: string;
  /** Programs that must be there. */
  readonly programs: readonly string[];
  /** Starts it, in a folder of its own, with a volume of zeroes of so many bytes. */
  start(folder: string, sizeBytes: number): Promise<Served>;
  /** How many seconds its first copy of a volume takes, which holds what the image holds. */
  firstCopy?(folder: string, image: string, sizeBytes: number): Promise<number>;
}

/** A subject that runs. */
export interface Served {
  readonly uri: string;
  /** Its processes; the first one serves the hosts. */
  readonly pids: readonly number[];
  /** Waits until it has done what it does behind the back of its hosts. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

const PATIENCE_MS = 10_000;

/** Starts a server that is ready when its socket is there. */
export async function serverAt(
  socket: string,
  program: string,
  words: readonly string[],
): Promise<{ readonly pid: number; readonly stop: () => Promise<void> }> {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = endOf(child);
  let failure: Error | undefined;
  ended.catch((error: unknown) => {
    failure = error as Error;
  });
  for (const end = Date.now() + PATIENCE_MS; !existsSync(socket); await sleep(20)) {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    if (Date.now() > end) throw new Error(`${program} does not serve at ${socket}`);
  }
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}

/** How many seconds some work takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}
