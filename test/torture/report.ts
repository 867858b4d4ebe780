/** What a campaign of torture came to, as text and as JSON: pure. */
import { KINDS, repeating } from './options.ts';
import type { Kind } from './options.ts';
import type { RoundCounts } from './scene.ts';

/** A round that ended. */
export interface Round extends RoundCounts {
  readonly seed: number;
  readonly kind: Kind;
  readonly seconds: number;
  /** Why it failed; absent when nothing was lost. */
  readonly failure?: string;
  /** It was ended before its time: what it would have found nobody knows. */
  readonly stopped?: boolean;
}

export interface Report {
  readonly seconds: number;
  readonly rounds: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly powerLosses: number;
  readonly tornTails: number;
  readonly answered: number;
  readonly flushes: number;
  readonly unanswered: number;
  /** Kinds that could not be had here, and why. */
  readonly skipped: readonly { readonly kind: Kind; readonly why: string }[];
  /** It was ended before its time. */
  readonly stopped: boolean;
  readonly failure: {
    readonly seed: number;
    readonly kind: Kind;
    readonly message: string;
    readonly repeat: string;
  } | null;
}

export type Skipped = Report['skipped'];

export function reportOf(
  rounds: readonly Round[],
  parts: Pick<Report, 'seconds' | 'skipped' | 'stopped'>,
): Report {
  const faults: Record<string, number> = {};
  for (const [name, count] of rounds.flatMap((round) => Object.entries(round.faults))) {
    faults[name] = (faults[name] ?? 0) + count;
  }
  const sum = (key: 'answered' | 'flushes' | 'unanswered' | 'tornTails'): number =>
    rounds.reduce((total, round) => total + round[key], 0);
  const failed = rounds.find(({ failure }) => failure !== undefined);
  return {
    ...parts,
    rounds: Object.fromEntries(
      KINDS.map((kind) => [kind, rounds.filter((round) => round.kind === kind).length] as const),
    ),
    faults,
    powerLosses: powerLossesIn(faults),
    tornTails: sum('tornTails'),
    answered: sum('answered'),
    flushes: sum('flushes'),
    unanswered: sum('unanswered'),
    failure: failed
      ? {
          seed: failed.seed,
          kind: failed.kind,
          message: failed.failure ?? '',
          repeat: repeating(failed.kind, failed.seed),
        }
      : null,
  };
}

function powerLossesIn(faults: Readonly<Record<string, number>>): number {
  const losses = Object.entries(faults).filter(([name]) => name.startsWith('power '));
  return losses.reduce((total, [, count]) => total + count, 0);
}

/** One line for a round. */
export function roundLine(round: Round): string {
  const { seed, kind, seconds, faults, answered, flushes, unanswered, tornTails, failure } = round;
  const well = round.stopped ? 'stopped' : 'nothing lost';
  const told = failure === undefined ? well : `FAILED: ${failure}`;
  const counts = [
    ...namedCounts(faults),
    ...(answered > 0 ? [`${answered} answered, ${flushes} flushes, ${unanswered} unanswered`] : []),
    ...(tornTails > 0 ? [`${tornTails} torn tails cut`] : []),
  ];
  return `seed ${seed}  ${kind}  ${seconds.toFixed(1)} s  ${counts.join(', ')}: ${told}`;
}

/** The whole of it, for people. */
export function reportText(report: Report): string {
  const { rounds, faults, failure, skipped, stopped } = report;
  const total = Object.values(rounds).reduce((sum, count) => sum + count, 0);
  const lines = [
    '',
    `${total} rounds in ${Math.round(report.seconds)} s${stopped ? ', stopped' : ''}: ` +
      namedCounts(rounds).join(', '),
    `faults: ${namedCounts(faults).join(', ') || 'none'}`,
    `requests: ${report.answered} answered, ${report.flushes} flushes, ` +
      `${report.unanswered} unanswered`,
    `power losses: ${report.powerLosses}; torn tails cut at a start: ${report.tornTails}`,
    ...skipped.map(({ kind, why }) => `skipped: ${kind}, ${why}`),
  ];
  if (failure) {
    lines.push(
      `FAILED in round ${failure.seed} (${failure.kind}): ${failure.message}`,
      `again: ${failure.repeat}`,
    );
  } else lines.push(total === 0 ? 'nothing was done' : 'nothing lost');
  return `${lines.join('\n')}\n`;
}

function namedCounts(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
}
