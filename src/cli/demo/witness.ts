/** The demo's line to bin/witness.js: the independent model of every acknowledged write. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import { RcopyError } from '../../base/errors.ts';

/** What the witness says of one image. */
export interface WitnessComparison {
  readonly volume: string;
  readonly equal: boolean;
  readonly differsAt: number | null;
  readonly bytes: number;
  readonly imageBytes: number;
  readonly imageBytesOnDisk: number;
  readonly referenceSha256: string;
  readonly imageSha256: string;
}

/** What the witness says of everything that it was told. */
export interface WitnessReport {
  readonly content: boolean;
  readonly problems: readonly string[];
  readonly acknowledged: number;
  readonly reads: number;
  /** How many numbers were given, by the witness's own count. */
  readonly numbers: number;
}

interface Waiting {
  readonly resolve: (line: string) => void;
  readonly reject: (error: Error) => void;
}

export class Witness {
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly waiting: Waiting[] = [];
  private readonly ended: Promise<number>;
  private complaint = '';
  private failure: RcopyError | undefined;

  /** Starts the program; `folder` takes its reference files. */
  constructor(program: string, folder: string) {
    this.child = spawn(process.execPath, [program, folder], { stdio: ['pipe', 'pipe', 'pipe'] });
    const { child } = this;
    child.stdin.on('error', () => undefined); // its end says more
    child.stderr.on('data', (chunk: Buffer) => {
      this.complaint += chunk.toString('utf8');
    });
    createInterface({ input: child.stdout }).on('line', (line) =>
      this.waiting.shift()?.resolve(line),
    );
    this.ended = new Promise((resolve) => {
      child.on('error', (error) => {
        this.fail(error.message);
        resolve(1);
      });
      child.on('close', (code) => {
        this.fail(this.complaint.trim() || 'it ended too early');
        resolve(code ?? 1);
      });
    });
  }

  /** Tells one message; waits when the witness cannot keep up. */
  async tell(line: string, data?: Uint8Array): Promise<void> {
    if (this.failure) throw this.failure;
    const { stdin } = this.child;
    const kept = stdin.write(`${line}\n`);
    const more = data === undefined ? kept : stdin.write(data);
    if (more) return;
    const drained = new Promise<void>((resolve) => stdin.once('drain', resolve));
    await Promise.race([drained, this.ended]);
  }

  /** Byte by byte; the file must not change any more. */
  async compare(volume: string, path: string): Promise<WitnessComparison> {
    return JSON.parse(await this.ask(`compare ${volume} ${path}`)) as WitnessComparison;
  }

  async report(): Promise<WitnessReport> {
    return JSON.parse(await this.ask('report')) as WitnessReport;
  }

  /** Ends it; its exit code is 0 when it found nothing wrong. */
  end(): Promise<number> {
    this.child.stdin.end();
    return this.ended;
  }

  private async ask(line: string): Promise<string> {
    const answered = new Promise<string>((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
    answered.catch(() => undefined); // when telling fails, that is what is thrown
    await this.tell(line);
    return answered;
  }

  private fail(reason: string): void {
    this.failure ??= new RcopyError('E_INTERNAL', `the witness cannot go on: ${reason}`);
    for (const { reject } of this.waiting.splice(0)) reject(this.failure);
  }
}
