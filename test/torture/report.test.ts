// The report of a campaign: sums over rounds, and the first failure with its command.
import { expect, test } from '@jest/globals';
import { reportOf, reportText, roundLine } from './report.ts';
import type { Round } from './report.ts';

const POWER: Round = {
  seed: 4,
  kind: 'power',
  seconds: 31.26,
  faults: { 'power A': 5, 'power C': 2 },
  answered: 1000,
  flushes: 50,
  unanswered: 7,
  tornTails: 3,
};
const MOVES: Round = {
  ...POWER,
  seed: 5,
  kind: 'moves',
  faults: { 'kill A': 1, 'kill controller': 2 },
  tornTails: 0,
};
const WHOLE = { seconds: 62.4, skipped: [], stopped: false };

test('rounds are summed up by kind, faults by name', () => {
  const more = { ...POWER, faults: { 'power A': 1, 'kill A': 1 } };
  const report = reportOf([POWER, MOVES, more], WHOLE);
  expect(report).toMatchObject({
    rounds: { power: 2, moves: 1, network: 0, 'daemon-kills': 0, kills: 0 },
    faults: { 'power A': 6, 'power C': 2, 'kill A': 2, 'kill controller': 2 },
    powerLosses: 8,
    tornTails: 6,
    answered: 3000,
    flushes: 150,
    unanswered: 21,
    failure: null,
  });
  expect(reportText(report)).toBe(`
3 rounds in 62 s: 2 power, 1 moves
faults: 6 power A, 2 power C, 2 kill A, 2 kill controller
requests: 3000 answered, 150 flushes, 21 unanswered
power losses: 8; torn tails cut at a start: 6
nothing lost
`);
});

test('a failure is told with the command that does that round again', () => {
  const failed = { ...MOVES, failure: 'C differs' };
  const report = reportOf([POWER, failed], WHOLE);
  const repeat = 'npm run torture -- --only moves --from 5 --minutes 0';
  expect(report.failure).toEqual({ seed: 5, kind: 'moves', message: 'C differs', repeat });
  const text = reportText(report);
  expect(text).toContain('FAILED in round 5 (moves): C differs\n');
  expect(text).toContain(`again: ${repeat}\n`);
  expect(text).not.toContain('nothing lost');
});

test('what could not be had, and an early end, are said', () => {
  const skipped = [{ kind: 'power', why: 'needs root' }] as const;
  const text = reportText(reportOf([MOVES], { seconds: 9, skipped, stopped: true }));
  expect(text).toContain('1 rounds in 9 s, stopped: 1 moves\n');
  expect(text).toContain('skipped: power, needs root\n');
  expect(text).toContain('nothing lost');
});

test('where nothing was done, nothing is claimed', () => {
  const skipped = [{ kind: 'power', why: 'needs nbdkit' }] as const;
  const text = reportText(reportOf([], { seconds: 0, skipped, stopped: false }));
  expect(text).toContain('nothing was done');
  expect(text).not.toContain('nothing lost');
});

test('one line a round', () => {
  expect(roundLine(POWER)).toBe(
    'seed 4  power  31.3 s  5 power A, 2 power C, 1000 answered, 50 flushes, 7 unanswered, ' +
      '3 torn tails cut: nothing lost',
  );
  expect(roundLine({ ...POWER, stopped: true })).toMatch(/cut: stopped$/);
  const kills: Round = {
    ...POWER,
    kind: 'kills',
    faults: { 'kill rcopy migrate': 2 },
    answered: 0,
  };
  expect(roundLine({ ...kills, tornTails: 0, failure: 'osaka differs' })).toBe(
    'seed 4  kills  31.3 s  2 kill rcopy migrate: FAILED: osaka differs',
  );
});
