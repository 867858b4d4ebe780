/**
 * The image sets that one process works on: those that it has opened itself, and those that a
 * daemon has open, which it asks over HTTP. A folder is opened here when nobody holds it; when a
 * daemon does, the lock file says where that answers. Sets that are open here reach each other over
 * in-memory streams that carry the same encoded bytes as a network would.
 */
import { basename } from 'node:path';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { journalSizesFor } from '../base/limits.ts';
import type { SetFile } from '../format/set-file.ts';
import { openImageSet } from '../imageset/open-set.ts';
import { HeldError, makeSetFolder, remakeSetFolder, setPaths } from '../imageset/set-folder.ts';
import type { LockHolder, LockWait } from '../imageset/set-folder.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import type {
  CreateAnswer,
  ExportAnswer,
  ImportAnswer,
  MigrateAnswer,
  OnProgress,
  PairAnswer,
  PrecheckAnswer,
  WaitAnswer,
} from '../node/answers.ts';
import type { PathConnector } from '../node/path-connector.ts';
import type { MigrateRequest, WaitRequest } from '../node/requests.ts';
import type { SetService } from '../node/set-service.ts';
import { StorageNode } from '../node/storage-node.ts';
import type { NodeOptions } from '../node/storage-node.ts';
import { describeWait, timedOut } from '../node/wait.ts';
import type { Environment } from '../sys/environment.ts';
import { memoryStreamPair } from '../sys/memory-stream.ts';
import type { ByteStream } from '../sys/stream.ts';
import { isAddress, meansAddress, parseAddress } from './addresses.ts';
import { checkMigration, createPair, makeLike, migrate } from './fresh-targets.ts';
import { Guests } from './guests.ts';
import type { Endpoint } from './http-client.ts';
import { openRawImage, piecesOf, writeRawImage } from './image-files.ts';
import type { HostsCaller } from './set-routes.ts';
import { checkCreate, checkSame, createAnswer, existingSet } from './set-making.ts';
import type { CreateRequest, FreshPair, FreshTarget } from './set-making.ts';

export interface SiteOptions {
  /** How long to wait for another command's lock, in milliseconds. */
  readonly lockWaitMs: number;
  /** One beat of links over a network, in milliseconds; none where all is in one process. */
  readonly beatMs?: number;
  /** The control socket of this process, for the lock files: others find the sets there. */
  readonly control?: string;
  /**
   * How long a set stays open that was opened only for links from here, after the last of them, in
   * milliseconds; undefined: until the end.
   */
  readonly lingerMs?: number;
  /** No set is opened here: those in folders are asked at their daemons. */
  readonly onlyServed?: boolean;
}

/** How a set is opened that is to serve hosts for long; else it is opened for one command. */
export type Serving = Pick<NodeOptions, 'address' | 'eager' | 'roomWaitMs' | 'ackTimeoutMs'>;

/** One volume, and the raw image that goes in or out. */
export interface ImageTransfer {
  readonly volume: string | undefined;
  /** Path of the raw image. */
  readonly file: string;
  readonly onProgress?: OnProgress | undefined;
}

/** How often a wait looks at a set that another command has to bring on. */
const WAIT_POLL_MS = 250;

type Opened = StorageNode | Endpoint;

export class Site implements PathConnector {
  readonly environment: Environment;
  readonly options: SiteOptions;
  private readonly opened = new Map<string, Promise<Opened>>();
  /** Folders of sets that stay open until the end, whoever dials them. */
  private readonly hosts = new Set<string>();
  private readonly guests: Guests;
  /** Nobody waits for a lock any more. */
  private stopped = false;
  /** Nobody is dialled any more. */
  private closing = false;

  constructor(environment: Environment, options: SiteOptions) {
    this.environment = environment;
    this.options = options;
    this.guests = new Guests(environment.clock, options.lingerMs, (folder) => {
      // What could not be closed in order is recovered by its next opening.
      this.letGo(folder).catch(() => undefined);
    });
  }

  /** Makes a new image set. Throws `E_NOT_EMPTY`, `E_USAGE`, `E_NO_SPACE`. */
  async create(request: CreateRequest): Promise<CreateAnswer> {
    const { files } = this.environment;
    const folder = files.resolve(request.folder);
    checkCreate(request);
    const existing = request.ifMissing ? existingSet(this.environment, folder) : undefined;
    if (existing) checkSame(existing, request);
    else {
      await makeSetFolder(this.environment, folder, {
        name: basename(folder),
        volumes: request.volumes,
        journal: journalSizesFor(request.journalBytes),
        whenFull: request.whenFull ?? 'slow',
      });
    }
    return createAnswer(readSetFile(files, folder), folder, existing === undefined);
  }

