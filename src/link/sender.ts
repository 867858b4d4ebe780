/**
 * The primary's end of a replication link: proves where the secondary stands, then sends ranges of
 * a copy and records in one ordered stream. Only durable records leave (R3); what is under way is
 * bounded by the receiver's credit (R9).
 *
 * A range is read as of the newest number and sent before any record behind that number: so the
 * secondary never puts a range over something newer.
 */
import { assert } from '../base/assert.ts';
import { RcopyError } from '../base/errors.ts';
import { COPY_RANGE_BYTES, LINK_CREDIT_BYTES, SEND_BATCH_BYTES } from '../base/limits.ts';
import type { ProvenPosition } from '../base/position.ts';
import { Signal } from '../base/signal.ts';
import { encodeRebase } from '../format/control-records.ts';
import { encodeRecord, isNumbered } from '../format/record.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { RunReader } from '../journal/run-reader.ts';
import type { Run } from '../journal/run.ts';
import type { FrameChannel } from './channel.ts';
import type { Frame } from './frame.ts';
import { decodeAcknowledgement, decodeWelcome, encodeJson, encodeRangeHead } from './messages.ts';
import type { Acknowledgement, CopyProgress, Hello, Welcome } from './messages.ts';
import { decideResume } from './resume.ts';
import type { SenderView } from './resume.ts';
import { Pacer } from './pacer.ts';

export interface SenderOptions {
  readonly set: ImageSet;
  readonly channel: FrameChannel;
  /** Where this set can be reached, as the secondary should keep it. */
  readonly address: string;
  /** A random number of this opening of the set. */
  readonly bootId: string;
  /** The number of this link among those of this opening. */
  readonly link: number;
  /** Bytes a second; undefined for as fast as it goes. */
  readonly maxRate?: number | undefined;
  /** Told of each word from the secondary. */
  readonly onContact?: (() => void) | undefined;
  /** Told after each step. */
  readonly onProgress?: (() => void) | undefined;
}

/** What one link has sent so far. */
export interface SenderCounts {
  sentRecords: number;
  /** Bytes of records, headers included. */
  sentBytes: number;
  /** Bytes of copied ranges; holes count nothing. */
  copiedBytes: number;
  /** Bytes of the volumes that the copy has passed, holes included. */
  passedBytes: number;
  /** Copies that were begun (not continued) on this link. */
  copiesBegun: number;
}

interface CopyPlace {
  volume: number;
  offset: number;
  asOf: number;
  /** The receiver was told that all ranges have gone. */
  ended: boolean;
}

export class Sender {
  readonly counts: SenderCounts = {
    sentRecords: 0,
    sentBytes: 0,
    copiedBytes: 0,
    passedBytes: 0,
    copiesBegun: 0,
  };
  /** The secondary holds everything up to the seal: nothing is owed any more. */
  finished = false;
  private readonly options: SenderOptions;
  private readonly signal = new Signal();
  private readonly pacer: Pacer;
  private welcome: Welcome | undefined;
  private reader: RunReader | undefined;
  private copy: CopyPlace | undefined;
  /** The receiver said that it is in this very copy; what it said before is of older content. */
  private copySeen = false;
  /** The receiver was usable already when the link began, and this set did not know. */
  private copyWasDone = false;
  /** Bytes of records and ranges sent, and of those taken in at the other end. */
  private sent = 0;
  private consumed = 0;
  private ended: { readonly error: RcopyError | undefined } | undefined;
  private working: Promise<void> = Promise.resolve();

  constructor(options: SenderOptions) {
    this.options = options;
    this.pacer = new Pacer(options.set.environment.clock, options.maxRate);
  }

  /**
   * Sends until the channel ends or nothing is owed any more. Rejects with why it had to stop; a
   * broken link is `E_UNREACHABLE`, and another sender may go on from there.
   */
  async run(): Promise<void> {
    const { set, channel } = this.options;
    const stopListening = set.onChange(() => this.signal.notify());
    channel.listen({
      frame: (frame) => this.receive(frame),
      ended: (error) => {
        this.ended = { error };
        this.signal.notify();
      },
    });
    try {
      await this.greet();
      while (!this.finished && !this.ended) {
        if (set.failure) throw set.failure;
        if (!(await this.step())) await this.signal.wait();
        this.options.onProgress?.();
      }
      await this.working;
      if (!this.finished && this.ended) throw this.ended.error ?? cut(channel.peer);
    } catch (error) {
      channel.stop(error);
      throw error;
    } finally {
      stopListening();
      this.reader?.close();
      channel.close();
    }
  }

  private receive(frame: Frame): void {
    this.options.onContact?.();
    switch (frame.type) {
      case 'welcome':
        this.welcome = decodeWelcome(frame.body);
        break;
      case 'acknowledgement':
        this.acknowledged(decodeAcknowledgement(frame.body));
        break;
      case 'ping':
        break;
      default:
        throw new RcopyError('E_PROTOCOL', `a secondary sent a ${frame.type} frame`);
    }
    this.signal.notify();
  }

