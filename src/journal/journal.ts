/**
 * The journal of one image set: a dense run of records for each epoch, one group commit over all of
 * them. At most two runs grow at the same time: the last epoch that is incomplete, and the next.
 */
import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { RcopyError, fileError } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { SEAL_RESERVE_BYTES } from '../base/limits.ts';
import type { JournalSizes } from '../base/limits.ts';
import { isNumbered, recordBytes } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import { decodeOpen, decodeRebase } from '../format/control-records.ts';
import { SEGMENT_HEADER_BYTES, parseSegmentName, segmentName } from '../format/segment.ts';
import { Committer } from './committer.ts';
import { Run } from './run.ts';
import type { NewRecord, RunSegment } from './run.ts';
import { scanRun } from './run-scan.ts';
import { SegmentStore } from './segment-store.ts';
import { TAIL_SUFFIX, rewriteTail } from './tail-rewrite.ts';
import type { JournalOptions, RoomFor } from './types.ts';

export class Journal {
  /** Runs by epoch, ascending. */
  readonly runs: Run[] = [];
  /** What the start did not take for records, as it would after a crash: torn tails. */
  readonly cuts: Finding[] = [];
  private readonly options: JournalOptions;
  private readonly store: SegmentStore;
  private readonly committer: Committer;
  private readonly durableListeners = new Set<() => void>();

  private constructor(options: JournalOptions) {
    const { environment } = options;
    this.options = options;
    this.store = new SegmentStore(environment.files, options.folder, options.sizes);
    this.committer = new Committer(
      environment.clock,
      this.store,
      () => this.runs,
      () => this.tellDurable(),
    );
  }

  /**
   * Reads what is there and repairs what a crash may leave: when it resolves, every kept record is
   * durable. Throws `E_DAMAGED` when something durable is missing, `E_VERSION`, or `E_IO`.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options);
    await journal.load();
    return journal;
  }

  get sizes(): JournalSizes {
    return this.options.sizes;
  }

  /** Bytes of segment files in use, whole segments counted. */
  get bytes(): number {
    return this.store.bytesInUse;
  }

  get capacityBytes(): number {
    return this.store.capacityBytes;
  }

  /** Why nothing can be made durable any more, if so. */
  get failure(): RcopyError | undefined {
    return this.committer.failure;
  }

  run(epoch: number): Run | undefined {
    return this.runs.find((candidate) => candidate.epoch === epoch);
  }

  /** The latest run. */
  get last(): Run | undefined {
    return this.runs.at(-1);
  }

  /** Whether `request` (payload lengths of its records) may be appended to `run` now (R9). */
  admits(run: Run, payloadLengths: readonly number[], purpose: RoomFor): boolean {
    // A start that rewrote the tail may have used what was kept; a seal never waits for room.
    if (purpose === 'seal') return true;
    const { bytesInUse, capacityBytes } = this.store;
    if (purpose !== 'first-owed' && bytesInUse > capacityBytes) return false;
    const reserve = purpose === 'host' ? SEAL_RESERVE_BYTES : 0;
    const added = run.segmentsFor(payloadLengths, reserve);
    if (added > this.store.free) return false;
    const owedFirst = this.runs.some(({ epoch, seal }) => epoch < run.epoch && !seal);
    if (purpose === 'first-owed' || (purpose === 'host' && !owedFirst)) return true;
    const laterUse = this.runs
      .filter((other) => other === run || other !== this.runs[0])
      .reduce((sum, other) => sum + other.segments.length, 0);
    return laterUse + added <= this.sizes.segmentsMax - this.firstOwedReserve();
  }

  /** Appends one record to the writer's run; queued until `write`. Returns its number. */
  append(run: Run, record: NewRecord): number {
    return this.guard(() => run.add(record, this.options.environment.clock.now()));
  }

  /** Writes what was queued, and sees to it that a sync follows soon. */
  write(run: Run, bytes: number): void {
    this.guard(() => run.write());
    this.committer.written(bytes);
  }

  /** Begins the run of a new epoch with its open or rebase record. Durable after `sync`. */
  startRun(head: WholeRecord): Run {
    const { header } = head;
    assert(!this.run(header.epoch), 'an epoch has one run');
    const identity = headIdentity(head);
    const run = new Run(this.store, {
      identity,
      segments: [],
      endOffset: 0,
      next: header.sequence,
      chain: header.chain,
      durable: header.sequence - 1,
      head,
      seal: undefined,
    });
    this.runs.push(run);
    this.runs.sort((one, other) => one.epoch - other.epoch);
    this.guard(() => {
      run.addReceived(head);
      run.write();
    });
    this.committer.written(head.bytes.length);
    return run;
  }

