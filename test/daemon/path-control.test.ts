/** What a controller's daemon adds to it: sets at their daemons, and itself in each migration. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import type { ControllerId } from '../../src/base/ids.ts';
import { PathMigrations, ServedPath } from '../../src/daemon/path-control.ts';
import type { ServedSets } from '../../src/daemon/path-control.ts';
import type { PathMigrateRequest } from '../../src/node/path-service.ts';
import type { SetService } from '../../src/node/set-service.ts';
import { ENTRY, HandPath, MIGRATED } from '../support/hand-path.ts';

const OWN = 'c'.repeat(32) as ControllerId;
const OTHER = 'e'.repeat(32);

const REQUEST: PathMigrateRequest = {
  export: 'db',
  to: 'rcopy://127.0.0.1:7072',
  mode: 'bitmap',
  copy: 'pre',
  maxRate: 7,
  detach: true,
  create: true,
  overwrite: false,
  force: true,
};

/** Everything that is asked of sets; `away` are folders that no daemon serves. */
class HandSets {
  readonly asked: unknown[] = [];
  readonly away = new Map<string, RcopyError>();

  readonly sets: ServedSets = {
    open: async (set) => {
      const error = this.away.get(set);
      if (error) throw error;
      return {} as SetService;
    },
    migrate: async (to, request, how) => {
      this.asked.push(['migrate', to, request, how]);
      return MIGRATED;
    },
    checkMigration: async (to, request, how) => {
      this.asked.push(['check', to, request, how]);
      return { ready: true, checks: [] };
    },
  };
}

let hand: HandSets;
let node: HandPath;
let migrations: PathMigrations;
let path: ServedPath;

beforeEach(() => {
  hand = new HandSets();
  node = new HandPath();
  migrations = new PathMigrations(hand.sets, OWN);
  path = new ServedPath(node, hand.sets, migrations);
});

const passedOn = {
  from: '/tokyo',
  mode: 'bitmap',
  copy: 'pre',
  maxRate: 7,
  detach: true,
  force: true,
};

describe('a migration', () => {
  test('is the one of sets, with this controller taking part beside those named', async () => {
    expect(await migrations.migrate('/tokyo', REQUEST)).toEqual(MIGRATED);
    await migrations.migrate('/tokyo', { ...REQUEST, controllers: [OTHER, OWN] });
    const how = { create: true, overwrite: false };
    expect(hand.asked).toEqual([
      ['migrate', REQUEST.to, { ...passedOn, controllers: [OWN] }, how],
      ['migrate', REQUEST.to, { ...passedOn, controllers: [OTHER, OWN] }, how],
    ]);
  });

  test('can be checked from where the export leads', async () => {
    expect(await path.checkMigration(REQUEST)).toMatchObject({ ready: true });
    const { address: from } = ENTRY.set;
    expect(hand.asked).toMatchObject([['check', REQUEST.to, { from, controllers: [OWN] }, {}]]);
    await expect(path.checkMigration({ ...REQUEST, export: 'none' })).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
    });
  });

  test('to a folder without a daemon is refused before anything is made', async () => {
    const unserved = new RcopyError('E_STATE', 'no daemon serves the set in /osaka');
    hand.away.set('/osaka', unserved);
    hand.away.set('/new', new RcopyError('E_NOT_FOUND', '/new is not a folder'));
    const to = (folder: string, create: boolean) =>
      migrations.migrate('/tokyo', { ...REQUEST, to: folder, create, overwrite: true });
    await expect(to('/osaka', false)).rejects.toBe(unserved);
    await expect(to('/new', false)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await expect(to('/new', true)).rejects.toMatchObject({
      code: 'E_STATE',
      hint: expect.stringContaining('rcopy daemon'),
    });
    await to('/served', true);
    expect(hand.asked).toMatchObject([['migrate', '/served', {}, {}]]);
  });
});

describe('adding a set that is out of reach', () => {
  const add = (set: string) => path.add({ export: 'db', set, volume: undefined, replace: false });
  const unreachable = new RcopyError('E_UNREACHABLE', 'nobody there');

  test('says that a folder needs a daemon', async () => {
    const unserved = new RcopyError('E_STATE', 'no daemon serves the set in /osaka');
    hand.away.set('/osaka', unserved);
    node.failure = unreachable;
    await expect(add('/osaka')).rejects.toBe(unserved);
  });

  test('stays as it is for an address, and where a daemon is', async () => {
    for (const set of ['rcopy://127.0.0.1:7070', '/served']) {
      node.failure = unreachable;
      await expect(add(set)).rejects.toBe(unreachable);
    }
  });
});
