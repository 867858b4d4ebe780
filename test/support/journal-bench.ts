/** Small words for tests of the journal: a set's journal on a simulated disk, records, contents. */
import { idFromBytes } from '../../src/base/ids.ts';
import type { EpochId, SetId } from '../../src/base/ids.ts';
import { KIB } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import { encodeOpen, encodeRebase, encodeSeal } from '../../src/format/control-records.ts';
import type { Parent } from '../../src/format/control-records.ts';
import { decodeRecord, encodeRecord } from '../../src/format/record.ts';
import type { RecordKind, WholeRecord } from '../../src/format/record.ts';
import { Journal } from '../../src/journal/journal.ts';
import type { Run } from '../../src/journal/run.ts';
import type { JournalOptions, KnownRun } from '../../src/journal/types.ts';
import { SimulatedClock } from '../sim/clock.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';

export const FOLDER = '/set/journal';
export const OWN = idFromBytes<'set'>(Buffer.alloc(16, 0xaa));
export const OTHER = idFromBytes<'set'>(Buffer.alloc(16, 0xbb));

export const SMALL: JournalSizes = {
  segmentBytes: 16 * KIB,
  segmentsMax: 12,
  recordPayloadBytesMax: 4 * KIB,
  requestBytesMax: 32 * KIB,
};

export function epochId(fill: number): EpochId {
  return idFromBytes<'epoch'>(Buffer.alloc(16, fill));
}

/** Opens the journal of set {@link OWN}; nothing is known about it unless `options` says so. */
export async function openJournal(
  disk: SimulatedDisk,
  options: Partial<JournalOptions> & { clock?: SimulatedClock } = {},
): Promise<Journal> {
  disk.makeFolder(FOLDER, 'TEST:JOURNAL');
  await disk.syncFolder('/set', 'TEST:JOURNAL');
  await disk.syncFolder('/', 'TEST:JOURNAL');
  return reopenJournal(disk, options);
}

/** As {@link openJournal}, for a journal whose folder is there: does nothing else to the disk. */
export function reopenJournal(
  disk: SimulatedDisk,
  options: Partial<JournalOptions> & { clock?: SimulatedClock } = {},
): Promise<Journal> {
  const { clock = new SimulatedClock(), ...rest } = options;
  return Journal.open({
    folder: FOLDER,
    environment: { files: disk, clock, random: seededRandom(1) },
    sizes: SMALL,
    ownSet: OWN,
    known: [],
    applied: { epoch: 0, sequence: 0, chain: 0 },
    clean: false,
    readOnly: false,
    ...rest,
  });
}

interface HeadOptions {
  readonly epoch?: number;
  readonly id?: EpochId;
  readonly writer?: SetId;
  readonly next?: number;
  readonly chain?: number;
  readonly parent?: Parent;
}

/** The record with which an epoch begins. */
export function openRecord(options: HeadOptions = {}): WholeRecord {
  const { epoch = 1, id = epochId(epoch), writer = OWN, next = 1, chain = 0 } = options;
  const { parent = { kind: 'none' } } = options;
  return control(
    'open',
    { epoch, sequence: next, chain },
    encodeOpen({ epochId: id, writer, parent }),
  );
}

/** The record with which a run begins that goes on from `base` of the same epoch. */
export function rebaseRecord(
  base: { epoch: number; sequence: number; chain: number },
  writer: SetId = OTHER,
): WholeRecord {
  const { epoch, sequence } = base;
  return control(
    'rebase',
    { epoch, sequence: sequence + 1, chain: 0 },
    encodeRebase({ epochId: epochId(epoch), writer, epochFirst: 1, base }),
  );
}

/** The record that ends `run` here. */
export function sealRecord(run: Run): WholeRecord {
  const some = <T extends string>(fill: number) => idFromBytes<T>(Buffer.alloc(16, fill));
  return control(
    'seal',
    { epoch: run.epoch, sequence: run.next, chain: run.chain, durableSequence: run.durable },
    encodeSeal({
      epochId: run.identity.id,
      group: some<'group'>(1),
      set: run.identity.writer,
      successor: OTHER,
      migration: some<'migration'>(2),
      successorAddress: 'osaka:7000',
    }),
  );
}

interface Place {
  readonly epoch: number;
  readonly sequence: number;
  readonly chain: number;
  readonly durableSequence?: number;
  readonly epochTag?: number;
}

function control(kind: RecordKind, place: Place, payload: Uint8Array): WholeRecord {
  return wholeRecord(kind, place, payload);
}

/** One record as another set would send it. */
export function wholeRecord(
  kind: RecordKind,
  place: Place,
  payload: Uint8Array,
  endOfRequest = true,
): WholeRecord {
  const { bytes } = encodeRecord(
    {
      kind,
      endOfRequest,
      mayFree: false,
      volume: 0,
      offset: 0,
      length: kind === 'write' ? payload.length : 0,
      timeMs: 1_700_000_000_000,
      durableSequence: 0,
      ...place,
    },
    payload,
  );
  const check = decodeRecord(bytes, 0);
  if (check.found !== 'record') throw new Error(`the test made no record: ${check.found}`);
  return check.record;
}

/** Appends one host request of a record for each payload, written but not synced. */
export function write(journal: Journal, run: Run, ...payloads: (string | Uint8Array)[]): number {
  let sequence = 0;
  let bytes = 0;
  for (const [index, content] of payloads.entries()) {
    const payload = Buffer.from(content);
    sequence = journal.append(run, {
      kind: 'write',
      volume: 0,
      offset: index * SMALL.recordPayloadBytesMax,
      length: payload.length,
      payload: [payload],
      payloadLength: payload.length,
      endOfRequest: index === payloads.length - 1,
      mayFree: false,
    });
    bytes += payload.length;
  }
  journal.write(run, bytes);
  return sequence;
}

/** A payload of `bytes` bytes that begins with `text`, as far as that fits. */
export function filled(text: string, bytes: number): Buffer {
  return Buffer.from(text.padEnd(bytes, '.').slice(0, bytes), 'latin1');
}

/** Everything that is kept of a run from `from` on, checked by its reader. */
export function recordsOf(run: Run, from = run.firstKept): WholeRecord[] {
  const reader = run.readFrom(from);
  try {
    const records: WholeRecord[] = [];
    for (let next = reader.next(run.durable); next; next = reader.next(run.durable)) {
      records.push(next);
    }
    return records;
  } finally {
    reader.close();
  }
}

/** A run as text: `open 1=one 2=two seal`, payloads up to the first dot. */
export function textOf(run: Run, from = run.firstKept): string {
  return recordsOf(run, from)
    .map(({ header, payload }) => {
      if (header.kind !== 'write') return header.kind;
      return `${header.sequence}=${payload.toString('latin1').split('.')[0]}`;
    })
    .join(' ');
}

/** What the cursors would say of a run. */
export function knownOf(run: Run, durable = run.durable): KnownRun {
  return { ...run.identity, durable };
}

/** The names of the journal's files, without endings. */
export function fileNames(disk: SimulatedDisk): string {
  return disk
    .list(FOLDER, 'TEST:JOURNAL')
    .map((name) => name.replace('.rcj', ''))
    .join(' ');
}

export function segmentPath(epoch: number, first: number): string {
  return `${FOLDER}/${String(epoch).padStart(8, '0')}-${String(first).padStart(16, '0')}.rcj`;
}
