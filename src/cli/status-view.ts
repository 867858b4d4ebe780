/** The status of sets for eyes: how it stands first, then the facts, then what to do about it. */
import type { ErrorCode } from '../base/errors.ts';
import type { Lag, StatusAnswer } from '../node/answers.ts';
import { columns, indented, labelled } from './columns.ts';
import type { Labelled } from './columns.ts';
import { formatAge, formatDuration } from '../base/durations.ts';
import { daemonRows } from './daemon-rows.ts';
import { failureOf } from './failure.ts';
import { leftText, sourceText } from './migrate-view.ts';
import type { Paint } from './paint.ts';
import { counted, formatCount, formatSize } from '../base/sizes.ts';

/** States that pass by themselves or by the next command; the others need somebody's attention. */
const ON_THE_WAY: ReadonlySet<string> = new Set([
  'behind',
  'copying',
  'migrating',
  'not usable',
  'split',
  'sealed',
  'retired',
]);

/** One set, in full. */
export function statusView(status: StatusAnswer, paint: Paint, nowMs: number): string[] {
  const { set, health } = status;
  const who = [paint.strong(set.name), roleAndState(status), `epoch ${set.epoch}`].join(' · ');
  return [
    `${healthWord(status, paint)}  ${who}`,
    ...indented([
      health.reason,
      '',
      ...labelled(
        [
          ...pairRows(status, nowMs),
          ...migrationRows(status),
          ...sealRows(status),
          ['journal', journalText(status)],
          ['numbers', numbersText(status)],
          ...volumeRows(status),
          ['folder', set.path],
          ...daemonRows(status, nowMs),
        ],
        paint,
      ),
      ...notices(status, paint),
      ...(health.next === null ? [] : ['', `${paint.faint('next:')} ${paint.accent(health.next)}`]),
    ]),
  ];
}

/** One set that was asked: how it stands, or why that cannot be told. */
export interface StatusEntry {
  readonly set: string;
  readonly status?: StatusAnswer;
  readonly error?: unknown;
}

/** Several sets, one line each. */
export function statusLines(entries: readonly StatusEntry[], paint: Paint): string[] {
  return columns(
    entries.map(({ set, status, error }) =>
      status === undefined
        ? [paint.bad('○ unknown'), paint.strong(set), '-', failureOf(error, '').message]
        : statusRow(status, paint),
    ),
  );
}

function statusRow(status: StatusAnswer, paint: Paint): string[] {
  const { pair, health, set } = status;
  const facts = [
    ...(pair === null || pair.state === 'takeover'
      ? []
      : [lagText(pair.lag), `link ${pair.link}`, usableText(pair.usable)]),
    `journal ${journalShare(status)}`,
  ];
  return [
    healthWord(status, paint),
    paint.strong(set.name),
    roleAndState(status),
    facts.filter((fact) => fact !== '').join(', '),
    health.next === null ? '' : paint.accent(health.next),
  ];
}

/** All entries as one result: what `--json` shows, the first failure's code, and the sum. */
export interface StatusSum {
  readonly result: StatusAnswer | { readonly sets: readonly (StatusAnswer | object)[] };
  readonly worst: ErrorCode | undefined;
  readonly healthy: boolean;
}

export function healthOfAll(entries: readonly StatusEntry[]): StatusSum {
  const failed = entries.find(({ status }) => status === undefined);
  const sets = entries.map(({ set, status, error }) => {
    if (status !== undefined) return status;
    const { code, message, hint } = failureOf(error, '');
    return { set: { path: set }, error: { code, message, hint } };
  });
  const [only] = entries;
  return {
    result: entries.length === 1 && only?.status !== undefined ? only.status : { sets },
    worst: failed === undefined ? undefined : failureOf(failed.error, '').code,
    healthy: entries.every(({ status }) => status?.health.healthy === true),
  };
}

function healthWord({ health }: StatusAnswer, { good, warning, bad }: Paint): string {
  if (health.healthy) return good(`● ${health.word}`);
  return ON_THE_WAY.has(health.word) ? warning(`◐ ${health.word}`) : bad(`○ ${health.word}`);
}

/** `primary, paired`; a state that only repeats the role is left out. */
function roleAndState({ set }: StatusAnswer): string {
  return set.role === set.state ? set.role : `${set.role}, ${set.state}`;
}

