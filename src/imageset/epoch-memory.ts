/** What a set remembers of its epochs: of those in its journal, and of the last ones before. */
import { EPOCHS_REMEMBERED } from '../base/limits.ts';
import type { EpochCursor } from '../format/cursors.ts';
import type { Journal } from '../journal/journal.ts';
import type { Run } from '../journal/run.ts';

export class EpochMemory {
  private remembered: readonly EpochCursor[];
  private forgotten = new Set<Run>();

  constructor(known: readonly EpochCursor[]) {
    this.remembered = known;
  }

  /**
   * All that is known, by epoch. A run counts from when its head is durable: before that a power
   * loss may take it whole.
   */
  of(journal: Journal): EpochCursor[] {
    const epochs = new Map(this.remembered.map((epoch) => [epoch.epoch, epoch]));
    for (const run of journal.runs) {
      if (this.forgotten.has(run) || !run.headDurable) continue;
      const { epoch, id, writer, first } = run.identity;
      const sealedAt = run.seal && run.durable >= run.seal.header.sequence ? run.durable : null;
      epochs.set(epoch, { epoch, id, writer, first, durable: run.durable, sealedAt });
    }
    this.remembered = [...epochs.values()]
      .sort((one, other) => one.epoch - other.epoch)
      .slice(-EPOCHS_REMEMBERED);
    return [...this.remembered];
  }

  /** Forgets epochs from this one on, the runs that are still kept included. */
  forgetFrom(journal: Journal, epoch: number): void {
    this.remembered = this.remembered.filter((known) => known.epoch < epoch);
    for (const run of journal.runs) if (run.epoch >= epoch) this.forgotten.add(run);
  }

  /** Forgets all, the runs that are still kept included. */
  forget(journal: Journal): void {
    this.remembered = [];
    this.forgotten = new Set(journal.runs);
  }
}
