/**
 * One open image set with its links: what a daemon serves and what a command in its own process
 * uses. Every method is what a user can ask of a set; commands and HTTP only translate.
 */
import { RcopyError } from '../base/errors.ts';
import { NAME_PATTERN } from '../base/limits.ts';
import type { FrameChannel } from '../link/channel.ts';
import type { Hello } from '../link/messages.ts';
import { checkSecondary } from '../link/admission.ts';
import { Secondary } from '../link/secondary.ts';
import { serveRequests } from '../link/service.ts';
import type { Answered } from '../link/service.ts';
import { openImageSet } from '../imageset/open-set.ts';
import type { OpenOptions } from '../imageset/open-set.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { PairEntry, SetFile } from '../format/set-file.ts';
import type { Device } from '../device/device.ts';
import type { NbdServer } from '../nbd/server.ts';
import type { Environment } from '../sys/environment.ts';
import type { ByteStream } from '../sys/stream.ts';
import type {
  CompareAnswer,
  ExportAnswer,
  ImportAnswer,
  MarkAnswer,
  MigrateAnswer,
  MigrationStatusAnswer,
  PairAnswer,
  PrecheckAnswer,
  ReplicateAnswer,
  StatusAnswer,
  TakeoverAnswer,
  VerifyAnswer,
  WaitAnswer,
  WriteAnswer,
} from './answers.ts';
import { answerRead, readCall } from './block-reads.ts';
import {
  digestCall,
  joinCall,
  leaveCall,
  parameters,
  takeoverCall,
  takeoverDoneCall,
  unknownCall,
} from './calls.ts';
import { compareSets, digest } from './compare.ts';
import { hostDevice } from './attached-exports.ts';
import type { Connector } from './connector.ts';
import { Controllers } from './controllers.ts';
import { exportImage, importImage, readVolume, writeVolume } from './host-io.ts';
import { partyFacts } from './facts.ts';
import { MigrationAnswers } from './migration-answers.ts';
import { MigrationControl } from './migration-control.ts';
import { retire } from './migration-source.ts';
import { checkPair, createPair, deletePair, joinPair, leavePair } from './pairing.ts';
import { serveController } from './path-answers.ts';
import { Peer } from './peers.ts';
import { Links } from './links.ts';
import type { LinkUsage } from './links.ts';
import { Replication } from './replication.ts';
import type { KeepOptions } from './replication.ts';
import { replicate } from './replicate.ts';
import type {
  ExportRequest,
  ImportRequest,
  MigrateRequest,
  MoveRequest,
  PairRequest,
  ReadRequest,
  ReplicateRequest,
  ResumeRequest,
  TakeoverRequest,
  WaitRequest,
  WriteRequest,
} from './requests.ts';
import type { SetService } from './set-service.ts';
import { movePeer, noteSplit, resyncPair, splitPair } from './split.ts';
import { statusOf } from './status.ts';
import type { Served } from './status.ts';
import {
  alreadyTookOver,
  checkTakeover,
  obtainSeal,
  sealForTakeover,
  takeOverByForce,
  takeOverPlanned,
  tookOver,
} from './takeover.ts';
import { verifySet } from './verify.ts';
import { canReach, waitFor } from './wait.ts';

export interface NodeOptions extends OpenOptions {
  readonly connector: Connector;
  /** Where this set can be reached, as others should keep it. */
  readonly address: string;
  /** A secondary applies at once instead of waiting for a quiet moment. */
  readonly eager: boolean;
  /** One beat of links over a network, in milliseconds; undefined where all is in one process. */
  readonly beatMs?: number | undefined;
}

export class StorageNode implements SetService {
  readonly set: ImageSet;
  readonly address: string;
  readonly replication: Replication;
  /** What the daemon around it knows, for status. */
  served: Served | undefined;
  private readonly options: NodeOptions;
  private readonly bootId: string;
  private readonly migrations: MigrationControl;
  private readonly asSource: MigrationAnswers;
  private readonly peers = new Map<string, Peer>();
  private readonly links: Links;
  private readonly controllers: Controllers;
  private secondary: Secondary | undefined;
  /** It is a daemon that has this set. */
  private serving = false;
  /** The pair is being left: no sender is taken any more. */
  private leaves = false;

