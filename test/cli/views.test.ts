// What people see, as golden text: calm, aligned, and true.
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import { migrateView, migrationView, prechecksView } from '../../src/cli/migrate-view.ts';
import { loadPaint, plainPaint } from '../../src/cli/paint.ts';
import type { Paint } from '../../src/cli/paint.ts';
import { healthOfAll, statusLines, statusView } from '../../src/cli/status-view.ts';
import { compareView, verifyView } from '../../src/cli/verify-view.ts';
import { createView, replicateView, writeView } from '../../src/cli/views.ts';
import type { MigrateAnswer, ReplicateAnswer, StatusAnswer } from '../../src/node/answers.ts';
import { GIB, MIB } from '../../src/base/limits.ts';

const NOW = Date.parse('2030-01-01T00:00:12.000Z');

const paired: StatusAnswer = {
  set: {
    id: '0',
    name: 'tokyo',
    role: 'primary',
    state: 'paired',
    epoch: 1,
    path: '/sets/tokyo',
  },
  volumes: [
    { name: 'db', size: 10 * GIB, present: 1 },
    { name: 'logs', size: 512 * MIB, present: 0.256 },
  ],
  journal: {
    nextSequence: 1205,
    durableSequence: 1204,
    appliedSequence: 1200,
    firstSequence: 900,
    bytes: 31 * MIB,
    capacityBytes: GIB,
    whenFull: 'slow',
  },
  pair: {
    state: 'paired',
    usable: true,
    link: 'up',
    reason: '',
    peer: { name: 'osaka', setId: '1', address: '/sets/osaka' },
    journalCursor: 1201,
    durableSequence: 1200,
    restoredSequence: 1199,
    lag: { entries: 4, bytes: 16384, seconds: 2.5 },
    kept: false,
    downSince: null,
    ack: 'local',
    ackDegraded: false,
    ackReason: '',
    lagAgeSeconds: 0,
    lastContact: '2030-01-01T00:00:10.000Z',
  },
  migration: null,
  seal: null,
  daemon: null,
  hosts: [],
  controllers: [],
  limits: [],
  health: {
    healthy: false,
    word: 'behind',
    reason: 'the secondary lacks 4 numbers',
    next: 'rcopy replicate /sets/tokyo',
  },
  notices: [],
};

const simplex: StatusAnswer = {
  ...paired,
  set: { ...paired.set, name: 'kyoto', state: 'simplex', path: '/sets/kyoto' },
  volumes: [{ name: 'db', size: GIB, present: 1 }],
  pair: null,
  health: { healthy: true, word: 'healthy', reason: 'it has no pair', next: null },
  notices: ['a torn tail was cut behind number 1204'],
};

