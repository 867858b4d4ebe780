/** A hook of oclif: what to say to a command that does not exist. */
import type { Hook } from '@oclif/core/hooks';
import { EXIT_CODES } from './exit-codes.ts';

/** More slips of the finger than this, and it was another word. */
const SLIPS_MAX = 2;

const hook: Hook.CommandNotFound = async function unknownCommand({
  id,
  argv = [],
  config,
  context,
}) {
  const typed = id.split(':');
  const known = config.commands.filter(({ hidden }) => !hidden).map((command) => command.id);
  const { name, suggestion } = misread(typed, known);
  const message = `there is no command \`${config.bin} ${name}\``;
  const all = `\`${config.bin} help\` lists all commands`;
  const hint =
    suggestion === undefined ? all : `did you mean \`${config.bin} ${suggestion}\`? ${all}`;
  if ([...argv, ...typed].includes('--json')) {
    const error = { code: 'E_USAGE', message, hint };
    process.stdout.write(`${JSON.stringify({ error }, undefined, 2)}\n`);
  } else {
    process.stderr.write(`error: ${message}\nhint:  ${hint}\n`);
  }
  context.exit(EXIT_CODES.E_USAGE);
};

export default hook;

/** Which of the typed words were meant as a command, and which command they may have meant. */
export function misread(
  typed: readonly string[],
  known: readonly string[],
): { name: string; suggestion: string | undefined } {
  const [first = '', second = ''] = typed;
  const inTopic = known.some((id) => id.startsWith(`${first}:`));
  const name = inTopic && second !== '' ? `${first} ${second}` : first;
  const ranked = known
    .map((id) => id.replaceAll(':', ' '))
    .map((id) => ({ id, slips: slipsBetween(name, id) }))
    .toSorted((a, b) => a.slips - b.slips);
  const [best] = ranked;
  return { name, suggestion: best !== undefined && best.slips <= SLIPS_MAX ? best.id : undefined };
}

/** How many letters have to be put in, taken out or changed to get from one word to the other. */
export function slipsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [index, letter] of Array.from(from).entries()) {
    const next = [index + 1];
    for (let column = 1; column <= to.length; column++) {
      const changed = (row[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
