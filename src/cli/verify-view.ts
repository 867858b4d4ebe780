/** What `rcopy verify` found. */
import type { CompareAnswer, VerifyAnswer } from '../node/answers.ts';
import { columns, indented } from './columns.ts';
import type { Align } from './columns.ts';
import type { Paint } from './paint.ts';
import { counted, formatCount, formatSize } from '../base/sizes.ts';

export function verifyView(answer: VerifyAnswer, set: string, paint: Paint): string[] {
  const { good, bad, strong, faint } = paint;
  const amount = `${counted(answer.recordsChecked, 'record')}, ${formatSize(answer.bytesChecked)}`;
  if (answer.ok) return [`${good('✓')} ${strong(set)} is sound ${faint(`(${amount} checked)`)}`];
  const rows = answer.findings.map(({ file, offset, problem }) => [file, String(offset), problem]);
  const head = ['file', 'offset', 'problem'].map(faint);
  return [
    `${bad('✗')} ${strong(set)} is damaged ${faint(`(${amount} checked)`)}`,
    ...indented(columns([head, ...rows], ['left', 'right'])),
  ];
}

export function compareView(
  answer: CompareAnswer,
  set: string,
  other: string,
  paint: Paint,
): string[] {
  const { good, bad, strong, faint } = paint;
  const both = `${strong(set)} and ${strong(other)}`;
  const amount = faint(
    `(${formatSize(answer.bytesCompared)} compared, as of number ${formatCount(answer.sequence)})`,
  );
  if (answer.equal) return [`${good('✓')} ${both} hold the same ${amount}`];
  const rows = answer.differences.map(({ volume, offset, length }) => [
    volume,
    String(offset),
    String(length),
  ]);
  const head = ['volume', 'offset', 'length'].map(faint);
  const aligns: Align[] = ['left', 'right', 'right'];
  return [`${bad('✗')} ${both} differ ${amount}`, ...indented(columns([head, ...rows], aligns))];
}
