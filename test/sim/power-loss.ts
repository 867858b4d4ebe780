/** Ways in which a simulated disk loses what was not synced. */
import type { Random } from '../../src/sys/random.ts';
import type { PowerLoss } from './tree.ts';

/** Nothing survives that was not synced. */
export const LOSE_ALL: PowerLoss = {
  keptOperations: () => 0,
  versionsOfFile: () => () => 0,
};

/** How much of what was not synced of a file had reached the disk, between nothing and all. */
const KEPT_PERCENT = [0, 10, 50, 90, 100] as const;

/**
 * Each sector independently becomes the newest or any older version of itself. How likely the
 * newest is differs from file to file, since with an even chance for every sector no long write
 * would ever survive whole, nor be lost whole.
 */
export function lossBySeed(random: Random): PowerLoss {
  return {
    keptOperations: (count) => random.below(count + 1),
    versionsOfFile: () => {
      const keptPercent = KEPT_PERCENT[random.below(KEPT_PERCENT.length)] ?? 50;
      return (count) => {
        if (count === 1 || random.below(100) < keptPercent) return count - 1;
        return random.below(count - 1);
      };
    },
  };
}
