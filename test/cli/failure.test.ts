// Whatever is thrown becomes a code, one line, a hint, and an exit code.
import { describe, expect, test } from '@jest/globals';
import { RcopyError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { EXIT_CODES } from '../../src/cli/exit-codes.ts';
import {
  FailedCheck,
  StoppedBySignal,
  failureJson,
  failureOf,
  stackOf,
} from '../../src/cli/failure.ts';

const SEE_HELP = 'see `rcopy write --help`';

/** What oclif's parser throws, told by its fields. */
function parserError(message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), { oclif: { exit: 2 }, ...fields });
}

describe('exit codes', () => {
  const groups: readonly [number, readonly ErrorCode[]][] = [
    [1, ['E_NO_SPACE', 'E_STOPPED', 'E_IO', 'E_INTERNAL']],
    [2, ['E_USAGE', 'E_RANGE']],
    [3, ['E_NOT_FOUND']],
    [4, ['E_HELD']],
    [5, ['E_SEALED', 'E_ROLE', 'E_NOT_PAIRED', 'E_PAIRED', 'E_NOT_EMPTY', 'E_TOO_SMALL']],
    [5, ['E_STATE', 'E_COPIED', 'E_SPLIT_BRAIN', 'E_JOURNAL_FULL']],
    [6, ['E_DAMAGED', 'E_VERSION', 'E_DIFFERENT', 'E_PROTOCOL']],
    [7, ['E_UNREACHABLE', 'E_TIMEOUT']],
  ];

  test('each code has the exit code of the contract', () => {
    const expected = groups.flatMap(([exit, codes]) => codes.map((code) => [code, exit]));
    expect(EXIT_CODES).toEqual(Object.fromEntries(expected));
  });

  test.each(groups.flatMap(([exit, codes]) => codes.map((code) => [code, exit] as const)))(
    '%s ends with %d',
    (code, exit) => {
      const error = new RcopyError(code, 'what: with what', { hint: 'do this' });
      const expected = { code, message: 'what: with what', hint: 'do this', exitCode: exit };
      expect(failureOf(error, 'rcopy write')).toEqual(expected);
    },
  );

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends with %d', (signal, exit) => {
    const failure = failureOf(new StoppedBySignal(signal), 'rcopy write');
    expect(failure).toMatchObject({ code: 'E_STOPPED', exitCode: exit });
    expect(failure.message).toContain(signal);
  });
});

describe('wrong usage', () => {
  test('has a hint of its own, or else the way to the help', () => {
    const own = new RcopyError('E_USAGE', 'no', { hint: 'do this' });
    expect(failureOf(own, 'rcopy write').hint).toBe('do this');
    expect(failureOf(new RcopyError('E_USAGE', 'no'), 'rcopy write').hint).toBe(SEE_HELP);
  });

  test.each([
    ['an unknown flag', parserError('x', { flags: ['--foo'] }), 'unknown flag --foo'],
    ['two', parserError('x', { flags: ['--foo', '-x'] }), 'unknown flags --foo, -x'],
    ['an argument too many', parserError('x', { args: ['b'] }), 'unexpected argument b'],
    ['a missing argument', parserError('x', { args: [{ name: 'set' }] }), 'missing SET'],
    [
      'a flag that cannot be parsed',
      parserError('Parsing --offset \n\t-1 is below 0\nSee more help with --help'),
      '--offset: -1 is below 0',
    ],
    [
      'a missing flag',
      parserError(
        'The following error occurred:\n  \u001B[2mMissing required flag offset\u001B[22m' +
          '\nSee more help with --help',
      ),
      'missing --offset',
    ],
    [
      'two missing flags',
      parserError(
        'The following errors occurred:\n  Missing required flag a\n  Missing required flag b',
      ),
      'missing --a; missing --b',
    ],
    [
      'flags that exclude each other',
      parserError(
        'The following error occurred:\n  --data=a\nb cannot also be provided when using --file',
      ),
      '--file and --data exclude each other',
    ],
    [
      'a value that is not offered',
      parserError('Expected --mode=bitmap to be one of: drain\nSee more help with --help'),
      '--mode bitmap: it takes only drain',
    ],
    [
      'a flag given twice',
      parserError('Flag --x can only be specified once'),
      '--x is given twice',
    ],
    ['a flag without value', parserError('Flag --x expects a value'), '--x needs a value'],
  ])('%s is one line of ours', (_what, error, message) => {
    const expected = { code: 'E_USAGE', message, hint: SEE_HELP, exitCode: 2 };
    expect(failureOf(error, 'rcopy write')).toEqual(expected);
  });
});

describe('the unexpected', () => {
  test('from the operating system is E_IO', () => {
    const error = Object.assign(new Error('EMFILE: too many open files'), { syscall: 'open' });
    expect(failureOf(error, 'rcopy write')).toMatchObject({ code: 'E_IO', exitCode: 1 });
  });

  test.each([[new TypeError('x is\nundefined')], ['thrown text'], [undefined], [null], [7]])(
    '%p is a fault of ours, in one line',
    (error) => {
      const failure = failureOf(error, 'rcopy write');
      expect(failure).toMatchObject({ code: 'E_INTERNAL', exitCode: 1 });
      expect(failure.message).toMatch(/^internal error: [^\n]+$/);
      expect(failure.hint).toContain('--verbose');
    },
  );

  test('keeps its stack and its cause for those who ask', () => {
    const cause = new Error('the cause of it');
    const stack = stackOf(new RcopyError('E_IO', 'the error', { cause }));
    expect(stack).toContain('the error');
    expect(stack).toContain('the cause of it');
    expect(stack).toContain('failure.test.ts');
  });
});

describe('as JSON', () => {
  const shown = (error: Error): object => failureJson(error, failureOf(error, 'rcopy verify'));

  test('a failure is one object', () => {
    const error = new RcopyError('E_NOT_FOUND', 'no set', { hint: 'make one' });
    expect(shown(error)).toEqual({
      error: { code: 'E_NOT_FOUND', message: 'no set', hint: 'make one' },
    });
  });

  test('a failed check has its answer beside it, a silent one only its answer', () => {
    const answer = { ok: false, findings: [] };
    expect(shown(new FailedCheck('E_DAMAGED', 'bad', answer))).toEqual({
      ...answer,
      error: { code: 'E_DAMAGED', message: 'bad', hint: undefined },
    });
    expect(shown(new FailedCheck('E_STATE', '', answer, { silent: true }))).toEqual(answer);
  });
});
