/**
 * The migration of a primary from A to B while C follows, as a pure machine at B: B drives, for B
 * survives. An event gives the next state and what to do; nothing is done here.
 *
 *     start ─► prepared ─► [precopying] ─► switching ══► copying ─► done
 *                 │             │              ║            │
 *                 ▼             ▼              ║            │
 *              aborted ◄────────┴──────────────╝ ◄──────────┘ only while B has no record of its
 *                                                             own: B seals its epoch back to A
 *
 * The seal at A is THE POINT OF NO RETURN: an abort before it asks A, which refuses once it is
 * sealed. Blocks are copied ahead (precopying) only with `copy: pre`.
 *
 * Every effect can be repeated: after a restart the machine begins with `restarted` and asks for
 * the effects of its durable state again.
 */
import { unreachable } from '../base/assert.ts';
import type { HandoverEntry, MigrationEntry } from '../format/set-file.ts';

/** A migration as B keeps it, durably. */
export type Migration = MigrationEntry;

export type MigrationEvent =
  /** The prechecks passed and nothing is durable yet. */
  | { readonly kind: 'started' }
  /** The process is new; the state came from disk. */
  | { readonly kind: 'restarted' }
  /** The entry is durable as it was asked for. */
  | { readonly kind: 'saved' }
  /** A knows of the migration, and refuses others. */
  | { readonly kind: 'announced' }
  /** What could be copied while A served its hosts is here. */
  | { readonly kind: 'precopied' }
  /** The map of what C lacks is here, but for what changes until the seal. */
  | { readonly kind: 'prefetched' }
  /** Every controller holds the hosts of the set. */
  | { readonly kind: 'held' }
  /** A's seal is durable, and this is what A handed over. */
  | { readonly kind: 'sealed'; readonly handover: HandoverEntry }
  /** B is the primary, durably, and its epoch is open. */
  | { readonly kind: 'accepted' }
  /** The controllers sent their hosts on to B. */
  | { readonly kind: 'switched' }
  /** B holds every block, and C has restored N - 1 and holds the seal. */
  | { readonly kind: 'copied' }
  /** A is the primary again, in an epoch behind that of B. */
  | { readonly kind: 'given-back' }
  /** Somebody wants to end it, and A to be the primary. */
  | { readonly kind: 'abort-asked'; readonly reason: string }
  /** A will never seal under this id any more. */
  | { readonly kind: 'buried' };

export type MigrationEffect =
  | { readonly kind: 'save'; readonly migration: Migration }
  /** Tell A, which keeps it durably and refuses other migrations. */
  | { readonly kind: 'announce' }
  /** Copy blocks while A serves its hosts. */
  | { readonly kind: 'precopy' }
  /** Get the maps that A has, so that only changes to them fall into the pause. */
  | { readonly kind: 'prefetch' }
  | { readonly kind: 'hold' }
  /** Ask A for its seal and the management information. */
  | { readonly kind: 'seal' }
  /** Become the primary: presence maps, identity, the new epoch. */
  | { readonly kind: 'accept'; readonly migration: Migration }
  | { readonly kind: 'switch' }
  /** Fetch what is absent, send to C, let A send to C what it owes; until all is there. */
  | { readonly kind: 'copy' }
  /** Tell A that it is done: its content is history. */
  | { readonly kind: 'retire' }
  /** Ask A never to seal under this id. */
  | { readonly kind: 'bury' }
  /** Seal B's epoch, which holds no record, for A, which opens the next one. */
  | { readonly kind: 'give-back' }
  /** Let the hosts go on where they were. */
  | { readonly kind: 'release' };

export interface Transition {
  readonly migration: Migration;
  readonly effects: readonly MigrationEffect[];
}

const stay = (migration: Migration): Transition => ({ migration, effects: [] });

/** One step. An event that does not belong to the state changes nothing: it came late or twice. */
export function step(migration: Migration, event: MigrationEvent): Transition {
  switch (migration.state) {
    case 'prepared':
      return whilePrepared(migration, event);
    case 'precopying':
      return whilePrecopying(migration, event);
    case 'switching':
      return whileSwitching(migration, event);
    case 'copying':
      return whileCopying(migration, event);
    case 'done':
      return event.kind === 'saved' || event.kind === 'restarted'
        ? { migration, effects: [{ kind: 'retire' }] }
        : stay(migration);
    case 'aborted':
      return event.kind === 'saved' || event.kind === 'restarted'
        ? { migration, effects: [{ kind: 'release' }] }
        : stay(migration);
    default:
      return unreachable(migration.state);
  }
}

function whilePrepared(migration: Migration, event: MigrationEvent): Transition {
  switch (event.kind) {
    case 'started':
      return { migration, effects: [{ kind: 'save', migration }] };
    case 'saved':
    case 'restarted':
      return { migration, effects: [{ kind: 'announce' }] };
    case 'announced':
      return migration.copy === 'pre' ? moved(migration, 'precopying') : switching(migration);
    default:
      return beforeTheSeal(migration, event);
  }
}

function whilePrecopying(migration: Migration, event: MigrationEvent): Transition {
  switch (event.kind) {
    case 'saved':
    case 'restarted':
      return { migration, effects: [{ kind: 'precopy' }] };
    case 'precopied':
      return switching(migration);
    default:
      return beforeTheSeal(migration, event);
  }
}

/** Before anything irreversible is asked of A, B remembers that it may have happened. */
function switching(migration: Migration): Transition {
  return moved(migration, 'switching');
}

/** The next state, which counts when it is saved. */
function moved(migration: Migration, state: Migration['state']): Transition {
  const next = { ...migration, state };
  return { migration: next, effects: [{ kind: 'save', migration: next }] };
}

function whileSwitching(migration: Migration, event: MigrationEvent): Transition {
  switch (event.kind) {
    case 'saved':
    case 'restarted':
      return { migration, effects: [{ kind: 'prefetch' }] };
    case 'prefetched':
      return { migration, effects: [{ kind: 'hold' }] };
    case 'held':
      return { migration, effects: [{ kind: 'seal' }] };
    case 'sealed': {
      const next = { ...migration, handover: event.handover };
      return { migration: next, effects: [{ kind: 'accept', migration: next }] };
    }
    case 'accepted': {
      const next = { ...migration, state: 'copying' as const };
      return { migration: next, effects: [{ kind: 'switch' }] };
    }
    default:
      return beforeTheSeal(migration, event);
  }
}

/** As long as A may not have sealed, the migration can be ended: A is asked, and decides. */
function beforeTheSeal(migration: Migration, event: MigrationEvent): Transition {
  switch (event.kind) {
    case 'abort-asked':
      return { migration: { ...migration, reason: event.reason }, effects: [{ kind: 'bury' }] };
    case 'buried':
      return moved(migration, 'aborted');
    default:
      return stay(migration);
  }
}

function whileCopying(migration: Migration, event: MigrationEvent): Transition {
  switch (event.kind) {
    case 'restarted':
      return { migration, effects: [{ kind: 'switch' }] };
    case 'switched':
      return { migration, effects: [{ kind: 'copy' }] };
    case 'copied':
      return moved(migration, 'done');
    case 'abort-asked':
      return {
        migration: { ...migration, reason: event.reason },
        effects: [{ kind: 'give-back' }],
      };
    case 'given-back':
      return moved(migration, 'aborted');
    default:
      return stay(migration);
  }
}
