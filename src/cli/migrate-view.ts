/** What a migration has done, in a few lines. */
import type { MigrateAnswer, MigrationStatusAnswer, PrecheckAnswer } from '../node/answers.ts';
import { columns, indented, labelled } from './columns.ts';
import type { Labelled } from './columns.ts';
import { formatDuration } from './durations.ts';
import type { Paint } from './paint.ts';
import { formatCount, formatSize } from './sizes.ts';

/** What there is to say at the end of `migrate`, `migrate resume` and `migrate abort`. */
export function migrateView(answer: MigrateAnswer, target: string, paint: Paint): string[] {
  const { state, changed, epoch, mode, copy } = answer;
  const { good, warning, strong, accent, faint } = paint;
  switch (state) {
    case 'done': {
      const head = changed ? 'is the primary now' : 'is the primary already; nothing to do';
      const how = faint(`(epoch ${epoch}, ${mode}, ${copy}-copy)`);
      return [`${good('✓')} ${strong(target)} ${head} ${how}`, ...indented(numbers(answer, paint))];
    }
    case 'aborted':
      return [`${good('✓')} aborted: the primary stays where it was`];
    case 'prepared':
    case 'precopying':
    case 'switching':
    case 'copying':
      return [
        `${warning('◐')} ${strong(target)}: the migration is ${state}`,
        ...indented([
          ...(state === 'copying' ? numbers(answer, paint) : []),
          `${faint('next:')} ${accent(`rcopy migrate resume ${target}`)}`,
        ]),
      ];
  }
}

function numbers(answer: MigrateAnswer, paint: Paint): string[] {
  const { nextSequence, journalCursor, switchPauseMs, copiedBytes, changed } = answer;
  const owed = nextSequence - journalCursor;
  const cursor = `the journal cursor came over as ${formatCount(journalCursor)}`;
  const rows: Labelled[] = [
    ['numbers', `it writes from N = ${formatCount(nextSequence)} on; ${cursor}${owedText(owed)}`],
  ];
  if (changed) {
    // A resumed migration had its pause in an earlier command: there is none to tell of.
    const pause = switchPauseMs > 0 ? [`paused ${formatDuration(switchPauseMs)}`] : [];
    rows.push(['hosts', [...pause, `${formatSize(copiedBytes)} copied behind them`].join('; ')]);
  }
  return labelled(rows, paint);
}

function owedText(owed: number): string {
  return owed === 0 ? '' : ` (${formatCount(owed)} owed)`;
}

/** Every precheck, those that fail among those that do not. */
export function prechecksView({ checks, ready }: PrecheckAnswer, paint: Paint): string[] {
  const { good, bad, strong } = paint;
  const rows = checks.map(({ name, ok, detail }) => [ok ? good('✓') : bad('✗'), name, detail]);
  return [
    ready ? `${good('✓')} ${strong('ready to migrate')}` : `${bad('✗')} ${strong('not ready')}`,
    ...indented(columns(rows)),
  ];
}

/** `rcopy migrate status`. */
export function migrationView({ migration }: MigrationStatusAnswer, paint: Paint): string[] {
  if (migration === null) return ['no migration'];
  const { good, warning, strong, faint, accent } = paint;
  const { state, side, mode, copy, source, target, secondary } = migration;
  const over = state === 'done' || state === 'aborted';
  const rows: Labelled[] = [
    ['from', `${source.name} at ${source.address}`],
    ['to', `${target.name} at ${target.address}`],
    ['secondary', `${secondary.name} at ${secondary.address}`],
    ['how', `${mode}, ${copy}-copy, seen from the ${side}`],
  ];
  const { nextSequence, journalCursor, remainingBytes, remainingEntries, reason } = migration;
  if (nextSequence !== null) {
    const cursor = journalCursor === null ? '' : `, journal cursor ${formatCount(journalCursor)}`;
    rows.push(['numbers', `N = ${formatCount(nextSequence)}${cursor}`]);
  }
  if (!over) {
    rows.push(['left', `${formatSize(remainingBytes)} to copy, ${remainingEntries} to restore`]);
  }
  if (reason !== '') rows.push(['reason', reason]);
  const next = over
    ? []
    : ['', `${faint('next:')} ${accent(`rcopy migrate resume ${target.address}`)}`];
  return [
    `${over ? good('●') : warning('◐')} ${strong(`migration ${state}`)}`,
    ...indented([...labelled(rows, paint), ...next]),
  ];
}
