/** The end of the demo: what happened, in a few numbers, and the proof. */
import { join } from 'node:path';
import { columns, indented } from '../columns.ts';
import { formatDuration } from '../../base/durations.ts';
import type { Paint } from '../paint.ts';
import { counted, formatCount, formatSize } from '../../base/sizes.ts';
import type { DemoAnswer, Proof } from './answer.ts';
import { copiedText } from './words.ts';

export function demoView(answer: DemoAnswer, paint: Paint): string[] {
  const { strong, faint, good, bad } = paint;
  const seconds = faint(`(${formatDuration(answer.seconds * 1000)})`);
  const moved = 'The volumes moved, the host kept writing, the copy kept following.';
  const verdict = answer.proved
    ? `${strong(good(moved))} ${seconds}`
    : strong(bad('Something is wrong: see the proof above.'));
  return [
    '',
    strong('What happened'),
    ...indented(columns(facts(answer).map(([name = '', text = '']) => [faint(name), text]))),
    '',
    strong('Proof'),
    ...indented(columns(answer.proof.map((proof) => proofRow(proof, paint)))),
    '',
    verdict,
    ...kept(answer.folder, paint),
  ];
}

function facts(answer: DemoAnswer): string[][] {
  const { host, sent, migration, imported, volumeBytes, bothSentMs } = answer;
  const { nextSequence, journalCursor, copy, copiedBytes } = migration;
  const owed = nextSequence - journalCursor;
  const onDisk = answer.witness.images.reduce((sum, image) => sum + image.imageBytesOnDisk, 0);
  return [
    [
      'host',
      `${formatCount(host.writes)} writes of 1 byte to 1 MiB, ${formatSize(host.writtenBytes)}; ` +
        `${counted(host.reads, 'read')}, over NBD; no errors`,
    ],
    [
      'import',
      `${formatSize(imported.dataBytes)} of data into a volume of ${formatSize(imported.length)}`,
    ],
    [
      'first copy',
      `${formatSize(sent.tokyo.copiedBytes)} of ${formatSize(volumeBytes)}; ` +
        `kyoto's images now take ${formatSize(onDisk)} on disk`,
    ],
    [
      'switch',
      `the host waited ${formatDuration(host.pauseMs)} for an answer ` +
        `(else up to ${formatDuration(host.slowestMs)})`,
    ],
    ['', heldText(answer)],
    [
      'handover',
      `N = ${formatCount(nextSequence)}, journal cursor ${formatCount(journalCursor)}: ` +
        `tokyo owed ${counted(owed, 'number')}`,
    ],
    ...twoSenders(bothSentMs),
    ['contents', copiedText(copy, copiedBytes)],
    ['without A', withoutText(answer)],
    ['daemons', `${answer.daemons.length} processes, at most ${memoryOf(answer)}`],
  ];
}

/** What the two ends of the switch measured themselves. */
function heldText({ controller, migration }: DemoAnswer): string {
  const { heldMs } = controller;
  const sets = `the sets took ${formatDuration(migration.switchPauseMs)}`;
  if (heldMs === null) return `the path controller held nobody; ${sets}`;
  return `from hold to release at the controller: ${formatDuration(heldMs)}; ${sets}`;
}

function withoutText({ sourceDeleted, writesWithoutA }: DemoAnswer): string {
  const gone = sourceDeleted ? 'tokyo was switched off and deleted' : 'tokyo was switched off';
  return `${gone}; ${counted(writesWithoutA, 'write')} since then`;
}

function proofRow({ ok, claim, detail }: Proof, { good, bad, warning, faint }: Paint): string[] {
  const sign = ok === null ? warning('–') : ok ? good('✓') : bad('✗');
  return [`${sign} ${claim}`, ok === false ? bad(detail) : faint(detail)];
}

function kept(folder: string | null, { accent, faint }: Paint): string[] {
  if (folder === null) return [];
  const set = (name: string): string => join(folder, name);
  return [
    '',
    `Kept in ${folder}. ${faint('To look at it:')}`,
    ...indented([
      accent(`rcopy status ${set('osaka')} ${set('kyoto')}`),
      accent(`rcopy inspect journal ${set('tokyo')}`),
      accent(`rcopy verify ${set('osaka')} --against ${set('kyoto')}`),
    ]),
  ];
}

function memoryOf({ daemons }: DemoAnswer): string {
  const most = daemons.map(({ name, residentBytes }) => `${name} ${formatSize(residentBytes)}`);
  return `${most.join(', ')} of memory`;
}

/** Only while the old primary drains are there two of them. */
function twoSenders(bothSentMs: number): [string, string][] {
  if (bothSentMs === 0) return [];
  const time = formatDuration(bothSentMs);
  return [['two senders', `tokyo and osaka both owed kyoto records for ${time}`]];
}