  /**
   * The set at an address, or in a folder: opened here once, or asked at the daemon that holds it.
   * Rejects with `E_HELD` when another command holds it for too long.
   */
  async open(set: string): Promise<SetService> {
    const { files } = this.environment;
    if (meansAddress(set) && files.status(files.resolve(set), 'SET:STATUS') === undefined) {
      throw new RcopyError('E_NOT_FOUND', `there is no folder ${set}`, {
        hint: `the address of a daemon is written rcopy://${set}`,
      });
    }
    const opened = isAddress(set) ? endpointOf(set) : await this.openFolder(set);
    return opened instanceof StorageNode ? opened : this.remote(opened, set);
  }

  /** Opens the set in a folder in this process. Rejects with `E_HELD` also for a daemon's. */
  async openHere(set: string, serving?: Serving): Promise<StorageNode> {
    const opened = await this.openFolder(set, serving);
    if (opened instanceof StorageNode) {
      this.hosts.add(opened.set.folder);
      return opened;
    }
    throw new RcopyError('E_HELD', `${set} is held by a daemon`, {
      hint: `ask it: \`rcopy status ${set}\``,
    });
  }

  /** What set.json says, without opening a set; undefined when there is none in the folder. */
  async describe(set: string): Promise<SetFile | undefined> {
    if (isAddress(set)) return (await this.open(set)).identity();
    return existingSet(this.environment, this.environment.files.resolve(set));
  }

  /** The node of a set that is open here, by its id; it stays open until `gone`. */
  async findOpen(setId: string, gone: AbortSignal): Promise<StorageNode | undefined> {
    for (const opening of this.opened.values()) {
      const opened = await opening.catch(() => undefined);
      if (!(opened instanceof StorageNode) || opened.set.file.setId !== setId) continue;
      const { folder } = opened.set;
      if (!this.hosts.has(folder) && !gone.aborted) {
        gone.addEventListener('abort', this.guests.use(folder), { once: true });
      }
      return opened;
    }
    return undefined;
  }

  /** Gives the set in a folder, or at an address, a fresh life; what it holds is lost. */
  async remake(set: string): Promise<void> {
    const here = (folder: string) => async (wait: LockWait) => {
      await remakeSetFolder(this.environment, folder, wait);
    };
    const served = isAddress(set) ? endpointOf(set) : await this.unlessServed(set, here(set));
    if (!served) return;
    const { RemoteSet } = await import('./remote-set.ts');
    await new RemoteSet(served, this.remoteId(served, set)).remake();
  }

  /**
   * Runs `action`, which takes the lock of the set in `folder`; where a daemon holds that, resolves
   * with where it answers.
   */
  private async unlessServed<T>(
    folder: string,
    action: (wait: LockWait) => Promise<T>,
  ): Promise<T | Endpoint> {
    let served: Endpoint | undefined;
    try {
      return await action({
        lockWaitMs: this.options.lockWaitMs,
        isStopped: () => this.stopped,
        isServed: async (holder) => {
          served = await this.servedBy(folder, holder);
          return served !== undefined;
        },
      });
    } catch (error) {
      if (error instanceof HeldError && served) return served;
      throw error;
    }
  }

  /** Closes one set: others may have it. */
  async letGo(set: string): Promise<void> {
    const folder = this.environment.files.resolve(set);
    const opening = this.opened.get(folder);
    // Whoever asks from now on waits for the lock.
    this.opened.delete(folder);
    const opened = await opening;
    if (opened instanceof StorageNode) await opened.close();
  }

  /**
   * Waits until the secondary has restored something. What another command has to bring about is
   * looked for now and then, with the set let go in between. Rejects with `E_TIMEOUT`.
   */
  async wait(set: string, request: WaitRequest): Promise<WaitAnswer> {
    const { clock } = this.environment;
    const start = clock.monotonicMs();
    for (;;) {
      const node = await this.open(set);
      const { timeoutMs } = request;
      const leftMs =
        timeoutMs === undefined ? undefined : timeoutMs - (clock.monotonicMs() - start);
      const comes = !(node instanceof StorageNode) || node.canReach(request);
      if (comes) return node.wait({ ...request, timeoutMs: leftMs });
      await this.letGo(set);
      if (leftMs !== undefined && leftMs <= 0)
        throw timedOut(describeWait(request), timeoutMs ?? 0);
      if (this.stopped) throw new RcopyError('E_STOPPED', 'the wait was stopped');
      await clock.sleep(Math.min(WAIT_POLL_MS, leftMs ?? WAIT_POLL_MS));
    }
  }