  /** Queues a record that another set wrote and that was checked to be next, until `write`. */
  queueReceived(run: Run, record: WholeRecord): void {
    this.guard(() => run.addReceived(record));
  }

  /** Appends records that another set wrote and that were checked to be next; writes them. */
  appendReceived(run: Run, records: readonly WholeRecord[]): void {
    let bytes = 0;
    this.guard(() => {
      for (const record of records) {
        run.addReceived(record);
        bytes += record.bytes.length;
      }
      run.write();
    });
    this.committer.written(bytes);
  }

  /** Resolves when everything written before the call is durable. Group commit. */
  sync(): Promise<void> {
    return this.committer.sync();
  }

  /** Calls `listener` after each move of a durable number, until what is returned is called. */
  onDurable(listener: () => void): () => void {
    this.durableListeners.add(listener);
    return () => this.durableListeners.delete(listener);
  }

  /** `listener` is told once, when nothing can be made durable any more. */
  onFailed(listener: (failure: RcopyError) => void): void {
    this.committer.onFailed = listener;
  }

  /** Gives up whole runs before `epoch`, and in it what is below `sequence` (R7: caller's duty). */
  trim(epoch: number, sequence: number): void {
    if (this.failure) return;
    while (this.runs[0] && this.runs[0].epoch < epoch) this.runs.shift()?.drop();
    this.run(epoch)?.trimBelow(sequence);
  }

  /** Gives up one run, whatever it holds: for what was provisional, or replaced. */
  discard(run: Run): void {
    this.runs.splice(this.runs.indexOf(run), 1);
    run.drop();
  }

  /** Ends the journal's life: whatever waits for durability gets this error. */
  fail(error: RcopyError): void {
    this.committer.fail(error);
  }

  /** Syncs and closes; after a failure it only closes. */
  async close(): Promise<void> {
    try {
      if (!this.failure && !this.options.readOnly) await this.sync();
    } finally {
      this.committer.stopTimer();
      await this.committer.idle();
      for (const run of this.runs) run.close();
    }
  }

  private guard<T>(action: () => T): T {
    if (this.failure) throw this.failure;
    try {
      return action();
    } catch (error) {
      const failure = fileError('writing the journal', this.options.folder, error);
      this.committer.fail(failure);
      throw failure;
    }
  }

  /**
   * Segments that the largest request may touch: what the sender of the lowest missing number can
   * count on, whatever later epochs have stored (R9).
   */
  private firstOwedReserve(): number {
    const { requestBytesMax, recordPayloadBytesMax, segmentBytes } = this.options.sizes;
    const perSegment = Math.floor(
      (segmentBytes - SEGMENT_HEADER_BYTES) / recordBytes(recordPayloadBytesMax),
    );
    return Math.ceil(requestBytesMax / recordPayloadBytesMax / perSegment) + 1;
  }

  private tellDurable(): void {
    for (const listener of this.durableListeners) listener();
  }

  private async load(): Promise<void> {
    try {
      await this.loadRuns();
    } catch (error) {
      throw fileError('reading the journal', this.options.folder, error);
    }
    this.checkNothingLost();
  }

  private async loadRuns(): Promise<void> {
    const { environment, folder, readOnly } = this.options;
    const names = environment.files.list(folder, 'JOURNAL:LIST');
    if (!readOnly) {
      for (const name of names.filter((candidate) => candidate.endsWith(TAIL_SUFFIX))) {
        environment.files.remove(join(folder, name), 'JOURNAL:TAIL-REMOVE');
      }
      this.store.adopt(names);
    }
    const byEpoch = new Map<number, number[]>();
    for (const name of names) {
      const parsed = parseSegmentName(name);
      if (!parsed) continue;
      const firsts = byEpoch.get(parsed.epoch) ?? [];
      firsts.push(parsed.firstSequence);
      byEpoch.set(parsed.epoch, firsts);
    }
    for (const [epoch, firsts] of [...byEpoch].sort(([one], [other]) => one - other)) {
      await this.loadRun(epoch, firsts);
    }
  }

