/**
 * The primary's end of a replication link: proves where the secondary stands, then sends ranges of
 * a copy and the records of one epoch in one ordered stream. Only durable records leave (R3); what
 * is under way is bounded by the receiver's credit (R9).
 */
import { assert } from '../base/assert.ts';
import { RcopyError } from '../base/errors.ts';
import { LINK_RECORDS_MAX } from '../base/limits.ts';
import { sameProven } from '../base/position.ts';
import type { Position, ProvenPosition } from '../base/position.ts';
import { Signal } from '../base/signal.ts';
import { isNumbered } from '../format/record.ts';
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { followingAgain, sendsNothing } from '../imageset/pair-states.ts';
import { dropMaps } from '../imageset/set-maps.ts';
import type { RunReader } from '../journal/run-reader.ts';
import type { Run } from '../journal/run.ts';
import { CarriedWait } from './carried-wait.ts';
import type { FrameChannel } from './channel.ts';
import { CopyRanges } from './copy-ranges.ts';
import type { CopyPlace } from './copy-ranges.ts';
import type { Frame } from './frame.ts';
import { decodeAcknowledgement, decodeWelcome, encodeJson } from './messages.ts';
import type { Acknowledgement, LagWord, Welcome } from './messages.ts';
import { decideResume } from './resume.ts';
import { Pacer } from './pacer.ts';
import { chainBefore, checkPeer, rebaseRecord, sealSequence } from './sender-view.ts';
import { senderHello, senderView } from './sender-view.ts';
import type { SenderName } from './sender-view.ts';

export interface SenderOptions extends SenderName {
  readonly set: ImageSet;
  /** The epoch to send: this set's own, or one that it carries on for another. */
  readonly run: Run;
  readonly channel: FrameChannel;
  /** Bytes a second; undefined for as fast as it goes. */
  readonly maxRate?: number | undefined;
  /** Told of each word from the secondary. */
  readonly onContact?: (() => void) | undefined;
  /** Told once the secondary has answered, and what follows is decided. */
  readonly onUp?: (() => void) | undefined;
  /** Told after each step. */
  readonly onProgress?: (() => void) | undefined;
  /** What the secondary is told of this set's lag, now and then. */
  readonly lag?: (() => LagWord | null) | undefined;
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
  /** Copies of everything that were begun, not continued: each once its secondary knows of it. */
  copiesBegun: number;
}

export class Sender {
  /** The secondary has more of what this set carries than is here: it waits for the rest. */
  lacksCarried = false;
  readonly counts: SenderCounts = {
    sentRecords: 0,
    sentBytes: 0,
    copiedBytes: 0,
    passedBytes: 0,
    copiesBegun: 0,
  };
  /** The secondary holds everything up to the seal: nothing of this epoch is owed any more. */
  finished = false;
  /** The secondary has taken in something that was sent on this link. */
  hasProgressed = false;
  private readonly options: SenderOptions;
  private readonly signal = new Signal();
  private readonly pacer: Pacer;
  private welcome: Welcome | undefined;
  /** The secondary's place in the history is proved. */
  private isProven = false;
  /** Its latest word before that. */
  private early: Acknowledgement | undefined;
  private greeted = false;
  /** The secondary has said what it has, and its place is proved. */
  private heard = false;
  private reader: RunReader | undefined;
  private copy: CopyRanges | undefined;
  /** The receiver was told that all ranges have gone. */
  private copyEnded = false;
  /** The receiver said that it is in this very copy; what it said before is of older content. */
  private copySeen = false;
  /** The receiver was usable already when the link began, and this set did not know. */
  private copyWasDone = false;
  /** Bytes of records and ranges sent, and of those taken in at the other end. */
  private sent = 0;
  private consumed = 0;
  /** The highest number sent, and the highest that the secondary has durable of this epoch. */
  private sentSequence = 0;
  private durableThere = 0;
  private ended: { readonly error: RcopyError | undefined } | undefined;
  private working: Promise<void> = Promise.resolve();
  /** What the secondary says on this link is about what was sent since then. */
  private readonly fallBacks: number;

  constructor(options: SenderOptions) {
    this.options = options;
    this.fallBacks = options.set.fallBacks;
    this.pacer = new Pacer(options.set.environment.clock, options.maxRate);
    options.channel.lag = options.lag;
  }

  /** The secondary has answered, and the link holds. */
  get isUp(): boolean {
    return this.greeted && !this.options.channel.hasEnded;
  }

