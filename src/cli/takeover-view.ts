/** What a takeover says: where the history goes on, what may be lost, and what comes next. */
import type { TakeoverAnswer } from '../node/answers.ts';
import { indented, labelled } from './columns.ts';
import type { Labelled } from './columns.ts';
import type { Paint } from './paint.ts';
import { formatCount } from '../base/sizes.ts';

export function takeoverView(answer: TakeoverAnswer, set: string, paint: Paint): string[] {
  const { good, strong, faint, accent } = paint;
  const { changed, forced, epoch, from } = answer;
  const said = changed ? 'is the primary now' : 'took over already; nothing to do';
  const head = `${good('✓')} ${strong(set)} ${said} ${faint(`(epoch ${epoch})`)}`;
  if (!changed) return [head];
  const end = `rcopy pair delete ${set} --local`;
  const pair = forced
    ? `rcopy pair create ${set} SECONDARY`
    : `rcopy pair create ${set} ${from.address} --overwrite`;
  return [
    head,
    ...indented([
      ...labelled([...historyRows(answer), markRow(answer)], paint),
      '',
      `${faint('next:')} ${accent(end)}`,
      `${faint('then:')} ${accent(pair)}, for a second copy`,
    ]),
  ];
}

function historyRows({ forced, sequence, nextSequence, from }: TakeoverAnswer): Labelled[] {
  const newest = formatCount(sequence);
  const writes = `writes from ${formatCount(nextSequence)} on`;
  const numbers: Labelled = ['numbers', `it has everything up to ${newest}, and ${writes}`];
  if (!forced) {
    return [numbers, ['lost', `nothing: ${from.name} sent all that it took, and takes no more`]];
  }
  return [
    numbers,
    ['lost', `what ${from.name} took behind number ${newest}, if it took anything`],
    ['beware', `${from.name} was not told: no host may use it, or a set that it moved to`],
  ];
}

function markRow({ lastMark }: TakeoverAnswer): Labelled {
  const text = lastMark
    ? `${lastMark.name} (number ${formatCount(lastMark.sequence)}) is the last that is part of it`
    : 'none is known here';
  return ['mark', text];
}
