/** A screen that is drawn again and again, without flicker. */
import type { Screen } from './paint.ts';

const CLEAR_SCREEN = '\u001B[2J';
const TO_TOP = '\u001B[H';
const CLEAR_LINE_END = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

/**
 * What to write so that `lines` are what is seen: over the last ones on a terminal, below them
 * with a line between in a file or pipe.
 */
export function redrawn(lines: readonly string[], first: boolean, screen: Screen): string {
  if (screen.isTTY !== true) return `${first ? '' : '\n'}${lines.join('\n')}\n`;
  const body = lines.map((line) => `${line}${CLEAR_LINE_END}\n`).join('');
  return `${first ? CLEAR_SCREEN : ''}${TO_TOP}${body}${CLEAR_BELOW}`;
}
