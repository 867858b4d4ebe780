/** All mutants, and those of one rule or name. */
import type { Mutant } from './mutant.ts';
import { ORDER } from './r1-order.ts';
import { STATUS } from './r10-status.ts';
import { DURABLE } from './r2-durable.ts';
import { WRITE_AHEAD } from './r3-write-ahead.ts';
import { ONE_WRITER } from './r4-one-writer.ts';
import { NOTHING_PRESUMED } from './r5-nothing-presumed.ts';
import { RESUME } from './r6-resume.ts';
import { TRIM_LAST } from './r7-trim-last.ts';
import { DAMAGE } from './r8-damage.ts';
import { BOUNDED } from './r9-bounded.ts';

export const MUTANTS: readonly Mutant[] = [
  ...ORDER,
  ...DURABLE,
  ...WRITE_AHEAD,
  ...ONE_WRITER,
  ...NOTHING_PRESUMED,
  ...RESUME,
  ...TRIM_LAST,
  ...DAMAGE,
  ...BOUNDED,
  ...STATUS,
];

/** Those that are called so, or break that rule; all when nothing is asked for. */
export function mutantsFor(asked: readonly string[]): readonly Mutant[] {
  if (asked.length === 0) return MUTANTS;
  return MUTANTS.filter(({ name, rule }) => asked.includes(name) || asked.includes(rule));
}
