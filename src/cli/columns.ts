/** Aligned text: columns as wide as their widest cell, painted or not. */
import { stripVTControlCharacters } from 'node:util';
import type { Paint } from './paint.ts';

export type Align = 'left' | 'right';

const GAP = '  ';

/** Characters of `text` on a screen. */
export function widthOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

/** `text` filled up to `width` with spaces. */
export function padded(text: string, width: number, align: Align = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - widthOf(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** One line a row, its cells below those of the other rows; no line ends in spaces. */
export function columns(
  rows: readonly (readonly string[])[],
  aligns: readonly Align[] = [],
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, widthOf(cell));
    }
  }
  return rows.map((row) =>
    row
      .map((cell, index) => padded(cell, widths[index] ?? 0, aligns[index]))
      .join(GAP)
      .trimEnd(),
  );
}

/** `lines`, moved to the right under the line that they belong to. */
export function indented(lines: readonly string[], by = 2): string[] {
  return lines.map((line) => (line === '' ? line : ' '.repeat(by) + line));
}

/** A name and what it stands for. */
export type Labelled = readonly [label: string, text: string];

/** One line a fact: its name, then itself, each fact under the last. */
export function labelled(rows: readonly Labelled[], { faint }: Paint): string[] {
  return columns(rows.map(([label, text]) => [faint(label), text]));
}
