/** What a set and its controllers decide: whose turn it is, and where hosts belong. */
import { describe, expect, test } from '@jest/globals';
import type { MigrationId } from '../../src/base/ids.ts';
import type { PeerIdentity } from '../../src/format/set-file.ts';
import type { PathPhase, PathWord } from '../../src/node/path-calls.ts';
import { goalOf } from '../../src/node/path-goal.ts';
import { turnOf } from '../../src/node/path-turns.ts';

const said = (id: string, lost: number[] | null, replayedTo = 0) => ({ id, lost, replayedTo });

describe('[R2] whose turn it is to write again', () => {
  test.each([
    ['nobody lost anything', [said('x', []), said('y', [])], { kind: 'done' }],
    ['nobody is known', [], { kind: 'done' }],
    ['one has not said', [said('x', [5]), said('y', null)], { kind: 'waiting', ids: ['y'] }],
    ['one goes on to the end', [said('x', [5, 7])], turn('x', Number.MAX_SAFE_INTEGER - 1)],
    ['the lowest number first', [said('x', [6, 8]), said('y', [5, 9])], turn('y', 5)],
    ['up to before the next of another', [said('x', [6, 8]), said('y', [5, 9], 5)], turn('x', 8)],
    [
      'the last ones',
      [said('x', [6], 8), said('y', [5, 9], 5)],
      turn('y', Number.MAX_SAFE_INTEGER - 1),
    ],
    ['all is written', [said('x', [6], 8), said('y', [5, 9], 9)], { kind: 'done' }],
  ])('%s', (_, reports, expected) => {
    expect(turnOf(reports)).toEqual(expected);
  });

  test('every lost write gets its turn exactly once, in the order of the numbers', () => {
    const lost: Record<string, number[]> = { x: [2, 3, 9, 12], y: [4, 10, 11], z: [1, 20] };
    const reports = Object.entries(lost).map(([id, numbers]) => said(id, numbers));
    const order: number[] = [];
    for (let turns = 0; turns < 20; turns += 1) {
      const next = turnOf(reports);
      if (next.kind !== 'turn') break;
      const report = reports.find(({ id }) => id === next.id);
      if (!report) throw new Error('it is one of them');
      const { replayedTo } = report;
      order.push(...(report.lost ?? []).filter((n) => n > replayedTo && n <= next.upTo));
      report.replayedTo = next.upTo;
    }
    expect(order).toEqual([1, 2, 3, 4, 9, 10, 11, 12, 20]);
  });
});

function turn(id: string, upTo: number) {
  return { kind: 'turn', id, upTo };
}

const SUCCESSOR = { setId: 'b', name: 'osaka', address: '/osaka' } as unknown as PeerIdentity;
const MIGRATION = 'm' as MigrationId;
const SEALED: PathPhase = { kind: 'sealed', epoch: 1, nextSequence: 9, successor: SUCCESSOR };

function word(epoch: number, phase: PathPhase, change: Partial<PathWord> = {}): PathWord {
  return {
    phase,
    groupId: 'g',
    epoch,
    reign: 'r',
    recovered: 0,
    tookOverAt: null,
    expected: true,
    replayed: 0,
    newest: null,
    durableSequence: 0,
    upcoming: null,
    accepted: null,
    ...change,
  };
}

const OPEN = word(1, { kind: 'open' });
const CLOSED: PathPhase = { kind: 'closed', reason: 'it is stopping' };
const accepted = (phase: PathPhase) => word(2, phase, { accepted: MIGRATION });

describe('[R4] where hosts belong', () => {
  test.each([
    ['the set is open', OPEN, undefined, 'current'],
    ['it is open, whatever another says', OPEN, accepted({ kind: 'open' }), 'current'],
    ['it has to wait for others', word(1, { kind: 'wait' }), undefined, 'current'],
    [
      'it holds for a migration',
      word(1, { kind: 'hold', migrationId: MIGRATION }),
      undefined,
      'current',
    ],
    ['sealed, its successor not reached', word(1, SEALED), undefined, 'nowhere'],
    ['sealed, its successor not open yet', word(1, SEALED), word(0, CLOSED), 'nowhere'],
    ['sealed, another has an old epoch', word(1, SEALED), OPEN, 'nowhere'],
    [
      'sealed, another group is there',
      word(1, SEALED),
      word(2, { kind: 'open' }, { groupId: 'h' }),
      'nowhere',
    ],
    ['sealed, its successor gathers', word(1, SEALED), word(2, { kind: 'wait' }), 'next'],
    ['sealed, its successor is open', word(1, SEALED), word(2, { kind: 'open' }), 'next'],
    [
      'sealed, its successor as well',
      word(1, SEALED),
      word(2, { ...SEALED, epoch: 2 }),
      'beyond-next',
    ],
    ['out of reach, nothing accepted', undefined, word(2, { kind: 'open' }), 'nowhere'],
    ['out of reach, the migration was accepted', undefined, accepted({ kind: 'open' }), 'next'],
    ['out of reach, accepted and not open', undefined, accepted(CLOSED), 'nowhere'],
    ['stopping, the migration was accepted', word(1, CLOSED), accepted({ kind: 'wait' }), 'next'],
    ['stopping', word(1, CLOSED), undefined, 'nowhere'],
    ['nobody is reached', undefined, undefined, 'nowhere'],
  ] as const)('%s', (_, current, next, expected) => {
    expect(goalOf({ groupId: 'g', current, next, migrationId: MIGRATION })).toBe(expected);
  });

  test('a set that was never named for a migration is not believed by its own word', () => {
    const next = accepted({ kind: 'open' });
    expect(goalOf({ groupId: 'g', current: undefined, next, migrationId: null })).toBe('nowhere');
  });
});
