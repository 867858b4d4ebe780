/** The demo's cast as the picture shows it now, from what the sets last said. Pure. */
import type { StatusAnswer } from '../../node/answers.ts';
import type { PathStatusAnswer } from '../../node/path-service.ts';
import { gateSet } from './gate-facts.ts';
import type { BoxScene, GateScene, Scene } from './picture.ts';

/** The host, as far as the picture shows it. */
export type HostScene = Scene['host'];

/** Who is on the stage; undefined for who has not answered. */
export interface Cast {
  readonly host: HostScene | undefined;
  readonly gate: PathStatusAnswer | undefined;
  readonly a: StatusAnswer | undefined;
  readonly b: StatusAnswer | undefined;
  readonly c: StatusAnswer | undefined;
  /** A was there, and is switched off for good. */
  readonly isAOff: boolean;
  /** C was there, and is stopped for a while. */
  readonly isCAway: boolean;
  /** B fetches what it lacks from A. */
  readonly fetching: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
}

export function sceneOf({ host, gate, a, b, c, isAOff, isCAway, fetching }: Cast): Scene {
  const off = isAOff ? { role: 'switched off' } : {};
  const away = isCAway && !c ? { role: 'stopped' } : {};
  return {
    host: host ?? { writes: 0, bytes: 0 },
    gate: gateOf(gate),
    a: { ...boxOf(a), ...off, title: 'A tokyo', label: 'newest', number: a && newestOf(a) },
    b: { ...boxOf(b), title: 'B osaka', label: 'newest', number: newestOfPrimary(b) },
    c: { ...boxOf(c), ...away, title: 'C kyoto', label: 'restored', number: restoredOf(c) },
    fetching,
    sendingA: toSend(a, 1),
    sendingB: toSend(b, b?.migration?.nextSequence ?? 1),
  };
}

function gateOf(gate: PathStatusAnswer | undefined): GateScene {
  const set = gate && gateSet(gate);
  if (!gate || !set) return { state: '', waiting: 0, connections: 0, leadsTo: 'nowhere' };
  const { state, waitingRequests: waiting } = set;
  const place = set.set.name === 'osaka' ? 'b' : 'a';
  const leadsTo = state === 'open' ? place : 'held';
  return { state, waiting, connections: gate.hosts.length, leadsTo };
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
