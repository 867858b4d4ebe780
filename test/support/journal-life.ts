/**
 * The journal of one run on a simulated disk, beside a list of what it must hold: whatever is done
 * to it, and however it is started again, both are the same.
 */
import { KIB } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { RunReader } from '../../src/journal/run-reader.ts';
import type { Run } from '../../src/journal/run.ts';
import type { KnownRun } from '../../src/journal/types.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { Survival } from '../sim/disk.ts';
import { assertAtLeast, assertSame } from './asserts.ts';
import { driven } from './driven.ts';
import { pattern } from './image-sets.ts';
import { knownOf, openJournal, openRecord, reopenJournal, segmentPath } from './journal-bench.ts';
import { JournalModel } from './journal-model.ts';
import type { ModelRecord } from './journal-model.ts';

/** Three of the longest records fill a segment, and a request may need more than one. */
const SIZES: JournalSizes = {
  segmentBytes: 4 * KIB,
  segmentsMax: 5,
  recordPayloadBytesMax: KIB,
  requestBytesMax: 4 * KIB,
};
const EPOCH = 1;

/** What befalls a journal. */
export type JournalStep =
  | { readonly do: 'request'; readonly kind: ModelRecord['kind']; readonly lengths: number[] }
  | { readonly do: 'write' | 'reopen' }
  | { readonly do: 'sync'; readonly wait: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  /** So many numbers before the durable one are applied, and trimmed that many below that. */
  | { readonly do: 'apply'; readonly before: number; readonly below: number }
  /** Opens a reader so many numbers before the end, or lets one read on. */
  | { readonly do: 'reader'; readonly before: number }
  | { readonly do: 'read'; readonly reader: number; readonly count: number; durable: boolean }
  | { readonly do: 'fail'; readonly label: 'JOURNAL:SYNC' | 'JOURNAL:SYNC-FOLDER' }
  | ({ readonly do: 'crash'; readonly after: number } & Loss);

/** How the power goes. */
export interface Loss {
  readonly survival: Survival;
  readonly seed: number;
  /** Before this operation of the start that follows it goes once more; 0 for never. */
  readonly again: number;
}

interface OpenReader {
  readonly reader: RunReader;
  /** The number that it gives next. */
  at: number;
}

/** One journal through all its starts, and what it must be. */
export class JournalLife {
  private readonly clock: SimulatedClock;
  private disk: SimulatedDisk;
  private journal: Journal;
  private run: Run;
  private readonly model: JournalModel;
  /** The chain value behind each number. */
  private readonly chains: number[] = [];
  private known: KnownRun;
  private applied = { epoch: EPOCH, sequence: 0, chain: 0 };
  private readers: OpenReader[] = [];
  private loss: Loss = { survival: 'lose', seed: 1, again: 0 };

  static async begin(): Promise<JournalLife> {
    const clock = new SimulatedClock();
    const disk = new SimulatedDisk({ defer: (action) => void clock.after(2, action) });
    const journal = await driven(clock, openJournal(disk, { sizes: SIZES, clock }));
    const run = journal.startRun(openRecord());
    await driven(clock, journal.sync());
    return new JournalLife(clock, disk, journal, run);
  }

  private constructor(clock: SimulatedClock, disk: SimulatedDisk, journal: Journal, run: Run) {
    this.clock = clock;
    this.disk = disk;
    this.journal = journal;
    this.run = run;
    this.known = knownOf(run);
    this.model = new JournalModel(SIZES, run.head?.bytes.length ?? 0);
  }

  async step(step: JournalStep): Promise<void> {
    try {
      await this.perform(step);
      if (!this.isOver) this.check();
    } catch (error) {
      if (!this.isOver) throw error;
    }
    if (this.disk.crashed) await this.restart(this.loss);
    // A set that cannot sync stops; the process that opens it next sees all that was written.
    else if (this.isOver) await this.restart({ survival: 'keep', seed: 1, again: 0 });
  }

  /** Pulls the plug. */
  async end(): Promise<void> {
    this.disk.crash();
    await this.restart({ survival: 'lose', seed: 1, again: 0 });
  }

  private get isOver(): boolean {
    return this.disk.crashed || this.journal.failure !== undefined;
  }

  private async perform(step: JournalStep): Promise<void> {
    const { journal, run, disk, model } = this;
    switch (step.do) {
      case 'request':
        this.append(step.kind, step.lengths);
        return;
      case 'write':
        this.write();
        return;
      case 'sync': {
        const { written } = model;
        const synced = journal.sync().then(() => assertAtLeast(run.durable, written));
        synced.catch(() => undefined);
        if (step.wait) await driven(this.clock, synced);
        return;
      }
      case 'pass':
        await this.clock.pass(step.ms);
        return;
      case 'apply':
        this.apply(step.before, step.below);
        return;
      case 'reader':
        this.openReader(step.before);
        return;
      case 'read':
        this.read(step.reader, step.count, step.durable);
        return;
      case 'reopen':
        this.write();
        await driven(this.clock, journal.close());
        this.known = knownOf(run);
        model.promised = model.written;
        await this.open(true);
        return;
      case 'fail':
        disk.hook = ({ label }) => (label === step.label ? 'fail' : undefined);
        return;
      case 'crash':
        disk.crashAt(disk.operations + step.after);
        this.loss = step;
    }
  }

  /** A host request, when there is room for it. */
  private append(kind: ModelRecord['kind'], lengths: readonly number[]): void {
    const { journal, run, model } = this;
    const payloadLengths = kind === 'write' ? lengths : [kind === 'mark' ? (lengths[0] ?? 0) : 0];
    const admitted = journal.admits(run, payloadLengths, 'host');
    assertSame(admitted, model.admits(payloadLengths));
    if (!admitted) return;
    for (const [index, length] of payloadLengths.entries()) {
      const payload = pattern(this.clock.monotonicMs() + model.next * 3, length);
      const endOfRequest = index === payloadLengths.length - 1;
      const sequence = journal.append(run, {
        kind,
        volume: 0,
        offset: 0,
        length: kind === 'mark' ? 0 : Math.max(1, length),
        payload: [payload.subarray(0, 100), payload.subarray(100)],
        payloadLength: length,
        endOfRequest,
        mayFree: false,
      });
      assertSame(sequence, model.next);
      model.append({ kind, payload, endOfRequest });
      this.chains.push(run.chain);
    }
  }

  private write(): void {
    this.journal.write(this.run, 1);
    this.model.written = this.model.lastEnd();
  }

  /** What is durable is applied, except the last ones, and trimmed, except some more. */
  private apply(before: number, below: number): void {
    const { run, model } = this;
    let sequence = run.durable - before;
    while (sequence > this.applied.sequence && !model.endsRequest(sequence)) sequence -= 1;
    if (sequence > this.applied.sequence) {
      this.applied = { epoch: EPOCH, sequence, chain: this.chains[sequence - 1] ?? 0 };
      this.known = knownOf(run);
    }
    const point = Math.max(1, this.applied.sequence + 1 - below);
    model.trim(point, run.durable);
    this.journal.trim(EPOCH, point);
  }

  private openReader(before: number): void {
    const { run } = this;
    const at = Math.max(run.firstKept, run.writtenEnd + 1 - before);
    this.readers.push({ reader: run.readFrom(at), at });
    if (this.readers.length > 3) this.readers.shift()?.reader.close();
  }

  /** A reader gives what was appended, in order; only trimming may take that away from it. */
  private read(index: number, count: number, onlyDurable: boolean): void {
    const { run, model, readers } = this;
    const open = readers[index % Math.max(1, readers.length)];
    if (!open) return;
    const limit = onlyDurable ? run.durable : run.writtenEnd;
    try {
      for (let left = count; left > 0; left -= 1) {
        const record = open.reader.next(limit);
        if (!record) {
          assertAtLeast(open.at, limit + 1);
          return;
        }
        if (record.header.kind === 'open') assertSame(open.at, 1);
        else {
          model.assertRecord(record, open.at);
          open.at += 1;
        }
      }
    } catch (error) {
      if ((error as { code?: string }).code !== 'E_STATE') throw error;
      assertAtLeast(run.firstKept, open.at + 1);
      readers.splice(readers.indexOf(open), 1);
    }
  }

  private check(): void {
    const { run, model, journal } = this;
    assertSame([run.next, run.writtenEnd], [model.next, model.written]);
    assertAtLeast(run.durable, model.promised);
    assertAtLeast(model.written, run.durable);
    if (!model.endsRequest(run.durable)) throw new Error(`${run.durable} ends no request`);
    model.promised = run.durable;
    assertSame([run.segments, journal.bytes], [model.segments, model.bytes]);
    assertAtLeast(model.trimPoint, run.firstKept);
    assertSame(journal.admits(run, [KIB, KIB, KIB, KIB], 'seal'), true);
    if (run.firstKept > 1) assertThrows(() => run.readFrom(run.firstKept - 1), 'E_STATE');
  }

  /** Starts after a loss; the power may go once more in the midst of that. */
  private async restart({ survival, seed, again }: Loss): Promise<void> {
    this.disk = this.disk.survivors(survival, seed);
    if (again > 0) {
      this.disk.crashAt(again - 1);
      try {
        await this.open(false);
        this.disk.crashAt(-1); // it is over: nothing strikes any more
        return;
      } catch (error) {
        if (!this.disk.crashed) throw error;
        this.disk = this.disk.survivors('random', seed + 1);
      }
    }
    await this.open(false);
  }

  private async open(clean: boolean): Promise<void> {
    const { disk, clock, known, applied, model } = this;
    const options = { sizes: SIZES, clock, known: [known], applied, clean };
    this.journal = await driven(clock, reopenJournal(disk, options));
    const [run] = this.journal.runs;
    if (!run) throw new Error('the run is gone');
    const segments = run.segments.map(({ firstSequence }, index) => {
      const { length } = disk.readFile(segmentPath(EPOCH, firstSequence));
      const last = index === run.segments.length - 1;
      return { firstSequence, bytes: last ? SIZES.segmentBytes : length };
    });
    model.restart(run.next - 1, segments);
    this.run = run;
    this.chains.length = run.next - 1;
    if (clean) assertSame(this.journal.cuts, []);
    assertSame([run.durable, run.chain], [run.next - 1, this.chains.at(-1) ?? run.chain]);
    this.readers = [];
    this.openReader(Infinity);
    this.read(0, Infinity, true);
    assertSame(this.readers[0]?.at, run.next);
    this.check();
  }
}

function assertThrows(action: () => unknown, code: string): void {
  try {
    action();
  } catch (error) {
    assertSame((error as { code?: string }).code, code);
    return;
  }
  throw new Error(`${code} was not thrown`);
}