  private async greet(): Promise<void> {
    const { set, channel } = this.options;
    await ensureEpoch(set);
    set.hosts.writeBatch();
    channel.post('hello', [encodeJson(this.hello(this.ownRun()))]);
    while (!this.welcome && !this.ended && !set.failure) await this.signal.wait();
    if (set.failure) throw set.failure;
    if (this.ended) throw this.ended.error ?? cut(channel.peer);
    assert(this.welcome, 'the other end has answered');
    const welcome = this.welcome;
    checkPeer(set, welcome);
    const decision = decideResume(this.view(), welcome);
    switch (decision.kind) {
      case 'stop':
        throw new RcopyError(decision.code, `${welcome.name} cannot follow: ${decision.reason}`, {
          hint: 'see `rcopy status` and `rcopy inspect` of both sets',
        });
      case 'finished':
        this.noteFinished();
        break;
      case 'resume':
        this.reader = this.ownRun().readFrom(decision.from);
        this.copyWasDone = welcome.usable;
        break;
      case 'continue-copy':
        this.reader = this.ownRun().readFrom(decision.from);
        this.continueCopy(decision.copy);
        break;
      case 'begin-copy':
        await this.beginCopy();
    }
  }

  private hello(run: Run): Hello {
    const { file } = this.options.set;
    return {
      purpose: 'replicate',
      setId: file.setId,
      groupId: file.groupId,
      name: file.name,
      address: this.options.address,
      bootId: this.options.bootId,
      link: this.options.link,
      pairId: file.pair?.id ?? null,
      run: {
        epoch: run.epoch,
        id: run.identity.id,
        first: run.identity.first,
        next: run.next,
        sealed: run.seal !== undefined,
      },
      parentSeal: file.migration?.handover?.sealRecord ?? null,
    };
  }

  private view(): SenderView {
    const { set } = this.options;
    const run = this.ownRun();
    const { pair } = set.file;
    const acknowledged = set.secondary?.durable;
    return {
      epoch: run.epoch,
      epochId: run.identity.id,
      first: run.identity.first,
      next: run.next,
      sealed: run.seal !== undefined,
      firstKept: run.firstKept,
      chainBefore: (sequence) => chainBefore(run, sequence),
      copyDue: pair?.state === 'copying',
      copyBase: pair?.copyBase ?? null,
      acknowledged: acknowledged?.epoch === run.epoch ? acknowledged.sequence : -1,
    };
  }

  /** Does one thing, if there is one to do and credit for it. */
  private async step(): Promise<boolean> {
    if (this.sent - this.consumed >= LINK_CREDIT_BYTES) return false;
    if (await this.sendRecords()) return true;
    return this.copy !== undefined && !this.copy.ended && (await this.sendRange(this.copy));
  }

  private async sendRecords(): Promise<boolean> {
    const { reader } = this;
    if (!reader) return false;
    const run = this.ownRun();
    const parts: Buffer[] = [];
    let bytes = 0;
    let records = 0;
    while (bytes < SEND_BATCH_BYTES) {
      const record = reader.next(run.durable);
      if (!record) break;
      parts.push(record.bytes);
      bytes += record.bytes.length;
      if (isNumbered(record.header.kind)) records += 1;
    }
    if (bytes === 0) return false;
    this.counts.sentRecords += records;
    this.counts.sentBytes += bytes;
    await this.send('records', parts, bytes);
    return true;
  }

  private async sendRange(copy: CopyPlace): Promise<boolean> {
    const { set } = this.options;
    const volume = set.file.volumes[copy.volume];
    if (!volume) {
      copy.ended = true;
      const body = encodeJson({ asOf: copy.asOf });
      await this.send('copy-end', [body], 0);
      return true;
    }
    if (copy.offset >= volume.sizeBytes) {
      copy.volume += 1;
      copy.offset = 0;
      return true;
    }
    const { volume: index, offset } = copy;
    const read = await set.readForPeer(index, offset, volume.sizeBytes, COPY_RANGE_BYTES);
    const { asOf, length, data } = read;
    const head = encodeRangeHead({ volume: index, offset, length, asOf, hole: data === undefined });
    copy.offset += length;
    copy.asOf = Math.max(copy.asOf, asOf);
    this.counts.copiedBytes += data?.length ?? 0;
    this.counts.passedBytes += length;
    await this.send('range', data ? [head, data] : [head], head.length + (data?.length ?? 0));
    return true;
  }

  private async send(
    type: 'records' | 'range' | 'copy-end',
    parts: readonly Uint8Array[],
    credit: number,
  ): Promise<void> {
    const { set } = this.options;
    this.sent += credit;
    await this.pacer.take(credit, () => this.ended !== undefined || set.failure !== undefined);
    await this.options.channel.send(type, parts);
  }

