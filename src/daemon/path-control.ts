/**
 * What commands ask of a path controller, where that needs more than the controller itself: the
 * sets that it moves hosts between, which daemons serve.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { ControllerId } from '../base/ids.ts';
import { isAddress } from '../control/addresses.ts';
import type { PathControl } from '../control/controller-calls.ts';
import type { Site } from '../control/site.ts';
import type { MigrateAnswer, PrecheckAnswer } from '../node/answers.ts';
import type {
  PathAddRequest,
  PathChangeAnswer,
  PathIdentity,
  PathListAnswer,
  PathMigrateRequest,
  PathService,
  PathStatusAnswer,
} from '../node/path-service.ts';
import type { MigrateRequest } from '../node/requests.ts';

/** What a controller's daemon does with sets, all of them at their own daemons. */
export type ServedSets = Pick<Site, 'open' | 'migrate' | 'checkMigration'>;

/** Migrations as a controller starts them: from where it is, with itself taking part. */
export class PathMigrations {
  private readonly sets: ServedSets;
  private readonly controllerId: ControllerId;

  constructor(sets: ServedSets, controllerId: ControllerId) {
    this.sets = sets;
    this.controllerId = controllerId;
  }

  async migrate(from: string, request: PathMigrateRequest): Promise<MigrateAnswer> {
    await this.checkServed(request);
    const { to, create, overwrite } = request;
    return this.sets.migrate(to, this.requestOf(from, request), { create, overwrite });
  }

  async check(from: string, request: PathMigrateRequest): Promise<PrecheckAnswer> {
    await this.checkServed(request);
    const { to, create, overwrite } = request;
    return this.sets.checkMigration(to, this.requestOf(from, request), { create, overwrite });
  }

  private requestOf(from: string, request: PathMigrateRequest): MigrateRequest {
    const { export: _export, to: _to, create: _create, overwrite: _over, ...how } = request;
    const controllers = [...new Set([...(how.controllers ?? []), this.controllerId])];
    return { ...how, from, controllers };
  }

  /** Before anything is made or overwritten: hosts cannot go where no daemon is. */
  private async checkServed({ to, create }: PathMigrateRequest): Promise<void> {
    if (isAddress(to)) return;
    try {
      await this.sets.open(to);
    } catch (error) {
      if (!create || !isRcopyError(error, 'E_NOT_FOUND')) throw error;
      throw new RcopyError('E_STATE', `no daemon would serve hosts in ${to}: no set is there yet`, {
        hint: 'make it with `rcopy create`, and start its daemon: `rcopy daemon`',
        cause: error,
      });
    }
  }
}

export class ServedPath implements PathControl {
  private readonly path: PathService;
  private readonly sets: ServedSets;
  private readonly migrations: PathMigrations;

  constructor(path: PathService, sets: ServedSets, migrations: PathMigrations) {
    this.path = path;
    this.sets = sets;
    this.migrations = migrations;
  }

  identity(): Promise<PathIdentity> {
    return this.path.identity();
  }

  /** A folder that is out of reach because nobody serves it needs a person, and says so. */
  async add(request: PathAddRequest): Promise<PathChangeAnswer> {
    try {
      return await this.path.add(request);
    } catch (error) {
      if (isRcopyError(error, 'E_UNREACHABLE') && !isAddress(request.set)) {
        await this.sets.open(request.set);
      }
      throw error;
    }
  }

  remove(request: { readonly export: string }): Promise<PathChangeAnswer> {
    return this.path.remove(request);
  }

  list(): Promise<PathListAnswer> {
    return this.path.list();
  }

  status(): Promise<PathStatusAnswer> {
    return this.path.status();
  }

  async checkMigration(request: PathMigrateRequest): Promise<PrecheckAnswer> {
    const { exports } = await this.path.list();
    const entry = exports.find((each) => each.export === request.export);
    if (!entry) {
      throw new RcopyError('E_NOT_FOUND', `there is no export ${request.export}`, {
        hint: '`rcopy path list` shows those that there are',
      });
    }
    return this.migrations.check(entry.set.address, request);
  }

  migrate(request: PathMigrateRequest): Promise<MigrateAnswer> {
    return this.path.migrate(request);
  }
}
