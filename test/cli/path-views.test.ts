// What people see of a path controller, as golden text.
import { expect, test } from '@jest/globals';
import { plainPaint } from '../../src/cli/paint.ts';
import {
  pathAddView,
  pathListView,
  pathRemoveView,
  pathStatusView,
} from '../../src/cli/path-views.ts';
import type { ControllerId } from '../../src/base/ids.ts';
import { GIB, KIB, MIB } from '../../src/base/limits.ts';
import type {
  PathEntryAnswer,
  PathSetStatus,
  PathStatusAnswer,
} from '../../src/node/path-service.ts';

const NOW = Date.parse('2030-01-01T00:00:12.000Z');
const TOKYO = { id: 'a', name: 'tokyo', address: 'rcopy://127.0.0.1:7070' };
const OSAKA = { id: 'b', name: 'osaka', address: '/sets/osaka' };

const DB: PathEntryAnswer = { export: 'db', volume: 'db', size: 10 * GIB, set: TOKYO };
const MAIL: PathEntryAnswer = { export: 'mail', volume: 'log', size: 512 * MIB, set: OSAKA };

const set: PathSetStatus = {
  set: TOKYO,
  state: 'open',
  reason: '',
  epoch: 2,
  waitingRequests: 0,
  retainedWrites: 0,
  retainedBytes: 0,
  lastPauseMs: null,
  longestWaitMs: 2,
  next: null,
};

const status: PathStatusAnswer = {
  controller: {
    id: 'c' as ControllerId,
    name: 'gate',
    path: '/srv/gate',
    address: 'rcopy://127.0.0.1:7080',
    nbd: 'unix:/run/gate.sock',
  },
  exports: [DB, MAIL],
  sets: [set],
  hosts: [
    {
      address: 'a local process',
      export: 'db',
      readBytes: KIB,
      writtenBytes: 3 * MIB,
      attached: false,
    },
  ],
  daemon: {
    pid: 7,
    startedAt: '2030-01-01T00:00:00.000Z',
    longestStallMs: 12,
    residentBytes: 64 * MIB,
  },
  limits: [
    { name: 'nbdConnections', used: 200, limit: 256 },
    { name: 'nbdHandshakes', used: 1, limit: 100 },
  ],
  health: { healthy: true, word: 'healthy', reason: 'every set answers' },
};

const lines = (...text: string[]): string => text.join('\n');
const view = (parts: Partial<PathStatusAnswer>): string =>
  pathStatusView({ ...status, ...parts }, plainPaint, NOW).join('\n');

test('status: health first, then the sets, then the rest', () => {
  expect(view({})).toBe(
    lines(
      '● healthy  gate · path controller',
      '  every set answers',
      '',
      '  set       tokyo at rcopy://127.0.0.1:7070, epoch 2, open',
      '            nothing waits, never paused, longest wait 2 ms',
      '  exports   db of tokyo, 10 GiB',
      '            mail: log of osaka, 512 MiB',
      '  hosts at  unix:/run/gate.sock',
      '  control   rcopy://127.0.0.1:7080',
      '  folder    /srv/gate',
      '  daemon    pid 7, started 12 s ago, memory 64 MiB, longest stall 12 ms',
      '  hosts     a local process at db: read 1 KiB, wrote 3 MiB',
      '  limit     nbdConnections: 200 of 256 in use',
    ),
  );
});

test('status: a set that moves, and one that is away', () => {
  const moving: PathSetStatus = {
    ...set,
    state: 'holding',
    reason: 'hosts are about to move',
    waitingRequests: 1200,
    retainedWrites: 1,
    retainedBytes: 4 * KIB,
    lastPauseMs: 379,
    next: OSAKA,
  };
  const away: PathSetStatus = { ...set, set: OSAKA, state: 'away', reason: 'no answer' };
  const health = { healthy: false, word: 'holding', reason: 'hosts of tokyo wait' };
  const controller = { ...status.controller, address: '/srv/gate', nbd: null };
  const rest = { exports: [], hosts: [], daemon: null, limits: [] };
  const one = { ...away, waitingRequests: 1 };
  expect(view({ ...rest, controller, health, sets: [moving, one] })).toBe(
    lines(
      '◐ holding  gate · path controller',
      '  hosts of tokyo wait',
      '',
      '  set     tokyo at rcopy://127.0.0.1:7070, epoch 2, holding: hosts are about to move',
      '          1,200 requests wait, last pause 379 ms, longest wait 2 ms',
      '          keeps 1 answered write (4 KiB) until it is durable',
      '          moves to osaka at /sets/osaka',
      '  set     osaka at /sets/osaka, epoch 2, away: no answer',
      '          1 request waits, never paused, longest wait 2 ms',
      '  folder  /srv/gate',
    ),
  );
  expect(view({ health: { ...health, word: 'away' } })).toMatch(/^○ away {2}gate/);
});

test('list: one export a line, or how to get the first one', () => {
  expect(pathListView({ exports: [DB, MAIL] }, './gate', plainPaint).join('\n')).toBe(
    lines(
      'db    db of tokyo    10 GiB  rcopy://127.0.0.1:7070',
      'mail  log of osaka  512 MiB  /sets/osaka',
    ),
  );
  expect(pathListView({ exports: [] }, './gate', plainPaint).join('\n')).toBe(
    lines('no exports', '  next: rcopy path add ./gate EXPORT SET'),
  );
});

test('add and remove: what is so now, and whether it was before', () => {
  const say = (rows: readonly string[]): string => rows.join('\n');
  expect(say(pathAddView({ changed: true, entry: DB }, 'db', plainPaint))).toBe(
    lines('✓ db leads to db of tokyo (10 GiB)', '  set  rcopy://127.0.0.1:7070'),
  );
  expect(say(pathAddView({ changed: false, entry: DB }, 'db', plainPaint))).toBe(
    lines(
      '✓ db leads to db of tokyo (10 GiB) already; nothing to do',
      '  set  rcopy://127.0.0.1:7070',
    ),
  );
  expect(say(pathRemoveView({ changed: true, entry: null }, 'db', plainPaint))).toBe(
    '✓ db is removed: its hosts get an error',
  );
  expect(say(pathRemoveView({ changed: false, entry: null }, 'db', plainPaint))).toBe(
    '✓ db is not there; nothing to do',
  );
});
