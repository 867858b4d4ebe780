/**
 * Brings records from the journal into the overlay, strictly in order: at a start what is not
 * applied yet, on a secondary everything. It never passes a gap: an epoch's records follow only
 * behind the seal of the one before, and only when they chain to it (R1, R4).
 */
import type { ProvenPosition } from '../base/position.ts';
import type { MarkCursor } from '../format/cursors.ts';
import { decodeOpen } from '../format/control-records.ts';
import type { WholeRecord } from '../format/record.ts';
import type { Journal } from '../journal/journal.ts';
import type { RunReader } from '../journal/run-reader.ts';
import type { Run } from '../journal/run.ts';
import type { Overlay } from './overlay.ts';

export class Feed {
  /** Everything up to here is in the overlay or in the images. */
  position: ProvenPosition;
  /** Of the newest record that was taken in: when it was written, on the primary's clock. */
  timeMs = 0;
  private readonly journal: Journal;
  private readonly overlay: Overlay;
  private readonly budgetBytes: number;
  private reader: RunReader | undefined;
  private readerEpoch = -1;

  private readonly onMark: (mark: MarkCursor) => void;

  /** `onMark` is told of each mark that is passed. */
  constructor(
    journal: Journal,
    overlay: Overlay,
    from: ProvenPosition,
    budgetBytes: number,
    onMark: (mark: MarkCursor) => void,
  ) {
    this.onMark = onMark;
    this.journal = journal;
    this.overlay = overlay;
    this.position = from;
    this.budgetBytes = budgetBytes;
  }

  /**
   * Takes in what is durable, until the budget is used up. Returns `crossed` with the next run when
   * an epoch is over and the next one may begin: the caller makes the images durable up to here,
   * then calls {@link enter}.
   */
  pull(): { state: 'caught-up' | 'full' } | { state: 'crossed'; next: Run } {
    const run = this.journal.run(this.position.epoch);
    if (!run) return { state: 'caught-up' };
    const reader = this.openReader(run);
    for (;;) {
      const more = reader.sequence <= run.durable;
      if (more && this.overlay.heldBytes >= this.budgetBytes) return { state: 'full' };
      if (!this.pullRequest(run, reader)) break;
    }
    const next = reader.ended ? successor(this.journal, run) : undefined;
    return next ? { state: 'crossed', next } : { state: 'caught-up' };
  }

  /** Goes on with `run`, whose predecessor is complete and applied. */
  enter(run: Run): void {
    this.close();
    const chain = run.head?.header.ownChain ?? 0;
    this.position = { epoch: run.epoch, sequence: run.identity.first - 1, chain };
  }

  close(): void {
    this.reader?.close();
    this.reader = undefined;
    this.readerEpoch = -1;
  }

  /** One whole host request; false when there is none yet. */
  private pullRequest(run: Run, reader: RunReader): boolean {
    for (;;) {
      const record = reader.next(run.durable);
      if (!record) return false;
      this.take(record, reader);
      if (record.header.endOfRequest && record.header.kind !== 'seal') return true;
    }
  }

  private take({ header, payload }: WholeRecord, reader: RunReader): void {
    if (header.kind === 'write') {
      this.overlay.insert(header.volume, header.offset, header.length, payload, false);
    } else if (header.kind === 'zeroes') {
      this.overlay.insert(header.volume, header.offset, header.length, undefined, header.mayFree);
    }
    if (header.kind === 'mark') {
      const { epoch, sequence } = header;
      this.onMark({ name: payload.toString('utf8'), epoch, sequence });
    }
    this.timeMs = header.timeMs;
    if (!header.endOfRequest || header.kind === 'seal' || header.kind === 'open') return;
    if (header.kind === 'rebase') return;
    this.position = { epoch: header.epoch, sequence: header.sequence, chain: reader.chain };
    this.overlay.endRequest(this.position);
  }

  private openReader(run: Run): RunReader {
    if (this.reader && this.readerEpoch === run.epoch) return this.reader;
    this.close();
    this.reader = run.readFrom(this.position.sequence + 1);
    this.readerEpoch = run.epoch;
    return this.reader;
  }
}

/** The run that follows behind `run`'s seal: the next epoch whose open record names that seal. */
function successor(journal: Journal, run: Run): Run | undefined {
  const next = journal.run(run.epoch + 1);
  if (!next?.head || !next.headDurable || !run.seal || next.head.header.kind !== 'open')
    return undefined;
  const { parent } = decodeOpen(next.head.payload);
  const chains =
    parent.kind === 'seal' &&
    parent.seal.equals(run.seal.bytes) &&
    next.head.header.chain === run.seal.header.ownChain;
  return chains ? next : undefined;
}
