/** set.json: who an image set is. Text for the eye, checksummed ({@link encodeCheckedJson}). */
import * as z from 'zod/mini';
import type { ControllerId, EpochId, GroupId, MigrationId, PairId, SetId } from '../base/ids.ts';
import { decodeCheckedJson, encodeCheckedJson } from './checked-json.ts';

export const SET_FILE_FORMAT = 'rcopy image set';
export const SET_FILE_VERSION = 1;

const wholeNumber = z.number().check(z.int(), z.minimum(0));
const hex = /^[0-9a-f]{32}$/;
const id = <T extends string>() =>
  z.custom<T>((value) => typeof value === 'string' && hex.test(value), 'not an identifier');
const setId = id<SetId>();
const migrationId = id<MigrationId>();

/** Another image set: who it is, and where it was when last heard of, as the user typed it. */
const peer = z.strictObject({ setId, name: z.string(), address: z.string() });

const provenPosition = z.strictObject({
  epoch: wholeNumber,
  sequence: wholeNumber,
  chain: wholeNumber,
});

/** The chain values of an epoch's records around the place where the secondary was last heard. */
const lineageRun = z.strictObject({
  epoch: wholeNumber,
  id: z.custom<EpochId>((value) => typeof value === 'string' && hex.test(value)),
  /** The number of the first record that `chains` speaks of. */
  first: wholeNumber,
  /** The chain value of each record from `first` on, eight hexadecimal digits each. */
  chains: z.string(),
  /** Everything up to the seal of the epoch is known to be the group's history. */
  sealed: z.boolean(),
});

const pair = z.strictObject({
  id: id<PairId>(),
  /** The secondary on a primary, the primary on a secondary. */
  peer,
  ack: z.enum(['local', 'remote']),
  state: z.enum(['copying', 'paired', 'split', 'suspended', 'takeover']),
  /** Why it is suspended; empty otherwise. */
  reason: z.string(),
  /** On a primary that copies: the place from which records go on. */
  copyBase: z.nullable(provenPosition),
  /** Bases of earlier copies, in one of which the secondary may still be. */
  formerBases: z.array(provenPosition),
  /** Where the secondary may stand, for when the journal does not say so any more (R5). */
  lineage: z.array(lineageRun),
  /** When the oldest of what the secondary lacks was written, by the primary's clock. */
  behindSinceMs: z.nullable(wholeNumber),
});

/**
 * A path controller that is attached: whoever opens the set waits for it, for it may have to write
 * again what was lost. The address is where it can be commanded; null when nowhere.
 */
const controller = z.strictObject({
  id: id<ControllerId>(),
  name: z.string(),
  address: z.nullable(z.string()),
});

/** Left out where there are none, as before there were controllers. */
const attachedControllers = z.optional(z.array(controller));

const volume = z.strictObject({ name: z.string(), sizeBytes: wholeNumber });

const seal = z.strictObject({
  epoch: wholeNumber,
  /** N: the sequence number with which the successor begins. */
  nextSequence: wholeNumber,
  successor: peer,
  migrationId,
  /** The whole seal record, in hexadecimal: asked again, the set gives the same one. */
  record: z.string(),
});

/** What A handed to B with the seal: the management information of claims 1, 3 and 7. */
const handover = z.strictObject({
  epoch: wholeNumber,
  nextSequence: wholeNumber,
  /** The lowest number that C had not yet made durable. */
  journalCursor: wholeNumber,
  /** The epoch of the number before it, which C had. */
  cursorEpoch: wholeNumber,
  /** What C had restored, by its last word. */
  restoredSequence: wholeNumber,
  /** The latest marks, so that they are known at the new place too. */
  marks: z.array(z.strictObject({ name: z.string(), epoch: wholeNumber, sequence: wholeNumber })),
  sealRecord: z.string(),
  /** The record with which a journal of what C lacks begins: an open record, or a rebase. */
  relayHead: z.string(),
  /** Where C may stand. */
  lineage: z.array(lineageRun),
  /** Bases of copies in which C may be. */
  bases: z.array(provenPosition),
  /** C never had a whole copy: every block is owed. */
  owesAll: z.boolean(),
  behindSinceMs: z.nullable(wholeNumber),
  /** Those whose hosts move along. */
  controllers: attachedControllers,
});

