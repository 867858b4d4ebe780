/**
 * The daemon of a path controller. Hosts reach it over NBD, and stay connected to it while the sets
 * behind its exports change; commands reach it over the control interface. It has no set of its
 * own: those are served by their daemons.
 *
 * ```
 *   hosts ── NBD ──▶ server ──▶ node ──── link, NBD stream ──▶ the daemons of its sets
 *   commands ─HTTP─▶ control ────┘
 * ```
 */
import { deferred } from '../base/deferred.ts';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { LINK_BEAT_MS } from '../base/limits.ts';
import type { PathControl } from '../control/controller-calls.ts';
import { pathRoutes } from '../control/path-routes.ts';
import { ControlServer } from '../control/server.ts';
import { Site } from '../control/site.ts';
import { NbdServer } from '../nbd/server.ts';
import { PathNode } from '../node/path-node.ts';
import type { PathEvent } from '../node/path-node.ts';
import { PathFolder, pathControlSocket } from '../node/path-store.ts';
import type { Environment } from '../sys/environment.ts';
import { formatAddress as formatNetworkAddress } from '../sys/network.ts';
import type { Listening, Network } from '../sys/network.ts';
import { listenForCommands } from './listening.ts';
import type { Log } from './log.ts';
import { logNbdEvent } from './nbd-events.ts';
import { PathMigrations, ServedPath } from './path-control.ts';
import type { PathSettings } from './path-settings.ts';
import { ProcessWatch } from './process-watch.ts';
import { nbdLimitsOf } from './usage.ts';

export interface PathDaemonParts {
  readonly environment: Environment;
  readonly network: Network;
  /** The folder of the controller; made when there is none. */
  readonly folder: string;
  readonly lockWaitMs: number;
  readonly settings: PathSettings;
  readonly log: Log;
}

/** Where a controller that is ready can be reached. */
export interface PathReadyAnswer {
  readonly controller: { readonly id: string; readonly name: string; readonly path: string };
  readonly pid: number;
  /** `rcopy://HOST:PORT`; null without --listen. */
  readonly address: string | null;
  /** `HOST:PORT` or `unix:PATH`. */
  readonly nbd: string | null;
  readonly exports: readonly string[];
}

export class PathDaemon {
  private readonly parts: PathDaemonParts;
  private readonly folder: string;
  private readonly site: Site;
  private readonly control: ControlServer;
  private readonly process: ProcessWatch;
  private readonly opened = deferred<PathControl>();
  private store: PathFolder | undefined;
  private node: PathNode | undefined;
  private nbd: NbdServer | undefined;
  private nbdListening: Listening | undefined;
  private address: string | undefined;
  private stopping: Promise<void> | undefined;
  private wasReady = false;

  private constructor(parts: PathDaemonParts) {
    const { environment, lockWaitMs } = parts;
    this.parts = parts;
    this.folder = environment.files.resolve(parts.folder);
    this.site = new Site(environment, { lockWaitMs, beatMs: LINK_BEAT_MS, onlyServed: true });
    this.control = new ControlServer(
      pathRoutes(() => this.opened.promise),
      environment.clock,
    );
    this.process = new ProcessWatch(environment.clock);
    this.opened.promise.catch(() => undefined);
  }

  /**
   * Takes the folder and serves what it says. Rejects, with everything closed again, with
   * `E_NOT_EMPTY`, `E_HELD`, `E_DAMAGED`, `E_STATE` for an address that is taken, `E_NOT_FOUND` for
   * one that is none of this machine's.
   */
  static async start(parts: PathDaemonParts): Promise<PathDaemon> {
    const daemon = new PathDaemon(parts);
    try {
      await daemon.begin();
    } catch (error) {
      daemon.opened.reject(error);
      await daemon.stop().catch(() => undefined);
      throw error;
    }
    return daemon;
  }

  /** Where it can be reached. Throws `E_STATE` before it is ready. */
  get ready(): PathReadyAnswer {
    const { store } = this;
    if (!store) throw new RcopyError('E_STATE', `${this.folder} is not open yet`);
    const { controllerId: id, name, ways } = store.file;
    return {
      controller: { id, name, path: store.folder },
      pid: process.pid,
      address: this.address ?? null,
      nbd: this.nbdAddress(),
      exports: ways.flatMap(({ exports }) => exports.map((entry) => entry.export)),
    };
  }

  /** Takes no more hosts, lets those that are there finish, ends the links in order. */
  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  private async begin(): Promise<void> {
    const { environment, settings, log, network, lockWaitMs } = this.parts;
    this.address = await listenForCommands(this.control, settings);
    const control = pathControlSocket(this.folder);
    const store = await PathFolder.open(environment, this.folder, {
      lockWaitMs,
      pid: process.pid,
      control,
      isStopped: () => this.stopping !== undefined,
    });
    this.store = store;
    const node = await this.openNode(store);
    const nbd = new NbdServer({
      clock: environment.clock,
      exports: node.exports,
      limits: settings.nbdLimits,
      onEvent: (event) => logNbdEvent(log, event),
    });
    this.nbd = nbd;
    node.served = {
      process: () => this.process.status(),
      hosts: () => nbd.connections(),
      limits: () => nbdLimitsOf(nbd),
      nbd: () => this.nbdAddress(),
    };
    // The lock is this process' now: a socket that lies there belongs to nobody.
    await this.control.listenOnSocket(control, environment.files);
    this.nbdListening = await network.listen(settings.nbd, (stream) => void nbd.accept(stream));
    const { controller, ...places } = this.ready;
    log.info({ controller: controller.path, ...places }, 'ready');
    this.wasReady = true;
  }

  private async openNode(store: PathFolder): Promise<PathNode> {
    const { environment, settings, log } = this.parts;
    const migrations = new PathMigrations(this.site, store.file.controllerId);
    const node = await PathNode.open({
      environment,
      store,
      connector: this.site,
      address: this.address ?? store.folder,
      holdMs: settings.holdMs,
      beatMs: LINK_BEAT_MS,
      migrate: (from, request) => migrations.migrate(from, request),
    });
    node.onEvent = (event) => logPathEvent(log, event);
    this.node = node;
    this.opened.resolve(new ServedPath(node, this.site, migrations));
    return node;
  }

  private nbdAddress(): string | null {
    return this.nbdListening ? formatNetworkAddress(this.nbdListening.address) : null;
  }

  private async stopOnce(): Promise<void> {
    const { log } = this.parts;
    // A start that failed has nothing to say of what it acknowledged.
    const { wasReady } = this;
    if (wasReady) log.info({}, 'stopping');
    try {
      await this.nbdListening?.close();
      await this.nbd?.stop();
      await this.control.close();
      await this.node?.close();
      await this.site.close();
    } catch (error) {
      if (isRcopyError(error)) log.error({ code: error.code }, error.message);
      throw error;
    } finally {
      await this.store?.close();
      this.process.stop();
    }
    if (wasReady) log.info({}, 'stopped: everything acknowledged is safe');
  }
}

function logPathEvent(log: Log, { level, message, facts }: PathEvent): void {
  log[level](facts, message);
}