  private constructor(set: ImageSet, options: NodeOptions) {
    this.set = set;
    this.options = options;
    this.address = options.address;
    this.bootId = Buffer.from(set.environment.random.bytes(16)).toString('hex');
    this.links = new Links({
      clock: set.environment.clock,
      connector: options.connector,
      beatMs: options.beatMs,
      greet: (channel, hello) => this.greet(channel, hello),
    });
    this.replication = new Replication({
      set,
      links: this.links,
      address: options.address,
      bootId: this.bootId,
    });
    this.controllers = new Controllers({ set, address: options.address, bootId: this.bootId });
    this.migrations = new MigrationControl({
      set,
      address: options.address,
      replication: this.replication,
      peer: (address) => this.peer(address),
      controllers: this.controllers,
    });
    this.asSource = new MigrationAnswers(set, this.replication, this.controllers);
  }

  /** Opens the set in `folder`, recovering what a crash left. Errors as of `openImageSet`. */
  static async open(
    environment: Environment,
    folder: string,
    options: NodeOptions,
  ): Promise<StorageNode> {
    const node = new StorageNode(await openImageSet(environment, folder, options), options);
    await node.migrations.attachSource();
    return node;
  }

  async identity(): Promise<SetFile> {
    return this.set.file;
  }

  status(): StatusAnswer {
    const { set, replication, secondary, serving, served } = this;
    const controllers = this.controllers.status;
    return statusOf({ set, replication, secondary, serving, served, controllers });
  }

  async write(request: WriteRequest): Promise<WriteAnswer> {
    await this.controllers.opened();
    return writeVolume(this.set, request);
  }

  read(request: ReadRequest): AsyncGenerator<Buffer> {
    return readVolume(this.set, request);
  }

  async importImage(request: ImportRequest): Promise<ImportAnswer> {
    await this.controllers.opened();
    return importImage(this.set, request);
  }

  exportImage(request: ExportRequest): Promise<ExportAnswer> {
    return exportImage(this.set, request);
  }

  /** A named point in the sequence. Durable when it resolves. */
  async mark(name: string): Promise<MarkAnswer> {
    if (!NAME_PATTERN.test(name)) {
      throw new RcopyError('E_USAGE', `${JSON.stringify(name)} is no name for a mark`, {
        hint: 'use letters, digits, dots, dashes and underscores, at most 64',
      });
    }
    const refused = this.set.refusal('write');
    if (refused) throw refused;
    await this.controllers.opened();
    await ensureEpoch(this.set);
    return { name, sequence: await this.set.mark(name) };
  }

  /** Whether `wait` can come to an end while only this process has the set. */
  canReach(request: WaitRequest): boolean {
    return canReach(this.set, request);
  }

  wait(request: WaitRequest): Promise<WaitAnswer> {
    return waitFor(this.set, this.replication, request);
  }

  async createPair(request: PairRequest): Promise<PairAnswer> {
    const { secondary, ack } = request;
    const to = { secondary: this.peer(secondary), ack };
    return { ...(await createPair(this.set, this.address, to)), kept: this.serving };
  }

  /** Ends the pair; with `local` only here, for when the other end is gone for good. */
  async deletePair({ local = false } = {}): Promise<PairAnswer> {
    const { set } = this;
    const { pair, role } = set.file;
    if (local && role === 'secondary' && pair) return this.leaving(() => this.endPair(true));
    return this.endPair(local);
  }

  /** Pauses the pair; what changes meanwhile is kept in maps. */
  async splitPair(): Promise<PairAnswer> {
    return this.replication.quietly(() =>
      splitPair(this.set, this.address, {
        secondary: (pair) => this.peer(pair.peer.address),
        stop: () => this.replication.stop(),
      }),
    );
  }

  /** Lets a split or suspended pair go on. */
  async resyncPair(): Promise<PairAnswer> {
    return { ...(await resyncPair(this.set, this.address)), kept: this.serving };
  }

  /** Where the other end of the pair is now. */
  movePeer(address: string): Promise<PairAnswer> {
    return movePeer(this.set, this.address, this.peer(address));
  }

