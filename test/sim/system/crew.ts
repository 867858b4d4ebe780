/** Worker processes that share the runs among them: a run takes one core, and nothing else. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { RunOutcome } from './run.ts';
import type { Task } from './worker.ts';

/** A run takes seconds: one that has not ended by then goes round in circles. */
const RUN_MS_MAX = 600_000;

export class Crew {
  private readonly idle: ChildProcess[] = [];
  private readonly all: ChildProcess[] = [];
  private readonly waiting: ((worker: ChildProcess) => void)[] = [];

  constructor(workers: number) {
    for (let count = 0; count < workers; count += 1) this.hire();
  }

  /** Performs a task as soon as a worker is free; rejects when the worker dies, or has to. */
  async perform(task: Task): Promise<RunOutcome> {
    const worker = await this.free();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => worker.kill('SIGKILL'), RUN_MS_MAX);
      const died = (code: number | null, signal: string | null) => {
        clearTimeout(timer);
        this.all.splice(this.all.indexOf(worker), 1);
        this.hire();
        reject(new Error(`the process of seed ${task.seed} ended with ${code ?? signal}`));
      };
      worker.once('exit', died);
      worker.once('message', (outcome: RunOutcome) => {
        clearTimeout(timer);
        worker.off('exit', died);
        this.release(worker);
        resolve(outcome);
      });
      worker.send(task);
    });
  }

  end(): void {
    for (const worker of this.all) worker.disconnect();
  }

  private hire(): void {
    const worker = fork(new URL('worker.ts', import.meta.url));
    this.all.push(worker);
    this.release(worker);
  }

  private release(worker: ChildProcess): void {
    const next = this.waiting.shift();
    if (next) next(worker);
    else this.idle.push(worker);
  }

  private free(): Promise<ChildProcess> {
    const worker = this.idle.shift();
    if (worker) return Promise.resolve(worker);
    return new Promise((resolve) => {
      this.waiting.push(resolve);
    });
  }
}
