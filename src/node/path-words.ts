/** What a set says to one of its path controllers: read from how it stands. Changes nothing. */
import type { MigrationId } from '../base/ids.ts';
import type { ControllerEntry, SetFile } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { AttachedController } from './attached-controller.ts';
import { isUnderWay } from './pairing.ts';
import type { PathPhase, PathWord } from './path-calls.ts';
import type { Turn } from './path-turns.ts';

/** How a set stands, for its controllers. */
export interface PathStand {
  readonly set: ImageSet;
  /** {@link PathWord.reign} */
  readonly reign: string;
  /** Where the history stood when the set was opened. */
  readonly openedAt: { readonly epoch: number; readonly sequence: number };
  /** The epoch's record is durable, and hosts may come. */
  readonly isOpen: boolean;
  /** Whose turn it is to write again what was lost; undefined once nothing is. */
  readonly turn: Turn | undefined;
  /** The migration for which hosts are held. */
  readonly holding: MigrationId | undefined;
}

export function wordTo(attached: AttachedController, stand: PathStand): PathWord {
  const { set, reign, openedAt } = stand;
  const { file } = set;
  const run = set.ownRun();
  const { migration } = file;
  const isSource = migration?.side === 'source' && isUnderWay(migration) && !file.seal;
  const tookOver = migration?.side === 'target' && ['copying', 'done'].includes(migration.state);
  const before = (run?.identity.first ?? 1) - 1;
  return {
    phase: phaseOf(attached.entry.id, stand),
    groupId: file.groupId,
    epoch: file.epoch,
    reign,
    recovered: openedAt.epoch === file.epoch ? openedAt.sequence : before,
    tookOverAt: file.takenOverAt,
    // Behind a seal: whoever is known there lost nothing that came before it.
    expected: file.seal ? isKnown(file, attached.entry.id) : attached.expected,
    replayed: attached.replayed,
    newest: stand.turn ? set.newest + set.hosts.waitingNumbers : null,
    durableSequence: run ? Math.min(run.durable, run.next - 1) : 0,
    upcoming: isSource ? { migrationId: migration.id, target: migration.target } : null,
    accepted: tookOver ? migration.id : null,
  };
}

function phaseOf(id: string, { set, isOpen, turn, holding }: PathStand): PathPhase {
  const { file, failure, isClosed } = set;
  const { seal, role, name, migration } = file;
  if (failure) return closedBy(failure.message);
  if (isClosed) return closedBy(`${name} is closing`);
  if (seal) {
    const { epoch, nextSequence, successor } = seal;
    return { kind: 'sealed', epoch, nextSequence, successor };
  }
  if (role !== 'primary') return closedBy(`${name} is a ${role}`);
  if (!isOpen) return closedBy(`${name} is opening its epoch`);
  if (turn) {
    const isTurn = turn.kind === 'turn' && turn.id === id;
    return isTurn ? { kind: 'replay', upTo: turn.upTo } : { kind: 'wait' };
  }
  if (!isKnown(file, id)) return { kind: 'wait' };
  if (holding !== undefined && holding === migration?.id) {
    return { kind: 'hold', migrationId: holding };
  }
  return { kind: 'open' };
}

/** Those whom the set knows, durably. */
export function known(file: SetFile): readonly ControllerEntry[] {
  return file.controllers ?? [];
}

export function isKnown(file: SetFile, id: string): boolean {
  return known(file).some((each) => each.id === id);
}

export function closedBy(reason: string): PathPhase {
  return { kind: 'closed', reason };
}

/** Whether nothing but the durable number moved. */
export function isSame(one: PathWord, other: PathWord): boolean {
  const { durableSequence: _one, ...rest } = one;
  const { durableSequence: _other, ...otherRest } = other;
  return JSON.stringify(rest) === JSON.stringify(otherRest);
}
