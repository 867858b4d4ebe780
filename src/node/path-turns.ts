/**
 * Whose turn it is to write again what a set has lost: the writes of all controllers, in the order
 * of their numbers, before anybody writes anything new. Pure.
 */

/** What one controller that the set waits for has said in this reign. */
export interface ReplayReport {
  readonly id: string;
  /** Numbers of what it has to write again, ascending; null while it has not said. */
  readonly lost: readonly number[] | null;
  /** Up to here it has. */
  readonly replayedTo: number;
}

export type Turn =
  /** These have not said what they lost. */
  | { readonly kind: 'waiting'; readonly ids: readonly string[] }
  /** `id` writes what it lost up to `upTo`. */
  | { readonly kind: 'turn'; readonly id: string; readonly upTo: number }
  /** Nothing is lost any more. */
  | { readonly kind: 'done' };

/** The one with the lowest number goes on until just before another one's. */
export function turnOf(reports: readonly ReplayReport[]): Turn {
  const silent = reports.filter(({ lost }) => lost === null).map(({ id }) => id);
  if (silent.length > 0) return { kind: 'waiting', ids: silent };
  const heads = reports
    .map(({ id, lost, replayedTo }) => ({ id, next: lost?.find((each) => each > replayedTo) }))
    .filter((head): head is { id: string; next: number } => head.next !== undefined)
    .sort((one, other) => one.next - other.next);
  const [first, second] = heads;
  if (!first) return { kind: 'done' };
  return {
    kind: 'turn',
    id: first.id,
    upTo: Math.max(first.next, (second?.next ?? Number.MAX_SAFE_INTEGER) - 1),
  };
}
