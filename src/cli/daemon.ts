/** Runs a storage daemon: `rcopy daemon`, from the words of the command line. */
import { readSettings, settingsFrom } from '../daemon/settings.ts';
import type { DaemonSettings, GivenSettings } from '../daemon/settings.ts';
import { StorageDaemon } from '../daemon/storage-daemon.ts';
import type { ReplicateAnswer } from '../node/answers.ts';
import type { FileSystem } from '../sys/files.ts';
import { nodeEnvironment } from '../sys/node-environment.ts';
import { collectLessOften } from '../sys/node-memory.ts';
import { nodeNetwork } from '../sys/node-network.ts';
import { fileSettings, runDaemon } from './run-daemon.ts';
import type { ServedAnswer } from './run-daemon.ts';

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

export async function serve(request: ServeRequest): Promise<ServedAnswer | ReplicateAnswer> {
  collectLessOften();
  const settings = settingsOf(request, nodeEnvironment.files);
  const { once } = request;
  const limits = { timeoutMs: undefined, maxRate: settings.maxRate };
  return runDaemon<StorageDaemon, ReplicateAnswer>({
    command: 'rcopy daemon',
    settings,
    untilInputEnds: request['until-stdin-ends'] === true,
    start: (log) =>
      StorageDaemon.start({
        environment: nodeEnvironment,
        network: nodeNetwork,
        folder: request.dir,
        lockWaitMs: request.lockWaitMs,
        settings,
        log,
        keepsLink: !once,
      }),
    work: once ? (daemon) => daemon.set.replicate(limits) : undefined,
  });
}

function settingsOf(request: ServeRequest, files: FileSystem): DaemonSettings {
  const flags: GivenSettings = {
    listen: request.listen,
    advertise: request.advertise,
    nbd: request.nbd,
    // A flag that is not given does not say no.
    insecure: request.insecure || undefined,
    'max-rate': request['max-rate'],
    'ack-timeout': request['ack-timeout'],
    'room-wait': request['room-wait'],
    'log-level': request['log-level'],
    'log-format': request['log-format'],
  };
  const place = { config: request.config, folder: request.dir };
  return settingsFrom(flags, fileSettings(files, place, readSettings) ?? {});
}
