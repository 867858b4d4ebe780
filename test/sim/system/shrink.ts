/**
 * Cuts a failing list of events down to a short one that still fails: delta debugging (Zeller and
 * Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). Pure but for what it is
 * given to try.
 */

/**
 * The places of a list of `count` that are enough to fail. `fails` is asked at most `triesMax`
 * times; what was found by then is returned.
 */
export async function shrink(
  count: number,
  fails: (kept: readonly number[]) => Promise<boolean>,
  triesMax: number,
): Promise<readonly number[]> {
  let kept: readonly number[] = Array.from({ length: count }, (_, at) => at);
  let parts = 2;
  for (let tries = 0; kept.length > 1 && tries < triesMax;) {
    const size = Math.ceil(kept.length / parts);
    let shorter: readonly number[] | undefined;
    for (let from = 0; from < kept.length && tries < triesMax && !shorter; from += size) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      tries += 1;
      if (await fails(rest)) shorter = rest;
    }
    if (shorter) {
      kept = shorter;
      parts = Math.max(2, parts - 1);
    } else if (size === 1) break;
    else parts = Math.min(kept.length, parts * 2);
  }
  return kept;
}
