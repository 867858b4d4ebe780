/**
 * What a scan decides at each place of a run, as a table: the first row that fits counts. A test
 * enumerates every input. No I/O here.
 */
import { assert } from '../base/assert.ts';

/** What the scan found where the next record of the run belongs. */
export const FOUND = [
  'next', // the expected record, whole
  'stale', // a whole record that is not the expected one: older content of the file
  'zeroes', // a header of zeroes: nothing was written here
  'end', // the end of the file
  'garbage', // neither a record nor zeroes
  'bad-payload', // a good header whose payload is not what was written
  'unknown-version', // a whole header of a version from the future
] as const;
export type Found = (typeof FOUND)[number];

export interface Situation {
  readonly found: Found;
  /** The expected number is at or below a durable number that is known on this set. */
  readonly owed: boolean;
  /** The next segment begins with exactly the expected number and chain. */
  readonly continues: boolean;
}

export type Verdict =
  | 'accept' // take the record, go on behind it
  | 'next-segment' // go on in the next segment
  | 'end' // the run ends here, in order
  | 'cut' // a torn tail: the run ends here, and that is said
  | 'damaged' // what was durable is missing or wrong: stop
  | 'refuse-version'; // stop

export interface RecoveryRow {
  readonly label: string;
  readonly found: readonly Found[];
  readonly owed: boolean | 'any';
  readonly continues: boolean | 'any';
  readonly verdict: Verdict;
}

export const RECOVERY_TABLE: readonly RecoveryRow[] = [
  {
    label: 'the next segment goes on here, also over what an interrupted tail rewrite left behind',
    found: FOUND,
    owed: 'any',
    continues: true,
    verdict: 'next-segment',
  },
  {
    label: 'the expected record',
    found: ['next'],
    owed: 'any',
    continues: false,
    verdict: 'accept',
  },
  {
    label: 'a record from a newer program',
    found: ['unknown-version'],
    owed: 'any',
    continues: false,
    verdict: 'refuse-version',
  },
  {
    label: 'missing or wrong at or below the durable number',
    found: ['stale', 'zeroes', 'end', 'garbage', 'bad-payload'],
    owed: true,
    continues: false,
    verdict: 'damaged',
  },
  {
    label: 'nothing more was written, or only older content follows',
    found: ['stale', 'zeroes', 'end'],
    owed: false,
    continues: false,
    verdict: 'end',
  },
  {
    label: 'a write that a crash tore',
    found: ['garbage', 'bad-payload'],
    owed: false,
    continues: false,
    verdict: 'cut',
  },
];

/** The first row that fits. */
export function recoveryRow(situation: Situation): RecoveryRow {
  const row = RECOVERY_TABLE.find(
    (candidate) =>
      candidate.found.includes(situation.found) &&
      (candidate.owed === 'any' || candidate.owed === situation.owed) &&
      (candidate.continues === 'any' || candidate.continues === situation.continues),
  );
  assert(row, `the recovery table has a row for ${JSON.stringify(situation)}`);
  return row;
}
