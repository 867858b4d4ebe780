/**
 * Handing over records (`--mode handoff`): the target gets from the source, in order, what the
 * secondary lacks, keeps it in a run of its journal, and sends it on as it is.
 */
import { RcopyError } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import { relayRun } from '../imageset/acceptance.ts';
import { appendFromPeer } from '../imageset/follower.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { RunReader } from '../journal/run-reader.ts';
import { parseRecords } from '../link/records.ts';
import type { Answered } from '../link/service.ts';

const ANSWER_BYTES = 1 * MIB;

/** The source's side: reads on where the last answer ended. */
export class RecordSource {
  private readonly set: ImageSet;
  private reader: RunReader | undefined;

  constructor(set: ImageSet) {
    this.set = set;
  }

  /** Records of the set's own epoch from `sequence` on, the seal included; its head is left out. */
  from(sequence: number): Answered {
    const run = this.set.ownRun();
    if (!run || sequence > run.next) {
      throw new RcopyError('E_PROTOCOL', `there is no record ${sequence} to hand over`);
    }
    if (this.reader?.sequence !== sequence || this.reader.ended) {
      this.close();
      this.reader = run.readFrom(sequence);
      this.reader.next(sequence - 1); // passes the head
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    while (bytes < ANSWER_BYTES) {
      const record = this.reader.next(run.durable);
      if (!record) break;
      parts.push(record.bytes);
      bytes += record.bytes.length;
    }
    return { value: null, data: Buffer.concat(parts) };
  }

  close(): void {
    this.reader?.close();
    this.reader = undefined;
  }
}

/**
 * The target's side: gets everything up to the seal. Durable when it resolves: the source owes
 * nothing then. Nothing happens where the secondary needs no records from here. Where the journal
 * has no room, it waits for the secondary to take some; `failure` says that it cannot.
 */
export async function pullRelay(
  set: ImageSet,
  ask: (sequence: number) => Promise<Answered>,
  failure: () => Error | undefined,
): Promise<void> {
  for (let run = relayRun(set); run && !run.seal; run = relayRun(set)) {
    const { data } = await ask(run.next);
    if (relayRun(set) !== run) continue; // nobody is to get it any more
    const records = parseRecords(Buffer.from(data ?? []));
    if (records.length === 0) {
      throw new RcopyError('E_PROTOCOL', 'the source of the migration handed over no record');
    }
    while (relayRun(set) === run && !appendFromPeer(set, run, records)) {
      await roomMade(set, run, failure); // or nobody is to get it any more
    }
    set.changed();
  }
  await set.journal.sync();
}

/** Resolves when something moved that may have made room in the journal. */
async function roomMade(set: ImageSet, run: Run, failure: () => Error | undefined): Promise<void> {
  const before = set.journal.bytes;
  await set.drain();
  await set.until(() => {
    if (set.journal.bytes < before || relayRun(set) !== run) return true;
    const reason = failure();
    if (reason) throw reason;
    return false;
  });
}