  private async loadRun(epoch: number, segments: number[]): Promise<void> {
    const { applied, ownSet, environment, folder, clean, readOnly } = this.options;
    const known = this.options.known.find((candidate) => candidate.epoch === epoch);
    const appliedHere = applied.epoch === epoch ? applied.sequence : -1;
    const from = Math.max(
      0,
      segments.findLastIndex((first) => first <= appliedHere + 1),
    );
    const { files } = environment;
    const scan = scanRun({
      files,
      folder,
      epoch,
      segments,
      from,
      known,
      applied: appliedHere,
      ownSet,
    });
    this.cuts.push(...scan.cuts);
    if (!scan.begun) {
      this.removeSegments(epoch, segments);
      return;
    }
    let state = { segments, endOffset: scan.end.offset };
    let durable = scan.durable;
    if (clean || readOnly) {
      // The beginning of a request whose end did not come may have filled segments of its own.
      state.segments = segments.slice(0, scan.end.segment + 1);
      this.removeSegments(epoch, segments.slice(scan.end.segment + 1));
    } else {
      state = await rewriteTail({
        files,
        folder,
        segmentBytes: this.store.segmentBytes,
        scan,
        segments,
      });
      durable = scan.seal ? scan.end.sequence : scan.end.sequence - 1;
    }
    const sized = this.sizeSegments(epoch, state.segments);
    this.store.bytesInUse += sized.reduce((sum, segment) => sum + segment.bytes, 0);
    this.runs.push(
      new Run(this.store, {
        identity: scan.identity,
        segments: sized,
        endOffset: state.endOffset,
        next: scan.end.sequence,
        chain: scan.end.chain,
        durable,
        head: scan.head,
        seal: scan.seal,
      }),
    );
  }

  /** Of segments that hold nothing that counts. */
  private removeSegments(epoch: number, segments: readonly number[]): void {
    if (this.options.readOnly || segments.length === 0) return;
    for (const first of segments) {
      this.store.files.remove(this.path(epoch, first), 'JOURNAL:REMOVE');
    }
    this.store.folderUnsynced = true;
  }

  private sizeSegments(epoch: number, firsts: readonly number[]): RunSegment[] {
    const { segmentBytes, files } = this.store;
    return firsts.map((firstSequence, index) => {
      if (index === firsts.length - 1) return { firstSequence, bytes: segmentBytes };
      const size = files.status(this.path(epoch, firstSequence), 'JOURNAL:STATUS')?.sizeBytes;
      return { firstSequence, bytes: Math.min(size ?? segmentBytes, segmentBytes) };
    });
  }

  private path(epoch: number, firstSequence: number): string {
    return join(this.options.folder, segmentName(epoch, firstSequence));
  }

  /** What cursors call durable and is not in the images must be here, and without a gap. */
  private checkNothingLost(): void {
    const { known, applied, folder } = this.options;
    for (const cursor of known) {
      const beyond =
        cursor.epoch === applied.epoch
          ? cursor.durable > applied.sequence
          : cursor.epoch > applied.epoch && cursor.durable >= cursor.first;
      if (beyond && !this.runs.some((run) => run.identity.id === cursor.id)) {
        throw lost(
          `${folder}: the journal of epoch ${cursor.epoch} is gone; numbers up to ` +
            `${cursor.durable} were durable`,
        );
      }
    }
    const run = this.run(applied.epoch);
    if (run && !run.head && run.firstKept > applied.sequence + 1) {
      throw lost(
        `${run.segmentPath(run.firstKept)} at offset 0: number ${applied.sequence + 1} of epoch ` +
          `${run.epoch} is in neither images nor journal, which begins with ${run.firstKept}`,
      );
    }
  }
}

function lost(message: string): RcopyError {
  return new RcopyError('E_DAMAGED', message, {
    hint: 'take the data from the pair of this set, or from a backup',
  });
}

function headIdentity(head: WholeRecord) {
  const { header, payload } = head;
  assert(!isNumbered(header.kind), 'a run begins with an unnumbered record');
  if (header.kind === 'open') {
    const open = decodeOpen(payload);
    return { epoch: header.epoch, id: open.epochId, writer: open.writer, first: header.sequence };
  }
  const rebase = decodeRebase(payload);
  return {
    epoch: header.epoch,
    id: rebase.epochId,
    writer: rebase.writer,
    first: rebase.epochFirst,
  };
}
