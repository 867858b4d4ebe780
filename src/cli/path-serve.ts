/** Runs a path controller: `rcopy path serve`, from the words of the command line. */
import { pathSettingsFrom, readPathSettings } from '../daemon/path-settings.ts';
import type { GivenPathSettings, PathSettings } from '../daemon/path-settings.ts';
import type { FileSystem } from '../sys/files.ts';
import { nodeEnvironment } from '../sys/node-environment.ts';
import { nodeNetwork } from '../sys/node-network.ts';
import { fileSettings, runDaemon } from './run-daemon.ts';
import type { ServedAnswer } from './run-daemon.ts';

/** What `rcopy path serve` was asked for. */
export interface ServePathRequest extends GivenPathSettings {
  readonly dir: string;
  readonly lockWaitMs: number;
  /** The end of standard input asks for the same as SIGTERM. */
  readonly untilInputEnds: boolean;
  /** Path of the TOML file; `rcopy.toml` in the folder where there is one, unless told. */
  readonly config: string | undefined;
}

export async function servePath(request: ServePathRequest): Promise<ServedAnswer> {
  const settings = settingsOf(request, nodeEnvironment.files);
  return runDaemon({
    command: 'rcopy path serve',
    settings,
    untilInputEnds: request.untilInputEnds,
    start: async (log) => {
      const { PathDaemon } = await import('../daemon/path-daemon.ts');
      return PathDaemon.start({
        environment: nodeEnvironment,
        network: nodeNetwork,
        folder: request.dir,
        lockWaitMs: request.lockWaitMs,
        settings,
        log,
      });
    },
  });
}

function settingsOf(request: ServePathRequest, files: FileSystem): PathSettings {
  const { dir, lockWaitMs: _wait, untilInputEnds: _ends, config, ...flags } = request;
  const fromFile = fileSettings(files, { config, folder: dir }, readPathSettings) ?? {};
  // A flag that is not given does not say no.
  return pathSettingsFrom({ ...flags, insecure: flags.insecure || undefined }, fromFile);
}
