/** What the short commands say when they are done: one sentence, and what belongs to it. */
import type {
  CreateAnswer,
  ExportAnswer,
  ImportAnswer,
  ReplicateAnswer,
  WriteAnswer,
} from '../node/answers.ts';
import { columns, indented } from './columns.ts';
import { formatDuration } from '../base/durations.ts';
import type { Paint } from './paint.ts';
import { counted, formatCount, formatSize } from '../base/sizes.ts';

export function createView(answer: CreateAnswer, folder: string, paint: Paint): string[] {
  const { good, strong, faint } = paint;
  const head = answer.changed
    ? `${good('✓')} made image set ${strong(folder)}`
    : `${good('✓')} image set ${strong(folder)} is there already`;
  const volumes = answer.volumes.map(({ name, size }) => [name, formatSize(size)]);
  const journal = ['journal', formatSize(answer.journal.capacityBytes)].map(faint);
  return [head, ...indented(columns([...volumes, journal], ['left', 'right']))];
}

export function writeView(answer: WriteAnswer, { good, faint }: Paint): string[] {
  const { length, volume, offset } = answer;
  const where = `${volume} at ${formatCount(offset)}`;
  return [`${good('✓')} wrote ${formatSize(length)} to ${where} ${faint(numbersOf(answer))}`];
}

export function importView(answer: ImportAnswer, file: string, { good, faint }: Paint): string[] {
  const { volume, length, dataBytes } = answer;
  const amount = `${formatSize(dataBytes)} of data in ${formatSize(length)}`;
  return [`${good('✓')} imported ${file} into ${volume}: ${amount} ${faint(numbersOf(answer))}`];
}

export function exportView(answer: ExportAnswer, output: string, { good, faint }: Paint): string[] {
  const { volume, length, dataBytes, sequence } = answer;
  const amount = `${formatSize(dataBytes)} of data in ${formatSize(length)}`;
  const asOf = faint(`(as of number ${formatCount(sequence)})`);
  return [`${good('✓')} exported ${volume} into ${output}: ${amount} ${asOf}`];
}

export function replicateView(answer: ReplicateAnswer, { good, faint }: Paint): string[] {
  const all = answer.restoredSequence + 1 >= answer.nextSequence;
  const head = all
    ? 'the secondary has everything'
    : `the secondary has everything up to ${formatCount(answer.restoredSequence)}`;
  const number = all ? ` ${faint(`(up to number ${formatCount(answer.restoredSequence)})`)}` : '';
  return [`${good('✓')} ${head}${number}`, ...indented([replicatedText(answer)])];
}

/** What one replication did, in a line. */
export function replicatedText(answer: ReplicateAnswer): string {
  const { sentRecords, sentBytes, copiedBytes, copies, seconds } = answer;
  const parts: string[] = [];
  if (copies > 0 || copiedBytes > 0) parts.push(`copied ${formatSize(copiedBytes)}`);
  if (sentRecords > 0)
    parts.push(`sent ${counted(sentRecords, 'record')}, ${formatSize(sentBytes)}`);
  if (parts.length === 0) return 'nothing had to be sent';
  return `${parts.join('; ')}, in ${formatDuration(seconds * 1000)}`;
}

/** `(number 5)` or `(numbers 5 to 9)`. */
function numbersOf({ firstSequence, lastSequence }: WriteAnswer): string {
  if (firstSequence === lastSequence) return `(number ${formatCount(firstSequence)})`;
  return `(numbers ${formatCount(firstSequence)} to ${formatCount(lastSequence)})`;
}
