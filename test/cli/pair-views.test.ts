// What commands on pairs say, as golden text.
import { describe, expect, test } from '@jest/globals';
import {
  pairAddressView,
  pairEndView,
  pairResyncView,
  pairSplitView,
  pairView,
} from '../../src/cli/pair-views.ts';
import { plainPaint } from '../../src/cli/paint.ts';
import { takeoverView } from '../../src/cli/takeover-view.ts';
import type { ReplicateAnswer, TakeoverAnswer } from '../../src/node/answers.ts';

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

const paired = {
  id: 'p',
  primary: '/sets/a',
  secondary: '/sets/b',
  state: 'paired',
  ack: 'local',
} as const;
const copying = { ...paired, state: 'copying' } as const;

describe('pairs', () => {
  test('create: what was copied, or how to copy', () => {
    const names = { primary: './a', secondary: './b' };
    expect(pairView({ changed: true, pair: copying }, names, plainPaint)).toEqual([
      '✓ ./a is paired with ./b',
      '  next: rcopy replicate ./a',
    ]);
    expect(pairView({ changed: true, pair: copying, kept: true }, names, plainPaint)).toEqual([
      '✓ ./a is paired with ./b',
      '  the daemon copies by itself',
      '  next: rcopy wait ./a --synced',
    ]);
    expect(pairView({ changed: false, pair: copying, replicated }, names, plainPaint)).toEqual([
      '✓ ./a is paired already with ./b',
      '  sent 1 record, 4 KiB, in 250 ms',
    ]);
  });

  test('split: how to go on, whether or not it was new', () => {
    const pair = { ...paired, state: 'split' };
    expect(pairSplitView({ changed: true, pair }, './a', plainPaint)).toEqual([
      '✓ the pair of ./a is split: nothing is sent, what changes is mapped',
      '  next: rcopy pair resync ./a',
    ]);
    expect(pairSplitView({ changed: false, pair }, './a', plainPaint)).toEqual([
      '✓ the pair of ./a is split already',
      '  next: rcopy pair resync ./a',
    ]);
  });

  test('resync: as long as something is to be copied, what brings it there', () => {
    expect(pairResyncView({ changed: true, pair: copying }, './a', plainPaint)).toEqual([
      '✓ the pair of ./a goes on',
      '  next: rcopy replicate ./a',
    ]);
    expect(pairResyncView({ changed: true, pair: paired, replicated }, './a', plainPaint)).toEqual([
      '✓ the pair of ./a goes on',
      '  sent 1 record, 4 KiB, in 250 ms',
    ]);
    expect(pairResyncView({ changed: false, pair: paired }, './a', plainPaint)).toEqual([
      '✓ the pair of ./a is not split',
    ]);
  });

  test('address', () => {
    const names = { set: './a', address: './c' };
    expect(pairAddressView({ changed: true, pair: paired }, names, plainPaint)).toEqual([
      '✓ ./a finds the other end of its pair at ./c',
    ]);
    expect(pairAddressView({ changed: false, pair: paired }, names, plainPaint)).toEqual([
      '✓ ./a has that address already: ./c',
    ]);
  });

  test('delete: both ends, one end, or none', () => {
    const ended = { changed: true, pair: paired };
    expect(pairEndView(ended, { set: './a', local: false }, plainPaint)).toEqual([
      '✓ ./a and /sets/b are a pair no more',
    ]);
    expect(pairEndView(ended, { set: './a', local: true }, plainPaint)).toEqual([
      '✓ ./a has left its pair; the other end was not told',
    ]);
    const none = { changed: false, pair: null };
    expect(pairEndView(none, { set: './a', local: true }, plainPaint)).toEqual([
      '✓ ./a has no pair; nothing to do',
    ]);
  });
});

describe('a takeover', () => {
  const forced: TakeoverAnswer = {
    changed: true,
    forced: true,
    epoch: 2,
    sequence: 1204,
    nextSequence: 1205,
    from: { name: 'tokyo', address: '/sets/tokyo' },
    lastMark: { name: 'noon', sequence: 1200 },
  };

  test('by force says what may be lost, and what comes next', () => {
    expect(takeoverView(forced, './osaka', plainPaint)).toEqual([
      '✓ ./osaka is the primary now (epoch 2)',
      '  numbers  it has everything up to 1,204, and writes from 1,205 on',
      '  lost     what tokyo took behind number 1,204, if it took anything',
      '  beware   tokyo was not told: no host may use it, or a set that it moved to',
      '  mark     noon (number 1,200) is the last that is part of it',
      '',
      '  next: rcopy pair delete ./osaka --local',
      '  then: rcopy pair create ./osaka SECONDARY, for a second copy',
    ]);
  });

  test('that was planned has lost nothing, and the old primary can become the copy', () => {
    const planned = { ...forced, forced: false, lastMark: null };
    expect(takeoverView(planned, './osaka', plainPaint)).toEqual([
      '✓ ./osaka is the primary now (epoch 2)',
      '  numbers  it has everything up to 1,204, and writes from 1,205 on',
      '  lost     nothing: tokyo sent all that it took, and takes no more',
      '  mark     none is known here',
      '',
      '  next: rcopy pair delete ./osaka --local',
      '  then: rcopy pair create ./osaka /sets/tokyo --overwrite, for a second copy',
    ]);
  });

  test('is made once', () => {
    expect(takeoverView({ ...forced, changed: false }, './osaka', plainPaint)).toEqual([
      '✓ ./osaka took over already; nothing to do (epoch 2)',
    ]);
  });
});
