/** Making sets from a site: what is checked before, and what may be made fresh. */
import { basename } from 'node:path';
import { RcopyError, isRcopyError } from '../base/errors.ts';
import {
  JOURNAL_BYTES_MAX,
  JOURNAL_BYTES_MIN,
  MIB,
  NAME_PATTERN,
  TIB,
  VOLUMES_MAX,
  VOLUME_BYTES_MAX,
} from '../base/limits.ts';
import type { JournalSizes } from '../base/limits.ts';
import type { Ack, SetFile } from '../format/set-file.ts';
import { readSetFile } from '../imageset/set-file-store.ts';
import type { CreateAnswer, WhenFull } from '../node/answers.ts';
import type { Environment } from '../sys/environment.ts';

/** What may be done to get a target that was never written. */
export interface FreshTarget {
  /** Make it when there is none. */
  readonly create: boolean;
  /** Give up what it holds. */
  readonly overwrite: boolean;
}

/** A secondary that may have to be made, and how the pair with it acknowledges. */
export interface FreshPair extends FreshTarget {
  readonly ack?: Ack | undefined;
}

export interface CreateRequest {
  readonly folder: string;
  readonly volumes: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly journalBytes: number;
  /** What a full journal does: slows hosts, unless told. */
  readonly whenFull?: WhenFull | undefined;
  readonly ifMissing: boolean;
}

/** The pair, or the migration, that is asked for exists already: nothing to prepare. */
export function isPartnerOf({ role, pair, migration }: SetFile, model: SetFile): boolean {
  // A set that was taken over from, or left by the other end, still names a pair that is over.
  if (role === 'secondary' && pair && pair.id === model.pair?.id) return true;
  return migration?.source.setId === model.setId && migration.state !== 'aborted';
}

export function existingSet(environment: Environment, folder: string): SetFile | undefined {
  try {
    return readSetFile(environment.files, folder);
  } catch (error) {
    if (isRcopyError(error, 'E_NOT_FOUND')) return undefined;
    throw error;
  }
}

export function checkCreate({ volumes, journalBytes, folder }: CreateRequest): void {
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
      refuse(`volume ${name}: a size is a multiple of 512, at most ${VOLUME_BYTES_MAX / TIB} TiB`);
    }
  }
  if (journalBytes < JOURNAL_BYTES_MIN || journalBytes > JOURNAL_BYTES_MAX) {
    refuse(`a journal has ${JOURNAL_BYTES_MIN / MIB} MiB to ${JOURNAL_BYTES_MAX / TIB} TiB`);
  }
}

export function checkSame(existing: SetFile, request: CreateRequest): void {
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

export function journalOf({ journal }: SetFile): JournalSizes {
  const { segmentBytes, segmentsMax, recordPayloadBytesMax, requestBytesMax } = journal;
  return { segmentBytes, segmentsMax, recordPayloadBytesMax, requestBytesMax };
}

export function createAnswer(file: SetFile, folder: string, changed: boolean): CreateAnswer {
  return {
    changed,
    set: { id: file.setId, name: file.name, path: folder },
    volumes: file.volumes.map(({ name, sizeBytes }) => ({ name, size: sizeBytes })),
    journal: {
      capacityBytes: file.journal.segmentBytes * file.journal.segmentsMax,
      whenFull: file.journal.whenFull,
    },
  };
}
