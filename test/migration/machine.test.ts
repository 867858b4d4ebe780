/** The machine of a migration: every state × every event, spelled out. */
import { describe, expect, test } from '@jest/globals';
import { step } from '../../src/migration/machine.ts';
import type { Migration, MigrationEvent } from '../../src/migration/machine.ts';
import { HANDOVER, migrationIn } from '../support/migrations.ts';

const EVENTS: Record<MigrationEvent['kind'], MigrationEvent> = {
  started: { kind: 'started' },
  restarted: { kind: 'restarted' },
  saved: { kind: 'saved' },
  announced: { kind: 'announced' },
  precopied: { kind: 'precopied' },
  prefetched: { kind: 'prefetched' },
  held: { kind: 'held' },
  sealed: { kind: 'sealed', handover: HANDOVER },
  accepted: { kind: 'accepted' },
  switched: { kind: 'switched' },
  copied: { kind: 'copied' },
  'abort-asked': { kind: 'abort-asked', reason: 'enough' },
  buried: { kind: 'buried' },
  'given-back': { kind: 'given-back' },
};

const STATES: Migration['state'][] = [
  'prepared',
  'precopying',
  'switching',
  'copying',
  'done',
  'aborted',
];

/** What happens; all that is not here changes nothing and asks for nothing. */
const TABLE: Record<string, string> = {
  'prepared + started': 'prepared: save prepared',
  'prepared + restarted': 'prepared: announce',
  'prepared + saved': 'prepared: announce',
  'prepared + announced': 'switching: save switching',
  'prepared + abort-asked': 'prepared: bury',
  'prepared + buried': 'aborted: save aborted',
  'precopying + restarted': 'precopying: precopy',
  'precopying + saved': 'precopying: precopy',
  'precopying + precopied': 'switching: save switching',
  'precopying + abort-asked': 'precopying: bury',
  'precopying + buried': 'aborted: save aborted',
  'switching + restarted': 'switching: prefetch',
  'switching + saved': 'switching: prefetch',
  'switching + prefetched': 'switching: hold',
  'switching + held': 'switching: seal',
  'switching + sealed': 'switching: accept switching',
  'switching + accepted': 'copying: switch',
  'switching + abort-asked': 'switching: bury',
  'switching + buried': 'aborted: save aborted',
  'copying + restarted': 'copying: switch',
  'copying + switched': 'copying: copy',
  'copying + copied': 'done: save done',
  'copying + abort-asked': 'copying: give-back',
  'copying + given-back': 'aborted: save aborted',
  'done + restarted': 'done: retire',
  'done + saved': 'done: retire',
  'aborted + restarted': 'aborted: release',
  'aborted + saved': 'aborted: release',
};

function outcome(state: Migration['state'], event: MigrationEvent): string {
  const { migration, effects } = step(migrationIn(state), event);
  const asked = effects.map((effect) =>
    'migration' in effect ? `${effect.kind} ${effect.migration.state}` : effect.kind,
  );
  return `${migration.state}: ${asked.join(', ')}`;
}

const CASES = STATES.flatMap((state) =>
  Object.values(EVENTS).map((event) => [state, event] as const),
);

describe('the machine', () => {
  test.each(CASES)('%s + %j', (state, event) => {
    const expected = TABLE[`${state} + ${event.kind}`] ?? `${state}: `;
    expect(outcome(state, event)).toBe(expected);
  });

  test('the table speaks of states and events that there are', () => {
    const known = CASES.map(([state, { kind }]) => `${state} + ${kind}`);
    expect(Object.keys(TABLE).filter((row) => !known.includes(row))).toEqual([]);
    expect(known).toHaveLength(84);
  });

  test('[R4] a late or repeated event brings no state back', () => {
    const order = ['prepared', 'precopying', 'switching', 'copying', 'done'];
    for (const [state, event] of CASES) {
      const next = step(migrationIn(state), event).migration.state;
      const back = order.indexOf(next) < order.indexOf(state);
      expect([state, event.kind, next === 'aborted' || !back]).toEqual([state, event.kind, true]);
    }
  });

  test('[R4] behind the point of no return it ends only when B has given the epoch back', () => {
    for (const state of ['copying', 'done'] as const) {
      for (const event of Object.values(EVENTS)) {
        const next = step(migrationIn(state), event).migration.state;
        const mayEnd = state === 'copying' && event.kind === 'given-back';
        expect([state, event.kind, next === 'aborted']).toEqual([state, event.kind, mayEnd]);
      }
    }
  });

  test('blocks are copied ahead only where that was asked for', () => {
    const ahead = { ...migrationIn('prepared'), copy: 'pre' as const };
    expect(step(ahead, EVENTS.announced).migration.state).toBe('precopying');
  });

  test('what was handed over, and why it ended, stay with it', () => {
    const sealed = step(migrationIn('switching'), EVENTS.sealed);
    expect(sealed.migration.handover).toEqual(HANDOVER);
    expect(sealed.effects).toEqual([{ kind: 'accept', migration: sealed.migration }]);
    const asked = step(migrationIn('prepared'), EVENTS['abort-asked']).migration;
    const aborted = step(asked, EVENTS.buried);
    expect(aborted.migration).toMatchObject({ state: 'aborted', reason: 'enough' });
    expect(aborted.effects).toEqual([{ kind: 'save', migration: aborted.migration }]);
  });

  test('a step changes nothing that it was given', () => {
    for (const [state, event] of CASES) {
      const before = Object.freeze(migrationIn(state));
      step(before, event);
      expect(before).toEqual(migrationIn(state));
    }
  });
});
