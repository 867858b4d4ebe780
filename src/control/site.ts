/**
 * All image sets that one command works on, opened in this process. They reach each other over
 * in-memory streams that carry the same encoded bytes as a network would.
 */
import { basename } from 'node:path';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { journalSizesFor } from '../base/limits.ts';
import type { SetId } from '../base/ids.ts';
import { openImageSet } from '../imageset/open-set.ts';
import { makeSetFolder, remakeSetFolder } from '../imageset/set-folder.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import type {
  CreateAnswer,
  MigrateAnswer,
  PairAnswer,
  PrecheckAnswer,
  WaitAnswer,
} from '../node/answers.ts';
import type { Connector } from '../node/connector.ts';
import { refuseUnready } from '../node/migration-control.ts';
import type { MigrateRequest, WaitRequest } from '../node/requests.ts';
import { StorageNode } from '../node/storage-node.ts';
import { describeWait, timedOut } from '../node/wait.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { Environment } from '../sys/environment.ts';
import { memoryStreamPair } from '../sys/memory-stream.ts';
import type { ByteStream } from '../sys/stream.ts';
import {
  checkCreate,
  checkSame,
  createAnswer,
  existingSet,
  isPartnerOf,
  journalOf,
} from './set-making.ts';
import type { CreateRequest, FreshPair, FreshTarget } from './set-making.ts';

export interface SiteOptions {
  /** How long to wait for another command's lock, in milliseconds. */
  readonly lockWaitMs: number;
}

/** How often a wait looks at a set that another command has to bring on. */
const WAIT_POLL_MS = 250;

/** Stands for the id of a set that is not made yet. */
const NO_ID = '0'.repeat(32);

export class Site implements Connector {
  private readonly environment: Environment;
  private readonly options: SiteOptions;
  private readonly nodes = new Map<string, Promise<StorageNode>>();
  /** Nobody waits for a lock any more. */
  private stopped = false;
  /** Nobody is dialled any more. */
  private closing = false;

  constructor(environment: Environment, options: SiteOptions) {
    this.environment = environment;
    this.options = options;
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

  /** Opens the set in a folder once; the same node is given to everyone who asks for it. */
  open(set: string): Promise<StorageNode> {
    if (/^[a-z]+:\/\//.test(set)) {
      return Promise.reject(
        new RcopyError('E_UNREACHABLE', `${set}: no daemon can be reached from here yet`, {
          hint: 'name the folder of the set',
        }),
      );
    }
    const folder = this.environment.files.resolve(set);
    const known = this.nodes.get(folder);
    if (known) return known;
    const opened = StorageNode.open(this.environment, folder, {
      lockWaitMs: this.options.lockWaitMs,
      isStopped: () => this.stopped,
      pid: process.pid,
      roomWaitMs: 0,
      connector: this,
      address: folder,
      eager: true,
    });
    this.nodes.set(folder, opened);
    opened.catch(() => this.nodes.delete(folder));
    return opened;
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
      if (node.canReach(request)) return node.wait({ ...request, timeoutMs: leftMs });
      await this.letGo(set);
      if (leftMs !== undefined && leftMs <= 0)
        throw timedOut(describeWait(request), timeoutMs ?? 0);
      if (this.stopped) throw new RcopyError('E_STOPPED', 'the wait was stopped');
      await clock.sleep(Math.min(WAIT_POLL_MS, leftMs ?? WAIT_POLL_MS));
    }
  }

  /** Closes one set: other commands may have it. */
  private async letGo(set: string): Promise<void> {
    const folder = this.environment.files.resolve(set);
    const node = await this.nodes.get(folder);
    this.nodes.delete(folder);
    await node?.close();
  }

  /** How the opened sets reach each other: by folder, in this process. */
  async dial(address: string): Promise<ByteStream> {
    if (this.closing) throw new RcopyError('E_UNREACHABLE', `${address} is being closed`);
    let node: StorageNode;
    try {
      node = await this.open(address);
    } catch (error) {
      if (!isRcopyError(error, 'E_NOT_FOUND')) throw error;
      throw new RcopyError('E_UNREACHABLE', `the set at ${address} cannot be reached`, {
        cause: error,
        hint: error.message,
      });
    }
    const { clock, random } = this.environment;
    const [mine, theirs] = memoryStreamPair(clock, random, { names: ['here', address] });
    node.acceptLink(this.wrapAccepted(theirs));
    return mine;
  }

