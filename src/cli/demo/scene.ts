/** The demo's cast as the picture shows it now, from what the sets last said. Pure. */
import type { StatusAnswer } from '../../node/answers.ts';
import type { BoxScene, Scene } from './picture.ts';

/** The host, as far as the picture shows it. */
export interface HostScene {
  readonly writes: number;
  readonly bytes: number;
  /** The set that it writes to; `held` between two of them. */
  readonly at: 'tokyo' | 'osaka' | 'held';
}

/** Who is on the stage; undefined for who has not answered. */
export interface Cast {
  readonly host: HostScene | undefined;
  readonly a: StatusAnswer | undefined;
  readonly b: StatusAnswer | undefined;
  readonly c: StatusAnswer | undefined;
  /** C was there, and is stopped for a while. */
  readonly isCAway: boolean;
  /** B fetches what it lacks from A. */
  readonly fetching: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
}

export function sceneOf({ host, a, b, c, isCAway, fetching }: Cast): Scene {
  const away = isCAway && !c ? { role: 'stopped' } : {};
  return {
    host: { writes: host?.writes ?? 0, bytes: host?.bytes ?? 0, at: placeOf(host) },
    a: { ...boxOf(a), title: 'A tokyo', label: 'newest', number: a && newestOf(a) },
    b: { ...boxOf(b), title: 'B osaka', label: 'newest', number: newestOfPrimary(b) },
    c: { ...boxOf(c), ...away, title: 'C kyoto', label: 'restored', number: restoredOf(c) },
    fetching,
    sendingA: toSend(a, 1),
    sendingB: toSend(b, b?.migration?.nextSequence ?? 1),
  };
}

function placeOf(host: HostScene | undefined): Scene['host']['at'] {
  switch (host?.at) {
    case undefined:
      return 'nobody';
    case 'held':
      return 'held';
    case 'tokyo':
      return 'a';
    case 'osaka':
      return 'b';
  }
}

function newestOf({ journal }: StatusAnswer): number {
  return journal.nextSequence - 1;
}

function newestOfPrimary(status: StatusAnswer | undefined): number | undefined {
  return status?.set.role === 'primary' && !isEmpty(status) ? newestOf(status) : undefined;
}

/** A set that was made, and that nobody has written to. */
function isEmpty({ set }: StatusAnswer): boolean {
  return set.role === 'primary' && set.epoch === 0;
}

function restoredOf(status: StatusAnswer | undefined): number | undefined {
  return status?.journal.appliedSequence;
}

function boxOf(status: StatusAnswer | undefined): Pick<BoxScene, 'role' | 'epoch' | 'alive'> {
  if (!status) return { role: '', epoch: undefined, alive: false };
  const { set, seal, pair } = status;
  const { role, epoch } = set;
  if (isEmpty(status)) return { role: 'empty', epoch: undefined, alive: true };
  switch (role) {
    case 'primary':
      return { role: seal ? 'sealed' : 'primary', epoch, alive: !seal };
    case 'secondary':
      return { role: pair?.usable === true ? 'secondary' : 'not usable', epoch, alive: true };
    case 'target':
      return { role: 'target', epoch: undefined, alive: true };
    case 'retired':
      return { role: 'retired', epoch, alive: false };
  }
}

/**
 * Numbers from `first` on that the secondary has not made durable, by its last word; undefined when
 * this set has no link to it now.
 */
function toSend(status: StatusAnswer | undefined, first: number): number | undefined {
  const { set, pair } = status ?? {};
  if (!status || set?.role !== 'primary' || !pair || pair.link === 'down') return undefined;
  return Math.max(0, newestOf(status) - Math.max(pair.durableSequence, first - 1));
}