describe('status', () => {
  test('of a pair: the health first, then the facts, then what to do', () => {
    expect(statusView(paired, plainPaint, NOW)).toEqual([
      '◐ behind  tokyo · primary, paired · epoch 1',
      '  the secondary lacks 4 numbers',
      '',
      '  secondary  osaka at /sets/osaka',
      '  usable     yes',
      '  link       up, last contact 2 s ago',
      '  lag        4 entries, 16 KiB, 2.5 s',
      '  journal    3% of 1 GiB',
      '  numbers    next 1,205, durable 1,204, applied 1,200, restored 1,199, cursor 1,201',
      '  volumes    db, 10 GiB',
      '             logs, 512 MiB, 25% here',
      '  folder     /sets/tokyo',
      '',
      '  next: rcopy replicate /sets/tokyo',
    ]);
  });

  test('of a daemon: since when the link is down, and what flushes wait for', () => {
    const pair: StatusAnswer['pair'] = paired.pair && {
      ...paired.pair,
      kept: true,
      link: 'down',
      downSince: '2030-01-01T00:00:00.000Z',
      ack: 'remote',
      ackDegraded: true,
      ackReason: 'it was cut',
    };
    const lines = statusView({ ...paired, pair }, plainPaint, NOW);
    expect(lines.slice(5, 7)).toEqual([
      '  link       down for 12 s, last contact 2 s ago',
      '  flushes    answered without the secondary for now: it was cut',
    ]);
    const told = pair && { ...pair, ackDegraded: false, lagAgeSeconds: 3 };
    const secondary = { ...paired, set: { ...paired.set, role: 'secondary' as const }, pair: told };
    expect(statusView(secondary, plainPaint, NOW).slice(6, 8)).toEqual([
      '  flushes  answered when the secondary has them too',
      '  lag      4 entries, 16 KiB, 2.5 s, told 3 s ago',
    ]);
  });

  test('of a single set: nothing about pairs', () => {
    expect(statusView(simplex, plainPaint, NOW)).toEqual([
      '● healthy  kyoto · primary, simplex · epoch 1',
      '  it has no pair',
      '',
      '  journal  3% of 1 GiB',
      '  numbers  next 1,205, durable 1,204, applied 1,200',
      '  volume   db, 1 GiB',
      '  folder   /sets/kyoto',
      '',
      '  noticed: a torn tail was cut behind number 1204',
    ]);
  });

  test('of a secondary: its own numbers, and who owes it what', () => {
    const { pair } = paired;
    const secondary: StatusAnswer = {
      ...paired,
      set: { ...paired.set, role: 'secondary', name: 'osaka' },
      pair: pair && {
        ...pair,
        usable: null,
        link: 'down',
        lag: null,
        lastContact: null,
        sources: [
          { setId: '0', epoch: 1, from: 5, to: 9 },
          { setId: '2', epoch: 2, from: 10, to: null },
        ],
      },
      migration: {
        id: 'm',
        state: 'copying',
        side: 'source',
        mode: 'drain',
        copy: 'post',
        source: { name: 'tokyo', address: '/sets/tokyo' },
        epoch: 2,
        nextSequence: 10,
        remainingBytes: MIB,
        remainingEntries: 5,
        sourceNeeded: true,
      },
      seal: { nextSequence: 10, successor: '/sets/kyoto' },
    };
    expect(statusView(secondary, plainPaint, NOW).slice(3, 11)).toEqual([
      '  primary    osaka at /sets/osaka',
      '  usable     not known yet',
      '  link       down',
      '  owed       epoch 1 from 5 to 9',
      '  owed       epoch 2 from 10 on',
      '  migration  copying, source side, drain, 5 to restore',
      '  sealed     at 10, for /sets/kyoto',
      '  journal    3% of 1 GiB',
    ]);
  });

  test('of a pair that has not spoken yet: nothing is made up', () => {
    const silent = paired.pair && { ...paired.pair, usable: null, lag: null, lastContact: null };
    expect(statusView({ ...paired, pair: silent }, plainPaint, NOW).slice(4, 7)).toEqual([
      '  usable     not known yet',
      '  link       up',
      '  lag        not known yet',
    ]);
  });

  test('of a set that took over: who follows no more, and nothing that is not known', () => {
    const pair = paired.pair && { ...paired.pair, state: 'takeover', usable: null, lag: null };
    const status = { ...paired, pair } as StatusAnswer;
    expect(statusView(status, plainPaint, NOW).slice(3, 6)).toEqual([
      '  former   osaka at /sets/osaka, which follows no more',
      '  journal  3% of 1 GiB',
      '  numbers  next 1,205, durable 1,204, applied 1,200',
    ]);
    expect(statusLines([{ set: 'tokyo', status }], plainPaint).join()).not.toMatch(/lag|link/);
  });

  test('of maps: their blocks are lag, of an age that may not be known', () => {
    const lag = { entries: 0, bytes: 8192, seconds: null };
    const journal = { ...paired.journal, whenFull: 'map' } as const;
    const pair = paired.pair && { ...paired.pair, lag };
    expect(statusView({ ...paired, journal, pair }, plainPaint, NOW).slice(6, 8)).toEqual([
      '  lag        0 entries, 8 KiB, age not known',
      '  journal    3% of 1 GiB; when it is full, changes are mapped',
    ]);
  });

  test('of a target: whether the old storage may go, unless it is the end of the pair now', () => {
    const migration = {
      id: 'm',
      state: 'done',
      side: 'target',
      mode: 'drain',
      copy: 'post',
      source: { name: 'nara', address: '/sets/nara' },
      epoch: 2,
      nextSequence: 10,
      remainingBytes: 0,
      remainingEntries: 0,
      sourceNeeded: false,
    } as const;
    const lines = statusView({ ...paired, migration }, plainPaint, NOW);
    expect(lines.slice(7, 9)).toEqual([
      '  migration  done, target side, drain',
      '  source     nara may be deleted',
    ]);
    const source = { name: 'nara', address: '/sets/osaka' };
    const reused = statusView({ ...paired, migration: { ...migration, source } }, plainPaint, NOW);
    expect(reused.join()).not.toContain('deleted');
  });

  test('of several: one line each, also of one that cannot be asked', () => {
    const error = new RcopyError('E_NOT_FOUND', '/sets/nara is no image set', { hint: 'make it' });
    const entries = [
      { set: 'tokyo', status: paired },
      { set: 'kyoto', status: simplex },
      { set: './nara', error },
    ];
    const facts = 'lag 4 entries, 16 KiB, 2.5 s, link up, usable, journal 3%';
    expect(statusLines(entries, plainPaint)).toEqual([
      `◐ behind   tokyo   primary, paired   ${facts}  rcopy replicate /sets/tokyo`,
      '● healthy  kyoto   primary, simplex  journal 3%',
      '○ unknown  ./nara  -                 /sets/nara is no image set',
    ]);
    expect(healthOfAll(entries)).toEqual({
      result: {
        sets: [
          paired,
          simplex,
          {
            set: { path: './nara' },
            error: { code: 'E_NOT_FOUND', message: '/sets/nara is no image set', hint: 'make it' },
          },
        ],
      },
      worst: 'E_NOT_FOUND',
      healthy: false,
    });
    expect(healthOfAll([{ set: 'kyoto', status: simplex }])).toEqual({
      result: simplex,
      worst: undefined,
      healthy: true,
    });
  });
});

