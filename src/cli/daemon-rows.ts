/** What status says of the daemon around a set: process, hosts, and limits that are near. */
import type { LimitStatus, StatusAnswer } from '../node/answers.ts';
import { formatAge, formatDuration } from '../base/durations.ts';
import { formatCount, formatSize } from '../base/sizes.ts';
import type { Labelled } from './columns.ts';

/** Hosts beyond this many are counted, not listed. */
const HOSTS_MAX = 8;

/** A limit is shown from this share on; all of them are in `--json`. */
const NEAR_SHARE = 0.5;

/** What sets and path controllers say alike of their daemon. */
export type ServedFacts = Pick<StatusAnswer, 'daemon' | 'hosts' | 'limits'>;

export function daemonRows({ daemon, hosts, limits }: ServedFacts, nowMs: number): Labelled[] {
  if (daemon === null) return [];
  const { pid, startedAt, longestStallMs, residentBytes } = daemon;
  const facts = [
    `pid ${pid}`,
    `started ${formatAge(startedAt, nowMs)}`,
    `memory ${formatSize(residentBytes)}`,
    `longest stall ${formatDuration(longestStallMs)}`,
  ];
  return [
    ['daemon', facts.join(', ')],
    ...hosts
      .slice(0, HOSTS_MAX)
      .map((host, index): Labelled => [
        index === 0 ? 'hosts' : '',
        `${host.address} at ${host.export}: read ${formatSize(host.readBytes)}, ` +
          `wrote ${formatSize(host.writtenBytes)}`,
      ]),
    ...(hosts.length > HOSTS_MAX
      ? [['', `and ${formatCount(hosts.length - HOSTS_MAX)} more`] as Labelled]
      : []),
    ...limits.filter(isNear).map((limit): Labelled => ['limit', limitText(limit)]),
  ];
}

/** The journal has a row of its own. */
function isNear({ name, used, limit }: LimitStatus): boolean {
  return name !== 'journalBytes' && used >= NEAR_SHARE * limit;
}

function limitText({ name, used, limit }: LimitStatus): string {
  const format = name.endsWith('Bytes') ? formatSize : formatCount;
  return `${name}: ${format(used)} of ${format(limit)} in use`;
}
