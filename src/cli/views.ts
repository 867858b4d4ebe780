/** What the short commands say when they are done: one sentence, and what belongs to it. */
import type {
  CreateAnswer,
  ExportAnswer,
  ImportAnswer,
  PairAnswer,
  ReplicateAnswer,
  WriteAnswer,
} from '../node/answers.ts';
import { columns, indented } from './columns.ts';
import { formatDuration } from './durations.ts';
import type { Paint } from './paint.ts';
import { counted, formatCount, formatSize } from './sizes.ts';

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

/** The two ends of a pair, as the user named them. */
export interface PairNames {
  readonly primary: string;
  readonly secondary: string;
}

export function pairView(
  answer: PairAnswer & { readonly replicated?: ReplicateAnswer },
  { primary, secondary }: PairNames,
  paint: Paint,
): string[] {
  const { good, strong, faint, accent } = paint;
  const said = answer.changed ? 'is paired with' : 'is paired already with';
  const head = `${good('✓')} ${strong(primary)} ${said} ${strong(secondary)}`;
  if (answer.replicated !== undefined) {
    return [head, ...indented([replicatedText(answer.replicated)])];
  }
  if (answer.pair?.state !== 'copying') return [head];
  return [head, ...indented([`${faint('next:')} ${accent(`rcopy replicate ${primary}`)}`])];
}

export function pairEndView(answer: PairAnswer, set: string, { good, strong }: Paint): string[] {
  if (!answer.changed) return [`${good('✓')} ${strong(set)} has no pair; nothing to do`];
  const peer = answer.pair?.secondary ?? 'its secondary';
  return [`${good('✓')} ${strong(set)} and ${strong(peer)} are a pair no more`];
}

export function replicateView(answer: ReplicateAnswer, { good, faint }: Paint): string[] {
  const all = answer.restoredSequence + 1 >= answer.nextSequence;
  const head = all
    ? 'the secondary has everything'
    : `the secondary has everything up to ${formatCount(answer.restoredSequence)}`;
  const number = all ? ` ${faint(`(up to number ${formatCount(answer.restoredSequence)})`)}` : '';
  return [`${good('✓')} ${head}${number}`, ...indented([replicatedText(answer)])];
}

function replicatedText(answer: ReplicateAnswer): string {
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
