/** Programs of others that the bench runs. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from '../support/processes.ts';

/** Runs a program that must succeed. */
export async function succeed(program: string, words: readonly string[]): Promise<void> {
  const { code, said } = await run(program, words);
  if (code !== 0) throw new Error(`${program} ${words.join(' ')}: exit ${code}\n${said}`);
}

/** Those of the programs that cannot be found. */
export function missing(programs: readonly string[]): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return programs.filter((program) => !folders.some((folder) => canRun(join(folder, program))));
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