const migration = z.strictObject({
  id: migrationId,
  side: z.enum(['source', 'target']),
  mode: z.enum(['drain', 'handoff', 'bitmap']),
  copy: z.enum(['post', 'pre']),
  state: z.enum(['prepared', 'precopying', 'switching', 'copying', 'done', 'aborted']),
  source: peer,
  target: peer,
  secondary: peer,
  /** The pair that moves with the volumes. */
  pair: z.nullable(z.strictObject({ id: id<PairId>(), ack: z.enum(['local', 'remote']) })),
  handover: z.nullable(handover),
  /** An operator said that the source will never come back: it is not asked any more. */
  sourceLost: z.boolean(),
  /** Why it was aborted; empty otherwise. */
  reason: z.string(),
});

const setFile = z.strictObject({
  format: z.literal(SET_FILE_FORMAT),
  version: z.literal(SET_FILE_VERSION),
  setId,
  /** Who the set was when it was created; a fresh identity comes with a fresh journal. */
  groupId: id<GroupId>(),
  name: z.string(),
  /** Inode number of the journal folder: tells the set from a copy of its files. */
  home: z.string(),
  role: z.enum(['primary', 'secondary', 'target', 'retired']),
  /** The epoch that this set writes or follows; 0 when it was never written. */
  epoch: wholeNumber,
  volumes: z.array(volume),
  journal: z.strictObject({
    segmentBytes: wholeNumber,
    segmentsMax: wholeNumber,
    recordPayloadBytesMax: wholeNumber,
    requestBytesMax: wholeNumber,
    /** What happens when the journal is full of what the secondary lacks. */
    whenFull: z.enum(['slow', 'map']),
  }),
  pair: z.nullable(pair),
  seal: z.nullable(seal),
  migration: z.nullable(migration),
  /** The seal that made this set the writer of its epoch, in hexadecimal. */
  parentSeal: z.nullable(z.string()),
  /** Where this set began its epoch without a seal: a takeover, or the end of a pair. */
  takenOverAt: z.nullable(provenPosition),
  /** Migrations that were aborted: a late request under such an id is refused. */
  abortedMigrations: z.array(migrationId),
  controllers: attachedControllers,
  /** Maps that must exist, by file name in maps/. */
  maps: z.array(z.string()),
});

export type SetFile = z.infer<typeof setFile>;
export type PeerIdentity = z.infer<typeof peer>;
export type PairEntry = z.infer<typeof pair>;
/** When FLUSH and FUA are answered: durable at the primary, or at the secondary as well. */
export type Ack = PairEntry['ack'];
export type SealEntry = z.infer<typeof seal>;
export type HandoverEntry = z.infer<typeof handover>;
export type MigrationEntry = z.infer<typeof migration>;
export type ControllerEntry = z.infer<typeof controller>;
export type LineageRun = z.infer<typeof lineageRun>;
export type VolumeEntry = z.infer<typeof volume>;

/** The file's exact text. Refuses what could not be read again. */
export function encodeSetFile(content: SetFile): Buffer {
  return encodeCheckedJson(setFile.parse(content));
}

/** Reads and checks set.json. Throws `E_DAMAGED` or `E_VERSION`, naming `path`. */
export function decodeSetFile(path: string, bytes: Uint8Array): SetFile {
  return decodeCheckedJson(path, bytes, {
    format: SET_FILE_FORMAT,
    version: SET_FILE_VERSION,
    schema: setFile,
    name: 'set.json',
  });
}

/** The field of a file that has these controllers. */
export function withControllers(
  controllers: readonly ControllerEntry[] | undefined,
): Pick<SetFile, 'controllers'> {
  return controllers && controllers.length > 0 ? { controllers: [...controllers] } : {};
}

/** Nobody is known: whom a set knew in an earlier reign says nothing about the one that begins. */
export function withoutControllers({ controllers: _gone, ...file }: SetFile): SetFile {
  return file;
}
