/** A path controller by hand: it notes what it is asked, and answers what a test wants. */
import type { ControllerId } from '../../src/base/ids.ts';
import type { RcopyError } from '../../src/base/errors.ts';
import type { PathControl } from '../../src/control/controller-calls.ts';
import { pathRoutes } from '../../src/control/path-routes.ts';
import { ControlServer } from '../../src/control/server.ts';
import type { MigrateAnswer, PrecheckAnswer } from '../../src/node/answers.ts';
import type {
  PathAddRequest,
  PathChangeAnswer,
  PathEntryAnswer,
  PathIdentity,
  PathListAnswer,
  PathMigrateRequest,
  PathStatusAnswer,
} from '../../src/node/path-service.ts';
import { PathFolder, pathControlSocket } from '../../src/node/path-store.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';

export const ENTRY: PathEntryAnswer = {
  export: 'db',
  volume: 'db',
  size: 1024 ** 3,
  set: { id: 'a'.repeat(32), name: 'tokyo', address: 'rcopy://127.0.0.1:7070' },
};

export const MIGRATED: MigrateAnswer = {
  changed: true,
  migrationId: 'd'.repeat(32),
  mode: 'drain',
  copy: 'post',
  epoch: 2,
  nextSequence: 585,
  journalCursor: 342,
  switchPauseMs: 379,
  copiedBytes: 1024 ** 2,
  state: 'done',
};

export class HandPath implements PathControl {
  /** Each request, as `[call, parameters]`. */
  readonly asked: [string, unknown][] = [];
  entries: PathEntryAnswer[] = [ENTRY];
  ready = true;
  healthy = true;
  /** What the next call fails with. */
  failure: RcopyError | undefined;
  private readonly id: ControllerId;

  constructor(id = 'c'.repeat(32)) {
    this.id = id as ControllerId;
  }

  async identity(): Promise<PathIdentity> {
    return { id: this.id, name: 'gate' };
  }

  async add(request: PathAddRequest): Promise<PathChangeAnswer> {
    this.note('add', request);
    return { changed: true, entry: { ...ENTRY, export: request.export } };
  }

  async remove(request: { readonly export: string }): Promise<PathChangeAnswer> {
    this.note('remove', request);
    const changed = this.entries.some((entry) => entry.export === request.export);
    this.entries = this.entries.filter((entry) => entry.export !== request.export);
    return { changed, entry: null };
  }

  async list(): Promise<PathListAnswer> {
    this.note('list', {});
    return { exports: this.entries };
  }

  async status(): Promise<PathStatusAnswer> {
    this.note('status', {});
    const { healthy } = this;
    return {
      controller: { ...(await this.identity()), path: '/gate', address: null, nbd: null },
      exports: this.entries,
      sets: [],
      hosts: [],
      daemon: null,
      limits: [],
      health: healthy
        ? { healthy, word: 'healthy', reason: 'every set answers' }
        : { healthy, word: 'away', reason: 'tokyo is out of reach' },
    };
  }

  async checkMigration(request: PathMigrateRequest): Promise<PrecheckAnswer> {
    this.note('migrate-check', request);
    const { ready } = this;
    return { ready, checks: [{ name: 'volumes', ok: ready, detail: 'both have db' }] };
  }

  async migrate({ onProgress, ...request }: PathMigrateRequest): Promise<MigrateAnswer> {
    this.note('migrate', request);
    onProgress?.({ step: 'copying', doneBytes: 1, totalBytes: 2 });
    return MIGRATED;
  }

  private note(call: string, parameters: unknown): void {
    this.asked.push([call, parameters]);
    const { failure } = this;
    this.failure = undefined;
    if (failure) throw failure;
  }
}

/** A folder that a controller by hand serves, as the daemon of one would. */
export class HandPathServer {
  readonly path: HandPath;
  private readonly folder: PathFolder;
  private readonly control: ControlServer;

  private constructor(path: HandPath, folder: PathFolder, control: ControlServer) {
    this.path = path;
    this.folder = folder;
    this.control = control;
  }

  /** Takes the folder; it does not answer yet. */
  static async take(at: string, makePath?: () => HandPath): Promise<HandPathServer> {
    const options = { lockWaitMs: 0, pid: process.pid, control: pathControlSocket(at) };
    const folder = await PathFolder.open(nodeEnvironment, at, options);
    const path = makePath?.() ?? new HandPath(folder.file.controllerId);
    const routes = pathRoutes(async () => path);
    return new HandPathServer(path, folder, new ControlServer(routes, nodeEnvironment.clock));
  }

  static async start(at: string, makePath?: () => HandPath): Promise<HandPathServer> {
    const server = await HandPathServer.take(at, makePath);
    await server.answer();
    return server;
  }

  async answer(): Promise<void> {
    const { folder } = this.folder;
    await this.control.listenOnSocket(pathControlSocket(folder), nodeEnvironment.files);
  }

  /** Answers at an address as well; resolves with it. */
  async listen(): Promise<string> {
    const port = await this.control.listen({ host: '127.0.0.1', port: 0 });
    return `rcopy://127.0.0.1:${port}`;
  }

  get id(): ControllerId {
    return this.folder.file.controllerId;
  }

  async stop(): Promise<void> {
    await this.control.close();
    await this.folder.close();
  }
}
