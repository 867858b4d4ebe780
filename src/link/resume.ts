/**
 * What follows after both sides said who they are: the hello table. In-sync is proved by epoch,
 * number and chain, never presumed (R5). Pure.
 */
import type { ErrorCode } from '../base/errors.ts';
import { sameProven } from '../base/position.ts';
import type { ProvenPosition } from '../base/position.ts';
import type { CopyProgress, ReceiverEpoch, Welcome } from './messages.ts';

/** What the sender knows about itself. */
export interface SenderView {
  readonly epoch: number;
  readonly epochId: string;
  /** The epoch's first number. */
  readonly first: number;
  /** The number that it would give next. */
  readonly next: number;
  readonly sealed: boolean;
  /** The lowest number whose record is kept. */
  readonly firstKept: number;
  /** The chain value that record `sequence` carries; undefined when it is not known any more. */
  chainBefore(sequence: number): number | undefined;
  /** The pair is being made, or made anew: a copy is due. */
  readonly copyDue: boolean;
  /** The blocks of dirty maps are copied. */
  readonly byMap: boolean;
  /** Some blocks are not in them: these must be proven to be there. */
  readonly partial: boolean;
  /** The base of the copy that is under way, if one was begun. */
  readonly copyBase: ProvenPosition | null;
  /** Bases of copies that were begun before, in one of which the secondary may still be. */
  readonly formerBases: readonly ProvenPosition[];
  /** Whether the secondary's place in an epoch is one of this set's history. */
  isProven(place: ReceiverEpoch): boolean;
  /** The highest number of this epoch that the secondary ever said it has durable. */
  readonly acknowledged: number;
}

export type ResumeDecision =
  | { readonly kind: 'resume'; readonly from: number }
  /** From where a copy goes on; records go on behind its base. */
  | {
      readonly kind: 'continue-copy';
      readonly copy: CopyProgress;
      readonly from: number;
      /** The secondary has not begun the copy's run yet: the rebase record goes first, again. */
      readonly again: boolean;
    }
  | { readonly kind: 'begin-copy' }
  /** Everything up to the seal is at the secondary. */
  | { readonly kind: 'finished' }
  | { readonly kind: 'stop'; readonly code: ErrorCode; readonly reason: string };

/** Decides, row by row; the first that fits. Each row is a test. */
export function decideResume(sender: SenderView, peer: Welcome): ResumeDecision {
  const mine = peer.epochs.find((candidate) => candidate.epoch === sender.epoch);
  const newest = peer.epochs.at(-1);
  if (mine && mine.id !== sender.epochId) {
    return stop('E_SPLIT_BRAIN', `it holds another epoch ${sender.epoch} than this set wrote`);
  }
  if (newest && newest.epoch > sender.epoch) return behindSuccessor(sender, mine, newest);
  if (sender.copyDue) return copying(sender, peer, mine);
  const { usable, copy } = peer;
  if (!usable && copy && !copy.complete) return rolledBack('only a part of a copy', sender);
  if (!mine) return unknownEpoch(sender, newest);
  return inEpoch(sender, mine);
}

/** The secondary follows a later epoch already: this sender may only complete its own. */
function behindSuccessor(
  sender: SenderView,
  mine: ReceiverEpoch | undefined,
  newest: ReceiverEpoch,
): ResumeDecision {
  if (!sender.sealed) {
    return stop('E_SPLIT_BRAIN', `it follows epoch ${newest.epoch}; this set never sealed its own`);
  }
  if (!mine) return { kind: 'finished' };
  return mine.sealed ? { kind: 'finished' } : inEpoch(sender, mine);
}

function copying(
  sender: SenderView,
  peer: Welcome,
  mine: ReceiverEpoch | undefined,
): ResumeDecision {
  const { copyBase, byMap, partial } = sender;
  const records = mine && inEpoch(sender, mine);
  // Usable, and all that it lacks is in the journal: no block has to be copied.
  if (peer.usable && records && isComplete(peer, sender.epoch)) {
    if (copyBase && !byMap) return records;
    if (byMap && records.kind === 'resume') return records;
  }
  const { copy } = peer;
  if (copy && copyBase && sameProven(copy.base, copyBase)) {
    if (records?.kind === 'resume') {
      return { kind: 'continue-copy', copy, from: records.from, again: false };
    }
    const from = copyBase.sequence + 1;
    if (!mine && sender.firstKept <= from && sender.chainBefore(from) === copyBase.chain) {
      return { kind: 'continue-copy', copy, from, again: true };
    }
  }
  return !partial || isOfThisHistory(sender, peer)
    ? { kind: 'begin-copy' }
    : stop('E_STATE', 'what it holds is not proven to come from this set', true);
}

/** Whether the content of the secondary comes from here, whatever it lacks of the newest (R5). */
function isOfThisHistory(sender: SenderView, peer: Welcome): boolean {
  const { copy } = peer;
  const bases = [...sender.formerBases, ...(sender.copyBase ? [sender.copyBase] : [])];
  if (copy && bases.some((base) => sameProven(copy.base, base))) return true;
  const place = peer.epochs.find(({ sealed }) => !sealed) ?? peer.epochs.at(-1);
  return peer.usable && place !== undefined && sender.isProven(place);
}

/** Whether it holds every epoch before `epoch` to its end. */
function isComplete(peer: Welcome, epoch: number): boolean {
  return peer.epochs.every((held) => held.sealed || held.epoch >= epoch);
}

/** The secondary knows nothing of this epoch: right only where it follows directly. */
function unknownEpoch(sender: SenderView, newest: ReceiverEpoch | undefined): ResumeDecision {
  if (sender.acknowledged >= sender.first)
    return rolledBack(`nothing of epoch ${sender.epoch}`, sender);
  if (newest && newest.epoch === sender.epoch - 1) {
    return sender.firstKept <= sender.first
      ? { kind: 'resume', from: sender.first }
      : stop('E_STATE', 'it lacks the beginning of this epoch, which is not kept any more', true);
  }
  return stop('E_STATE', `it knows nothing of epoch ${sender.epoch} and was never copied to`, true);
}

function inEpoch(sender: SenderView, mine: ReceiverEpoch): ResumeDecision {
  if (mine.sealed && sender.sealed) return { kind: 'finished' };
  if (mine.sealed) {
    return stop('E_SPLIT_BRAIN', `epoch ${sender.epoch} is sealed there, but not here`);
  }
  if (mine.next > sender.next) {
    return stop(
      'E_SPLIT_BRAIN',
      `it has number ${mine.next - 1}, this set only ${sender.next - 1}: records were lost here`,
    );
  }
  if (mine.durable < sender.acknowledged) {
    return rolledBack(`only number ${mine.durable} durable`, sender);
  }
  if (mine.next < sender.firstKept) {
    return stop(
      'E_STATE',
      `it needs number ${mine.next}; the journal keeps ${sender.firstKept} and later`,
      true,
    );
  }
  if (sender.chainBefore(mine.next) !== mine.chain) {
    return stop('E_SPLIT_BRAIN', `its record ${mine.next - 1} is not the one that this set has`);
  }
  return { kind: 'resume', from: mine.next };
}

function rolledBack(what: string, { acknowledged }: SenderView): ResumeDecision {
  const said = acknowledged < 0 ? 'said that it has more' : `acknowledged ${acknowledged}`;
  const reason = `it has ${what}, but ${said}: it was rolled back, or is a copy`;
  return stop('E_SPLIT_BRAIN', reason, true);
}

function stop(code: ErrorCode, reason: string, resync = false): ResumeDecision {
  return { kind: 'stop', code, reason: resync ? `${reason}; it needs a new copy` : reason };
}
