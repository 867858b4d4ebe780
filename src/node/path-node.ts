/**
 * A path controller: hosts reach image sets through it, and stay connected while those change. It
 * may stand on the network, in the host (as a library), or be what commands a migration.
 *
 * ```
 *   hosts ── NBD ──► exports ──► PathWay ──► PathSwitch ══ NBD ══► the set that serves now
 *                                   └────── link ───────────────► that set, and where it may move
 * ```
 */
import { RcopyError } from '../base/errors.ts';
import { PATH_EXPORTS_MAX } from '../base/limits.ts';
import type { ControllerId, GroupId, SetId } from '../base/ids.ts';
import type { PathEntry, PathFile, PathWay as WayEntry } from '../format/path-file.ts';
import type { PeerIdentity } from '../format/set-file.ts';
import { PeerClient } from '../link/service.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { NbdExport, NbdExports } from '../nbd/exports.ts';
import type { Environment } from '../sys/environment.ts';
import type { DaemonStatus, HostStatus, LimitStatus, MigrateAnswer } from './answers.ts';
import { Links } from './links.ts';
import type { PathConnector } from './path-connector.ts';
import { PathSession, helloOf } from './path-session.ts';
import { PathWay } from './path-way.ts';
import type {
  PathAddRequest,
  PathChangeAnswer,
  PathEntryAnswer,
  PathIdentity,
  PathListAnswer,
  PathMigrateRequest,
  PathService,
  PathStatusAnswer,
} from './path-service.ts';

/** Where a controller keeps what it must not forget. */
export interface PathStore {
  readonly folder: string;
  /** What was saved last. */
  readonly file: PathFile;
  /** Durable when it resolves. One at a time, in order. */
  save(change: (file: PathFile) => PathFile): Promise<void>;
}

export interface PathNodeOptions {
  readonly environment: Environment;
  readonly store: PathStore;
  readonly connector: PathConnector;
  /** Where this controller can be commanded; null where it only serves its own program. */
  readonly address: string | null;
  /** How long hosts wait while no set answers, in milliseconds. */
  readonly holdMs: number;
  /** One beat of links over a network, in milliseconds; undefined where all is in one process. */
  readonly beatMs?: number | undefined;
  /** Performs `rcopy migrate FROM TO`; given from above. */
  readonly migrate: (from: string, request: PathMigrateRequest) => Promise<MigrateAnswer>;
}

/** For the log. */
export interface PathEvent {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What only who runs the controller can tell. */
export interface ServedPath {
  /** Where hosts reach it; null before that. */
  nbd(): string | null;
  process(): DaemonStatus;
  hosts(): readonly HostStatus[];
  limits(): readonly LimitStatus[];
}

/** Streams of one start have generations in a range of their own, above those of earlier ones. */
const GENERATIONS_OF_A_START = 2 ** 24;

export class PathNode implements PathService {
  /** What hosts may connect to. */
  readonly exports: NbdExports = {
    list: () => this.ways.flatMap((way) => exportsOf(way)),
    find: (name) => this.findExport(name),
  };
  onEvent: ((event: PathEvent) => void) | undefined;
  served: ServedPath | undefined;
  private readonly options: PathNodeOptions;
  private readonly links: Links;
  private ways: PathWay[] = [];
  private generation: number;
  /** Additions and removals, one after the other. */
  private changes: Promise<unknown> = Promise.resolve();

  private constructor(options: PathNodeOptions) {
    this.options = options;
    const { environment, connector, beatMs, store } = options;
    this.generation = store.file.starts * GENERATIONS_OF_A_START;
    this.links = new Links({
      clock: environment.clock,
      connector,
      beatMs,
      greet: () => {
        throw new RcopyError('E_PROTOCOL', 'a path controller is not dialled');
      },
    });
  }

  /** Begins to serve what the store says. */
  static async open(options: PathNodeOptions): Promise<PathNode> {
    const node = new PathNode(options);
    node.ways = options.store.file.ways.map((entry) => node.makeWay(entry));
    for (const way of node.ways) way.start();
    return node;
  }

  async identity(): Promise<PathIdentity> {
    const { controllerId, name } = this.options.store.file;
    return { id: controllerId, name };
  }

  add(request: PathAddRequest): Promise<PathChangeAnswer> {
    return this.inTurn(() => this.addNow(request));
  }

  remove({ export: name }: { readonly export: string }): Promise<PathChangeAnswer> {
    return this.inTurn(async () => {
      const way = this.wayOf(name);
      if (!way) return { changed: false, entry: null };
      await way.removeExport(name);
      if (way.file.exports.length === 0) {
        this.ways = this.ways.filter((each) => each !== way);
        await way.close();
        await this.saveWays();
      }
      return { changed: true, entry: null };
    });
  }

