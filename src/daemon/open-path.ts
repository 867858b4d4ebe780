/**
 * The path controller as a library: a program that is the host itself opens its volumes here, and
 * keeps them while they move from one set to another (claims 8 and 13).
 */
import { RcopyError } from '../base/errors.ts';
import { LINK_BEAT_MS, PATH_HOLD_MS } from '../base/limits.ts';
import type { PathControl } from '../control/controller-calls.ts';
import { Site } from '../control/site.ts';
import type { Device } from '../device/device.ts';
import { PathNode } from '../node/path-node.ts';
import { PathFolder } from '../node/path-store.ts';
import type { Environment } from '../sys/environment.ts';
import { nodeEnvironment } from '../sys/node-environment.ts';
import { PathMigrations, ServedPath } from './path-control.ts';

export interface OpenPathOptions {
  /** Where the controller keeps what it must not forget; made when there is none. */
  readonly folder: string;
  /** How long a request waits while no set answers, in milliseconds; a minute unless told. */
  readonly holdMs?: number;
  /** How long to wait for another process that has the folder, in milliseconds; 0 unless told. */
  readonly lockWaitMs?: number;
  readonly environment?: Environment;
}

/** The volumes of a host that is a program. */
export interface HostPath {
  /** What `rcopy path` commands do: add exports, look at them, move the sets behind them. */
  readonly paths: PathControl;
  /**
   * A connection to an export: reads see every answered write; a flush that succeeds makes all of
   * them durable, whichever set serves now. Throws `E_NOT_FOUND`.
   */
  connect(name: string): Device;
  /** Makes what was answered durable; lets sets and folder go. Nobody may ask any more. */
  close(): Promise<void>;
}

/**
 * Opens the controller in a folder. Rejects with `E_HELD` while another process has it, `E_DAMAGED`
 * and `E_VERSION` for what it keeps there, `E_NOT_EMPTY` for a folder of something else.
 */
export async function openPath(options: OpenPathOptions): Promise<HostPath> {
  const { holdMs = PATH_HOLD_MS, lockWaitMs = 0, environment = nodeEnvironment } = options;
  const folder = environment.files.resolve(options.folder);
  const store = await PathFolder.open(environment, folder, { lockWaitMs, pid: process.pid });
  const site = new Site(environment, { lockWaitMs, beatMs: LINK_BEAT_MS, onlyServed: true });
  const migrations = new PathMigrations(site, store.file.controllerId);
  const node = await PathNode.open({
    environment,
    store,
    connector: site,
    address: null,
    holdMs,
    beatMs: LINK_BEAT_MS,
    migrate: (from, request) => migrations.migrate(from, request),
  });
  return {
    paths: new ServedPath(node, site, migrations),
    connect(name) {
      const found = node.exports.find(name);
      if (found instanceof RcopyError) throw found;
      if (found) return found.device;
      throw new RcopyError('E_NOT_FOUND', `there is no export ${name}`, {
        hint: 'make one: `paths.add({ export, set, volume, replace: false })`',
      });
    },
    async close() {
      await node.close();
      await site.close();
      await store.close();
    },
  };
}