describe('migrations', () => {
  const done: MigrateAnswer = {
    changed: true,
    migrationId: 'm',
    mode: 'drain',
    copy: 'post',
    epoch: 2,
    nextSequence: 1205,
    journalCursor: 1201,
    switchPauseMs: 12.4,
    copiedBytes: 3 * GIB,
    state: 'done',
  };

  test('a finished one says what it did', () => {
    expect(migrateView(done, './kyoto', plainPaint)).toEqual([
      '✓ ./kyoto is the primary now (epoch 2, drain, post-copy)',
      '  numbers  it writes from N = 1,205 on; the journal cursor came over as 1,201 (4 owed)',
      '  hosts    paused 12 ms; 3 GiB copied behind them',
    ]);
    expect(migrateView({ ...done, changed: false, journalCursor: 1205 }, 'B', plainPaint)).toEqual([
      '✓ B is the primary already; nothing to do (epoch 2, drain, post-copy)',
      '  numbers  it writes from N = 1,205 on; the journal cursor came over as 1,205',
    ]);
  });

  test('what was copied ahead of the switch was not copied behind the hosts', () => {
    const ahead = migrateView({ ...done, copy: 'pre' }, './kyoto', plainPaint);
    expect(ahead.at(-1)).toBe(
      '  hosts    paused 12 ms; 3 GiB copied ahead of the switch and behind it',
    );
  });

  test('a resumed one tells of no pause, which it has not measured', () => {
    const resumed = migrateView({ ...done, switchPauseMs: 0 }, './kyoto', plainPaint);
    expect(resumed.at(-1)).toBe('  hosts    3 GiB copied behind them');
  });

  test('an unfinished one says how to go on, an aborted one that nothing moved', () => {
    const copying = migrateView({ ...done, state: 'copying' }, './kyoto', plainPaint);
    expect(copying[0]).toBe('◐ ./kyoto: the migration is copying');
    expect(copying.at(-1)).toBe('  next: rcopy migrate resume ./kyoto');
    const aborted = { ...done, state: 'aborted', nextSequence: 0 } as const;
    const early = migrateView(aborted, './kyoto', plainPaint);
    expect(early).toEqual(['✓ aborted: the primary stays where it was']);
    const late = migrateView({ ...aborted, nextSequence: 7 }, './kyoto', plainPaint);
    expect(late).toEqual(['✓ aborted: the primary is back where it was']);
  });

  test('prechecks are listed, good and bad', () => {
    const checks = [
      { name: 'pair', ok: true, detail: 'the pair is paired' },
      { name: 'target-empty', ok: false, detail: 'kyoto was used before' },
    ];
    expect(prechecksView({ ready: false, checks }, plainPaint)).toEqual([
      '✗ not ready',
      '  ✓  pair          the pair is paired',
      '  ✗  target-empty  kyoto was used before',
    ]);
    const ready = prechecksView({ ready: true, checks: [] }, plainPaint);
    expect(ready).toEqual(['✓ ready to migrate']);
  });

  test('the status of one', () => {
    expect(migrationView({ migration: null }, plainPaint)).toEqual(['no migration']);
    const migration = {
      id: 'm',
      state: 'copying',
      side: 'target',
      mode: 'drain',
      copy: 'post',
      source: { name: 'tokyo', address: '/sets/tokyo' },
      target: { name: 'kyoto', address: '/sets/kyoto' },
      secondary: { name: 'osaka', address: '/sets/osaka' },
      nextSequence: 10,
      journalCursor: 5,
      remainingBytes: MIB,
      remainingEntries: 5,
      sourceNeeded: true,
      returning: false,
      reason: '',
    } as const;
    expect(migrationView({ migration }, plainPaint)).toEqual([
      '◐ migration copying',
      '  from       tokyo at /sets/tokyo',
      '  to         kyoto at /sets/kyoto',
      '  secondary  osaka at /sets/osaka',
      '  how        drain, post-copy, seen from the target',
      '  numbers    N = 10, journal cursor 5',
      '  left       1 MiB to copy, 5 to restore',
      '  source     tokyo is still needed',
      '',
      '  next: rcopy migrate resume /sets/kyoto',
    ]);
    const free = migrationView(
      { migration: { ...migration, remainingBytes: 0, sourceNeeded: false } },
      plainPaint,
    );
    expect(free.slice(6, 8)).toEqual([
      '  left       0 bytes to copy, 5 to restore',
      '  source     tokyo may be deleted',
    ]);
    // Before the switch there is nothing to say of it, and at the source it is not for it to say.
    const early = { migration: { ...migration, state: 'precopying' } } as const;
    expect(migrationView(early, plainPaint).join()).not.toContain('needed');
    const there = migrationView({ migration: { ...migration, side: 'source' } }, plainPaint);
    expect(there.slice(6, 7)).toEqual(['  left       5 to restore']);
    expect(there.join()).not.toContain('needed');
    const returning = migrationView({ migration: { ...migration, returning: true } }, plainPaint);
    expect(returning.at(-1)).toBe('  next: rcopy migrate abort /sets/kyoto');
  });
});

