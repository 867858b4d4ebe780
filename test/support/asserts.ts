/** Assertions for what tests do many times over, or in helpers: quick, and short in words. */
import { isDeepStrictEqual } from 'node:util';
import { difference } from './image-sets.ts';

/** Throws unless both are the same, or equal in all their parts. */
export function assertSame(found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`found ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

/** Throws when `found` is below `least`. */
export function assertAtLeast(found: number, least: number): void {
  if (!(found >= least)) throw new Error(`found ${found}, which is below ${least}`);
}

/** Throws unless all volumes hold the same bytes; says where they first differ. */
export function assertVolumes(found: readonly Buffer[], expected: readonly Buffer[]): void {
  const where = difference(found, expected);
  if (where !== undefined) throw new Error(where);
}

/** Resolves when `promise` rejects with this code; rejects otherwise. */
export async function assertRejects(promise: Promise<unknown>, code: string): Promise<void> {
  const outcome = await promise.then(
    () => 'nothing was refused',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  assertSame(outcome, code);
}
