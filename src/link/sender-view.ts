/** What a sender says of itself, and what it knows about the place where its secondary stands. */
import { RcopyError } from '../base/errors.ts';
import { comparePositions } from '../base/position.ts';
import type { ProvenPosition } from '../base/position.ts';
import { decodeOpen, decodeSealRecord, encodeRebase } from '../format/control-records.ts';
import { encodeRecord } from '../format/record.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { chainInLineage } from '../imageset/lacking.ts';
import type { Run } from '../journal/run.ts';
import type { Hello, ReceiverEpoch, Welcome } from './messages.ts';
import type { SenderView } from './resume.ts';

/** Who dials, for `hello`. */
export interface SenderName {
  /** Where this set can be reached, as the secondary should keep it. */
  readonly address: string;
  /** A random number of this opening of the set. */
  readonly bootId: string;
  /** The number of this link among those of this opening. */
  readonly link: number;
}

export function senderHello(set: ImageSet, run: Run, name: SenderName): Hello {
  const { file } = set;
  const seal = carrierSeal(set, run);
  return {
    purpose: 'replicate',
    setId: file.setId,
    groupId: file.groupId,
    name: file.name,
    address: name.address,
    bootId: name.bootId,
    link: name.link,
    pairId: file.pair?.id ?? null,
    run: {
      epoch: run.epoch,
      id: run.identity.id,
      writer: run.identity.writer,
      first: run.identity.first,
      next: run.next,
      sealed: run.seal !== undefined || seal !== null,
    },
    parentSeal: parentSeal(set, run),
    carrierSeal: seal,
  };
}

/** The seal in the open record of the run, or the one that made this set the epoch's writer. */
function parentSeal({ file }: ImageSet, run: Run): string | null {
  if (run.head?.header.kind === 'open') {
    const { parent } = decodeOpen(run.head.payload);
    if (parent.kind === 'seal') return parent.seal.toString('hex');
  }
  return run.epoch === file.epoch ? file.parentSeal : null;
}

/**
 * The seal of a run that another set wrote and that this one carries on: its own, or, while that
 * has not come yet, the one that this set was handed.
 */
function carrierSeal({ file }: ImageSet, run: Run): string | null {
  if (run.identity.writer === file.setId) return null;
  return run.seal?.bytes.toString('hex') ?? file.parentSeal;
}

/** N of the seal with which a run ends, as far as that is known; undefined while it goes on. */
export function sealSequence(set: ImageSet, run: Run): number | undefined {
  if (run.seal) return run.seal.header.sequence;
  const seal = carrierSeal(set, run);
  return seal === null
    ? undefined
    : decodeSealRecord(Buffer.from(seal, 'hex')).record.header.sequence;
}

export function senderView(set: ImageSet, run: Run): SenderView {
  const { pair, epoch } = set.file;
  const { dirty } = set.contents;
  const acknowledged = set.secondary?.durable;
  const end = sealSequence(set, run);
  return {
    epoch: run.epoch,
    epochId: run.identity.id,
    first: run.identity.first,
    next: end ?? run.next,
    sealed: end !== undefined,
    firstKept: run.firstKept,
    chainBefore: (sequence) => chainBefore(run, sequence),
    copyDue: pair?.state === 'copying' && run.epoch === epoch,
    byMap: dirty.inUse,
    partial: dirty.isPartial,
    copyBase: pair?.copyBase ?? null,
    formerBases: pair?.formerBases ?? [],
    isProven: (place) => isProven(set, place),
    acknowledged: acknowledged?.epoch === run.epoch ? acknowledged.sequence : -1,
  };
}

/** The chain value that record `sequence` of the run carries, or will carry. */
export function chainBefore(run: Run, sequence: number): number | undefined {
  if (sequence === run.next) return run.seal ? run.seal.header.chain : run.chain;
  if (sequence > run.next || sequence < run.firstKept) return undefined;
  const reader = run.readFrom(sequence);
  try {
    reader.next(sequence - 1); // passes the head, which must not be mistaken for the record
    return reader.chain;
  } finally {
    reader.close();
  }
}

/**
 * Whether the record at which the secondary stands is one of this set's history, and not one from
 * before what the dirty maps tell of: such a secondary was rolled back (R5).
 */
function isProven({ journal, file }: ImageSet, place: ReceiverEpoch): boolean {
  const lineage = file.pair?.lineage ?? [];
  const of = lineage.filter(({ epoch, id }) => epoch === place.epoch && id === place.id);
  if (place.sealed && of.some(({ sealed }) => sealed)) return true;
  if (of.some((known) => chainInLineage(known, place.next - 1) === place.chain)) return true;
  const [oldest] = lineage;
  const at = { epoch: place.epoch, sequence: place.next - 1 };
  if (oldest && comparePositions(at, { epoch: oldest.epoch, sequence: oldest.first }) < 0) {
    return false;
  }
  const run = journal.run(place.epoch);
  if (run?.identity.id !== place.id) return false;
  return place.sealed ? run.seal !== undefined : chainBefore(run, place.next) === place.chain;
}

/** The record with which a copy begins at its secondary. */
export function rebaseRecord(set: ImageSet, run: Run, base: ProvenPosition): Buffer {
  const { epoch, id, writer, first } = run.identity;
  const { bytes } = encodeRecord(
    {
      kind: 'rebase',
      endOfRequest: true,
      mayFree: false,
      chain: base.chain,
      epoch,
      volume: 0,
      sequence: base.sequence + 1,
      offset: 0,
      length: 0,
      timeMs: set.environment.clock.now(),
      durableSequence: base.sequence,
    },
    encodeRebase({ epochId: id, writer, epochFirst: first, base }),
  );
  return bytes;
}

/** Another set at the secondary's address is not the secondary, whatever it holds (R5). */
export function checkPeer(set: ImageSet, welcome: Welcome): void {
  const expected = set.file.pair?.peer;
  if (!expected || expected.setId === welcome.setId) return;
  throw new RcopyError(
    'E_SPLIT_BRAIN',
    `${welcome.name} at ${expected.address} is not the secondary ${expected.name} of this set`,
    { hint: 'see `rcopy status` of both sets' },
  );
}