  /** Makes this secondary the primary; see takeover.ts. */
  async takeOver({ force }: TakeoverRequest): Promise<TakeoverAnswer> {
    const { set } = this;
    if (tookOver(set.file)) return alreadyTookOver(set, (address) => this.peer(address));
    checkTakeover(set, force);
    return this.replication.quietly(async () => {
      await this.replication.stop();
      if (force) return this.leaving(() => takeOverByForce(set));
      const primary = this.peer(set.file.pair?.peer.address ?? '');
      // Its last records come over the links that are there: they end when the seal has come.
      const sealRecord = await obtainSeal(set, this.address, primary);
      return this.leaving(() => takeOverPlanned(set, primary, sealRecord));
    });
  }

  private endPair(local: boolean): Promise<PairAnswer> {
    const secondary = local ? undefined : (pair: PairEntry) => this.peer(pair.peer.address);
    const stop = () => this.replication.stop();
    return this.replication.quietly(() => deletePair(this.set, this.address, { secondary, stop }));
  }

  /** Sends what the secondary lacks, and resolves when it is restored there. */
  replicate(request: ReplicateRequest): Promise<ReplicateAnswer> {
    return replicate(this.set, this.replication, this.migrations, request);
  }

  /** Throws when this set and a secondary that is not made yet could not become a pair. */
  async checkPairWith(secondary: PartyFacts): Promise<void> {
    checkPair(this.set, secondary);
  }

  /** Whether this set could move to a target that is not made yet. */
  checkMoveTo(target: PartyFacts, how: MoveRequest): Promise<PrecheckAnswer> {
    return this.migrations.checkMoveTo(this.facts(), target, how);
  }

  checkMigration(request: MigrateRequest): Promise<PrecheckAnswer> {
    return this.migrations.check(request);
  }

  /** Moves the primary from `request.from` to this set while its pair goes on. */
  migrate(request: MigrateRequest): Promise<MigrateAnswer> {
    return this.migrations.migrate(request);
  }

  migrationStatus(): MigrationStatusAnswer {
    return this.migrations.status();
  }

  resumeMigration(request: ResumeRequest): Promise<MigrateAnswer> {
    return this.migrations.resume(request);
  }

  abortMigration(): Promise<MigrateAnswer> {
    return this.migrations.abort();
  }

  verify(): Promise<VerifyAnswer> {
    return verifySet(this.set);
  }

  /** Compares all contents with another set, each range as of one number; see compare.ts. */
  verifyAgainst(other: string): Promise<CompareAnswer> {
    const isFollowed = this.replication.isUp;
    return compareSets({ set: this.set, other: this.peer(other), isFollowed });
  }

  /** Names of the sets whose records or ranges this secondary takes now. */
  get senders(): readonly string[] {
    return [...(this.secondary?.sessions ?? [])].map(({ peerName }) => peerName);
  }

  /** Takes a link that another set dialled. */
  acceptLink(stream: ByteStream): void {
    this.links.accept(stream);
  }

  /** The volume as a host gets it that no path controller leads here. */
  hostDevice(index: number): Device | undefined {
    const device = this.set.volumes[index];
    return device && hostDevice(device, this.controllers);
  }

  /** Path controllers' streams count on this server: its budget, its clients. */
  serveHosts(server: NbdServer): void {
    this.controllers.serveWith(server);
  }

  /**
   * Takes an NBD stream of a path controller that has attached. Throws `E_STATE` when it is not of
   * its newest generation.
   */
  acceptHosts(stream: ByteStream, as: { controllerId: string; generation: number }): void {
    this.controllers.acceptHosts(stream, as);
  }

  /** What other sets hold here, how much they may, and what is on its way to one (R9). */
  linkUsage(): LinkUsage & Pick<Replication, 'unacknowledged'> {
    return { ...this.links.usage, unacknowledged: this.replication.unacknowledged };
  }

  /**
   * What a daemon does from its start on: keeps the link to the secondary, or waits for senders,
   * and goes on with a migration that this set is the target of. Ended by `disconnect` or `close`.
   */
  startServing(options: KeepOptions = {}): void {
    if (this.serving) return;
    this.serving = true;
    this.replication.keep(options);
    this.migrations.keepGoing(options);
  }

  /** Ends all links, applies everything, closes the set. Errors as of `ImageSet.close`. */
  async close(): Promise<void> {
    await this.disconnect();
    await this.set.close();
  }

