/** The table of mutants must not rot: each one still fits its source, and is still a program. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { parseSync } from '@swc/core';
import { MUTANTS, mutantsFor } from './all.ts';
import { RULES, editsOf, occurrences, patched } from './mutant.ts';
import type { Mutant } from './mutant.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const sourceOf = ({ file }: Mutant): string => readFileSync(join(root, file), 'utf8');

describe('mutants', () => {
  test.each(MUTANTS)('[$rule] $name fits exactly once', (mutant) => {
    const source = sourceOf(mutant);
    for (const { find, replace } of editsOf(mutant)) {
      expect([find, occurrences(source, find)]).toEqual([find, 1]);
      expect(replace).not.toBe(find);
    }
    const text = patched(mutant, source);
    expect(() => parseSync(text, { syntax: 'typescript', target: 'es2022' })).not.toThrow();
  });

  test('have names of their own, and change only what is built', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.filter(({ file }) => !/^src\/[a-z]+\/[a-z-]+\.ts$/.test(file))).toEqual([]);
  });

  test.each(RULES)('%s has at least three', (rule) => {
    expect(mutantsFor([rule]).length).toBeGreaterThanOrEqual(3);
  });

  test('one that does not fit any more is said', () => {
    const [mutant] = MUTANTS;
    expect(mutant && (() => patched(mutant, 'something else'))).toThrow(/0 places/);
  });
});
