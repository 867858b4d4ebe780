/**
 * Which set hosts belong to, by what the sets themselves say: a controller never decides that a set
 * is over. Pure.
 *
 * | the set so far says | its successor says | hosts go |
 * | --- | --- | --- |
 * | open, or soon | | on there |
 * | sealed | an epoch behind that seal, of the same group | to the successor |
 * | sealed | sealed behind that seal as well | on to that one's successor |
 * | sealed | anything else, or nothing yet | nowhere: they wait |
 * | nothing, or closed | that it accepted the migration that was prepared | to the successor |
 * | nothing, or closed | anything else | nowhere: they wait |
 */
import type { MigrationId } from '../base/ids.ts';
import type { PathWord } from './path-calls.ts';

export type Goal = 'current' | 'next' | 'beyond-next' | 'nowhere';

export interface Words {
  readonly groupId: string;
  readonly current: PathWord | undefined;
  readonly next: PathWord | undefined;
  /** By which the next set was named before the one so far was sealed. */
  readonly migrationId: MigrationId | null;
}

export function goalOf({ groupId, current, next, migrationId }: Words): Goal {
  if (current?.phase.kind === 'sealed') {
    const { epoch } = current.phase;
    if (!next || next.groupId !== groupId || next.epoch <= epoch) return 'nowhere';
    return towards(next);
  }
  if (current && current.phase.kind !== 'closed') return 'current';
  const accepted = next && migrationId !== null && next.accepted === migrationId;
  return accepted && next.groupId === groupId ? towards(next) : 'nowhere';
}

function towards(next: PathWord): Goal {
  switch (next.phase.kind) {
    case 'sealed':
      return 'beyond-next';
    case 'closed':
      return 'nowhere';
    case 'wait':
    case 'replay':
    case 'open':
    case 'hold':
      return 'next';
  }
}
