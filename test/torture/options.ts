/** What `npm run torture` is told: pure, from words to options. */
import { parseArgs } from 'node:util';

export const KINDS = ['power', 'moves', 'network', 'daemon-kills', 'kills'] as const;
export type Kind = (typeof KINDS)[number];

export interface TortureOptions {
  /** Rounds begin until so many minutes have passed; there is one at least. */
  readonly minutes: number;
  /** The seed of the first round; each further one has the next. */
  readonly from: number;
  readonly only: Kind | undefined;
  /** Where the report goes as JSON as well. */
  readonly json: string | undefined;
  /** The folder of the round that failed stays. */
  readonly keep: boolean;
}

/** Seeds that a round derives for itself still have to be safe integers. */
const SEED_MAX = 2 ** 31;

/** Throws an error with one line for the user. */
export function optionsFrom(words: readonly string[]): TortureOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      minutes: { type: 'string', default: '30' },
      from: { type: 'string', default: '1' },
      only: { type: 'string' },
      json: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  const { only, json, keep } = values;
  const minutes = Number(values.minutes);
  if (values.minutes.trim() === '' || !(minutes >= 0 && minutes < Number.POSITIVE_INFINITY)) {
    throw new Error(`--minutes ${values.minutes}: must be a number from 0 on`);
  }
  const from = Number(values.from);
  if (!Number.isInteger(from) || from < 1 || from > SEED_MAX) {
    throw new Error(`--from ${values.from}: must be a seed, a whole number from 1 to ${SEED_MAX}`);
  }
  if (only !== undefined && !isKind(only)) {
    throw new Error(`--only ${only}: must be one of ${KINDS.join(', ')}`);
  }
  return { minutes, from, only, json, keep };
}

function isKind(word: string): word is Kind {
  return (KINDS as readonly string[]).includes(word);
}

/** Power losses come most often: nothing else finds a missing sync. */
const TURNS: readonly Kind[] = [
  'power',
  'moves',
  'network',
  'power',
  'daemon-kills',
  'power',
  'moves',
  'power',
  'network',
  'kills',
];

/**
 * What the round of a seed does: the same for the same seed and the same kinds that can be had.
 * A kind that cannot be had leaves its turn to the next one that can.
 */
export function kindOf(seed: number, can: ReadonlySet<Kind>): Kind | undefined {
  const turns = TURNS.filter((kind) => can.has(kind));
  return turns[(seed - 1) % turns.length];
}

/** The command that does exactly this round again. */
export function repeating(kind: Kind, seed: number): string {
  return `npm run torture -- --only ${kind} --from ${seed} --minutes 0`;
}
