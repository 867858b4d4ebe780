/** What a migration has done, in a few lines. */
import type {
  MigrateAnswer,
  MigrationState,
  MigrationStatusAnswer,
  PrecheckAnswer,
} from '../node/answers.ts';
import { columns, indented, labelled } from './columns.ts';
import type { Labelled } from './columns.ts';
import { formatDuration } from '../base/durations.ts';
import type { Paint } from './paint.ts';
import { formatCount, formatSize } from '../base/sizes.ts';

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
    case 'aborted': {
      const where = answer.nextSequence > 0 ? 'is back' : 'stays';
      return [`${good('✓')} aborted: the primary ${where} where it was`];
    }
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
  const { nextSequence, journalCursor, switchPauseMs, copiedBytes, copy, changed } = answer;
  const owed = nextSequence - journalCursor;
  const cursor = `the journal cursor came over as ${formatCount(journalCursor)}`;
  const rows: Labelled[] = [
    ['numbers', `it writes from N = ${formatCount(nextSequence)} on; ${cursor}${owedText(owed)}`],
  ];
  if (changed) {
    // A resumed migration had its pause in an earlier command: there is none to tell of.
    const pause = switchPauseMs > 0 ? [`paused ${formatDuration(switchPauseMs)}`] : [];
    const when = copy === 'pre' ? 'ahead of the switch and behind it' : 'behind them';
    rows.push(['hosts', [...pause, `${formatSize(copiedBytes)} copied ${when}`].join('; ')]);
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

/** What is left to do; how much there is to copy only the target knows. */
export function leftText(migration: {
  readonly side: 'source' | 'target';
  readonly remainingBytes: number;
  readonly remainingEntries: number;
}): string {
  const { side, remainingBytes, remainingEntries } = migration;
  const restore = `${formatCount(remainingEntries)} to restore`;
  return side === 'source' ? restore : `${formatSize(remainingBytes)} to copy, ${restore}`;
}

/** What a migration says of its source. */
interface SourceFacts {
  readonly state: MigrationState;
  readonly side: 'source' | 'target';
  readonly source: { readonly name: string };
  readonly sourceNeeded: boolean;
}

/** Whether the old storage can go, once hosts have left it; empty before that, and at itself. */
export function sourceText({ state, side, source, sourceNeeded }: SourceFacts): string {
  const hasLeft = state === 'copying' || state === 'done';
  if (!hasLeft || side === 'source') return '';
  return sourceNeeded ? `${source.name} is still needed` : `${source.name} may be deleted`;
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
  const { nextSequence, journalCursor, reason } = migration;
  if (nextSequence !== null) {
    const cursor = journalCursor === null ? '' : `, journal cursor ${formatCount(journalCursor)}`;
    rows.push(['numbers', `N = ${formatCount(nextSequence)}${cursor}`]);
  }
  if (!over) {
    rows.push(['left', leftText(migration)]);
  }
  const stillNeeded = sourceText(migration);
  if (stillNeeded !== '') rows.push(['source', stillNeeded]);
  if (reason !== '') rows.push(['reason', reason]);
  const verb = migration.returning ? 'abort' : 'resume';
  const next = over
    ? []
    : ['', `${faint('next:')} ${accent(`rcopy migrate ${verb} ${target.address}`)}`];
  return [
    `${over ? good('●') : warning('◐')} ${strong(`migration ${state}`)}`,
    ...indented([...labelled(rows, paint), ...next]),
  ];
}
