/**
 * The daemons of the demo, each a process of its own: `rcopy daemon` and `rcopy path serve`, as
 * anybody would start them. They end in order when they are stopped here. However this process
 * ends, none stays behind: each ends when its standard input does.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { deferred } from '../../base/deferred.ts';
import { RcopyError } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';
import type { Clock } from '../../sys/clock.ts';
import { parseAddress } from '../../sys/network.ts';
import type { NetworkAddress } from '../../sys/network.ts';
import { EXIT_CODES } from '../exit-codes.ts';

/** How long one may take to end in order, in milliseconds. */
const STOP_MS_MAX = 10_000;

export interface StartOptions {
  readonly name: string;
  /** The words of its command, but for those that are the same for all. */
  readonly words: readonly string[];
  /** `HOST:PORT` to listen at; a free port of this machine, unless told. */
  readonly listen?: string | undefined;
}

/** A daemon that is ready. */
export interface Daemon {
  readonly name: string;
  /** `rcopy://HOST:PORT`. */
  readonly address: string;
  /** Where it serves hosts. */
  readonly nbd: NetworkAddress;
}

/** One line of a daemon's log, as far as it is read here. */
interface LogLine {
  readonly msg?: string;
  readonly level?: number;
  readonly code?: string;
  readonly hint?: string;
  readonly address?: string;
  readonly nbd?: string;
}

const LEVEL_ERROR = 50;

export class Daemons {
  /** Never resolves; rejects when one ends that was not asked to. */
  readonly failed: Promise<never>;
  private readonly program: string;
  private readonly clock: Clock;
  private readonly running = new Map<string, DaemonProcess>();
  private readonly failure = deferred<never>();
  private closed = false;
  /** Whoever waits no longer for an orderly end: the folder goes next. */
  private readonly killAll = (): void => {
    for (const daemon of this.running.values()) daemon.kill();
  };

  /** `program` is the path of bin/run.js. */
  constructor(program: string, clock: Clock) {
    this.program = program;
    this.clock = clock;
    this.failed = this.failure.promise;
    this.failed.catch(() => undefined);
    process.prependListener('exit', this.killAll);
  }

  /** How many there are. */
  get count(): number {
    return this.running.size;
  }

  /** Starts one, and waits until it is ready. Rejects with the error that it ended with. */
  async start({ name, words, listen = '127.0.0.1:0' }: StartOptions): Promise<Daemon> {
    if (this.closed) throw new RcopyError('E_STOPPED', 'the demo is over');
    const same = ['--until-stdin-ends', '--log-format', 'json', '--nbd', '127.0.0.1:0'];
    const daemon = new DaemonProcess(name, [
      this.program,
      ...words,
      ...same,
      ...['--listen', listen],
    ]);
    this.running.set(name, daemon);
    daemon.ended.then(
      () => this.running.delete(name),
      (error: unknown) => {
        this.running.delete(name);
        this.failure.reject(error);
      },
    );
    const { address = '', nbd = '' } = await daemon.ready;
    return { name, address, nbd: parseAddress(nbd) };
  }

  /** Stops one in order; it is killed when that takes too long. */
  async stop(name: string): Promise<void> {
    const daemon = this.running.get(name);
    if (!daemon) return;
    const timer = this.clock.alarm(STOP_MS_MAX, () => daemon.kill());
    daemon.stop();
    await daemon.ended.finally(() => timer.cancel());
  }

  /** Stops all, `first` before the others, and starts no more. */
  async close(first: string): Promise<void> {
    this.closed = true;
    await this.stop(first).catch(() => undefined);
    await Promise.allSettled(Array.from(this.running.keys(), (name) => this.stop(name)));
    process.off('exit', this.killAll);
  }
}

class DaemonProcess {
  readonly ready: Promise<LogLine>;
  /** Rejects when it ends without being asked to, or badly. */
  readonly ended: Promise<void>;
  private readonly name: string;
  private readonly child: ChildProcessByStdio<Writable, null, Readable>;
  /** The last thing it said that was no good news. */
  private complaint: LogLine = {};
  private isAsked = false;

  constructor(name: string, words: readonly string[]) {
    this.name = name;
    // In a session of its own: Ctrl-C at the terminal is for the demo, which stops it in order.
    this.child = spawn(process.execPath, words, {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    });
    const { child } = this;
    child.stdin.on('error', () => undefined); // its end says more
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (code === 0 && this.isAsked) resolve();
        else reject(this.failure(code ?? signal ?? 'nothing'));
      });
    });
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (text) => {
        const line = lineOf(text);
        if (line.msg === 'ready') resolve(line);
        if ((line.level ?? LEVEL_ERROR) >= LEVEL_ERROR) this.complaint = line;
      });
      this.ended.then(() => reject(new RcopyError('E_STOPPED', `${name} was stopped`)), reject);
    });
    this.ready.catch(() => undefined);
  }

  stop(): void {
    this.isAsked = true;
    this.child.kill('SIGTERM');
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  private failure(how: number | string): RcopyError {
    const { msg, code, hint } = this.complaint;
    const known = code !== undefined && code in EXIT_CODES;
    return new RcopyError(
      known ? (code as ErrorCode) : 'E_INTERNAL',
      `the daemon of ${this.name} ended with ${how}${msg === undefined ? '' : `: ${msg}`}`,
      { hint },
    );
  }
}

/** A line of the log; what is none is said by somebody else, and as bad as an error. */
function lineOf(text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // not of the log
  }
  return { msg: text };
}