  async list(): Promise<PathListAnswer> {
    return { exports: this.entries() };
  }

  async status(): Promise<PathStatusAnswer> {
    const { store, address } = this.options;
    const sets = this.ways.map((way) => way.status());
    const stuck = sets.find(({ state }) => state !== 'open');
    const { served } = this;
    return {
      controller: {
        ...(await this.identity()),
        path: store.folder,
        address,
        nbd: served?.nbd() ?? null,
      },
      exports: this.entries(),
      sets,
      hosts: served?.hosts() ?? [],
      daemon: served?.process() ?? null,
      limits: served?.limits() ?? [],
      health: stuck
        ? { healthy: false, word: stuck.state, reason: `${stuck.set.name}: ${stuck.reason}` }
        : { healthy: true, word: 'open', reason: '' },
    };
  }

  /** The whole set behind an export moves, with all its exports at all controllers. */
  async migrate(request: PathMigrateRequest): Promise<MigrateAnswer> {
    const way = this.wayOf(request.export);
    if (!way) throw noExport(request.export, this.entries());
    return this.options.migrate(way.file.set.address, request);
  }

  /**
   * Ends the ways in order: what hosts were answered is made durable, and the sets need not wait
   * for this controller. To be called when no host is connected any more.
   */
  async close(): Promise<void> {
    this.links.stopDialling();
    for (const way of this.ways) await way.close();
    this.links.close();
  }

  private async addNow(request: PathAddRequest): Promise<PathChangeAnswer> {
    const { export: name } = request;
    const facts = await this.askFacts(request.set);
    const found = volumeOf(facts, request.volume);
    const set: PeerIdentity = { ...facts.identity, address: request.set };
    const existing = this.wayOf(name);
    const entry = existing?.file.exports.find((each) => each.export === name);
    if (existing && entry) {
      const isSame = existing.file.set.setId === set.setId && entry.volume === found.volume;
      if (isSame) return { changed: false, entry: this.entryOf(name) };
      await this.replace(existing, entry, { request, facts, set, ...found });
      return { changed: true, entry: this.entryOf(name) };
    }
    refuseHosts(facts);
    if (this.entries().length >= PATH_EXPORTS_MAX) {
      throw new RcopyError('E_STATE', `there are ${PATH_EXPORTS_MAX} exports`, {
        hint: 'end some with `rcopy path remove`, or start another controller',
      });
    }
    const there = this.ways.find(({ file }) => file.groupId === facts.groupId);
    if (there) refuseElsewhere(there.file, set);
    if (there) await there.addExport(name, found.volume, found.sizeBytes);
    else {
      const way = this.makeWay({
        set,
        groupId: facts.groupId as GroupId,
        next: null,
        exports: [{ export: name, ...found }],
      });
      await this.saveWays(way);
      this.ways.push(way);
      way.start();
    }
    return { changed: true, entry: this.entryOf(name) };
  }

  /** Leads the exports of a way to another set of the same group: one that took over by force. */
  private async replace(way: PathWay, entry: PathEntry, to: PathEntryTarget): Promise<void> {
    const { request, facts, set, volume } = to;
    const { file } = way;
    if (!request.replace || volume !== entry.volume) {
      const leads = `volume ${entry.volume} of ${file.set.name} at ${file.set.address}`;
      throw new RcopyError('E_STATE', `the export ${entry.export} leads to ${leads}`, {
        hint: 'end it first with `rcopy path remove`; for a set that took over: `--replace`',
      });
    }
    if (facts.groupId !== file.groupId) {
      throw new RcopyError('E_STATE', `${set.name} holds other volumes than ${file.set.name}`, {
        hint: 'end the export with `rcopy path remove`, and add it anew',
      });
    }
    refuseHosts(facts);
    for (const each of file.exports) {
      const size = facts.volumes.find(({ name }) => name === each.volume)?.sizeBytes;
      if (size === each.sizeBytes) continue;
      const what = size === undefined ? 'has no' : 'has another size for';
      throw new RcopyError('E_STATE', `${set.name} ${what} volume ${each.volume}`);
    }
    await way.lead(set);
  }

  private async askFacts(address: string): Promise<PartyFacts> {
    const client = new PeerClient(await this.links.dial(address), {
      ...helloOf(this.controller),
      purpose: 'service',
    });
    try {
      return (await client.call('facts', null)).value as PartyFacts;
    } finally {
      client.close();
    }
  }

