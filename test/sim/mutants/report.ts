/** What became of each mutant, as lines and as a table for test/README.md. Pure. */
import type { Mutant } from './mutant.ts';
import type { Finding } from './workshop.ts';

/** How it went with one mutant. */
export type Verdict =
  /** A rule was found broken by the simulator. */
  | 'caught'
  /** By a test, and by no seed. */
  | 'caught by a test'
  /** All seeds passed. */
  | 'not caught'
  /** A seed failed, but no rule was named. */
  | 'failed otherwise'
  /** Neither a rule nor the last seed came before the time limit. */
  | 'too slow'
  /** It is no program that can be judged. */
  | 'broken';

export interface Outcome {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  /** The seed that failed, counted from 1: as many were needed. */
  readonly seed: number | null;
  readonly message: string;
  readonly seconds: number;
}

const RULE_FIRST = /^\[(R\d+)\]/;

export function outcomeOf(mutant: Mutant, finding: Finding, seconds: number): Outcome {
  switch (finding.kind) {
    case 'passed':
      return { mutant, verdict: 'not caught', seed: null, message: '', seconds };
    case 'tested':
      return { mutant, verdict: 'caught by a test', seed: null, message: finding.message, seconds };
    case 'late':
      return { mutant, verdict: 'too slow', seed: null, message: '', seconds };
    case 'broken':
      return { mutant, verdict: 'broken', seed: null, message: finding.reason, seconds };
    case 'failed': {
      const { seed, message } = finding;
      const verdict = RULE_FIRST.test(message) ? 'caught' : 'failed otherwise';
      return { mutant, verdict, seed, message, seconds };
    }
  }
}

/** One line for who watches. */
export function lineOf({ mutant, verdict, seed, message, seconds }: Outcome): string {
  const at = seed === null ? '' : ` at seed ${seed}`;
  const why = message === '' ? '' : `: ${firstLine(message)}`;
  return `${mutant.rule} ${mutant.name}: ${verdict}${at} (${Math.round(seconds)} s)${why}`;
}

/** The table in Markdown, in the order of the mutants. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ mutant, verdict, seed, message }) => {
    const by = byWhom(mutant, verdict, message);
    return `| ${mutant.rule} | ${mutant.name} | ${mutant.file} | ${by} | ${seed ?? ''} |`;
  });
  return [
    '| breaks | mutant | in | caught by | at seed |',
    '| --- | --- | --- | --- | ---: |',
    ...rows,
  ].join('\n');
}

function byWhom({ test }: Mutant, verdict: Verdict, message: string): string {
  if (verdict === 'caught') return RULE_FIRST.exec(message)?.[1] ?? '';
  return verdict === 'caught by a test' ? `${test}` : verdict.toUpperCase();
}

function firstLine(text: string): string {
  return (text.trim().split('\n')[0] ?? '').slice(0, 160);
}
