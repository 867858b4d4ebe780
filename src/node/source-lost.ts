/**
 * The source of a migration will never come back: whether the migration can go on without it, and
 * how. What the secondary has, or what is here already, has to be enough.
 */
import { RcopyError } from '../base/errors.ts';
import { MAP_BLOCK_BYTES } from '../base/limits.ts';
import { comparePositions } from '../base/position.ts';
import { counted } from '../base/words.ts';
import { relayRun } from '../imageset/acceptance.ts';
import type { SetFile } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Migration } from '../migration/machine.ts';
import type { Replication } from './replication.ts';

/**
 * Gives the source up for good, durably, and resolves with the migration as it goes on. Where the
 * secondary lacks records that only the source had, it gets the blocks of the owed map instead
 * (`bitmap`), if all of them are here. Throws `E_STATE` when they are not.
 */
export async function giveUpSource(
  set: ImageSet,
  replication: Replication,
  migration: Migration,
): Promise<Migration> {
  const { handover } = migration;
  if (migration.state !== 'copying' || !handover) throw notYet(migration);
  const relay = relayRun(set);
  const isWhole = relay?.seal !== undefined || (await hasAll(set, replication, handover));
  const byBlocks = migration.mode === 'bitmap' || !isWhole;
  const missing = byBlocks && set.file.pair?.state !== 'paired' ? owedAndAbsent(set) : 0;
  const missingAnyway = !isWhole && set.file.pair?.state === 'paired' ? owedAndAbsent(set) : 0;
  if (missing + missingAnyway > 0) throw onlyThere(migration, missing + missingAnyway);
  const toBitmap = migration.mode !== 'bitmap' && !isWhole;
  const next: Migration = {
    ...migration,
    sourceLost: true,
    mode: toBitmap ? 'bitmap' : migration.mode,
  };
  const change = (file: SetFile): SetFile => ({
    ...file,
    migration: next,
    pair: file.pair && { ...file.pair, state: toBitmap ? 'copying' : file.pair.state },
  });
  // A link that is kept begins anew: it may wait for what is given up, or be in its records.
  await replication.quietly(async () => {
    if (toBitmap) await replication.stop();
    await set.identity.update(change);
    if (relay && toBitmap) set.journal.discard(relay);
  });
  set.changed();
  return next;
}

/** Whether the secondary has everything that the source owed it, by its own word now. */
async function hasAll(
  set: ImageSet,
  replication: Replication,
  { epoch, nextSequence }: { epoch: number; nextSequence: number },
): Promise<boolean> {
  const letGo = replication.want();
  try {
    await set.until(() => {
      // One that is ahead of what came from the source waits for records that never come.
      if (replication.hasHeard || replication.lacksCarried) return true;
      if (replication.failure) throw replication.failure;
      return false;
    });
  } finally {
    await letGo();
  }
  const durable = set.secondary?.durable;
  return durable !== undefined && comparePositions(durable, { epoch, sequence: nextSequence }) >= 0;
}

/** How many blocks the secondary may lack that are not here either. */
function owedAndAbsent({ contents, file }: ImageSet): number {
  let count = 0;
  for (const [volume, { sizeBytes }] of file.volumes.entries()) {
    const dirty = contents.dirty.of(volume);
    for (let at = 0; at < sizeBytes;) {
      const absent = contents.absentIn(volume, at, sizeBytes);
      if (!absent) break;
      for (let block = absent.start; block < absent.end; block += MAP_BLOCK_BYTES) {
        if (!dirty || dirty.has(block / MAP_BLOCK_BYTES)) count += 1;
      }
      at = absent.end;
    }
  }
  return count;
}

function notYet({ source, target, secondary, state }: Migration): RcopyError {
  return new RcopyError(
    'E_STATE',
    `${target.name} cannot go on without ${source.name}: the migration is ${state}`,
    {
      hint:
        `\`rcopy takeover ${secondary.address} --force\` makes ${secondary.name} the primary, ` +
        `as far as it has come`,
    },
  );
}

function onlyThere(migration: Migration, blocks: number): RcopyError {
  const { source, target, secondary, handover } = migration;
  const n = handover?.nextSequence ?? 0;
  return new RcopyError(
    'E_STATE',
    `${target.name} cannot go on without ${source.name}: ${counted(blocks, 'block')} that ` +
      `${secondary.name} lacks were only there`,
    {
      hint:
        `\`rcopy takeover ${secondary.address} --force\` keeps what ${secondary.name} has ` +
        `restored; the rest up to number ${n - 1}, and what ${target.name} took from number ${n} ` +
        'on, is lost by that',
    },
  );
}