describe('verify', () => {
  const amounts = { recordsChecked: 1204, bytesChecked: 5 * MIB };

  test('a sound set is one line', () => {
    const answer = { ok: true, set: 'tokyo', ...amounts, findings: [] };
    expect(verifyView(answer, './tokyo', plainPaint)).toEqual([
      '✓ ./tokyo is sound (1,204 records, 5 MiB checked)',
    ]);
  });

  test('findings are listed with file and offset', () => {
    const findings = [
      { file: '/sets/tokyo/volumes/db.img', offset: 4096, problem: 'differs from record 7' },
      { file: '/sets/tokyo', offset: 0, problem: 'a torn tail' },
    ];
    const answer = { ok: false, set: 'tokyo', ...amounts, findings };
    expect(verifyView(answer, './tokyo', plainPaint)).toEqual([
      '✗ ./tokyo is damaged (1,204 records, 5 MiB checked)',
      '  file                        offset  problem',
      '  /sets/tokyo/volumes/db.img    4096  differs from record 7',
      '  /sets/tokyo                      0  a torn tail',
    ]);
  });

  test('differences are listed as ranges', () => {
    const answer = {
      equal: false,
      sequence: 7,
      bytesCompared: MIB,
      differences: [{ volume: 'db', offset: 0, length: 4096 }],
    };
    expect(compareView(answer, 'a', 'b', plainPaint)).toEqual([
      '✗ a and b differ (1 MiB compared, as of number 7)',
      '  volume  offset  length',
      '  db           0    4096',
    ]);
    const equal = { ...answer, equal: true, differences: [] };
    expect(compareView(equal, 'a', 'b', plainPaint)).toEqual([
      '✓ a and b hold the same (1 MiB compared, as of number 7)',
    ]);
  });
});