  /** Brings a raw image into a volume. Throws `E_NOT_FOUND`, `E_TOO_SMALL`. */
  async importImage(
    set: string,
    { volume, file, onProgress }: ImageTransfer,
  ): Promise<ImportAnswer> {
    const node = await this.open(set);
    const image = openRawImage(this.environment.files, file);
    try {
      const sizeBytes = image.size('IMPORT:SIZE');
      const pieces = piecesOf(image, sizeBytes);
      return await node.importImage({ volume, sizeBytes, pieces, onProgress });
    } finally {
      image.close();
    }
  }

  /** Writes a volume out as a raw image, synced; a file that is there is replaced. */
  async exportImage(
    set: string,
    { volume, file, onProgress }: ImageTransfer,
  ): Promise<ExportAnswer> {
    const node = await this.open(set);
    return writeRawImage(this.environment.files, file, (begin, take) =>
      node.exportImage({ volume, begin, take, onProgress }),
    );
  }

  /** How the sets that are open here reach others, wherever these are. */
  async dial(address: string): Promise<ByteStream> {
    if (this.closing) throw new RcopyError('E_UNREACHABLE', `${address} is being closed`);
    const opened = isAddress(address) ? endpointOf(address) : await this.openPeer(address);
    if (opened instanceof StorageNode) {
      return this.join(opened, address, (stream) => opened.acceptLink(this.wrapAccepted(stream)));
    }
    const { dialLink } = await import('./http-client.ts');
    return dialLink(opened, this.remoteId(opened, address));
  }

  /**
   * An NBD stream to a set that is open here, or that a daemon serves. A folder that nobody serves
   * is out of reach: its daemon may be about to start again.
   */
  async dialHosts(address: string, as: HostsCaller): Promise<ByteStream> {
    if (this.closing) throw new RcopyError('E_UNREACHABLE', `${address} is being closed`);
    const opened = isAddress(address) ? endpointOf(address) : await this.servingPeer(address);
    if (opened instanceof StorageNode) {
      return this.join(opened, address, (stream) => opened.acceptHosts(stream, as));
    }
    const { dialHosts } = await import('./http-client.ts');
    return dialHosts(opened, this.remoteId(opened, address), as);
  }

  /** Lets a test stand between the two ends of a link. */
  protected wrapAccepted(stream: ByteStream): ByteStream {
    return stream;
  }

  /** Makes a pair; its secondary is made, or given a fresh life, only when the pair can be. */
  createPair(primary: string, secondary: string, how: FreshPair): Promise<PairAnswer> {
    return createPair(this, primary, secondary, how);
  }

  /** Makes a set with the volumes and the journal of another one. */
  makeLike(folder: string, like: string): Promise<void> {
    return makeLike(this, folder, like);
  }

  /** Whether `to` could take over from `request.from`, made fresh before if that is asked for. */
  checkMigration(to: string, request: MigrateRequest, how: FreshTarget): Promise<PrecheckAnswer> {
    return checkMigration(this, to, request, how);
  }

  /** Migrates; the target is made, or given a fresh life, only when the migration can start. */
  migrate(to: string, request: MigrateRequest, how: FreshTarget): Promise<MigrateAnswer> {
    return migrate(this, to, request, how);
  }

  /** Takes a copied folder for the set itself from now on. */
  async adopt(folder: string): Promise<void> {
    const path = this.environment.files.resolve(folder);
    const { lockWaitMs } = this.options;
    const options = { lockWaitMs, pid: process.pid, roomWaitMs: 0, adoptCopy: true };
    await (await openImageSet(this.environment, path, options)).close();
  }

  /**
   * Closes every set in order: while all can still reach each other everything is applied, which
   * may open a migration's source to fetch what is absent; then links end, then sets are closed.
   * Rejects with the first error after all are closed.
   */
  async close(): Promise<void> {
    this.stopped = true;
    const errors: unknown[] = [];
    const drained = new Set<StorageNode>();
    for (let node = await this.nextOf(drained); node; node = await this.nextOf(drained)) {
      drained.add(node);
      await node.set.drain().catch(() => undefined); // said again, if it matters, by its close
    }
    this.closing = true;
    for (const node of drained) await node.disconnect();
    for (const node of drained) await node.close().catch((error: unknown) => errors.push(error));
    this.opened.clear();
    if (errors.length > 0) throw errors[0];
  }

