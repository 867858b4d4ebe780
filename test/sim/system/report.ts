/** What many runs came to, as text and as JSON. Pure. */
import type { RunOutcome } from './run.ts';

export interface SimReport {
  readonly seeds: number;
  readonly failures: readonly { readonly seed: number; readonly message: string }[];
  /** Runs that ended early: the last whole copy was damaged on purpose, and that was seen. */
  readonly lost: number;
  readonly simulatedHours: number;
  readonly realMinutes: number;
  readonly answered: number;
  readonly looks: number;
  readonly counts: Readonly<Record<string, number>>;
}

export class Tally {
  private seeds = 0;
  private lost = 0;
  private simulatedMs = 0;
  private answered = 0;
  private looks = 0;
  private readonly failures: { seed: number; message: string }[] = [];
  private readonly counts = new Map<string, number>();

  add(outcome: RunOutcome): void {
    this.seeds += 1;
    this.lost += outcome.lost ? 1 : 0;
    this.simulatedMs += outcome.simulatedMs;
    this.answered += outcome.answered;
    this.looks += outcome.looks;
    const { failure, seed } = outcome;
    if (failure !== undefined) this.failures.push({ seed, message: failure });
    for (const [name, count] of Object.entries(outcome.counts)) {
      this.counts.set(name, (this.counts.get(name) ?? 0) + count);
    }
  }

  report(realMs: number): SimReport {
    const { seeds, failures, lost, answered, looks, counts } = this;
    const inOrder = [...counts].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return {
      seeds,
      failures,
      lost,
      simulatedHours: this.simulatedMs / 3_600_000,
      realMinutes: realMs / 60_000,
      answered,
      looks,
      counts: Object.fromEntries(inOrder),
    };
  }
}

/** A few lines, then a table of faults and commands. */
export function textOf(report: SimReport): string {
  const { seeds, failures, lost, simulatedHours, realMinutes, answered, looks } = report;
  const perMinute = simulatedHours / Math.max(realMinutes, 1e-6);
  const lines = [
    `${seeds} seeds, ${failures.length} failed` + (lost > 0 ? `, ${lost} ended by damage` : ''),
    `${simulatedHours.toFixed(1)} simulated hours in ${realMinutes.toFixed(1)} minutes: ` +
      `${perMinute.toFixed(2)} hours a minute`,
    `${answered} requests of hosts answered, the whole system looked at ${looks} times`,
    '',
    ...Object.entries(report.counts).map(
      ([name, count]) => `${String(count).padStart(8)}  ${name}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