  /** Everything held is synced, then a base is fixed: records go on behind it. */
  private async beginCopy(): Promise<void> {
    const { set, channel } = this.options;
    const run = this.ownRun();
    set.hosts.writeBatch();
    const sequence = run.next - 1;
    const base: ProvenPosition = {
      epoch: run.epoch,
      sequence,
      chain: chainBefore(run, run.next) ?? run.chain,
    };
    await set.journal.sync();
    await set.identity.update((file) => ({
      ...file,
      pair: file.pair && { ...file.pair, state: 'copying', copyBase: base },
    }));
    const { epoch } = base;
    set.noteSecondary({ durable: { epoch, sequence }, restored: { epoch, sequence: 0 } });
    await set.saveCursors();
    const { bytes } = encodeRecord(
      {
        kind: 'rebase',
        endOfRequest: true,
        mayFree: false,
        chain: base.chain,
        epoch: base.epoch,
        volume: 0,
        sequence: base.sequence + 1,
        offset: 0,
        length: 0,
        timeMs: set.environment.clock.now(),
        durableSequence: base.sequence,
      },
      encodeRebase({
        epochId: run.identity.id,
        writer: run.identity.writer,
        epochFirst: run.identity.first,
        base,
      }),
    );
    this.counts.copiesBegun += 1;
    await channel.send('copy-begin', [bytes]);
    this.copy = { volume: 0, offset: 0, asOf: base.sequence, ended: false };
    this.reader = run.readFrom(base.sequence + 1);
  }

  private continueCopy(copy: CopyProgress): void {
    const { volume, offset, asOf, complete } = copy;
    this.copy = { volume, offset, asOf, ended: complete };
    this.copySeen = true;
    const sizes = this.options.set.file.volumes.map(({ sizeBytes }) => sizeBytes);
    this.counts.passedBytes = sizes.slice(0, volume).reduce((sum, size) => sum + size, offset);
  }

  private acknowledged(message: Acknowledgement): void {
    const { set } = this.options;
    const run = this.ownRun();
    this.consumed = message.consumedBytes;
    const mine = message.epochs.find((epoch) => epoch.epoch === run.epoch);
    const before = set.secondary?.durable;
    const durable = mine ? { epoch: run.epoch, sequence: mine.durable } : before;
    // What is applied under a copy that is not complete is nothing that could be used (R10).
    const { epoch, sequence } = message.restored;
    const restored = { epoch, sequence: message.usable ? sequence : 0 };
    if (durable) set.noteSecondary({ durable, restored });
    if (mine?.sealed && run.seal) this.noteFinished();
    if (message.copy && sameProven(message.copy.base, set.file.pair?.copyBase)) {
      this.copySeen = true;
    }
    const copied = this.copyWasDone || (this.copySeen && this.copy?.ended === true);
    if (message.usable && copied && set.file.pair?.state === 'copying') {
      this.copy = undefined;
      this.working = set.identity.update((file) => ({
        ...file,
        pair: file.pair && { ...file.pair, state: 'paired', copyBase: null },
      }));
      this.working.then(
        () => set.changed(),
        (error: unknown) => set.fail(error),
      );
    }
  }

  private noteFinished(): void {
    const { set } = this.options;
    const run = this.ownRun();
    if (run.seal) {
      const restored = set.secondary?.restored ?? { epoch: run.epoch, sequence: 0 };
      set.noteSecondary({
        durable: { epoch: run.epoch, sequence: run.seal.header.sequence },
        restored,
      });
    }
    this.finished = true;
    this.signal.notify();
  }

  private ownRun(): Run {
    const run = this.options.set.ownRun();
    assert(run, 'a sender has an epoch');
    return run;
  }
}

/** The chain value that record `sequence` of the run carries, or will carry. */
function chainBefore(run: Run, sequence: number): number | undefined {
  if (sequence === run.next) return run.seal ? run.seal.header.chain : run.chain;
  if (sequence > run.next || sequence < run.firstKept) return undefined;
  const reader = run.readFrom(sequence);
  // Before the first record of a run stands its head, which must not be mistaken for it.
  if (sequence === run.identity.first) reader.next(sequence - 1);
  reader.close();
  return reader.chain;
}

function sameProven(one: ProvenPosition, other: ProvenPosition | null | undefined): boolean {
  return one.epoch === other?.epoch && one.sequence === other.sequence && one.chain === other.chain;
}

/** Another set at the secondary's address is not the secondary, whatever it holds (R5). */
function checkPeer(set: ImageSet, welcome: Welcome): void {
  const expected = set.file.pair?.peer;
  if (!expected || expected.setId === welcome.setId) return;
  throw new RcopyError(
    'E_SPLIT_BRAIN',
    `${welcome.name} at ${expected.address} is not the secondary ${expected.name} of this set`,
    { hint: 'see `rcopy status` of both sets' },
  );
}

function cut(peer: string): RcopyError {
  return new RcopyError('E_UNREACHABLE', `${peer} ended the link`);
}
