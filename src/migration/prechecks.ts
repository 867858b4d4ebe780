/** Whether a migration may start: every reason at once. Pure; checked again at the fence. */
import { counted } from '../base/words.ts';
import type { Migration } from './machine.ts';
import type { PartyFacts } from './ports.ts';

export interface Precheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** What is known before a start; a party that cannot be reached is the error that says so. */
export interface PrecheckFacts {
  readonly mode: Migration['mode'];
  readonly source: PartyFacts;
  readonly target: PartyFacts;
  readonly secondary: PartyFacts | Error | undefined;
  /** Path controllers that have to take part, by id. */
  readonly controllers: readonly string[];
  /** Hosts that no controller leads do not matter. */
  readonly force: boolean;
}

export function prechecks(facts: PrecheckFacts): Precheck[] {
  const { source, target, secondary, mode } = facts;
  return [
    sourceRole(source),
    check('source-free', source.migrationId === null, {
      good: `${source.identity.name} takes part in no other migration`,
      bad: `${source.identity.name} takes part in migration ${source.migrationId ?? ''}`,
    }),
    check('different-sets', source.identity.setId !== target.identity.setId, {
      good: 'source and target are different sets',
      bad: 'source and target are the same set',
    }),
    check('target-empty', target.blank, {
      good: `${target.identity.name} was never written`,
      bad: `${target.identity.name} was used before: give --overwrite to lose what it holds`,
    }),
    volumes(source, target),
    pairState(source, mode),
    secondaryState(source, secondary),
    directHosts(source, facts.force),
    controllersState(source, facts.controllers),
  ];
}

/** Nobody can move a host that is connected to the source itself. */
function directHosts({ identity, directHosts: hosts = [] }: PartyFacts, force: boolean): Precheck {
  const [first] = hosts;
  const others = hosts.length > 1 ? ` and ${counted(hosts.length - 1, 'other')}` : '';
  return check('hosts', force || !first, {
    good: `${first ? counted(hosts.length, 'host') : 'no host'} would lose its disk`,
    bad:
      `hosts use ${identity.name} itself, and would lose it: ${first?.address ?? ''}${others}; ` +
      'let them come through a path controller, or give --force',
  });
}

function controllersState(
  { identity, controllers = [] }: PartyFacts,
  required: readonly string[],
): Precheck {
  const away = controllers.find(({ attached }) => !attached);
  const unknown = required.find((id) => !controllers.some((each) => each.id === id));
  const bad = away
    ? `path controller ${away.name} is not connected with ${identity.name} now`
    : `a path controller that was named has no export of ${identity.name}`;
  return check('controllers', !away && unknown === undefined, {
    good: `${counted(controllers.length, 'path controller')} will move its hosts`,
    bad,
  });
}

function sourceRole(source: PartyFacts): Precheck {
  const { name } = source.identity;
  if (source.sealedFor) {
    const detail = `${name} is sealed: ${source.sealedFor.name} took over its volumes`;
    return { name: 'source-sealed', ok: false, detail };
  }
  return check('source-role', source.role === 'primary', {
    good: `${name} is a primary`,
    bad: `${name} is no primary but a ${source.role}: are the arguments swapped?`,
  });
}

function volumes(source: PartyFacts, target: PartyFacts): Precheck {
  const wrong = source.volumes.filter(
    (volume) =>
      !target.volumes.some(
        (other) => other.name === volume.name && other.sizeBytes === volume.sizeBytes,
      ),
  );
  const same = wrong.length === 0 && source.volumes.length === target.volumes.length;
  const list = (set: PartyFacts) =>
    set.volumes.map((volume) => `${volume.name}=${volume.sizeBytes}`).join(' ');
  return check('volumes', same, {
    good: `both have ${list(source)}`,
    bad: `${source.identity.name} has ${list(source)}, ${target.identity.name} ${list(target)}`,
  });
}

/**
 * A secondary that is to get what is owed as records must follow the journal now. A bitmap says by
 * blocks what it lacks, whatever the reason.
 */
function pairState(source: PartyFacts, mode: Migration['mode']): Precheck {
  const { pair, identity, lagEntries, followsEpoch } = source;
  const state = pair?.state ?? 'simplex';
  const good = `the pair is ${state}, ${counted(lagEntries, 'number')} behind`;
  const fail = (detail: string, name = 'pair-state'): Precheck => ({ name, ok: false, detail });
  if (!pair) {
    return fail(`${identity.name} has no pair: there is no second copy to keep following`, 'pair');
  }
  if (state === 'takeover') return fail(`${pair.peer.name} is no secondary of ${identity.name}`);
  if (mode !== 'bitmap' && state !== 'paired') {
    const first = state === 'split' ? 'rcopy pair resync' : 'rcopy replicate';
    return fail(`the pair is ${state}: \`${first}\` first, or migrate with --mode bitmap`);
  }
  if (mode === 'handoff' && !followsEpoch) return fail(NOT_THERE);
  return { name: 'pair-state', ok: true, detail: good };
}

function secondaryState(source: PartyFacts, secondary: PrecheckFacts['secondary']): Precheck {
  if (secondary === undefined || secondary instanceof Error) {
    const detail = `the secondary cannot be reached: ${secondary?.message ?? 'it is not known'}`;
    return { name: 'secondary', ok: false, detail };
  }
  const { name, setId } = secondary.identity;
  const right =
    setId === source.pair?.peer.setId &&
    secondary.role === 'secondary' &&
    secondary.pair?.id === source.pair.id;
  if (right && !knowsEpoch(source, secondary)) {
    return { name: 'secondary-epoch', ok: false, detail: NOT_THERE };
  }
  return check('secondary', right, {
    good: `${name} can be reached and belongs to the pair`,
    bad: `${name} is not the secondary that the pair names`,
  });
}

const NOT_THERE = 'the secondary has not come to the present epoch: `rcopy replicate` first';

/**
 * The secondary takes the next epoch only behind a seal of one that it knows (R4), or as its very
 * first.
 */
function knowsEpoch({ epochId }: PartyFacts, { knownEpochIds, usable }: PartyFacts): boolean {
  if (epochId === null || knownEpochIds.includes(epochId)) return true;
  return knownEpochIds.length === 0 && !usable;
}

function check(name: string, ok: boolean, text: { good: string; bad: string }): Precheck {
  return { name, ok, detail: ok ? text.good : text.bad };
}
