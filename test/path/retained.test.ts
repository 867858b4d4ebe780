/** What is kept of answered writes, and what of it is lost when a set comes back with less. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { WriteRequest } from '../../src/device/device.ts';
import { Retained } from '../../src/path/retained.ts';

const ascending = (one: number, other: number): number => one - other;

const write = (length = 512): WriteRequest => {
  return { kind: 'write', offset: 0, length, data: [Buffer.alloc(length)], fua: false };
};

function kept(...sequences: readonly number[]): Retained<string> {
  const retained = new Retained<string>();
  for (const sequence of sequences) retained.add(`w${sequence}`, write(), sequence);
  return retained;
}

describe('retained writes', () => {
  test('go when they are durable, whatever order their answers came in', () => {
    const retained = kept(5, 3, 4, 9);
    retained.noteDurable(4);
    expect([retained.count, retained.newest]).toEqual([2, 9]);
    retained.add('late', write(), 2);
    expect(retained.count).toBe(2);
    retained.noteDurable(9);
    expect([retained.count, retained.bytes]).toEqual([0, 0]);
  });

  test('are lost above the place that a set comes back with, and written again in order', () => {
    const retained = kept(3, 4, 6, 7);
    expect(retained.lostAbove(4)).toEqual([6, 7]);
    const [first, second] = retained.lostUpTo(7);
    if (!first || !second) throw new Error('two are lost');
    expect([first.owner, second.owner]).toEqual(['w6', 'w7']);
    retained.writtenAgain(first, 5);
    retained.noteDurable(100); // what is lost is not meant by that
    expect(retained.lost).toEqual([7]);
    retained.writtenAgain(second, 6);
    retained.noteDurable(6);
    expect(retained.count).toBe(0);
  });

  test('a second loss takes those written again by their new numbers', () => {
    const retained = kept(3, 6, 9);
    retained.lostAbove(2);
    for (const [index, each] of retained.lostUpTo(6).entries()) {
      retained.writtenAgain(each, 3 + index);
    }
    expect(retained.lostAbove(3)).toEqual([4, 9]);
  });

  test('abandoned ones name those whose they were', () => {
    const retained = kept(3, 6);
    retained.lostAbove(4);
    expect([...retained.abandon()]).toEqual(['w6']);
    expect([retained.count, retained.bytes]).toEqual([0, 0]);
  });

  test('what is not durable and not abandoned is never forgotten, and bytes add up', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), at: fc.nat(60), length: fc.nat(4000) }),
      fc.record({ kind: fc.constant('durable' as const), at: fc.nat(60) }),
      fc.record({ kind: fc.constant('restart' as const), at: fc.nat(60) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const retained = new Retained<number>();
        let model: { sequence: number; length: number }[] = [];
        let durable = 0;
        let wrong = false;
        for (const each of steps) {
          switch (each.kind) {
            case 'add': {
              const length = each.length + 1;
              retained.add(each.at, write(length), each.at);
              if (each.at > durable) model.push({ sequence: each.at, length });
              break;
            }
            case 'durable':
              durable = Math.max(durable, each.at);
              retained.noteDurable(each.at);
              model = model.filter(({ sequence }) => sequence > durable);
              break;
            case 'restart': {
              const lost = retained.lostAbove(each.at);
              model = model.filter(({ sequence }) => sequence > each.at);
              wrong ||=
                lost.join() !==
                model
                  .map(({ sequence }) => sequence)
                  .sort(ascending)
                  .join();
              for (const again of retained.lostUpTo(1000)) {
                retained.writtenAgain(again, again.sequence);
              }
              durable = each.at;
            }
          }
          const bytes = model.reduce((sum, { length }) => sum + length + 256, 0);
          expect([retained.count, retained.bytes, wrong]).toEqual([model.length, bytes, false]);
        }
      }),
    );
  });
});
