/**
 * `npm run bench -- [--rounds N] [--seconds N] [--only PATTERN] [--json FILE] [--folder DIR]`: the
 * same jobs against rcopy's daemon, alone, as a pair and through a path controller, `nbdkit file`,
 * alone and behind `nbdkit nbd`, and `qemu-nbd`. In each
 * round every job runs on every subject once, one behind the other, so that what else the machine
 * does meets all of them. It reports, and judges nothing.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { rcopyProgram } from '../support/daemons.ts';
import { runFio } from './fio.ts';
import { writeImage } from './image.ts';
import { JOBS, VOLUME_BYTES } from './jobs.ts';
import type { Job } from './jobs.ts';
import { MemoryWatch } from './memory.ts';
import { missing, succeed } from './programs.ts';
import { table } from './report.ts';
import type { Findings, Measured } from './report.ts';
import { rotated } from './statistics.ts';
import { secondsOf } from './subject.ts';
import type { Served, Subject } from './subject.ts';
import { nbdkit } from './subjects/nbdkit.ts';
import { nbdkitRelayed } from './subjects/nbdkit-relayed.ts';
import { qemuNbd } from './subjects/qemu-nbd.ts';
import { rcopyPaired } from './subjects/rcopy-paired.ts';
import { rcopyGuarded } from './subjects/rcopy-guarded.ts';
import { rcopy } from './subjects/rcopy.ts';

const SUBJECTS: readonly Subject[] = [
  nbdkit,
  rcopy,
  rcopyPaired,
  rcopyGuarded,
  nbdkitRelayed,
  qemuNbd,
];
const STARTS = 10;
const MIB = 1024 ** 2;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly only: RegExp;
  readonly json: string | undefined;
  readonly folder: string;
}

/** The series of one job on one subject. */
type Series = Measured & {
  readonly speeds: number[];
  readonly longestMs: number[];
  readonly slowMs: number[];
};

class Bench {
  private readonly options: Options;
  private readonly jobs: readonly Job[];
  private readonly scratch: string;
  private readonly image: string;
  private readonly series: Series[] = [];
  private readonly served = new Map<Subject, Served>();

  constructor(options: Options) {
    this.options = options;
    this.jobs = JOBS.filter(({ name }) => options.only.test(name));
    this.scratch = mkdtempSync(join(options.folder, 'rcopy-bench-'));
    this.image = join(this.scratch, 'holed.img');
  }

  async run(): Promise<Findings> {
    try {
      return await this.measure();
    } finally {
      await Promise.allSettled([...this.served.values()].map((each) => each.stop()));
      rmSync(this.scratch, { recursive: true, force: true });
    }
  }

  private async measure(): Promise<Findings> {
    const { rounds } = this.options;
    const startMs = await this.starts();
    if (this.jobs.some(({ kind }) => kind === 'fio')) await this.startAll();
    if (this.jobs.some(({ kind }) => kind === 'copy')) writeImage(this.image, { holes: true });
    const pids = [...this.served.values()].flatMap((each) => each.pids);
    const watch = new MemoryWatch(pids);
    for (let round = 0; round < rounds; round += 1) {
      for (const job of this.jobs) {
        for (const subject of rotated(SUBJECTS, round)) await this.once(job, subject, round);
      }
    }
    watch.stop();
    return {
      machine: machineText(),
      command: ['npm run bench', ...withDashes(process.argv.slice(2))].join(' '),
      rounds,
      measured: this.series,
      memory: [...this.served].map(([{ name: subject }, each]) => ({
        subject,
        bytes: each.pids.map((pid) => watch.mostBytes.get(pid) ?? 0),
      })),
      startMs,
    };
  }

  /** Every volume is written once before anything is measured, so that reads find data. */
  private async startAll(): Promise<void> {
    const full = join(this.scratch, 'full.img');
    writeImage(full, { holes: false });
    for (const subject of SUBJECTS) {
      const folder = join(this.scratch, subject.name.replaceAll(/\W+/g, '-'));
      mkdirSync(folder);
      say(`starting ${subject.name}`);
      const served = await subject.start(folder, VOLUME_BYTES);
      this.served.set(subject, served);
      await succeed('nbdcopy', ['--flush', full, served.uri]);
    }
    rmSync(full);
  }

  private async once(job: Job, subject: Subject, round: number): Promise<void> {
    for (const served of this.served.values()) await served.settle();
    await succeed('sync', []);
    const series = this.seriesOf(job, subject);
    if (job.kind === 'copy') {
      if (!subject.firstCopy) return;
      const folder = mkdtempSync(join(this.scratch, 'copy-'));
      const seconds = await subject.firstCopy(folder, this.image, VOLUME_BYTES);
      rmSync(folder, { recursive: true });
      series.speeds.push(VOLUME_BYTES / seconds);
    } else {
      const served = this.served.get(subject);
      if (!served) return;
      const { seconds } = this.options;
      const result = await runFio(job, served.uri, { seconds, sizeBytes: VOLUME_BYTES });
      series.speeds.push(result.speed);
      series.longestMs.push(result.longestMs);
      series.slowMs.push(result.slowMs);
    }
    const speed = series.speeds.at(-1) ?? 0;
    const unit = job.kind === 'fio' && job.timed ? '/s' : 'MiB/s';
    const shown = unit === '/s' ? speed : speed / MIB;
    say(`round ${round + 1}, ${job.title}, ${subject.name}: ${Math.round(shown)} ${unit}`);
  }

  private seriesOf(job: Job, subject: Subject): Series {
    const same = (each: Series) => each.job === job.name && each.subject === subject.name;
    const found = this.series.find(same);
    if (found) return found;
    const name = { job: job.name, subject: subject.name };
    const made: Series = { ...name, speeds: [], longestMs: [], slowMs: [] };
    if (job.kind === 'fio' || subject.firstCopy) this.series.push(made);
    return made;
  }

  private async starts(): Promise<number[]> {
    const times: number[] = [];
    if (!this.options.only.test('start')) return times;
    for (let count = 0; count < STARTS; count += 1) {
      times.push(1000 * (await secondsOf(() => rcopyProgram('--version'))));
    }
    return times;
  }
}

function machineText(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GiB`;
  const system = `${process.platform} ${release()}, Node ${process.versions.node}`;
  return `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${memory}, ${system}`;
}

function withDashes(words: readonly string[]): readonly string[] {
  return words.length === 0 ? [] : ['--', ...words];
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function chosenOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      only: { type: 'string', default: '' },
      json: { type: 'string' },
      folder: { type: 'string', default: tmpdir() },
    },
  });
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds is a number from 1 on');
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error('--seconds is a number from 1 on');
  const only = new RegExp(values.only);
  return { rounds, seconds, only, json: values.json, folder: values.folder };
}

try {
  const chosen = chosenOptions();
  const absent = missing(['fio', 'sync', ...SUBJECTS.flatMap(({ programs }) => programs)]);
  if (absent.length > 0) {
    throw new Error(`the bench needs programs that are not installed: ${absent.join(', ')}`);
  }
  const findings = await new Bench(chosen).run();
  if (chosen.json) writeFileSync(chosen.json, `${JSON.stringify(findings, null, 2)}\n`);
  process.stdout.write(`${table(findings)}\n`);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
