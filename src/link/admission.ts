/** Who may send to a secondary: its primary, a former one, or the successor that a seal names. */
import { RcopyError } from '../base/errors.ts';
import { decodeSealRecord } from '../format/control-records.ts';
import type { WholeRecord } from '../format/record.ts';
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Hello, SenderRun } from './messages.ts';

/** The pair of a secondary. Throws `E_ROLE` when it is none: nobody may send to it. */
export function checkSecondary({ file }: ImageSet): PairEntry {
  if (file.role === 'secondary' && file.pair) return file.pair;
  throw new RcopyError('E_ROLE', `${file.name} is no secondary`, {
    hint: 'make the pair with `rcopy pair create PRIMARY SECONDARY`',
  });
}

/** The run that this sender may send, after checking who it is (R4, R5). */
export function admit(set: ImageSet, hello: Hello): SenderRun {
  const { file } = set;
  const pair = checkSecondary(set);
  if (hello.pairId !== pair.id || hello.groupId !== file.groupId) {
    throw new RcopyError('E_NOT_PAIRED', `${file.name} belongs to another pair than ${hello.name}`);
  }
  if (!hello.run) throw new RcopyError('E_PROTOCOL', 'a sender named no epoch');
  if (hello.setId === pair.peer.setId || isFormer(set, hello)) return hello.run;
  if (hello.parentSeal !== null && isSuccessor(set, hello, hello.parentSeal)) return hello.run;
  throw new RcopyError(
    'E_SPLIT_BRAIN',
    `${hello.name} is not the primary of ${file.name}, nor the successor that its seal names`,
    { hint: `its primary is ${pair.peer.name} at ${pair.peer.address}` },
  );
}

/** Wrote an epoch that this set holds: may complete it, and hear that it is complete. */
function isFormer(set: ImageSet, hello: Hello): boolean {
  const epoch = set.epochCursor(hello.run?.epoch ?? -1);
  return epoch !== undefined && epoch.writer === hello.setId && epoch.id === hello.run?.id;
}

function isSuccessor(set: ImageSet, hello: Hello, parentSeal: string): boolean {
  const { record, seal } = decodeSealRecord(Buffer.from(parentSeal, 'hex'));
  const sealed = set.epochCursor(record.header.epoch);
  return (
    seal.group === set.file.groupId &&
    seal.successor === hello.setId &&
    record.header.epoch + 1 === hello.run?.epoch &&
    sealed !== undefined &&
    sealed.id === seal.epochId &&
    sealed.writer === seal.set &&
    isTheSeal(set, record) &&
    isTheEpoch(set, hello)
  );
}

/** No other seal of that epoch is here. */
function isTheSeal(set: ImageSet, shown: WholeRecord): boolean {
  const held = set.journal.run(shown.header.epoch)?.seal;
  return held === undefined || held.bytes.equals(shown.bytes);
}

/** No other set's epoch stands here in the place of the one that is offered. */
function isTheEpoch(set: ImageSet, { run }: Hello): boolean {
  const known = set.epochCursor(run?.epoch ?? -1);
  return known === undefined || known.id === run?.id;
}