  /** Lets a test stand between the two ends of a link. */
  protected wrapAccepted(stream: ByteStream): ByteStream {
    return stream;
  }

  /** Makes a pair; its secondary is made, or given a fresh life, only when the pair can be. */
  async createPair(primary: string, secondary: string, how: FreshPair): Promise<PairAnswer> {
    const node = await this.open(primary);
    const prospect = this.prospect(secondary, primary, how);
    if (prospect) {
      node.checkPairWith(prospect);
      await this.prepareTarget(secondary, primary, how);
    }
    await this.open(secondary);
    const path = this.environment.files.resolve(secondary);
    return node.createPair({ secondary: path, ack: how.ack });
  }

  /** Whether `to` could take over from `request.from`, made fresh before if that is asked for. */
  async checkMigration(
    to: string,
    request: MigrateRequest,
    how: FreshTarget,
  ): Promise<PrecheckAnswer> {
    const prospect = this.prospect(to, request.from, how);
    if (prospect) return (await this.open(request.from)).checkMoveTo(prospect, request.mode);
    return (await this.open(to)).checkMigration(request);
  }

  /** Migrates; the target is made, or given a fresh life, only when the migration can start. */
  async migrate(to: string, request: MigrateRequest, how: FreshTarget): Promise<MigrateAnswer> {
    const prospect = this.prospect(to, request.from, how);
    if (prospect) {
      const source = await this.open(request.from);
      refuseUnready((await source.checkMoveTo(prospect, request.mode)).checks);
      await this.prepareTarget(to, request.from, how);
    }
    return (await this.open(to)).migrate(request);
  }

  /**
   * Sees to it that `folder` can become the secondary or the migration target of `like`: makes such
   * a set (`create`), or gives a used one a fresh life and identity (`overwrite`).
   */
  async prepareTarget(folder: string, like: string, how: FreshTarget): Promise<void> {
    const { files } = this.environment;
    const target = files.resolve(folder);
    const model = readSetFile(files, files.resolve(like));
    const there = existingSet(this.environment, target);
    if (there && isPartnerOf(there, model)) return;
    if (there && how.overwrite) {
      if (there.setId === model.setId) {
        throw new RcopyError('E_STATE', `${folder} and ${like} are the same set`);
      }
      await remakeSetFolder(this.environment, target, this.options.lockWaitMs);
      return;
    }
    if (there || !how.create) return;
    await makeSetFolder(this.environment, target, {
      name: basename(target),
      volumes: model.volumes,
      journal: journalOf(model),
      whenFull: model.journal.whenFull,
    });
  }

  /** What `prepareTarget` would make, where it would make something. */
  private prospect(folder: string, like: string, how: FreshTarget): PartyFacts | undefined {
    const { files } = this.environment;
    const address = files.resolve(folder);
    const model = readSetFile(files, files.resolve(like));
    const there = existingSet(this.environment, address);
    const fresh = there ? how.overwrite && !isPartnerOf(there, model) : how.create;
    if (!fresh) return undefined;
    const name = there?.name ?? basename(address);
    return {
      identity: { setId: there?.setId ?? (NO_ID as SetId), name, address },
      groupId: NO_ID,
      role: 'primary',
      state: 'simplex',
      sealedFor: null,
      migrationId: null,
      volumes: there?.volumes ?? model.volumes,
      blank: true,
      pair: null,
      epochId: null,
      knownEpochIds: [],
      followsEpoch: true,
      lagEntries: 0,
      usable: false,
    };
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
    this.nodes.clear();
    if (errors.length > 0) throw errors[0];
  }

  /** An opened node that is not in `known` yet. */
  private async nextOf(known: ReadonlySet<StorageNode>): Promise<StorageNode | undefined> {
    for (const opened of [...this.nodes.values()]) {
      const node = await opened.catch(() => undefined);
      if (node && !known.has(node)) return node;
    }
    return undefined;
  }
}