  private openFolder(set: string, serving?: Serving): Promise<Opened> {
    const folder = this.environment.files.resolve(set);
    const known = this.opened.get(folder);
    if (known) return known;
    const opening = this.openOrFind(folder, serving ?? oneCommand(folder));
    this.opened.set(folder, opening);
    // A daemon may be gone by the next time; what could not be opened may be free then.
    opening.then(
      (opened) => opened instanceof StorageNode || this.opened.delete(folder),
      () => this.opened.delete(folder),
    );
    return opening;
  }

  private openOrFind(folder: string, serving: Serving): Promise<Opened> {
    const { control, beatMs, onlyServed } = this.options;
    if (onlyServed === true) return this.servedFolder(folder);
    return this.unlessServed(folder, (wait) =>
      StorageNode.open(this.environment, folder, {
        ...serving,
        ...wait,
        pid: process.pid,
        control,
        beatMs,
        connector: this,
      }),
    );
  }

  /**
   * Where the daemon of a folder answers. The lock is left alone: a controller asks again and
   * again, and whoever tries the lock at such a moment would be refused. Rejects with `E_STATE`.
   */
  private async servedFolder(folder: string): Promise<Endpoint> {
    const control = setPaths.control(folder);
    const served = await this.servedBy(folder, { pid: process.pid, control });
    if (served) return served;
    throw new RcopyError('E_STATE', `no daemon serves the set in ${folder}`, {
      hint: `start its daemon: \`rcopy daemon ${folder}\``,
    });
  }

  /** Whether the holder of a set's lock is a daemon that answers for this very set. */
  private async servedBy(folder: string, { control }: LockHolder): Promise<Endpoint | undefined> {
    if (control === undefined || control === this.options.control) return undefined;
    const endpoint = { name: folder, at: { socketPath: control } };
    const { setId } = readSetFile(this.environment.files, folder);
    try {
      const identity = await (await this.remote(endpoint, folder)).identity();
      return identity.setId === setId ? endpoint : undefined;
    } catch (error) {
      if (isRcopyError(error)) return undefined; // it is about to start, or to end
      throw error;
    }
  }

  private async remote(endpoint: Endpoint, set: string): Promise<SetService> {
    const { RemoteSet } = await import('./remote-set.ts');
    return new RemoteSet(endpoint, this.remoteId(endpoint, set));
  }

  /** A daemon at an address is asked for its own set; one that holds a folder for that folder's. */
  private remoteId({ at }: Endpoint, set: string): string {
    if (!('socketPath' in at)) return 'own';
    const { files } = this.environment;
    return readSetFile(files, files.resolve(set)).setId;
  }

  private async openPeer(address: string): Promise<Opened> {
    try {
      return await this.openFolder(address);
    } catch (error) {
      if (this.options.onlyServed === true) throw asAway(error);
      // For a daemon a set that a command holds is one that is away for a while.
      const isAway = this.options.control !== undefined && isRcopyError(error, 'E_HELD');
      if (!isAway && !isRcopyError(error, 'E_NOT_FOUND')) throw error;
      throw new RcopyError('E_UNREACHABLE', `the set at ${address} cannot be reached`, {
        cause: error,
        hint: error.message,
      });
    }
  }

  /** A set that takes hosts: open here, or served. */
  private async servingPeer(address: string): Promise<Opened> {
    const folder = this.environment.files.resolve(address);
    const known = await this.opened.get(folder)?.catch(() => undefined);
    if (known instanceof StorageNode) return known;
    try {
      return await this.servedFolder(folder);
    } catch (error) {
      throw asAway(error);
    }
  }

  private join(
    node: StorageNode,
    address: string,
    accept: (stream: ByteStream) => void,
  ): ByteStream {
    const { clock, random } = this.environment;
    const [mine, theirs] = memoryStreamPair(clock, random, { names: ['here', address] });
    const { folder } = node.set;
    const accepted = this.hosts.has(folder) ? theirs : this.guests.watch(theirs, folder);
    accept(accepted);
    return mine;
  }

  /** An opened node that is not in `known` yet. */
  private async nextOf(known: ReadonlySet<StorageNode>): Promise<StorageNode | undefined> {
    for (const opening of [...this.opened.values()]) {
      const node = await opening.catch(() => undefined);
      if (node instanceof StorageNode && !known.has(node)) return node;
    }
    return undefined;
  }
}

function oneCommand(folder: string): Serving {
  return { address: folder, eager: true, roomWaitMs: 0 };
}

/** A daemon that is not there may be about to start; what else is wrong stays as it is. */
function asAway(error: unknown): unknown {
  if (!isRcopyError(error, 'E_STATE')) return error;
  const { message, hint } = error;
  return new RcopyError('E_UNREACHABLE', message, { hint, cause: error });
}

function endpointOf(address: string): Endpoint {
  return { name: address, at: parseAddress(address) };
}
