/**
 * Hand-made histories: the records that primaries would have written, epoch after epoch, and what
 * the volumes hold after each of them.
 */
import type { EpochId, GroupId, PairId, SetId } from '../../src/base/ids.ts';
import type { ProvenPosition } from '../../src/base/position.ts';
import { encodeOpen, encodeRebase, encodeSeal } from '../../src/format/control-records.ts';
import type { Parent } from '../../src/format/control-records.ts';
import { decodeRecord, encodeRecord, isNumbered } from '../../src/format/record.ts';
import type { RecordKind, WholeRecord } from '../../src/format/record.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { SECONDARY } from './succession.ts';
import { TINY_JOURNAL, TWO_VOLUMES, VolumesModel, makeSet, openSet } from './image-sets.ts';
import type { Change, World } from './image-sets.ts';

export const PRIMARY_ID = 'aa'.repeat(16) as SetId;
export const PRIMARY = { setId: PRIMARY_ID, name: 'kobe', address: '/kobe' };
export const SUCCESSOR_ID = 'bb'.repeat(16) as SetId;
const EPOCH_IDS = ['00', '11', '22', '33'].map((digits) => digits.repeat(16) as EpochId);

interface Fields {
  readonly kind: RecordKind;
  readonly volume?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly endOfRequest?: boolean;
  readonly mayFree?: boolean;
  readonly payload?: Uint8Array;
}

/** One history over {@link TWO_VOLUMES}; a secondary gets it piece by piece. */
export class History {
  readonly model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  /** All records in order, unnumbered ones too. */
  readonly records: WholeRecord[] = [];
  epoch = 0;
  next = 1;
  chain = 0;

  private readonly group: GroupId;

  constructor(group: GroupId) {
    this.group = group;
    this.open({ kind: 'none' }, PRIMARY_ID);
  }

  /** Chain value behind number `sequence` (or behind the head of the epoch that goes on there). */
  positionBehind(sequence: number, epoch = this.epoch): ProvenPosition {
    const record = this.records.findLast(
      ({ header }) =>
        header.epoch === epoch &&
        header.kind !== 'seal' &&
        (isNumbered(header.kind) ? header.sequence : header.sequence - 1) <= sequence,
    );
    if (!record) throw new Error(`nothing stands at ${sequence}`);
    return { epoch, sequence, chain: record.header.ownChain };
  }

  /** The records of one epoch; from number `from` on, without its head. */
  of(epoch: number, from?: number): WholeRecord[] {
    const all = this.records.filter(({ header }) => header.epoch === epoch);
    if (from === undefined) return all;
    return all.filter(({ header }) => header.sequence >= from && header.kind !== 'open');
  }

  add(...changes: readonly Change[]): void {
    for (const change of changes) {
      this.model.apply(change);
      if (change.kind === 'mark') {
        this.append({ kind: 'mark', payload: Buffer.from(change.name) });
      } else if (change.kind === 'zeroes') {
        const { volume, offset, length, mayFree } = change;
        this.append({ kind: 'zeroes', volume, offset, length, mayFree });
      } else {
        this.addWrite(change.volume, change.offset, change.data);
      }
    }
  }

  /** Ends the epoch and begins the next one, in the name of the successor. */
  succeed(): void {
    const payload = encodeSeal({
      epochId: EPOCH_IDS[this.epoch] as EpochId,
      group: this.group,
      set: this.epoch === 1 ? PRIMARY_ID : SUCCESSOR_ID,
      successor: SUCCESSOR_ID,
      migration: '5a'.repeat(16) as never,
      successorAddress: '/nara',
    });
    const seal = this.append({ kind: 'seal', payload });
    this.open({ kind: 'seal', seal: seal.bytes }, SUCCESSOR_ID);
  }

  /** The record with which a copy begins that goes on behind `base`. */
  rebase(base: ProvenPosition): WholeRecord {
    const epochFirst = this.of(base.epoch)[0]?.header.sequence ?? 1;
    const payload = encodeRebase({
      epochId: EPOCH_IDS[base.epoch] as EpochId,
      writer: base.epoch === 1 ? PRIMARY_ID : SUCCESSOR_ID,
      epochFirst,
      base,
    });
    return wholeRecord({ kind: 'rebase', payload }, base.epoch, base.sequence + 1, base.chain);
  }

  private open(parent: Parent, writer: SetId): void {
    this.epoch += 1;
    const epochId = EPOCH_IDS[this.epoch] as EpochId;
    this.append({ kind: 'open', payload: encodeOpen({ epochId, writer, parent }) });
  }

  private addWrite(volume: number, offset: number, data: Buffer): void {
    const max = TINY_JOURNAL.recordPayloadBytesMax;
    for (let at = 0; at < data.length; at += max) {
      const payload = data.subarray(at, at + max);
      const { length } = payload;
      const endOfRequest = at + max >= data.length;
      this.append({ kind: 'write', volume, offset: offset + at, length, endOfRequest, payload });
    }
  }

  private append(fields: Fields): WholeRecord {
    const record = wholeRecord(fields, this.epoch, this.next, this.chain);
    if (isNumbered(fields.kind)) this.next += 1;
    this.chain = record.header.ownChain;
    this.records.push(record);
    return record;
  }
}

function wholeRecord(fields: Fields, epoch: number, sequence: number, chain: number): WholeRecord {
  const { kind, payload = Buffer.alloc(0) } = fields;
  const { bytes } = encodeRecord(
    {
      kind,
      endOfRequest: fields.endOfRequest ?? true,
      mayFree: fields.mayFree ?? false,
      chain,
      epoch,
      volume: fields.volume ?? 0,
      sequence,
      offset: fields.offset ?? 0,
      length: fields.length ?? 0,
      timeMs: 1000 + sequence,
      durableSequence: 0,
    },
    payload,
  );
  const check = decodeRecord(bytes, 0);
  if (check.found !== 'record') throw new Error('a record reads back');
  return check.record;
}

/** A new, empty secondary of the history's primary. */
export async function newSecondary(world: World, folder = '/sapporo'): Promise<ImageSet> {
  await makeSet(world, { folder, journal: TINY_JOURNAL });
  const set = await openSet(world, folder);
  await set.identity.update((file) => ({
    ...file,
    role: 'secondary',
    pair: {
      id: SECONDARY.setId as string as PairId,
      peer: PRIMARY,
      ack: 'local',
      state: 'copying',
      reason: '',
      copyBase: null,
      formerBases: [],
      lineage: [],
      behindSinceMs: null,
    },
  }));
  return set;
}
