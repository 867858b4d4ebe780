/** What of a set is worth a line in the log: pure, from how it stood before and stands now. */
import type { SetState } from '../node/answers.ts';
import { stateOf } from '../node/set-state.ts';
import type { StorageNode } from '../node/storage-node.ts';

/** How a set stands, as far as the log tells of it. */
export interface Stand {
  readonly role: string;
  readonly state: SetState;
  readonly epoch: number;
  /** Whether the link to the secondary is up; undefined on others than a primary. */
  readonly linkUp: boolean | undefined;
  /** Names of the sets whose links this secondary has. */
  readonly senders: readonly string[];
  /** Why nothing is sent, or why the set has stopped; empty otherwise. */
  readonly trouble: string;
  readonly usable: boolean;
}

export interface LogEvent {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly [fact: string]: unknown;
}

export function standOf(node: StorageNode): Stand {
  const { set, replication } = node;
  const { role, pair, epoch } = set.file;
  const isSecondary = role === 'secondary';
  return {
    role,
    state: stateOf(set),
    epoch,
    linkUp: isSecondary || !pair ? undefined : replication.isUp,
    senders: node.senders,
    trouble: set.failure?.message ?? replication.failure?.message ?? '',
    usable: !isSecondary || set.usable,
  };
}

/** In the order in which they are told. */
export function changesOf(before: Stand, now: Stand): LogEvent[] {
  const events: LogEvent[] = [];
  if (before.role !== now.role || before.epoch !== now.epoch) {
    const { role, epoch } = now;
    events.push({ level: 'info', message: `role: ${role}`, epoch });
  }
  if (before.state !== now.state) {
    events.push({ level: levelOf(now.state), message: `state: ${now.state}`, was: before.state });
  }
  if (now.linkUp === true && before.linkUp === false) {
    events.push({ level: 'info', message: 'link up' });
  }
  if (now.linkUp === false && before.linkUp === true) {
    const reason = now.trouble === '' ? {} : { reason: now.trouble };
    events.push({ level: 'warn', message: 'link down', ...reason });
  } else if (now.trouble !== '' && now.trouble !== before.trouble) {
    events.push({ level: 'warn', message: now.trouble });
  }
  for (const name of now.senders) {
    if (!before.senders.includes(name)) events.push({ level: 'info', message: `${name} sends` });
  }
  for (const name of before.senders) {
    if (!now.senders.includes(name)) events.push({ level: 'warn', message: `${name} is gone` });
  }
  if (before.usable !== now.usable) {
    const message = now.usable ? 'the copy is usable' : 'the copy is not usable until it is done';
    events.push({ level: now.usable ? 'info' : 'warn', message });
  }
  return events;
}

function levelOf(state: SetState): LogEvent['level'] {
  return state === 'suspended' || state === 'journal-full' ? 'warn' : 'info';
}
