/** What the commands on pairs say when they are done. */
import type { PairAnswer, ReplicatedPairAnswer } from '../node/answers.ts';
import { indented } from './columns.ts';
import type { Paint } from './paint.ts';
import { replicatedText } from './views.ts';

/** The two ends of a pair, as the user named them. */
export interface PairNames {
  readonly primary: string;
  readonly secondary: string;
}

export function pairView(
  answer: ReplicatedPairAnswer,
  { primary, secondary }: PairNames,
  paint: Paint,
): string[] {
  const { good, strong } = paint;
  const said = answer.changed ? 'is paired with' : 'is paired already with';
  const head = `${good('✓')} ${strong(primary)} ${said} ${strong(secondary)}`;
  return [head, ...copyLines(answer, primary, paint)];
}

/** What was copied, or how to copy. */
function copyLines(answer: ReplicatedPairAnswer, primary: string, paint: Paint): string[] {
  if (answer.replicated !== undefined) return indented([replicatedText(answer.replicated)]);
  if (answer.pair?.state !== 'copying') return [];
  const next = answer.kept ? `rcopy wait ${primary} --synced` : `rcopy replicate ${primary}`;
  return [
    ...(answer.kept ? indented(['the daemon copies by itself']) : []),
    ...nextLine(next, paint),
  ];
}

function nextLine(command: string, { faint, accent }: Paint): string[] {
  return indented([`${faint('next:')} ${accent(command)}`]);
}

export function pairSplitView(answer: PairAnswer, set: string, paint: Paint): string[] {
  const { good, strong } = paint;
  const head = answer.changed
    ? `${good('✓')} the pair of ${strong(set)} is split: nothing is sent, what changes is mapped`
    : `${good('✓')} the pair of ${strong(set)} is split already`;
  return [head, ...nextLine(`rcopy pair resync ${set}`, paint)];
}

export function pairResyncView(answer: ReplicatedPairAnswer, set: string, paint: Paint): string[] {
  const { good, strong } = paint;
  const head = answer.changed
    ? `${good('✓')} the pair of ${strong(set)} goes on`
    : `${good('✓')} the pair of ${strong(set)} is not split`;
  return [head, ...copyLines(answer, set, paint)];
}

export function pairAddressView(
  answer: PairAnswer,
  { set, address }: { readonly set: string; readonly address: string },
  { good, strong }: Paint,
): string[] {
  const said = answer.changed ? 'finds the other end of its pair at' : 'has that address already:';
  return [`${good('✓')} ${strong(set)} ${said} ${strong(address)}`];
}

/** Which end was asked, and whether the other one was told. */
export interface EndedPair {
  readonly set: string;
  readonly local: boolean;
}

export function pairEndView(
  answer: PairAnswer,
  { set, local }: EndedPair,
  { good, strong }: Paint,
): string[] {
  if (!answer.changed) return [`${good('✓')} ${strong(set)} has no pair; nothing to do`];
  if (local) return [`${good('✓')} ${strong(set)} has left its pair; the other end was not told`];
  const peer = answer.pair?.secondary ?? 'its secondary';
  return [`${good('✓')} ${strong(set)} and ${strong(peer)} are a pair no more`];
}
