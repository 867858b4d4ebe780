// What a command needs of its process: signals, and commands that do not exist.
import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { watchSignals } from '../../src/cli/stop-signals.ts';
import { misread, slipsBetween } from '../../src/cli/unknown-command.ts';

/** A process that gets signals and notes how it was ended. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }
}

describe('signals', () => {
  test('the first one asks to stop, the second one ends the process at once', async () => {
    const source = new FakeProcess();
    const watch = watchSignals(source);
    source.emit('SIGINT', 'SIGINT');
    await expect(watch.stopped).rejects.toMatchObject({ code: 'E_STOPPED', signal: 'SIGINT' });
    expect(source.exits).toEqual([]);
    source.emit('SIGTERM', 'SIGTERM');
    expect(source.exits).toEqual([143]);
    watch.release();
  });

  test('after its release a watch leaves signals alone', async () => {
    const source = new FakeProcess();
    const watch = watchSignals(source);
    watch.release();
    expect(source.eventNames()).toEqual([]);
    const silent = await Promise.race([watch.stopped, Promise.resolve('silent')]);
    expect(silent).toBe('silent');
  });
});

describe('a command that does not exist', () => {
  const known = ['create', 'status', 'migrate', 'migrate:status', 'pair:create'];

  test.each([
    [['statsu', './tokyo'], 'statsu', 'status'],
    [['pair', 'crate'], 'pair crate', 'pair create'],
    [['frobnicate'], 'frobnicate', undefined],
    [['pair', 'frobnicate', 'x'], 'pair frobnicate', undefined],
    [[''], '', undefined],
  ])('%j', (typed, name, suggestion) => {
    expect(misread(typed, known)).toEqual({ name, suggestion });
  });

  test.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['status', 'status', 0],
    ['statsu', 'status', 2],
    ['crate', 'create', 1],
    ['kitten', 'sitting', 3],
  ])('from %j to %j it is %d slips', (from, to, slips) => {
    expect(slipsBetween(from, to)).toBe(slips);
  });
});
