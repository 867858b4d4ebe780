/**
 * What is asked of two sets at once, where the second one may have to be made first: it is made, or
 * given a fresh life, only when everything else has been found in order.
 */
import { basename } from 'node:path';
import { RcopyError } from '../base/errors.ts';
import type { SetId } from '../base/ids.ts';
import type { SetFile } from '../format/set-file.ts';
import { makeSetFolder } from '../imageset/set-folder.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type { MigrateAnswer, PairAnswer, PrecheckAnswer } from '../node/answers.ts';
import { refuseUnready } from '../node/migration-control.ts';
import type { MigrateRequest } from '../node/requests.ts';
import { StorageNode } from '../node/storage-node.ts';
import { isAddress } from './addresses.ts';
import { isPartnerOf, journalOf } from './set-making.ts';
import type { FreshPair, FreshTarget } from './set-making.ts';
import type { Site } from './site.ts';

/** Stands for the id of a set that is not made yet. */
const NO_ID = '0'.repeat(32);

/** Makes a pair; its secondary is made, or given a fresh life, only when the pair can be. */
export async function createPair(
  site: Site,
  primary: string,
  secondary: string,
  how: FreshPair,
): Promise<PairAnswer> {
  const node = await site.open(primary);
  const fresh = await freshTarget(site, secondary, primary, how);
  if (fresh) {
    await node.checkPairWith(fresh.facts);
    await fresh.make();
  }
  // A daemon opens the folder itself, if nobody serves it: it must not be held here.
  if (node instanceof StorageNode) await site.open(secondary);
  return node.createPair({ secondary: addressOf(site, secondary), ack: how.ack });
}

/** Whether `to` could take over from `request.from`, made fresh before if that is asked for. */
export async function checkMigration(
  site: Site,
  to: string,
  request: MigrateRequest,
  how: FreshTarget,
): Promise<PrecheckAnswer> {
  const fresh = await freshTarget(site, to, request.from, how);
  if (fresh) return (await site.open(request.from)).checkMoveTo(fresh.facts, request);
  return (await site.open(to)).checkMigration(request);
}

/** Migrates; the target is made, or given a fresh life, only when the migration can start. */
export async function migrate(
  site: Site,
  to: string,
  request: MigrateRequest,
  how: FreshTarget,
): Promise<MigrateAnswer> {
  const fresh = await freshTarget(site, to, request.from, how);
  if (fresh) {
    const source = await site.open(request.from);
    refuseUnready((await source.checkMoveTo(fresh.facts, request)).checks);
    await fresh.make();
  }
  return (await site.open(to)).migrate(request);
}

/** A set that is to be as if never written. */
interface Fresh {
  /** What it will say of itself. */
  readonly facts: PartyFacts;
  /** Makes it so: a new set, or a fresh life and identity for a used one. */
  make(): Promise<void>;
}

/** What is to become the secondary or the migration target of `like`, if it has to be made. */
async function freshTarget(
  site: Site,
  target: string,
  like: string,
  how: FreshTarget,
): Promise<Fresh | undefined> {
  const address = addressOf(site, target);
  const model = await existing(site, like);
  const there = await site.describe(target);
  if (!there) {
    if (!how.create) return undefined;
    return { facts: factsOf(undefined, model, address), make: () => make(site, address, model) };
  }
  if (!how.overwrite || isPartnerOf(there, model)) return undefined;
  return {
    facts: factsOf(there, model, address),
    make: () => {
      if (there.setId !== model.setId) return site.remake(address);
      throw new RcopyError('E_STATE', `${target} and ${like} are the same set`);
    },
  };
}

/** Makes a set with the volumes and the journal of another one. */
export async function makeLike(site: Site, folder: string, like: string): Promise<void> {
  await make(site, site.environment.files.resolve(folder), await existing(site, like));
}

async function existing(site: Site, set: string): Promise<SetFile> {
  const file = await site.describe(set);
  if (!file) throw new RcopyError('E_NOT_FOUND', `there is no image set in ${set}`);
  return file;
}

async function make(site: Site, folder: string, model: SetFile): Promise<void> {
  await makeSetFolder(site.environment, folder, {
    name: basename(folder),
    volumes: model.volumes,
    journal: journalOf(model),
    whenFull: model.journal.whenFull,
  });
}

function factsOf(there: SetFile | undefined, model: SetFile, address: string): PartyFacts {
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

/** A set as another one should keep it: whoever follows it may stand in another folder. */
function addressOf(site: Site, set: string): string {
  return isAddress(set) ? set : site.environment.files.resolve(set);
}
