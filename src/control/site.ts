/**
 * All image sets that one command works on, opened in this process. They reach each other over
 * in-memory streams that carry the same encoded bytes as a network would.
 */
import { basename } from 'node:path';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { JOURNAL_BYTES_MAX, JOURNAL_BYTES_MIN, NAME_PATTERN } from '../base/limits.ts';
import { VOLUMES_MAX, VOLUME_BYTES_MAX, journalSizesFor } from '../base/limits.ts';
import type { JournalSizes } from '../base/limits.ts';
import type { SetId } from '../base/ids.ts';
import type { SetFile } from '../format/set-file.ts';
import { openImageSet } from '../imageset/open-set.ts';
import { makeSetFolder, remakeSetFolder } from '../imageset/set-folder.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import type { CreateAnswer, MigrateAnswer, PairAnswer, PrecheckAnswer } from '../node/answers.ts';
import type { Connector } from '../node/connector.ts';
import { refuseUnready } from '../node/migration-control.ts';
import type { MigrateRequest } from '../node/requests.ts';
import { StorageNode } from '../node/storage-node.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { Environment } from '../sys/environment.ts';
import { memoryStreamPair } from '../sys/memory-stream.ts';
import type { ByteStream } from '../sys/stream.ts';

export interface SiteOptions {
  /** How long to wait for another command's lock, in milliseconds. */
  readonly lockWaitMs: number;
}

/** What may be done to get a target that was never written. */
export interface FreshTarget {
  /** Make it when there is none. */
  readonly create: boolean;
  /** Give up what it holds. */
  readonly overwrite: boolean;
}

/** Stands for the id of a set that is not made yet. */
const NO_ID = '0'.repeat(32);

export interface CreateRequest {
  readonly folder: string;
  readonly volumes: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly journalBytes: number;
  readonly ifMissing: boolean;
}

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
  async createPair(primary: string, secondary: string, how: FreshTarget): Promise<PairAnswer> {
    const node = await this.open(primary);
    const prospect = this.prospect(secondary, primary, how);
    if (prospect) {
      node.checkPairWith(prospect);
      await this.prepareTarget(secondary, primary, how);
    }
    await this.open(secondary);
    return node.createPair({ secondary: this.environment.files.resolve(secondary) });
  }

  /** Whether `to` could take over from `request.from`, made fresh before if that is asked for. */
  async checkMigration(
    to: string,
    request: MigrateRequest,
    how: FreshTarget,
  ): Promise<PrecheckAnswer> {
    const prospect = this.prospect(to, request.from, how);
    if (prospect) return (await this.open(request.from)).checkMoveTo(prospect);
    return (await this.open(to)).checkMigration(request);
  }

  /** Migrates; the target is made, or given a fresh life, only when the migration can start. */
  async migrate(to: string, request: MigrateRequest, how: FreshTarget): Promise<MigrateAnswer> {
    const prospect = this.prospect(to, request.from, how);
    if (prospect) {
      refuseUnready((await (await this.open(request.from)).checkMoveTo(prospect)).checks);
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

/** The pair, or the migration, that is asked for exists already: nothing to prepare. */
function isPartnerOf(there: SetFile, model: SetFile): boolean {
  return there.pair?.peer.setId === model.setId || there.migration?.source.setId === model.setId;
}

function existingSet(environment: Environment, folder: string): SetFile | undefined {
  try {
    return readSetFile(environment.files, folder);
  } catch (error) {
    if (isRcopyError(error, 'E_NOT_FOUND')) return undefined;
    throw error;
  }
}

function checkCreate({ volumes, journalBytes, folder }: CreateRequest): void {
  const refuse = (message: string): never => {
    throw new RcopyError('E_USAGE', message);
  };
  if (volumes.length === 0) refuse('an image set needs at least one volume');
  if (volumes.length > VOLUMES_MAX) refuse(`an image set has at most ${VOLUMES_MAX} volumes`);
  if (!NAME_PATTERN.test(basename(folder))) {
    refuse(
      `${basename(folder)} is no name for an image set: letters, digits, dot, dash, underscore`,
    );
  }
  for (const { name, sizeBytes } of volumes) {
    if (!NAME_PATTERN.test(name)) refuse(`${JSON.stringify(name)} is no name for a volume`);
    if (volumes.filter((volume) => volume.name === name).length > 1) {
      refuse(`volume ${name} is named twice`);
    }
    if (sizeBytes < 1 || sizeBytes > VOLUME_BYTES_MAX || sizeBytes % 512 !== 0) {
      refuse(`volume ${name}: a size is a multiple of 512, at most ${VOLUME_BYTES_MAX} bytes`);
    }
  }
  if (journalBytes < JOURNAL_BYTES_MIN || journalBytes > JOURNAL_BYTES_MAX) {
    refuse(`a journal has ${JOURNAL_BYTES_MIN} to ${JOURNAL_BYTES_MAX} bytes`);
  }
}

function checkSame(existing: SetFile, request: CreateRequest): void {
  const same =
    existing.volumes.length === request.volumes.length &&
    request.volumes.every((volume) =>
      existing.volumes.some(
        (other) => other.name === volume.name && other.sizeBytes === volume.sizeBytes,
      ),
    );
  if (same) return;
  throw new RcopyError('E_NOT_EMPTY', `${request.folder} is there with other volumes`, {
    hint: 'see `rcopy inspect`',
  });
}

function journalOf({ journal }: SetFile): JournalSizes {
  const { segmentBytes, segmentsMax, recordPayloadBytesMax, requestBytesMax } = journal;
  return { segmentBytes, segmentsMax, recordPayloadBytesMax, requestBytesMax };
}

function createAnswer(file: SetFile, folder: string, changed: boolean): CreateAnswer {
  return {
    changed,
    set: { id: file.setId, name: file.name, path: folder },
    volumes: file.volumes.map(({ name, sizeBytes }) => ({ name, size: sizeBytes })),
    journal: { capacityBytes: file.journal.segmentBytes * file.journal.segmentsMax },
  };
}