  /** What is known of the secondary is its own word, on this link. */
  get hasHeard(): boolean {
    return this.heard && !this.options.channel.hasEnded;
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
      this.greeted = true;
      this.options.onUp?.();
      while (!this.finished && !this.ended) {
        this.check();
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

  /** Bytes of records and ranges that the secondary has not taken in yet. */
  get unacknowledgedBytes(): number {
    return this.isUp ? this.sent - this.consumed : 0;
  }

  /** Throws when there is nothing to be sent any more. */
  private check(): void {
    const { failure, file, fallBacks } = this.options.set;
    if (failure) throw failure;
    if (file.pair && !sendsNothing(file.pair) && fallBacks === this.fallBacks) return;
    const reason = file.pair?.reason ?? '';
    throw new RcopyError('E_STATE', `${file.name} sends nothing now${reason && `: ${reason}`}`);
  }

  private receive(frame: Frame): void {
    switch (frame.type) {
      case 'welcome':
        this.welcome = decodeWelcome(frame.body);
        break;
      case 'acknowledgement':
        this.take(decodeAcknowledgement(frame.body));
        break;
      case 'ping':
        break;
      default:
        throw new RcopyError('E_PROTOCOL', `a secondary sent a ${frame.type} frame`);
    }
    this.options.onContact?.();
    this.signal.notify();
  }

  private async greet(): Promise<void> {
    const { set, run, channel } = this.options;
    set.hosts.writeBatch();
    channel.post('hello', [encodeJson(senderHello(set, run, this.options))]);
    await this.until(() => this.welcome !== undefined);
    assert(this.welcome, 'the other end has answered');
    checkPeer(set, this.welcome);
    const welcome = await this.whenCarried(this.welcome);
    this.check(); // the journal may have become full meanwhile
    const decision = decideResume(senderView(set, run), welcome);
    switch (decision.kind) {
      case 'stop':
        throw new RcopyError(decision.code, `${welcome.name} cannot follow: ${decision.reason}`, {
          hint: 'see `rcopy status` and `rcopy inspect` of both sets',
        });
      case 'finished':
        this.noteFinished();
        break;
      case 'resume':
        this.beginRecords(decision.from);
        this.copyWasDone = welcome.usable;
        break;
      case 'continue-copy':
        this.beginRecords(decision.from);
        if (decision.again) {
          await channel.send('copy-begin', [rebaseRecord(set, run, decision.copy.base)]);
        }
        this.continueCopy(decision.copy, decision.copy.complete);
        break;
      case 'begin-copy':
        this.early = undefined; // it spoke of what the copy replaces
        this.isProven = true;
        if (!welcome.usable) this.noteUnusable();
        await this.beginCopy(welcome);
    }
    this.isProven = true;
    if (this.early) this.acknowledged(this.early);
  }

  /** What the secondary says counts when it is proved where it stands (R5). */
  private take(message: Acknowledgement): void {
    if (this.isProven) this.acknowledged(message);
    else this.early = message;
  }

  private beginRecords(from: number): void {
    this.reader = this.options.run.readFrom(from);
    this.sentSequence = from - 1;
    this.durableThere = from - 1;
  }

  /** What is carried for another set may still be on its way to here. */
  private async whenCarried(welcome: Welcome): Promise<Welcome> {
    const { set, run } = this.options;
    const wait = new CarriedWait(set, run, welcome);
    if (wait.isOver) return welcome;
    this.lacksCarried = true;
    set.changed();
    await this.until(() => {
      this.check(); // what is carried may be left to maps by now, and comes no more
      if (this.early) wait.hear(this.early);
      return wait.isOver;
    });
    this.lacksCarried = false;
    return wait.welcome;
  }

  /** Resolves once the condition holds; rejects when the link or the set is over before. */
  private async until(condition: () => boolean): Promise<void> {
    const { set, channel } = this.options;
    while (!condition() && !this.ended && !set.failure) await this.signal.wait();
    if (set.failure) throw set.failure;
    if (this.ended) throw this.ended.error ?? cut(channel.peer);
  }

  /** Does one thing, if there is one to do and credit for it. */
  private async step(): Promise<boolean> {
    if (this.sent - this.consumed >= this.options.set.transfers.creditBytes) return false;
    if (this.recordsUnderWay() >= LINK_RECORDS_MAX && !(await this.saveWhatIsThere())) return false;
    if (await this.sendRecords()) return true;
    return this.copy !== undefined && !this.copyEnded && (await this.sendRange(this.copy));
  }

  /**
   * Records that the secondary may have and of which this set would not know it after a crash: the
   * lineage has to speak of all of them (R5). Of an epoch that the secondary has not come to,
   * where it stands is told by the epoch before.
   */
  private recordsUnderWay(): number {
    const { set, run } = this.options;
    const known = set.secondary?.durable.epoch === run.epoch;
    return this.sentSequence - (known ? set.secondarySaved(run) : this.durableThere);
  }

  /** Writes down what is known of the secondary; whether more may be sent then. */
  private async saveWhatIsThere(): Promise<boolean> {
    const { set, run } = this.options;
    const { epoch, sequence } = set.secondary?.durable ?? { epoch: 0, sequence: 0 };
    if (epoch !== run.epoch || sequence <= set.secondarySaved(run)) return false;
    await set.saveCursors();
    return this.recordsUnderWay() < LINK_RECORDS_MAX;
  }

  private async sendRecords(): Promise<boolean> {
    const { reader } = this;
    if (!reader) return false;
    const { run, set } = this.options;
    const parts: Buffer[] = [];
    let bytes = 0;
    let records = 0;
    while (bytes < set.transfers.batchBytes) {
      const record = reader.next(run.durable);
      if (!record) break;
      if (record.header.kind === 'rebase') continue; // only this journal begins there
      parts.push(record.bytes);
      bytes += record.bytes.length;
      if (!isNumbered(record.header.kind)) continue;
      this.sentSequence = record.header.sequence;
      records += 1;
      if (this.recordsUnderWay() >= LINK_RECORDS_MAX) break;
    }
    if (bytes === 0) return false;
    this.counts.sentRecords += records;
    this.counts.sentBytes += bytes;
    await this.send('records', parts, bytes);
    return true;
  }

  private async sendRange(copy: CopyRanges): Promise<boolean> {
    const { set } = this.options;
    const range = await copy.next();
    this.counts.passedBytes = copy.passedBytes;
    if (!range) {
      this.copyEnded = true;
      const marks = set.marks.filter(({ sequence }) => sequence <= copy.asOf);
      await this.send('copy-end', [encodeJson({ asOf: copy.asOf, marks })], 0);
      return true;
    }
    this.counts.copiedBytes += range.dataBytes;
    const bytes = range.parts.reduce((sum, part) => sum + part.length, 0);
    await this.send('range', range.parts, bytes);
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

  /**
   * A base is fixed: records go on behind it. Everything up to it is synced, and in the dirty maps
   * where these are in use.
   */
  private async beginCopy(welcome: Welcome): Promise<void> {
    const { set, run, channel } = this.options;
    if (set.contents.dirty.inUse) {
      await new CopyRanges(set, { volume: 0, offset: 0, asOf: 0 }).gather();
    }
    const letTrim = set.holdTrims();
    let base: ProvenPosition;
    try {
      set.hosts.writeBatch();
      const sequence = run.next - 1;
      const { epoch } = run;
      base = { epoch, sequence, chain: chainBefore(run, run.next) ?? run.chain };
      await set.journal.sync();
      if (set.contents.dirty.inUse) await set.drain();
      await set.identity.update((file) => {
        // A successor knows of the copies that were begun before the seal, and of no other.
        if (file.seal) throw new RcopyError('E_STATE', `${file.name} is sealed: it copies no more`);
        return { ...file, pair: file.pair && copyBegun(file.pair, base, welcome) };
      });
      set.noteSecondary({ durable: { epoch, sequence }, restored: { epoch, sequence: 0 } });
      await set.saveCursors();
      this.beginRecords(base.sequence + 1);
    } finally {
      letTrim();
    }
    if (set.contents.dirty.inUse) unseenCopies.delete(set);
    else unseenCopies.set(set, base);
    await channel.send('copy-begin', [rebaseRecord(set, run, base)]);
    this.copy = new CopyRanges(set, { volume: 0, offset: 0, asOf: base.sequence });
  }

  /** Nothing that could be used is there, whatever was last heard (R10). */
  private noteUnusable(): void {
    const { set, run } = this.options;
    const { durable } = set.secondary ?? {};
    if (durable) set.noteSecondary({ durable, restored: { epoch: run.epoch, sequence: 0 } });
  }

  private continueCopy(place: CopyPlace, complete: boolean): void {
    this.copy = new CopyRanges(this.options.set, place);
    this.copyEnded = complete;
    this.noteCopySeen();
  }

  /** A copy counts as begun when the secondary has heard of it: a cut may have come before. */
  private noteCopySeen(): void {
    const { set } = this.options;
    this.copySeen = true;
    const base = unseenCopies.get(set);
    const { copyBase } = set.file.pair ?? {};
    if (!base || !copyBase || !sameProven(base, copyBase)) return;
    unseenCopies.delete(set);
    this.counts.copiesBegun += 1;
  }

  private acknowledged(message: Acknowledgement): void {
    const { set, run } = this.options;
    this.checkWord(message);
    this.heard = true;
    this.consumed = message.consumedBytes;
    this.hasProgressed ||= message.consumedBytes > 0;
    const durable = completeUpTo(message, set.file.epoch) ?? set.secondary?.durable;
    // What is applied under a copy that is not complete is nothing that could be used (R10).
    const { epoch, sequence } = message.restored;
    const restored = { epoch, sequence: message.usable ? sequence : 0 };
    if (durable) set.noteSecondary({ durable, restored });
    const mine = message.epochs.find((each) => each.epoch === run.epoch);
    this.durableThere = Math.max(this.durableThere, mine?.durable ?? 0);
    if (mine?.sealed && sealSequence(set, run) !== undefined) this.noteFinished();
    const { pair } = set.file;
    if (message.copy && pair?.copyBase && sameProven(message.copy.base, pair.copyBase)) {
      this.noteCopySeen();
    }
    if (pair?.state === 'copying' && message.usable && this.isCopied()) this.noteCopied();
  }

  /**
   * Nothing is left to be copied, and what is not durable there is in this journal. Until then the
   * dirty maps stay: the secondary may have received records that the journal has let go, and
   * loses them with its power (R7).
   */
  private isCopied(): boolean {
    const { set, run } = this.options;
    if (run.epoch !== set.file.epoch) return false;
    if (!this.copyWasDone && !(this.copySeen && this.copyEnded)) return false;
    return (set.secondary?.durable.sequence ?? 0) + 1 >= run.firstKept;
  }

  /** What was never sent cannot be there: to believe that would be to trim what is owed (R7). */
  private checkWord({ consumedBytes, epochs, restored }: Acknowledgement): void {
    const { set, run } = this.options;
    const isOwn = run.identity.writer === set.file.setId;
    const beyond = ({ epoch, sequence }: Position) => epoch === run.epoch && sequence > run.durable;
    const said = [restored, ...epochs.map(({ epoch, durable: sequence }) => ({ epoch, sequence }))];
    if (consumedBytes <= this.sent && !(isOwn && said.some(beyond))) return;
    const { peer } = set.file.pair ?? {};
    throw new RcopyError('E_PROTOCOL', `${peer?.name} acknowledges what was never sent to it`, {
      hint: 'see `rcopy status` of both sets',
    });
  }

  /** The secondary is usable, and follows the journal from now on. */
  private noteCopied(): void {
    const { set } = this.options;
    this.copyWasDone = false;
    this.copySeen = false;
    this.copy = undefined;
    this.working = dropMaps(
      set,
      set.contents.dirty,
      (file) => ({ ...file, pair: file.pair && followingAgain(file.pair) }),
      () => set.fallBacks === this.fallBacks,
    );
    this.working.then(
      () => set.changed(),
      (error: unknown) => set.fail(error),
    );
  }

  private noteFinished(): void {
    const { set, run } = this.options;
    const sequence = sealSequence(set, run);
    if (sequence !== undefined) {
      const restored = set.secondary?.restored ?? { epoch: run.epoch, sequence: 0 };
      const before = set.secondary?.durable;
      const sealed = { epoch: run.epoch, sequence };
      const isAhead = before !== undefined && before.epoch > run.epoch;
      set.noteSecondary({ durable: isAhead ? before : sealed, restored });
    }
    this.finished = true;
    this.signal.notify();
  }
}

/** Copies of everything that were begun here, and of which the secondary has not said a word. */
const unseenCopies = new WeakMap<ImageSet, ProvenPosition>();

/**
 * Up to where the secondary has everything: the first epoch that is not complete counts, and of
 * those behind this set's own none.
 */
function completeUpTo({ epochs: all }: Acknowledgement, ownEpoch: number): Position | undefined {
  const epochs = all.filter(({ epoch }) => epoch <= ownEpoch);
  const last = epochs.find(({ sealed }) => !sealed) ?? epochs.at(-1);
  return last && { epoch: last.epoch, sequence: last.durable };
}

function copyBegun(pair: PairEntry, copyBase: ProvenPosition, welcome: Welcome): PairEntry {
  return { ...pair, state: 'copying', copyBase, formerBases: formerBases(pair, welcome) };
}

/** The copies that a secondary may still be in while another one is begun: what it says counts. */
function formerBases(
  { copyBase, formerBases: before }: PairEntry,
  { copy }: Welcome,
): ProvenPosition[] {
  const known = [...before, ...(copyBase ? [copyBase] : [])];
  const said = copy && known.find((base) => sameProven(base, copy.base));
  return said ? [said] : known.slice(-FORMER_BASES_MAX);
}
const FORMER_BASES_MAX = 4;

function cut(peer: string): RcopyError {
  return new RcopyError('E_UNREACHABLE', `${peer} ended the link`);
}
