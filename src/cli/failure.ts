/** Whatever was thrown, as what the user gets: a code, one line, a hint, an exit code. */
import { inspect, stripVTControlCharacters } from 'node:util';
import { RcopyError, isRcopyError, messageOf } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import { EXIT_CODES, SIGNAL_EXIT_CODES } from './exit-codes.ts';

/** A failure as it is shown. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: number;
}

/** The signals that end a command in order. */
export type StopSignal = keyof typeof SIGNAL_EXIT_CODES;

/** The user, or the system, asked the command to stop. */
export class StoppedBySignal extends RcopyError {
  readonly signal: StopSignal;

  constructor(signal: StopSignal, hint?: string) {
    super('E_STOPPED', `stopped by ${signal}: everything acknowledged is safe`, { hint });
    this.signal = signal;
  }
}

/**
 * A check that did its work, and whose answer is bad news: the answer is shown as well. A silent
 * one speaks by its answer and its exit code alone.
 */
export class FailedCheck extends RcopyError {
  readonly answer: object;
  readonly silent: boolean;

  constructor(code: ErrorCode, message: string, answer: object, details: CheckDetails = {}) {
    super(code, message, { hint: details.hint });
    this.answer = answer;
    this.silent = details.silent ?? false;
  }
}

/** What a {@link FailedCheck} may carry beside its answer. */
export interface CheckDetails {
  readonly hint?: string | undefined;
  readonly silent?: boolean;
}

/** What `--json` prints of a failure: one object, with the answer of the check if there is one. */
export function failureJson(error: unknown, { code, message, hint }: Failure): object {
  if (!(error instanceof FailedCheck)) return { error: { code, message, hint } };
  if (error.silent) return error.answer;
  return { ...error.answer, error: { code, message, hint } };
}

/** `error` as a {@link Failure}; `command` as the user calls it, such as `rcopy pair create`. */
export function failureOf(error: unknown, command: string): Failure {
  if (error instanceof StoppedBySignal) {
    const { code, message, hint } = error;
    return { code, message, hint, exitCode: SIGNAL_EXIT_CODES[error.signal] };
  }
  if (isRcopyError(error)) {
    const { code, hint } = error;
    const message = code === 'E_USAGE' ? withoutFrame(error.message) : oneLine(error.message);
    const usageHint = code === 'E_USAGE' ? helpHint(command) : undefined;
    return { code, message, hint: hint ?? usageHint, exitCode: EXIT_CODES[code] };
  }
  if (isParserError(error)) {
    const message = usageMessage(error);
    return { code: 'E_USAGE', message, hint: helpHint(command), exitCode: EXIT_CODES.E_USAGE };
  }
  return unexpected(error);
}

/** All that a developer wants to know: the stacks of the error and of what led to it. */
export function stackOf(error: unknown): string {
  return inspect(error, { depth: 4 });
}

/** What came from the operating system is named as such; the rest is a fault of ours. */
function unexpected(error: unknown): Failure {
  const system = (error as { syscall?: unknown } | null)?.syscall !== undefined;
  const code = system ? 'E_IO' : 'E_INTERNAL';
  return {
    code,
    message: oneLine(system ? messageOf(error) : `internal error: ${messageOf(error)}`),
    hint: system ? undefined : 'run the command again with --verbose, and report what it shows',
    exitCode: EXIT_CODES[code],
  };
}

/** The parser's errors, as far as we read them; told by their own fields, not by their class. */
interface ParserError {
  readonly message: string;
  readonly flags?: unknown;
  readonly args?: unknown;
}

function isParserError(error: unknown): error is ParserError {
  return typeof error === 'object' && error !== null && 'oclif' in error && 'message' in error;
}

function usageMessage({ message, flags, args }: ParserError): string {
  if (isListOf(flags, isText))
    return `unknown ${flags.length === 1 ? 'flag' : 'flags'} ${list(flags)}`;
  if (isListOf(args, isText)) {
    return `unexpected ${args.length === 1 ? 'argument' : 'arguments'} ${list(args)}`;
  }
  if (isListOf(args, isNamed)) {
    return `missing ${list(args.map(({ name }) => name.toUpperCase()))}`;
  }
  return withoutFrame(message);
}

/** Where the parser's next sentence begins; a value that it repeats may have lines of its own. */
const NEXT_REASON = /\n\s*(?=--[\w-]+=|Missing |Exactly |At least |All )/;

/** One line of what the parser wraps in several. */
function withoutFrame(framed: string): string {
  const text = stripVTControlCharacters(framed).replace(/\n*See more help with --help$/, '');
  const parsing = /^Parsing (--\S+)\s+(.*)$/s.exec(text);
  if (parsing !== null) return oneLine(`${parsing[1]}: ${parsing[2]}`);
  const options = /^Expected (--[\w-]+)=(.*) to be one of: (.*)$/s.exec(text);
  if (options !== null) return oneLine(`${options[1]} ${options[2]}: it takes only ${options[3]}`);
  const several = text.replace(/^The following errors? occurred:\s*/, '').split(NEXT_REASON);
  return several.map((line) => oneLine(plainer(line))).join('; ');
}

/** The parser's sentences in our words. */
function plainer(line: string): string {
  const rules: readonly [RegExp, string][] = [
    [/^Missing required flag (\S+)$/, 'missing --$1'],
    [/^Exactly one of the following must be provided: (.*)$/, 'give exactly one of $1'],
    [/^(--[\w-]+)=.* cannot also be provided when using (--\S+)$/s, '$2 and $1 exclude each other'],
    [
      /^All of the following must be provided when using (--\S+): (--\S+)$/,
      '$1 makes sense only with $2',
    ],
    [/^Flag (--\S+) can only be specified once$/, '$1 is given twice'],
    [/^Flag (--\S+) expects a value$/, '$1 needs a value'],
    [/^Flag (--\S+) expects one of these values: (.*)$/, '$1 needs a value: $2'],
  ];
  const rule = rules.find(([pattern]) => pattern.test(line));
  return rule === undefined ? line : line.replace(rule[0], rule[1]);
}

function helpHint(command: string): string {
  return `see \`${command} --help\``;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

function list(words: readonly string[]): string {
  return words.join(', ');
}

function isListOf<T>(value: unknown, is: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => is(item));
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isNamed(value: unknown): value is { readonly name: string } {
  return typeof value === 'object' && value !== null && isText((value as { name?: unknown }).name);
}
