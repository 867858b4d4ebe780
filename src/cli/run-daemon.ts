/** Runs a daemon in this process: from its settings to its orderly end. */
import { RcopyError } from '../base/errors.ts';
import { makeLog } from '../daemon/log.ts';
import type { Log, LogSettings } from '../daemon/log.ts';
import type { FileSystem } from '../sys/files.ts';
import { readSmallFile } from '../sys/replace-file.ts';
import { FailedCheck, StoppedBySignal, failureOf } from './failure.ts';
import { watchSignals } from './stop-signals.ts';

/** A daemon that was asked to stop has done its work. */
export interface ServedAnswer {
  readonly stoppedBy: string;
}

/** What there is of a daemon to whoever runs it. */
interface Running {
  stop(): Promise<void>;
  /** Never resolves; rejects when it cannot go on. */
  readonly failed?: Promise<never>;
}

export interface DaemonRun<D extends Running, T> {
  /** How the user calls it: `rcopy daemon`. */
  readonly command: string;
  readonly settings: LogSettings;
  /** The end of standard input asks for the same as SIGTERM. */
  readonly untilInputEnds: boolean;
  readonly start: (log: Log) => Promise<D>;
  /** What ends it by itself; none: it serves until it is asked to stop. */
  readonly work?: ((daemon: D) => Promise<T>) | undefined;
}

/** Resolves when the work is done, or with the signal that ended a daemon without one. */
export async function runDaemon<D extends Running, T = never>(
  run: DaemonRun<D, T>,
): Promise<ServedAnswer | T> {
  const { settings, start, work, command } = run;
  const log = await makeLog(settings, process.stderr);
  const signals = watchSignals(process);
  if (run.untilInputEnds) stopWhenInputEnds();
  try {
    const starting = start(log);
    const daemon = await Promise.race([starting, signals.stopped]).catch(async (error: unknown) => {
      if (error instanceof StoppedBySignal) await (await starting).stop();
      throw error;
    });
    try {
      const ends: Promise<T>[] = [signals.stopped];
      if (daemon.failed) ends.push(daemon.failed);
      if (work) ends.push(work(daemon));
      return await Promise.race(ends);
    } finally {
      await daemon.stop();
    }
  } catch (error) {
    if (error instanceof StoppedBySignal && !work) return { stoppedBy: error.signal };
    // Said once: as a line of the log, or in the form of all commands.
    if (!log.isJson || settings.logLevel === 'silent') throw error;
    const { code, hint, message } = failureOf(error, command);
    log.error({ code, hint }, message);
    throw new FailedCheck(code, message, { error: { code, message, hint } }, { silent: true });
  } finally {
    signals.release();
  }
}

/** Does not keep the process alive by itself. */
function stopWhenInputEnds(): void {
  const { stdin } = process;
  stdin.once('end', () => process.kill(process.pid, 'SIGTERM'));
  stdin.resume();
  if ('unref' in stdin) stdin.unref();
}

const CONFIG_NAME = 'rcopy.toml';
const CONFIG_BYTES_MAX = 64 * 1024;

/**
 * What the settings file says: the one that is named, or `rcopy.toml` in `folder` where there is
 * one; undefined where there is none. Throws `E_NOT_FOUND`, and what `parse` throws.
 */
export function fileSettings<T>(
  files: FileSystem,
  { config, folder }: { readonly config: string | undefined; readonly folder: string },
  parse: (source: string, path: string) => T,
): T | undefined {
  const path = config ?? `${folder}/${CONFIG_NAME}`;
  if (files.status(path, 'CONFIG:STATUS')?.kind === 'file') {
    const source = readSmallFile(files, path, { part: 'CONFIG', bytesMax: CONFIG_BYTES_MAX });
    return parse(source.toString('utf8'), path);
  }
  if (config === undefined) return undefined;
  throw new RcopyError('E_NOT_FOUND', `${path} is not a file`, {
    hint: 'name the TOML file with the settings; without any, flags and defaults hold',
  });
}