  /** Ends all links, dialled and taken; the set stays open. */
  async disconnect(): Promise<void> {
    // A host that waits for the secondary must not take the end of that for an answer.
    if (this.serving) this.set.remoteAck.stop(this.set.stoppedError());
    this.links.stopDialling();
    this.migrations.stopGoing();
    await this.replication.unkeep();
    await this.replication.stop();
    await this.secondary?.stop();
    this.controllers.close();
    this.asSource.close();
    this.links.close();
    for (const peer of this.peers.values()) await peer.close();
    await this.migrations.atRest();
  }

  private greet(channel: FrameChannel, hello: Hello): void {
    if (hello.purpose === 'service') {
      const { gate } = this.links;
      serveRequests(this.set, channel, { handle: (name, value) => this.answer(name, value), gate });
      return;
    }
    if (hello.purpose === 'path') return serveController(this.set, channel, this.controllers);
    if (this.set.failure) throw this.set.failure;
    checkSecondary(this.set);
    if (this.leaves) throw this.hasLeft();
    this.secondary ??= new Secondary(this.set, {
      bootId: this.bootId,
      eager: this.options.eager,
    });
    this.secondary.accept(channel, hello);
  }

  /** The pair is over: its senders go first, and nothing more is taken from them. */
  private async leave(pairId: string): Promise<void> {
    const { set } = this;
    if (set.file.pair?.id !== pairId) return;
    await this.leaving(() => leavePair(set, pairId));
  }

  /** Runs `action` when no sender is connected, and none can be. */
  private async leaving<T>(action: () => Promise<T>): Promise<T> {
    const { secondary } = this;
    this.leaves = true;
    this.secondary = undefined;
    try {
      await secondary?.stop(this.hasLeft());
      return await action();
    } finally {
      this.leaves = false;
    }
  }

  private hasLeft(): RcopyError {
    return new RcopyError('E_NOT_PAIRED', `${this.set.file.name} has left the pair`);
  }

  private async answer(name: string, value: unknown): Promise<Answered> {
    const { failure } = this.set;
    if (failure) throw failure; // what it has can be half written: it would look like damage
    if (name === 'read') return answerRead(this.set, parameters(readCall, value));
    if (name === 'migration.abort') return { value: await this.migrations.abort() };
    if (name.startsWith('migration.')) return this.asSource.answer(name, value);
    return { value: await this.answerShort(name, value) };
  }

  private async answerShort(name: string, value: unknown): Promise<unknown> {
    const { set } = this;
    switch (name) {
      case 'facts':
        return { ...this.facts(), newest: set.newest };
      case 'digest':
        return digest(set, parameters(digestCall, value));
      case 'pair.join':
        return joinPair(set, parameters(joinCall, value));
      case 'pair.split':
        return noteSplit(set, parameters(leaveCall, value).pairId);
      case 'takeover.seal':
        await this.controllers.opened(); // what is lost is written again before the seal
        return sealForTakeover(set, this.replication, parameters(takeoverCall, value), () =>
          this.replicate({ timeoutMs: undefined, maxRate: undefined }),
        );
      case 'takeover.done':
        return retire(set, parameters(takeoverDoneCall, value));
      case 'pair.leave':
        return this.leave(parameters(leaveCall, value).pairId);
      default:
        throw unknownCall(name);
    }
  }

  private facts(): PartyFacts {
    const hosts = this.served?.hosts() ?? [];
    const directHosts = hosts.filter(({ attached }) => !attached);
    const { controllers } = this;
    return { ...partyFacts(this.set, this.address), controllers: controllers.status, directHosts };
  }

  private peer(address: string): Peer {
    const known = this.peers.get(address);
    if (known) return known;
    const peer = new Peer(address, this.links, () => this.hello());
    this.peers.set(address, peer);
    return peer;
  }

  private hello(): Hello {
    const { file } = this.set;
    return {
      purpose: 'service',
      setId: file.setId,
      groupId: file.groupId,
      name: file.name,
      address: this.address,
      bootId: this.bootId,
      link: 0,
      pairId: file.pair?.id ?? null,
      run: null,
      parentSeal: null,
      carrierSeal: null,
    };
  }
}
