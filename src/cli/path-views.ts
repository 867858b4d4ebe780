/** What the commands on a path controller say: its exports, and how they stand. */
import { formatDuration } from '../base/durations.ts';
import { counted, formatCount, formatSize } from '../base/sizes.ts';
import type {
  PathChangeAnswer,
  PathEntryAnswer,
  PathListAnswer,
  PathSetStatus,
  PathStatusAnswer,
} from '../node/path-service.ts';
import { columns, indented, labelled } from './columns.ts';
import type { Labelled } from './columns.ts';
import { daemonRows } from './daemon-rows.ts';
import type { Paint } from './paint.ts';

/** Words of health that pass by themselves. */
const ON_THE_WAY: ReadonlySet<string> = new Set(['holding', 'moving', 'replaying', 'waiting']);

export function pathAddView(
  { changed, entry }: PathChangeAnswer,
  name: string,
  paint: Paint,
): string[] {
  const { good, strong, faint } = paint;
  if (entry === null) return [`${good('✓')} ${strong(name)} leads nowhere`];
  const { set, volume, size } = entry;
  const already = changed ? '' : ' already; nothing to do';
  const where = `${volume} of ${set.name} ${faint(`(${formatSize(size)})`)}`;
  return [
    `${good('✓')} ${strong(entry.export)} leads to ${where}${already}`,
    ...indented(labelled([['set', set.address]], paint)),
  ];
}

export function pathRemoveView(
  { changed }: PathChangeAnswer,
  name: string,
  { good, strong }: Paint,
): string[] {
  const said = changed ? 'is removed: its hosts get an error' : 'is not there; nothing to do';
  return [`${good('✓')} ${strong(name)} ${said}`];
}

/** One export a line. */
export function pathListView(
  { exports }: PathListAnswer,
  controller: string,
  { strong, faint, accent }: Paint,
): string[] {
  if (exports.length === 0) {
    const next = accent(`rcopy path add ${controller} EXPORT SET`);
    return ['no exports', ...indented([`${faint('next:')} ${next}`])];
  }
  return columns(
    exports.map(({ export: name, volume, size, set }) => [
      strong(name),
      `${volume} of ${set.name}`,
      formatSize(size),
      set.address,
    ]),
    ['left', 'left', 'right'],
  );
}

/** How it stands first, then the sets that hosts depend on, then the rest. */
export function pathStatusView(status: PathStatusAnswer, paint: Paint, nowMs: number): string[] {
  const { controller, health, sets, exports } = status;
  const { address, nbd } = controller;
  const rows: Labelled[] = [
    ...sets.flatMap((set) => setRows(set)),
    ...exports.map((entry, index): Labelled => [index === 0 ? 'exports' : '', exportText(entry)]),
    ...(nbd === null ? [] : [['hosts at', nbd] as const]),
    ...(address === null || address === controller.path ? [] : [['control', address] as const]),
    ['folder', controller.path],
    ...daemonRows(status, nowMs),
  ];
  return [
    `${healthWord(status, paint)}  ${paint.strong(controller.name)} · path controller`,
    ...indented([...(health.reason === '' ? [] : [health.reason]), '', ...labelled(rows, paint)]),
  ];
}

function healthWord({ health }: PathStatusAnswer, { good, warning, bad }: Paint): string {
  if (health.healthy) return good(`● ${health.word}`);
  return ON_THE_WAY.has(health.word) ? warning(`◐ ${health.word}`) : bad(`○ ${health.word}`);
}

function exportText({ export: name, volume, size, set }: PathEntryAnswer): string {
  const what = name === volume ? '' : `: ${volume}`;
  return `${name}${what} of ${set.name}, ${formatSize(size)}`;
}

function setRows(status: PathSetStatus): Labelled[] {
  const { set, state, epoch, reason, next } = status;
  const why = reason === '' ? '' : `: ${reason}`;
  const rows: Labelled[] = [
    ['set', `${set.name} at ${set.address}, epoch ${epoch}, ${state}${why}`],
    ['', waitText(status)],
  ];
  if (status.retainedWrites > 0) rows.push(['', retainedText(status)]);
  if (next !== null) rows.push(['', `moves to ${next.name} at ${next.address}`]);
  return rows;
}

function waitText({ waitingRequests, lastPauseMs, longestWaitMs }: PathSetStatus): string {
  const waiting = waitingRequests === 0 ? 'nothing waits' : waitingText(waitingRequests);
  const pause = lastPauseMs === null ? 'never paused' : `last pause ${formatDuration(lastPauseMs)}`;
  return `${waiting}, ${pause}, longest wait ${formatDuration(longestWaitMs)}`;
}

function waitingText(requests: number): string {
  return requests === 1 ? '1 request waits' : `${formatCount(requests)} requests wait`;
}

function retainedText({ retainedWrites, retainedBytes }: PathSetStatus): string {
  const writes = counted(retainedWrites, 'answered write');
  const until = retainedWrites === 1 ? 'it is durable' : 'they are durable';
  return `keeps ${writes} (${formatSize(retainedBytes)}) until ${until}`;
}