describe('short answers', () => {
  const replicated: ReplicateAnswer = {
    sentRecords: 1,
    sentBytes: 4096,
    copiedBytes: 0,
    copies: 0,
    restoredSequence: 5,
    nextSequence: 6,
    state: 'paired',
    seconds: 0.25,
  };

  test('create', () => {
    const answer = {
      changed: true,
      set: { id: '0', name: 'tokyo', path: '/sets/tokyo' },
      volumes: [{ name: 'db', size: 10 * GIB }],
      journal: { capacityBytes: GIB, whenFull: 'slow' },
    } as const;
    expect(createView(answer, './tokyo', plainPaint)).toEqual([
      '✓ made image set ./tokyo',
      '  db       10 GiB',
      '  journal   1 GiB',
    ]);
  });

  test('write', () => {
    const answer = { volume: 'db', offset: 4096, length: 5, firstSequence: 7, lastSequence: 7 };
    expect(writeView(answer, plainPaint)).toEqual(['✓ wrote 5 bytes to db at 4,096 (number 7)']);
    expect(writeView({ ...answer, lastSequence: 9 }, plainPaint)[0]).toContain('(numbers 7 to 9)');
  });

  test('replicate', () => {
    expect(replicateView(replicated, plainPaint)).toEqual([
      '✓ the secondary has everything (up to number 5)',
      '  sent 1 record, 4 KiB, in 250 ms',
    ]);
    const first = { ...replicated, copies: 1, copiedBytes: MIB, sentRecords: 0, nextSequence: 9 };
    expect(replicateView(first, plainPaint)).toEqual([
      '✓ the secondary has everything up to 5',
      '  copied 1 MiB, in 250 ms',
    ]);
    expect(replicateView({ ...replicated, sentRecords: 0 }, plainPaint)[1]).toBe(
      '  nothing had to be sent',
    );
  });
});

test('colours change nothing but colours', async () => {
  const findings = [{ file: 'f', offset: 1, problem: 'p' }];
  const created = {
    changed: true,
    set: { id: '0', name: 'tokyo', path: '/sets/tokyo' },
    volumes: paired.volumes,
    journal: { capacityBytes: GIB, whenFull: 'slow' },
  } as const;
  const checks = [{ name: 'pair', ok: false, detail: 'no pair' }];
  const all = (paint: Paint): string[] => [
    ...statusView(paired, paint, NOW),
    ...statusLines([{ set: 'tokyo', status: paired }], paint),
    ...createView(created, './tokyo', paint),
    ...prechecksView({ ready: false, checks }, paint),
    ...verifyView(
      { ok: false, set: 's', recordsChecked: 1, bytesChecked: 1, findings },
      's',
      paint,
    ),
  ];
  const painted = all(await loadPaint());
  expect(painted.join('\n')).toContain('\u001B[');
  expect(painted.map((line) => stripVTControlCharacters(line).trimEnd())).toEqual(all(plainPaint));
});
