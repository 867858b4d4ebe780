/** The records of a journal, one a line, in columns that are known before the first one is read. */
import type { JournalLine } from '../control/inspect-journal.ts';
import { padded } from './columns.ts';
import type { Align } from './columns.ts';
import type { Paint } from './paint.ts';

interface Column {
  readonly name: string;
  readonly width: number;
  readonly align: Align;
  readonly text: (line: JournalLine) => string;
}

const COLUMNS: readonly Column[] = [
  { name: 'epoch', width: 5, align: 'right', text: ({ epoch }) => String(epoch) },
  { name: 'number', width: 9, align: 'right', text: ({ sequence }) => String(sequence) },
  { name: 'kind', width: 7, align: 'left', text: ({ kind }) => kind },
  { name: 'volume', width: 8, align: 'left', text: ({ volume }) => volume ?? '-' },
  { name: 'offset', width: 13, align: 'right', text: (line) => onlyOfData(line, line.offset) },
  { name: 'length', width: 9, align: 'right', text: (line) => onlyOfData(line, line.length) },
  { name: 'time', width: 24, align: 'left', text: ({ time }) => time },
  { name: 'chain', width: 8, align: 'left', text: ({ chain }) => chain },
  { name: 'at', width: 10, align: 'right', text: ({ fileOffset }) => String(fileOffset) },
];

/** What stands above the records of a file: its path, and first of all the names of the columns. */
export function journalHead(file: string, first: boolean, { faint }: Paint): string[] {
  const names = COLUMNS.map(({ name, width, align }) => padded(name, width, align));
  return first ? [faint(`${names.join('  ')}  note`), faint(file)] : [faint(file)];
}

/** One record. */
export function journalRow(line: JournalLine, { bad, faint }: Paint): string {
  const cells = COLUMNS.map(({ text, width, align }) => padded(text(line), width, align));
  const row = `${cells.join('  ')}  ${faint(line.note)}`.trimEnd();
  return line.kind === 'damaged' ? bad(row) : row;
}

function onlyOfData({ volume }: JournalLine, amount: number): string {
  return volume === null ? '-' : String(amount);
}
