/**
 * A mutant: one deliberate fault as a small patch of the sources, of the kind that a good engineer
 * makes and a careless review lets pass. The simulator has to find each of them: a check that
 * finds no faults proves nothing.
 */

/** The rules of src/README.md. */
export const RULES = ['R1', 'R2', 'R3', 'R4', 'R5', 'R6', 'R7', 'R8', 'R9', 'R10'] as const;
export type Rule = (typeof RULES)[number];

/** One place that is changed: `find` occurs exactly once in the file. */
export interface Edit {
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Edit {
  readonly name: string;
  /** The rule that it breaks; it may be seen first by the check of another one. */
  readonly rule: Rule;
  /** Relative to the top of the project. */
  readonly file: string;
  /** What one may have thought, and what it leads to. */
  readonly why: string;
  /**
   * A test file, without its ending, that sees it: for what shows in a moment so short, or behind
   * so many steps, that runs by seed may miss it. Tried where no seed has failed.
   */
  readonly test?: string;
  /** What else has to change in the same file. */
  readonly also?: readonly Edit[];
}

export function editsOf({ find, replace, also = [] }: Mutant): readonly Edit[] {
  return [{ find, replace }, ...also];
}

/** How often `find` occurs in `text`. */
export function occurrences(text: string, find: string): number {
  return text.split(find).length - 1;
}

/** The source with the fault in it. Throws when the mutant does not fit the source any more. */
export function patched(mutant: Mutant, source: string): string {
  let text = source;
  for (const { find, replace } of editsOf(mutant)) {
    const count = occurrences(text, find);
    if (count !== 1) {
      throw new Error(`mutant ${mutant.name}: ${count} places in ${mutant.file} fit its patch`);
    }
    text = text.replace(find, () => replace);
  }
  return text;
}
