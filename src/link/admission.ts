/** Who may send to a secondary: its primary, a former one, or the successor that a seal names. */
import { RcopyError } from '../base/errors.ts';
import { decodeSealRecord } from '../format/control-records.ts';
import type { SealPayload } from '../format/control-records.ts';
import type { WholeRecord } from '../format/record.ts';
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Hello, SenderRun } from './messages.ts';

/** The pair of a secondary. Throws `E_ROLE` when it is none: nobody may send to it. */
export function checkSecondary({ file }: ImageSet): PairEntry {
  const { role, pair } = file;
  if (role === 'secondary' && pair) return pair;
  if (pair?.state === 'takeover') {
    throw new RcopyError('E_ROLE', `${file.name} took over from ${pair.peer.name}`, {
      hint: 'hosts must not use the former primary any more; see `rcopy status` of both',
    });
  }
  throw new RcopyError('E_ROLE', `${file.name} is no secondary`, {
    hint: 'make the pair with `rcopy pair create PRIMARY SECONDARY`',
  });
}

/**
 * The run that this sender may send, after checking who it is (R4, R5): it wrote the epoch, or the
 * epoch's seal names it; and the epoch is one that this set holds, its primary's, or the one that
 * follows from a seal that this set knows of.
 */
export function admit(set: ImageSet, hello: Hello): SenderRun {
  const { file } = set;
  const pair = checkSecondary(set);
  if (hello.pairId !== pair.id || hello.groupId !== file.groupId) {
    throw new RcopyError('E_NOT_PAIRED', `${file.name} belongs to another pair than ${hello.name}`);
  }
  const { run } = hello;
  if (!run) throw new RcopyError('E_PROTOCOL', 'a sender named no epoch');
  const may = run.writer === hello.setId || carries(set, hello, run);
  const isClosed = run.epoch < file.epoch && !isSealedHere(set, run.epoch);
  if (may && !isClosed && (run.writer === pair.peer.setId || isHeld(set, run))) return run;
  if (may && !isClosed && isSuccessor(set, hello, run)) return run;
  throw new RcopyError(
    'E_SPLIT_BRAIN',
    `${hello.name} is not the primary of ${file.name}, nor the successor that its seal names`,
    { hint: `its primary is ${pair.peer.name} at ${pair.peer.address}` },
  );
}

/** The seal of the epoch that it offers names the sender: it carries on what another set wrote. */
function carries(set: ImageSet, { carrierSeal, setId }: Hello, run: SenderRun): boolean {
  if (carrierSeal === null) return false;
  const { record, seal } = decodeSealRecord(Buffer.from(carrierSeal, 'hex'));
  return (
    seal.group === set.file.groupId &&
    seal.successor === setId &&
    seal.set === run.writer &&
    seal.epochId === run.id &&
    record.header.epoch === run.epoch &&
    isTheSeal(set, record)
  );
}

/** The epoch is here, written by that set: it may be completed, and it may be said that it is. */
function isHeld(set: ImageSet, run: SenderRun): boolean {
  const epoch = set.epochCursor(run.epoch);
  return epoch !== undefined && epoch.writer === run.writer && epoch.id === run.id;
}

/** Once a later epoch is followed, an earlier one is complete, or was closed where it stood. */
function isSealedHere(set: ImageSet, epoch: number): boolean {
  const known = set.epochCursor(epoch);
  return known === undefined || known.sealedAt !== null;
}

function isSuccessor(set: ImageSet, { parentSeal }: Hello, run: SenderRun): boolean {
  if (parentSeal === null) return false;
  const { record, seal } = decodeSealRecord(Buffer.from(parentSeal, 'hex'));
  return (
    seal.group === set.file.groupId &&
    seal.successor === run.writer &&
    record.header.epoch + 1 === run.epoch &&
    hasMet(set, record.header.epoch, seal) &&
    isTheSeal(set, record) &&
    isTheEpoch(set, run)
  );
}

/** The sealed epoch is here; or no epoch is, for the primary has begun a copy, or has yet to. */
function hasMet(set: ImageSet, epoch: number, seal: SealPayload): boolean {
  const known = set.epochCursor(epoch);
  if (known) return known.id === seal.epochId && known.writer === seal.set;
  const knowsNone = set.cursors(false).epochs.length === 0;
  return knowsNone && !set.usable && set.file.pair?.peer.setId === seal.set;
}

/** No other seal of that epoch is here. */
function isTheSeal(set: ImageSet, shown: WholeRecord): boolean {
  const held = set.journal.run(shown.header.epoch)?.seal;
  return held === undefined || held.bytes.equals(shown.bytes);
}

/** No other set's epoch stands here in the place of the one that is offered. */
function isTheEpoch(set: ImageSet, run: SenderRun): boolean {
  const known = set.epochCursor(run.epoch);
  return known === undefined || known.id === run.id;
}