function pairRows({ pair, set }: StatusAnswer, nowMs: number): Labelled[] {
  if (pair === null) return [];
  if (pair.state === 'takeover') {
    return [['former', `${pair.peer.name} at ${pair.peer.address}, which follows no more`]];
  }
  const sender = set.role === 'secondary';
  const contact =
    pair.lastContact === null ? '' : `, last contact ${formatAge(pair.lastContact, nowMs)}`;
  const rows: Labelled[] = [
    [sender ? 'primary' : 'secondary', `${pair.peer.name} at ${pair.peer.address}`],
    ['usable', usableAnswer(pair.usable)],
    ['link', `${pair.link}${downText(pair, nowMs)}${contact}`],
  ];
  if (pair.ack === 'remote') rows.push(['flushes', ackText(pair)]);
  if (pair.lag !== null) rows.push(['lag', `${lagFacts(pair.lag)}${lagAge(pair)}`]);
  else if (set.role !== 'secondary') rows.push(['lag', 'not known yet']);
  for (const { epoch, from, to } of pair.sources ?? []) {
    rows.push(['owed', `epoch ${epoch} from ${from} ${to === null ? 'on' : `to ${to}`}`]);
  }
  return rows;
}

type PairStatus = NonNullable<StatusAnswer['pair']>;

function downText({ downSince }: PairStatus, nowMs: number): string {
  return downSince === null ? '' : ` for ${formatDuration(nowMs - Date.parse(downSince))}`;
}

/** On a secondary: how old what the primary said is. */
function lagAge({ lagAgeSeconds }: PairStatus): string {
  if (lagAgeSeconds === null || lagAgeSeconds === 0) return '';
  return `, told ${formatDuration(lagAgeSeconds * 1000)} ago`;
}

/** When flushes are answered. */
function ackText({ ackDegraded, ackReason }: PairStatus): string {
  if (!ackDegraded) return 'answered when the secondary has them too';
  return `answered without the secondary for now: ${ackReason}`;
}

function usableAnswer(usable: boolean | null): string {
  if (usable === null) return 'not known yet';
  return usable ? 'yes' : 'no';
}

function usableText(usable: boolean | null): string {
  return usable === null ? '' : usable ? 'usable' : 'not usable';
}

function lagFacts({ entries, bytes, seconds }: Lag): string {
  if (entries === 0 && bytes === 0) return 'none: 0 entries, 0 bytes, 0 s';
  const age = seconds === null ? 'age not known' : formatDuration(seconds * 1000);
  return `${counted(entries, 'entry', 'entries')}, ${formatSize(bytes)}, ${age}`;
}

function lagText(lag: Lag | null): string {
  if (lag === null) return '';
  return lag.entries === 0 && lag.bytes === 0 ? 'no lag' : `lag ${lagFacts(lag)}`;
}

function migrationRows({ migration, pair }: StatusAnswer): Labelled[] {
  if (migration === null) return [];
  const { state, side, mode } = migration;
  const left = state === 'done' || state === 'aborted' ? '' : `, ${leftText(migration)}`;
  const rows: Labelled[] = [['migration', `${state}, ${side} side, ${mode}${left}`]];
  // Another set may have taken the place of a source that was deleted.
  if (migration.source.address === pair?.peer.address) return rows;
  const source = sourceText(migration);
  return source === '' ? rows : [...rows, ['source', source]];
}

function sealRows({ seal }: StatusAnswer): Labelled[] {
  if (seal === null) return [];
  return [['sealed', `at ${seal.nextSequence}, for ${seal.successor}`]];
}

function journalShare({ journal }: StatusAnswer): string {
  return `${Math.floor((journal.bytes / journal.capacityBytes) * 100)}%`;
}

function journalText(status: StatusAnswer): string {
  const { capacityBytes, whenFull } = status.journal;
  const policy = whenFull === 'map' ? '; when it is full, changes are mapped' : '';
  return `${journalShare(status)} of ${formatSize(capacityBytes)}${policy}`;
}

function numbersText({ journal, pair, set }: StatusAnswer): string {
  const { nextSequence, durableSequence, appliedSequence } = journal;
  const own = [`next ${formatCount(nextSequence)}`, `durable ${formatCount(durableSequence)}`];
  own.push(`${set.role === 'secondary' ? 'restored' : 'applied'} ${formatCount(appliedSequence)}`);
  if (pair === null || pair.state === 'takeover' || set.role === 'secondary') {
    return own.join(', ');
  }
  own.push(`restored ${formatCount(pair.restoredSequence)}`);
  return `${own.join(', ')}, cursor ${formatCount(pair.journalCursor)}`;
}

function volumeRows({ volumes }: StatusAnswer): Labelled[] {
  return volumes.map(({ name, size, present }, index) => [
    index === 0 ? (volumes.length === 1 ? 'volume' : 'volumes') : '',
    `${name}, ${formatSize(size)}${present < 1 ? `, ${Math.floor(present * 100)}% here` : ''}`,
  ]);
}

function notices(status: StatusAnswer, { warning }: Paint): string[] {
  if (status.notices.length === 0) return [];
  return ['', ...status.notices.map((notice) => `${warning('noticed:')} ${notice}`)];
}
