/** A dump of a file, one field a line: `offset | bytes | field = value | remark`. */
import type { DumpLine } from '../format/dump.ts';
import { padded } from './columns.ts';
import type { Paint } from './paint.ts';

const OFFSET_DIGITS = 8;
const BYTES_WIDTH = 33;

/** One field. Bytes that are not all shown end in an ellipsis. */
export function dumpRow(line: DumpLine, { bad, faint }: Paint): string {
  const { bytes, length, field, value, remark, damaged } = line;
  const more = length > bytes.length / 2 ? '…' : '';
  const meaning = value === '' ? field : `${field} = ${value}`;
  const cells = [hexOffset(line.offset), padded(bytes + more, BYTES_WIDTH)];
  const said = remark === '' ? [] : [(damaged ? bad : faint)(remark)];
  return [faint(cells.join(' | ')), meaning, ...said].join(' | ');
}

/** What stands behind the last line when there is more. */
export function dumpMore(next: number, { faint }: Paint): string {
  return faint(`… there is more: --from 0x${next.toString(16)}, or a larger --limit`);
}

function hexOffset(offset: number): string {
  return offset.toString(16).padStart(OFFSET_DIGITS, '0');
}
