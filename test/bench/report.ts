/** What the bench found, for people: a table in markdown. */
import { JOBS } from './jobs.ts';
import type { Job } from './jobs.ts';
import { ratios, summary } from './statistics.ts';

/** One job of one subject, round by round. */
export interface Measured {
  readonly job: string;
  readonly subject: string;
  /** Requests a second, bytes a second, or of copies bytes of the volume a second. */
  readonly speeds: readonly number[];
  /** The longest wait of a host, and what 99.9 % did not exceed; none of copies. */
  readonly longestMs: readonly number[];
  readonly slowMs: readonly number[];
}

export interface Findings {
  readonly machine: string;
  readonly command: string;
  readonly rounds: number;
  readonly measured: readonly Measured[];
  /** The most memory that the processes of each subject held, in bytes. */
  readonly memory: readonly { readonly subject: string; readonly bytes: readonly number[] }[];
  /** How long `rcopy --version` took, in milliseconds. */
  readonly startMs: readonly number[];
}

/** What everything is compared to. */
export const BASE = 'nbdkit file';

const MIB = 1024 ** 2;

export function table(findings: Findings): string {
  const lines = [
    `Machine: ${findings.machine}. Command: \`${findings.command}\`, ${findings.rounds} rounds.`,
    '',
    `| job | subject | speed | × ${BASE} (least to most) | aim | p99.9 | longest |`,
    '| --- | --- | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const job of JOBS) {
    for (const measured of findings.measured.filter((each) => each.job === job.name)) {
      lines.push(row(job, measured, findings));
    }
  }
  lines.push('', ...asides(findings));
  return lines.join('\n');
}

function row(job: Job, measured: Measured, { measured: all }: Findings): string {
  const { subject, speeds, slowMs, longestMs } = measured;
  const base = all.find((each) => each.job === job.name && each.subject === BASE);
  const ratio = base && subject !== BASE ? ratios(speeds, base.speeds) : undefined;
  const aim = job.aims[subject];
  const cells = [
    job.title,
    subject,
    speedText(job, summary(speeds).median),
    ratio
      ? `**${ratio.median.toFixed(2)}** (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`
      : '',
    aim === undefined ? '' : `${aim}`,
    ...[slowMs, longestMs].map((times) =>
      times.length > 0 ? `${summary(times).median.toFixed(1)} ms` : '',
    ),
  ];
  return `| ${cells.join(' | ')} |`;
}

function speedText(job: Job, speed: number): string {
  if (job.kind === 'fio' && job.timed) return `${Math.round(speed).toLocaleString('en')} /s`;
  return `${Math.round(speed / MIB).toLocaleString('en')} MiB/s`;
}

/** What one subject is compared to beside the base, and the aim. */
const COMPARED = [
  { subject: 'rcopy, through a controller', to: 'rcopy', aim: 0.6 },
  { subject: 'rcopy, through a controller', to: 'nbdkit nbd + file', aim: 1 },
];

function compared({ measured }: Findings): string[] {
  return COMPARED.flatMap(({ subject, to, aim }) => {
    const each = JOBS.flatMap(({ name, title }) => {
      const own = measured.find((one) => one.job === name && one.subject === subject);
      const base = measured.find((one) => one.job === name && one.subject === to);
      if (!own || !base) return [];
      return `${title} **${ratios(own.speeds, base.speeds).median.toFixed(2)}**`;
    });
    return each.length === 0 ? [] : [`- ${subject} × ${to} (aim ${aim}): ${each.join('; ')}`];
  });
}

function asides(findings: Findings): string[] {
  const { memory, startMs } = findings;
  const lines = compared(findings);
  for (const { subject, bytes } of memory) {
    const each = bytes.map((most) => `${Math.round(most / MIB)} MiB`).join(' and ');
    lines.push(`- memory of ${subject} at most: ${each}`);
  }
  if (startMs.length > 0) {
    const { median, least, most } = summary(startMs);
    const text = `${median.toFixed(0)} ms (${least.toFixed(0)} to ${most.toFixed(0)})`;
    lines.push(`- \`rcopy --version\`: ${text}`);
  }
  return lines;
}
