/**
 * Assertions: statements about this program, not about its input. One that fails is a bug in
 * rcopy, and stopping is safer than going on.
 */
import { RcopyError } from './errors.ts';

/** Throws `E_INTERNAL` unless `condition` holds. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) {
    throw new RcopyError('E_INTERNAL', `assertion failed: ${what}`, {
      hint: 'this is a bug in rcopy: nothing acknowledged is lost, please report it',
    });
  }
}

/** For the default branch of a switch over a union: does not compile unless all are handled. */
export function unreachable(value: never): never {
  throw new RcopyError('E_INTERNAL', `assertion failed: unexpected value ${String(value)}`);
}
