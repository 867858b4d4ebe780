/**
 * The replication daemon: one image set, open for long. Hosts reach its volumes over NBD, other
 * sets over links, commands over the control interface; what it owes its secondary goes out by
 * itself, and a migration that was under way goes on.
 *
 * ```
 *   commands ──HTTP──┐                       ┌── NBD ── hosts
 *   other sets ─Upgrade─▶ control ─▶ node ◀──┘
 *                                     │
 *                                     └── link ──▶ its secondary
 * ```
 */
import { deferred } from '../base/deferred.ts';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { LINK_BEAT_MS } from '../base/limits.ts';
import { ControlServer } from '../control/server.ts';
import { setRoutes } from '../control/set-routes.ts';
import type { HostsCaller, SetHouse } from '../control/set-routes.ts';
import { Site } from '../control/site.ts';
import { setPaths } from '../imageset/set-folder.ts';
import type { SetService } from '../node/set-service.ts';
import { NbdServer } from '../nbd/server.ts';
import type { StorageNode } from '../node/storage-node.ts';
import type { Environment } from '../sys/environment.ts';
import { formatAddress as formatNetworkAddress } from '../sys/network.ts';
import type { Listening, Network } from '../sys/network.ts';
import type { ByteStream } from '../sys/stream.ts';
import { exportsOf } from './exports.ts';
import { listenForCommands } from './listening.ts';
import { logNbdEvent } from './nbd-events.ts';
import { ProcessWatch } from './process-watch.ts';
import type { Log } from './log.ts';
import type { DaemonSettings } from './settings.ts';
import { changesOf, standOf } from './set-events.ts';
import type { Stand } from './set-events.ts';
import { limitsOf } from './usage.ts';

/** A peer's folder that nobody else serves stays open this long after the last use. */
const GUEST_LINGER_MS = 2_000;

export interface DaemonParts {
  readonly environment: Environment;
  readonly network: Network;
  readonly folder: string;
  readonly lockWaitMs: number;
  readonly settings: DaemonSettings;
  readonly log: Log;
  /** Keeps the link to the secondary as long as it runs; else only what is asked for is sent. */
  readonly keepsLink: boolean;
}

/** Where a daemon that is ready can be reached. */
export interface ReadyAnswer {
  readonly set: { readonly id: string; readonly name: string; readonly path: string };
  readonly pid: number;
  /** `rcopy://HOST:PORT`; null without --listen. */
  readonly address: string | null;
  /** `HOST:PORT` or `unix:PATH`; null without --nbd. */
  readonly nbd: string | null;
  readonly exports: readonly string[];
}

export class StorageDaemon implements SetHouse {
  private readonly parts: DaemonParts;
  private readonly folder: string;
  private readonly site: Site;
  private readonly control: ControlServer;
  private readonly nbd: NbdServer;
  private nbdListening: Listening | undefined;
  private address: string | undefined;
  private node: StorageNode | undefined;
  private stand: Stand | undefined;
  private stopListening = (): void => undefined;
  private readonly process: ProcessWatch;
  private readonly opened = deferred<StorageNode>();
  private readonly failure = deferred<never>();
  private stopping: Promise<void> | undefined;
  private wasReady = false;

  private constructor(parts: DaemonParts) {
    const { environment, settings, log } = parts;
    this.parts = parts;
    this.folder = environment.files.resolve(parts.folder);
    this.site = new Site(environment, {
      lockWaitMs: parts.lockWaitMs,
      beatMs: LINK_BEAT_MS,
      control: setPaths.control(this.folder),
      lingerMs: GUEST_LINGER_MS,
    });
    this.control = new ControlServer(setRoutes(this), environment.clock);
    this.nbd = new NbdServer({
      clock: environment.clock,
      exports: exportsOf(() => this.node),
      limits: settings.nbdLimits,
      onEvent: (event) => logNbdEvent(log, event),
    });
    this.process = new ProcessWatch(environment.clock);
    this.opened.promise.catch(() => undefined);
    this.failure.promise.catch(() => undefined);
  }

  /**
   * Opens the set and serves it. Rejects, with everything closed again, with `E_HELD`, `E_STATE`
   * for an address that is taken, `E_NOT_FOUND` for one that is none of this machine's, and all
   * that opening a set rejects with.
   */
  static async start(parts: DaemonParts): Promise<StorageDaemon> {
    const daemon = new StorageDaemon(parts);
    try {
      await daemon.begin();
    } catch (error) {
      await daemon.stop().catch(() => undefined);
      throw error;
    }
    return daemon;
  }

  /** The set; as long as it is being made anew, `E_STATE`. */
  get set(): StorageNode {
    if (this.node) return this.node;
    throw new RcopyError('E_STATE', `${this.folder} is being made anew`);
  }

