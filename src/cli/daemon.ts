/** Runs a daemon in this process: from the words of the command line to its orderly end. */
import { RcopyError } from '../base/errors.ts';
import { makeLog } from '../daemon/log.ts';
import { readSettings, settingsFrom } from '../daemon/settings.ts';
import type { DaemonSettings, FileSettings, GivenSettings } from '../daemon/settings.ts';
import { StorageDaemon } from '../daemon/storage-daemon.ts';
import type { ReplicateAnswer } from '../node/answers.ts';
import type { FileSystem } from '../sys/files.ts';
import { nodeEnvironment } from '../sys/node-environment.ts';
import { nodeNetwork } from '../sys/node-network.ts';
import { FailedCheck, StoppedBySignal, failureOf } from './failure.ts';
import { watchSignals } from './stop-signals.ts';

/** What `rcopy daemon` was asked for. */
export interface ServeRequest extends Omit<GivenSettings, 'log-level' | 'log-format'> {
  readonly dir: string;
  readonly lockWaitMs: number;
  /** Send what the secondary lacks now, and return. */
  readonly once: boolean;
  /** The end of standard input asks for the same as SIGTERM. */
  readonly 'until-stdin-ends'?: boolean;
  /** Path of the TOML file; `rcopy.toml` in the folder where there is one, unless told. */
  readonly config?: string | undefined;
  readonly 'log-level'?: GivenSettings['log-level'];
  readonly 'log-format'?: GivenSettings['log-format'];
}

/** A daemon that was asked to stop has done its work. */
export interface ServedAnswer {
  readonly stoppedBy: string;
}

const CONFIG_NAME = 'rcopy.toml';
const CONFIG_BYTES_MAX = 64 * 1024;

export async function serve(request: ServeRequest): Promise<ServedAnswer | ReplicateAnswer> {
  const settings = settingsOf(request, nodeEnvironment.files);
  const log = await makeLog(settings, process.stderr);
  const signals = watchSignals(process);
  if (request['until-stdin-ends'] === true) stopWhenInputEnds();
  try {
    const starting = StorageDaemon.start({
      environment: nodeEnvironment,
      network: nodeNetwork,
      folder: request.dir,
      lockWaitMs: request.lockWaitMs,
      settings,
      log,
      keepsLink: !request.once,
    });
    const daemon = await Promise.race([starting, signals.stopped]).catch(async (error: unknown) => {
      if (error instanceof StoppedBySignal) await (await starting).stop();
      throw error;
    });
    try {
      if (!request.once) return await Promise.race([daemon.failed, signals.stopped]);
      const limits = { timeoutMs: undefined, maxRate: settings.maxRate };
      const sent = daemon.set.replicate(limits);
      return await Promise.race([sent, daemon.failed, signals.stopped]);
    } finally {
      await daemon.stop();
    }
  } catch (error) {
    if (error instanceof StoppedBySignal && !request.once) return { stoppedBy: error.signal };
    // Said once: as a line of the log, or in the form of all commands.
    if (!log.isJson || settings.logLevel === 'silent') throw error;
    const { code, hint, message } = failureOf(error, 'rcopy daemon');
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

function settingsOf(request: ServeRequest, files: FileSystem): DaemonSettings {
  const { config, dir, once: _once, lockWaitMs: _wait, ...rest } = request;
  const path = config ?? `${dir}/${CONFIG_NAME}`;
  const flags: GivenSettings = {
    listen: rest.listen,
    advertise: rest.advertise,
    nbd: rest.nbd,
    // A flag that is not given does not say no.
    insecure: rest.insecure || undefined,
    'max-rate': rest['max-rate'],
    'ack-timeout': rest['ack-timeout'],
    'room-wait': rest['room-wait'],
    'log-level': rest['log-level'],
    'log-format': rest['log-format'],
  };
  return settingsFrom(flags, fileSettings(files, path, config !== undefined));
}

function fileSettings(files: FileSystem, path: string, isNamed: boolean): FileSettings {
  if (files.status(path, 'CONFIG:STATUS')?.kind !== 'file') {
    if (!isNamed) return {};
    throw new RcopyError('E_NOT_FOUND', `${path} is not a file`, {
      hint: 'name the TOML file with the settings; without any, flags and defaults hold',
    });
  }
  return readSettings(textOf(files, path), path);
}

function textOf(files: FileSystem, path: string): string {
  const file = files.open(path, 'read', 'CONFIG:OPEN');
  try {
    const bytes = Buffer.alloc(Math.min(file.size('CONFIG:SIZE'), CONFIG_BYTES_MAX));
    return bytes.toString('utf8', 0, file.read(bytes, 0, 'CONFIG:READ'));
  } finally {
    file.close();
  }
}
