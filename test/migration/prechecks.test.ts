/** Whether a migration may start: each reason alone, and all of them at once. */
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { prechecks } from '../../src/migration/prechecks.ts';
import type { PrecheckFacts } from '../../src/migration/prechecks.ts';
import {
  KYOTO,
  OSAKA,
  SECONDARY_FACTS,
  SOURCE_FACTS,
  TARGET_FACTS,
  TOKYO,
} from '../support/migrations.ts';

const GOOD = {
  mode: 'drain',
  source: SOURCE_FACTS,
  target: TARGET_FACTS,
  secondary: SECONDARY_FACTS,
  controllers: [],
  force: false,
} as const;
const { pair } = SOURCE_FACTS;

function withSource(change: Partial<PrecheckFacts['source']>): PrecheckFacts {
  return { ...GOOD, source: { ...SOURCE_FACTS, ...change } };
}

function withTarget(change: Partial<PrecheckFacts['target']>): PrecheckFacts {
  return { ...GOOD, target: { ...TARGET_FACTS, ...change } };
}

function withSecondary(change: Partial<PrecheckFacts['source']>): PrecheckFacts {
  return { ...GOOD, secondary: { ...SECONDARY_FACTS, ...change } };
}

const [data, log] = SOURCE_FACTS.volumes;
if (!data || !log) throw new Error('two volumes');

const ROWS: [what: string, facts: PrecheckFacts, name: string, detail: RegExp][] = [
  ['the source is sealed', withSource({ sealedFor: OSAKA }), 'source-sealed', /osaka took over/],
  ['the source is a secondary', withSource({ role: 'secondary' }), 'source-role', /swapped/],
  ['the source is retired', withSource({ role: 'retired' }), 'source-role', /a retired/],
  ['the source moves already', withSource({ migrationId: 'x1' }), 'source-free', /migration x1/],
  ['both are one', withTarget({ identity: TOKYO }), 'different-sets', /the same set/],
  ['the target was used', withTarget({ blank: false }), 'target-empty', /--overwrite/],
  ['a volume is missing', withTarget({ volumes: [data] }), 'volumes', /osaka data=8192$/],
  [
    'a volume is too many',
    withTarget({ volumes: [data, log, { ...log, name: 'x' }] }),
    'volumes',
    /x=/,
  ],
  [
    'a volume has another size',
    withTarget({ volumes: [{ ...data, sizeBytes: 4096 }, log] }),
    'volumes',
    /data=4096/,
  ],
  [
    'a volume has another name',
    withTarget({ volumes: [{ ...data, name: 'other' }, log] }),
    'volumes',
    /other=8192/,
  ],
  [
    'the first copy is not complete',
    withSource({ pair: pair && { ...pair, state: 'copying' } }),
    'pair-state',
    /--mode bitmap/,
  ],
  [
    'the secondary belongs to another pair',
    withSecondary({ pair: pair && { ...pair, id: '3'.repeat(32) as never } }),
    'secondary',
    /not the secondary/,
  ],
  ['the secondary is another set', withSecondary({ identity: OSAKA }), 'secondary', /not the sec/],
  ['the secondary is no secondary', withSecondary({ role: 'primary' }), 'secondary', /not the sec/],
  [
    'the secondary cannot be reached',
    { ...GOOD, secondary: new RcopyError('E_UNREACHABLE', 'nobody there') },
    'secondary',
    /cannot be reached: nobody there/,
  ],
  [
    'a host uses the source itself',
    withSource({ directHosts: [{ address: '192.0.2.7:1234', export: 'db' }] }),
    'hosts',
    /192.0.2.7:1234; let them come through a path controller, or give --force/,
  ],
  [
    'a path controller of the source is away',
    withSource({ controllers: [{ id: 'p', name: 'gate', attached: false }] }),
    'controllers',
    /path controller gate is not connected/,
  ],
  [
    'a path controller that was named serves something else',
    { ...GOOD, controllers: ['q'] },
    'controllers',
    /has no export of tokyo/,
  ],
];

const failed = (facts: PrecheckFacts) => prechecks(facts).filter(({ ok }) => !ok);

describe('a migration may start', () => {
  test('when all is well, and each check says what it looked at', () => {
    const checks = prechecks(GOOD);
    expect(checks.every(({ ok }) => ok)).toBe(true);
    expect(checks.map(({ name }) => name)).toEqual([
      'source-role',
      'source-free',
      'different-sets',
      'target-empty',
      'volumes',
      'pair-state',
      'secondary',
      'hosts',
      'controllers',
    ]);
    expect(checks.map(({ detail }) => detail).join('\n')).toMatch(/paired, 3 numbers behind/);
  });

  test('whatever hosts use the source itself, when that is forced', () => {
    const directHosts = [{ address: '192.0.2.7:1234', export: 'db' }];
    expect(failed({ ...withSource({ directHosts }), force: true })).toEqual([]);
  });

  test('volumes may be named in another order', () => {
    expect(failed(withTarget({ volumes: [log, data] }))).toEqual([]);
  });
});

describe('a migration may not start when', () => {
  test.each(ROWS)('%s', (_, facts, name, detail) => {
    const found = failed(facts);
    expect(found.map((check) => check.name)).toEqual([name]);
    expect(found[0]?.detail).toMatch(detail);
  });

  test('there is no pair: the secondary is not known either', () => {
    const found = failed({ ...withSource({ pair: null }), secondary: undefined });
    expect(found.map(({ name }) => name)).toEqual(['pair', 'secondary']);
  });

  test('everything is wrong: all reasons are said at once', () => {
    const found = failed({
      ...GOOD,
      source: {
        ...SOURCE_FACTS,
        role: 'target',
        migrationId: 'x',
        pair: pair && { ...pair, state: 'copying' },
      },
      target: { ...TARGET_FACTS, identity: TOKYO, blank: false, volumes: [] },
      secondary: { ...SECONDARY_FACTS, identity: { ...KYOTO, setId: TOKYO.setId } },
    });
    expect(found).toHaveLength(7);
    expect(new Set(found.map(({ detail }) => detail)).size).toBe(7);
  });
});