  private makeWay(entry: WayEntry): PathWay {
    const { environment, connector, holdMs } = this.options;
    const { clock } = environment;
    return new PathWay({
      clock,
      holdMs,
      entry,
      session: (set, volumes, listener) =>
        new PathSession({
          clock,
          links: this.links,
          connector,
          controller: this.controller,
          address: set.address,
          setId: set.setId,
          generation: this.nextGeneration(),
          volumes,
          ...listener,
        }),
      save: () => this.saveWays(),
      note: (message, facts) => this.onEvent?.({ level: 'info', message, facts }),
    });
  }

  private get controller(): { id: ControllerId; name: string; address: string | null } {
    const { controllerId: id, name } = this.options.store.file;
    return { id, name, address: this.options.address };
  }

  private nextGeneration(): number {
    this.generation += 1;
    return this.generation;
  }

  /** A way that has lost its last export is as good as gone. */
  private saveWays(...added: readonly PathWay[]): Promise<void> {
    return this.options.store.save((file) => ({
      ...file,
      ways: [...this.ways, ...added]
        .map((way) => way.file)
        .filter(({ exports }) => exports.length > 0),
    }));
  }

  private inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.changes.then(action);
    this.changes = done.catch(() => undefined);
    return done;
  }

  private wayOf(name: string): PathWay | undefined {
    return this.ways.find(({ file }) => file.exports.some((each) => each.export === name));
  }

  private findExport(name: string): NbdExport | undefined {
    const all = this.entries();
    const wanted = name === '' && all.length === 1 ? all[0]?.export : name;
    for (const way of this.ways) {
      const found = exportsOf(way, wanted)[0];
      if (found) return found;
    }
    return undefined;
  }

  private entries(): PathEntryAnswer[] {
    return this.ways.flatMap(({ file }) =>
      file.exports.map(({ export: name, volume, sizeBytes }) => ({
        export: name,
        volume,
        size: sizeBytes,
        set: { id: file.set.setId, name: file.set.name, address: file.set.address },
      })),
    );
  }

  private entryOf(name: string): PathEntryAnswer | null {
    return this.entries().find((each) => each.export === name) ?? null;
  }
}

interface PathEntryTarget {
  readonly request: PathAddRequest;
  readonly facts: PartyFacts;
  readonly set: PeerIdentity & { readonly setId: SetId };
  readonly volume: string;
}

/** One device for each host that asks: a loss is told to each. */
function exportsOf(way: PathWay, wanted?: string): NbdExport[] {
  const entries = way.file.exports.filter(({ export: name }) => (wanted ?? name) === name);
  return entries.flatMap(({ export: name, volume }) => {
    const found = way.exportOf(volume);
    const description = `volume ${volume} of ${way.file.set.name}`;
    return found ? [{ name, description, device: found.forHost() }] : [];
  });
}

function volumeOf(
  { volumes, identity }: PartyFacts,
  wanted: string | undefined,
): { volume: string; sizeBytes: number } {
  const names = volumes.map(({ name }) => name).join(', ');
  if (wanted === undefined && volumes.length > 1) {
    throw new RcopyError('E_USAGE', `${identity.name} has several volumes: ${names}`, {
      hint: 'name one with --volume',
    });
  }
  const found = volumes.find(({ name }) => wanted === undefined || name === wanted);
  if (found) return { volume: found.name, sizeBytes: found.sizeBytes };
  throw new RcopyError('E_NOT_FOUND', `${identity.name} has no volume ${wanted ?? ''}`, {
    hint: `it has: ${names}`,
  });
}

/** Hosts can only be led to a primary. */
function refuseHosts({ identity, role, sealedFor }: PartyFacts): void {
  if (sealedFor) {
    throw new RcopyError('E_SEALED', `${identity.name} is sealed: ${sealedFor.name} took over`, {
      hint: `lead the export to ${sealedFor.address}`,
    });
  }
  if (role === 'primary') return;
  throw new RcopyError('E_ROLE', `${identity.name} is no primary but a ${role}`, {
    hint: 'hosts are led to a primary',
  });
}

/** All exports of a group go one way: streams of two would take each other for older ones. */
function refuseElsewhere({ set: before, next, exports }: WayEntry, set: PeerIdentity): void {
  if (set.setId === before.setId || set.setId === next?.set.setId) return;
  const { name, address } = before;
  throw new RcopyError('E_STATE', `exports of its volumes lead to ${name} at ${address}`, {
    hint: `lead them there first: \`rcopy path add --replace\` for ${exports[0]?.export ?? ''}`,
  });
}

function noExport(name: string, all: readonly PathEntryAnswer[]): RcopyError {
  const names = all.map((each) => each.export).join(', ');
  return new RcopyError('E_NOT_FOUND', `there is no export ${name}`, {
    hint: all.length > 0 ? `there are: ${names}` : 'make one with `rcopy path add`',
  });
}
