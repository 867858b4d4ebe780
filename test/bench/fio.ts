/** Runs one job of fio and takes what counts out of its report. */
import { run } from '../support/processes.ts';
import type { FioJob } from './jobs.ts';

export interface FioResult {
  /** Requests a second of timed jobs; bytes a second of those that go over the volume once. */
  readonly speed: number;
  /** The longest that a host waited for a request, and what 99.9 % did not exceed. */
  readonly longestMs: number;
  readonly slowMs: number;
}

interface Direction {
  readonly io_bytes: number;
  readonly iops: number;
  readonly clat_ns: {
    readonly max: number;
    readonly percentile?: { readonly '99.900000'?: number };
  };
}

interface Report {
  readonly jobs: readonly {
    readonly error: number;
    readonly job_runtime: number;
    readonly read: Direction;
    readonly write: Direction;
  }[];
}

const NS_PER_MS = 1e6;
const TIMEOUT_MS = 300_000;

export async function runFio(
  job: FioJob,
  uri: string,
  { seconds, sizeBytes }: { readonly seconds: number; readonly sizeBytes: number },
): Promise<FioResult> {
  const words = ['--name=job', '--ioengine=nbd', `--uri=${uri}`, `--size=${sizeBytes}`];
  const time = job.timed ? ['--time_based', `--runtime=${seconds}`] : [];
  const all = [...words, ...job.words, ...time, '--output-format=json'];
  const { code, stdout, said } = await run('fio', all, { timeoutMs: TIMEOUT_MS });
  const text = stdout.toString();
  const [result] = code === 0 ? reportIn(text).jobs : [];
  if (!result || result.error !== 0) throw new Error(`fio ${job.name}: ${said}`);
  const { read, write, job_runtime: runtimeMs } = result;
  const { io_bytes: bytes, iops, clat_ns: times } = read.io_bytes > 0 ? read : write;
  return {
    speed: job.timed ? iops : (bytes * 1000) / runtimeMs,
    longestMs: times.max / NS_PER_MS,
    slowMs: (times.percentile?.['99.900000'] ?? 0) / NS_PER_MS,
  };
}

/** The engine writes notes before the report. */
function reportIn(text: string): Report {
  return JSON.parse(text.slice(text.indexOf('{\n'))) as Report;
}
