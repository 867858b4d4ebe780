/**
 * Programs of others that speak NBD, run against what this process serves. Where one is missing,
 * its tests fail in CI, and are skipped by name elsewhere.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { begin, run } from './processes.ts';
import type { RunOptions } from './processes.ts';

export { begin, run };

/** Runs a program that must succeed; gives what it wrote. */
export async function succeed(
  program: string,
  words: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, said } = await run(program, words, options);
  expect(`${program} ended with ${code}: ${code === 0 ? '' : said}`).toBe(
    `${program} ended with 0: `,
  );
  return stdout.toString();
}

/** Whether a program of this name can be run. */
export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A test that needs these programs. */
export function testWith(
  programs: readonly string[],
  name: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  const missing = programs.filter((program) => !isInstalled(program));
  const runs = missing.length === 0 || process.env['CI'] === 'true';
  const define = runs ? test : test.skip;
  define(runs ? name : `${name} (${missing.join(', ')} not installed)`, body, timeoutMs);
}

/** A test with programs that a machine may be no place for: `problem` says why, if it is so. */
export function testWhere(
  problem: string | undefined,
  programs: readonly string[],
  name: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  const { skip } = test;
  if (problem === undefined) testWith(programs, name, body, timeoutMs);
  else skip(`${name} (${problem})`, body, timeoutMs);
}