  /** Where it can be reached. */
  get ready(): ReadyAnswer {
    const { file, folder } = this.set.set;
    return {
      set: { id: file.setId, name: file.name, path: folder },
      pid: process.pid,
      address: this.address ?? null,
      nbd: this.nbdListening ? formatNetworkAddress(this.nbdListening.address) : null,
      exports: file.volumes.map(({ name }) => name),
    };
  }

  /** Never resolves; rejects when the set has stopped: a new start recovers it. */
  get failed(): Promise<never> {
    return this.failure.promise;
  }

  /** Lets hosts finish, ends the links, applies everything and closes the set. */
  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  async find(set: string, gone: AbortSignal): Promise<SetService> {
    const own = await this.opened.promise;
    const { setId } = (this.node ?? own).set.file;
    if (set === 'own' || set === setId) return this.set;
    const guest = await this.site.findOpen(set, gone);
    if (guest) return guest;
    throw new RcopyError('E_NOT_FOUND', `the daemon of ${this.folder} does not serve set ${set}`, {
      hint: `it serves ${setId}`,
    });
  }

  async acceptLink(set: string, stream: ByteStream, gone: AbortSignal): Promise<void> {
    ((await this.find(set, gone)) as StorageNode).acceptLink(stream);
  }

  async acceptHosts(
    set: string,
    stream: ByteStream,
    as: HostsCaller,
    gone: AbortSignal,
  ): Promise<void> {
    const node = await this.find(set, gone);
    if (node !== this.node) {
      throw new RcopyError('E_STATE', `set ${set} is open here, but not served to hosts`, {
        hint: 'start its daemon: `rcopy daemon DIR`',
      });
    }
    this.node.acceptHosts(stream, as);
  }

  async remake(set: string): Promise<void> {
    if (set !== 'own' && set !== this.set.set.file.setId) {
      throw new RcopyError('E_STATE', 'only the own set of a daemon can be made anew by it');
    }
    this.parts.log.warn({ set: this.folder }, 'the set is given a fresh life');
    this.stopListening();
    this.node = undefined;
    try {
      await this.site.letGo(this.folder);
      await this.site.remake(this.folder);
      if (!this.stopping) await this.openSet();
    } catch (error) {
      this.failure.reject(error);
      throw error;
    }
  }

  private async begin(): Promise<void> {
    const { environment, settings, log, network } = this.parts;
    this.address = await listenForCommands(this.control, settings);
    try {
      await this.openSet();
    } catch (error) {
      this.opened.reject(error);
      throw error;
    }
    // The lock is this process' now: a socket that lies there belongs to nobody.
    await this.control.listenOnSocket(setPaths.control(this.folder), environment.files);
    if (settings.nbd) {
      this.nbdListening = await network.listen(settings.nbd, (stream) => this.nbd.accept(stream));
    }
    const { set, address, nbd, exports } = this.ready;
    log.info({ set: set.path, address, nbd, exports, pid: process.pid }, 'ready');
    this.wasReady = true;
  }

  private async openSet(): Promise<void> {
    const { settings, log, keepsLink } = this.parts;
    const node = await this.site.openHere(this.folder, {
      address: this.address ?? this.folder,
      eager: false,
      roomWaitMs: settings.roomWaitMs,
      ackTimeoutMs: settings.ackTimeoutMs,
    });
    for (const notice of node.set.notices) log.warn({}, notice);
    node.served = {
      process: () => this.process.status(),
      hosts: () => this.nbd.connections(),
      limits: () => limitsOf(node, this.nbd),
    };
    node.serveHosts(this.nbd);
    this.node = node;
    this.stand = standOf(node);
    this.stopListening = node.set.onChange(() => this.noteChanges(node));
    this.opened.resolve(node);
    if (keepsLink) node.startServing({ maxRate: settings.maxRate });
  }

  private noteChanges(node: StorageNode): void {
    const before = this.stand;
    this.stand = standOf(node);
    if (before) {
      for (const { level, message, ...facts } of changesOf(before, this.stand)) {
        this.parts.log[level](facts, message);
      }
    }
    const { failure } = node.set;
    if (failure && !this.stopping) this.failure.reject(failure);
  }

  private async stopOnce(): Promise<void> {
    const { log } = this.parts;
    // A start that failed has nothing to say of what it acknowledged.
    const { wasReady } = this;
    if (wasReady) log.info({}, 'stopping');
    await this.nbdListening?.close();
    await this.nbd.stop();
    await this.control.close();
    this.stopListening();
    try {
      await this.site.close();
    } catch (error) {
      if (isRcopyError(error)) log.error({ code: error.code }, error.message);
      throw error;
    } finally {
      this.process.stop();
    }
    if (wasReady) log.info({}, 'stopped: everything acknowledged is safe');
  }
}
