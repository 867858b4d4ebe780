/** Whether a migration may start: every reason at once. Pure; checked again at the fence. */
import { counted } from '../base/words.ts';
import type { PartyFacts } from './ports.ts';

export interface Precheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** What is known before a start; a party that cannot be reached is the error that says so. */
export interface PrecheckFacts {
  readonly source: PartyFacts;
  readonly target: PartyFacts;
  readonly secondary: PartyFacts | Error | undefined;
}

export function prechecks(facts: PrecheckFacts): Precheck[] {
  const { source, target, secondary } = facts;
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
    pairState(source),
    secondaryState(source, secondary),
  ];
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

function pairState(source: PartyFacts): Precheck {
  const state = source.pair?.state ?? 'simplex';
  return check('pair', state === 'paired', {
    good: `the pair is ${state}, ${counted(source.lagEntries, 'number')} behind`,
    bad: source.pair
      ? `the pair is ${state}: finish the copy with \`rcopy replicate\` first`
      : `${source.identity.name} has no pair: there is no second copy to keep following`,
  });
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
  return check('secondary', right, {
    good: `${name} can be reached and belongs to the pair`,
    bad: `${name} is not the secondary that the pair names`,
  });
}

function check(name: string, ok: boolean, text: { good: string; bad: string }): Precheck {
  return { name, ok, detail: ok ? text.good : text.bad };
}
