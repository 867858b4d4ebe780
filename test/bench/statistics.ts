/** Medians and their spread: few rounds, and a machine that does other things too. */

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Throws for an empty list: what was not measured has no median (R10). */
export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  const lower = sorted[Math.ceil(middle) - 1];
  const [least] = sorted;
  const most = sorted.at(-1);
  if (upper === undefined || lower === undefined || least === undefined || most === undefined) {
    throw new Error('nothing was measured');
  }
  return { median: (lower + upper) / 2, least, most };
}

/**
 * Of each round's ratio: rounds differ more from one another than what is measured within one.
 * Lists that are not of the same length have nothing to compare.
 */
export function ratios(values: readonly number[], base: readonly number[]): Summary {
  if (values.length !== base.length) throw new Error('rounds are missing');
  return summary(values.map((value, round) => value / (base[round] ?? Number.NaN)));
}

/** Who comes first changes from round to round. */
export function rotated<Item>(items: readonly Item[], round: number): Item[] {
  const first = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
