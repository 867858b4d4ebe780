/** The calls of a migration's target to its source, by name. */
import { RcopyError } from '../base/errors.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Answered } from '../link/service.ts';
import { checkSource } from './block-reads.ts';
import {
  mapsCall,
  migrationCall,
  parameters,
  recordsCall,
  returnCall,
  trackCall,
  unknownCall,
} from './calls.ts';
import type { MapsCall, MigrationCall } from './calls.ts';
import type { Controllers } from './controllers.ts';
import { mapPages } from './map-transfer.ts';
import {
  announce,
  buryMigration,
  retire,
  sealAndHandOver,
  takeBack,
  trackChanges,
  wasAborted,
} from './migration-source.ts';
import { OwedAccount } from './owed-maps.ts';
import { RecordSource } from './relay.ts';
import type { Replication } from './replication.ts';

export class MigrationAnswers {
  private readonly set: ImageSet;
  private readonly replication: Replication;
  private readonly controllers: Controllers;
  private readonly records: RecordSource;
  /** Of the migration that it was last asked for. */
  private owed: { readonly id: string; readonly account: OwedAccount } | undefined;

  constructor(set: ImageSet, replication: Replication, controllers: Controllers) {
    this.set = set;
    this.replication = replication;
    this.controllers = controllers;
    this.records = new RecordSource(set);
  }

  async answer(name: string, value: unknown): Promise<Answered> {
    switch (name) {
      case 'migration.maps':
        return this.maps(parameters(mapsCall, value));
      case 'migration.records': {
        const call = parameters(recordsCall, value);
        checkSource(this.set, call.migration.id);
        return this.records.from(call.sequence);
      }
      case 'migration.track':
        return { value: await trackChanges(this.set, parameters(trackCall, value)) };
      case 'migration.take-back': {
        const call = parameters(returnCall, value);
        const { replication } = this;
        await replication.quietly(async () => {
          await replication.stop();
          await takeBack(this.set, call);
        });
        return { value: null };
      }
      default:
        return { value: await this.step(name, parameters(migrationCall, value)) };
    }
  }

  close(): void {
    this.records.close();
  }

  private step(name: string, call: MigrationCall): Promise<unknown> {
    const { set } = this;
    switch (name) {
      case 'migration.announce':
        return announce(set, call);
      case 'migration.prepare-controllers':
        return this.controllers.prepare(call.id);
      case 'migration.hold':
        if (set.file.migration?.id !== call.id && !set.file.seal) throw wasAborted(set, call);
        return this.controllers.hold(call.id);
      case 'migration.unhold':
        return Promise.resolve(this.controllers.unhold(call.id));
      case 'migration.seal':
        return this.seal(call);
      case 'migration.retire':
        return retire(set, call);
      case 'migration.bury':
        return buryMigration(set, call);
      case 'migration.drain':
        checkSource(set, call.id);
        return this.replication.finish();
      default:
        return Promise.reject(unknownCall(name));
    }
  }

  /** What controllers have lost is written again before, when this set was just opened. */
  private async seal(call: MigrationCall): Promise<unknown> {
    await this.controllers.opened();
    return sealAndHandOver(this.set, call, () => this.account(call).bringUpToDate());
  }

  private async maps(call: MapsCall): Promise<Answered> {
    const { set } = this;
    const { id } = call.migration;
    if (set.file.migration?.id !== id && set.file.seal?.migrationId !== id) {
      throw wasAborted(set, call.migration);
    }
    const isFirst = call.from.volume === 0 && call.from.page === 0;
    if (call.which === 'changed') {
      if (!set.contents.changed.inUse) throw notesNothing(set, call.migration);
      if (isFirst) await set.drain(); // what is in the overlay counts as well
      return withNumber(mapPages(set.contents.changed.all, call.from), set.newest);
    }
    const account = this.account(call.migration);
    // Brought up to date when the first page is asked for; behind the seal nothing comes to it.
    const owed = isFirst && !set.file.seal ? await account.bringUpToDate() : await account.latest();
    const isFresh = owed.fresh !== null && owed.fresh.since === call.since;
    const maps = isFresh && owed.fresh ? owed.fresh.maps : owed.maps;
    return withNumber(mapPages(maps, call.from), owed.asOf);
  }

  private account({ id }: MigrationCall): OwedAccount {
    if (this.owed?.id !== id) this.owed = { id, account: new OwedAccount(this.set) };
    return this.owed.account;
  }
}

function notesNothing({ file }: ImageSet, { target }: MigrationCall): RcopyError {
  return new RcopyError('E_STATE', `${file.name} has not noted what changed`, {
    hint: `\`rcopy migrate abort ${target.address}\`, then start anew`,
  });
}

function withNumber({ value, ...rest }: Answered, asOf: number): Answered {
  return { value: { ...(value as object), asOf }, ...rest };
}
