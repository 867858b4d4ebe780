/** One sender's link at a secondary: its frames are worked off in order, one at a time. */
import { RcopyError } from '../base/errors.ts';
import { FRAME_BODY_BYTES_MAX } from '../base/limits.ts';
import { Signal } from '../base/signal.ts';
import type { SetId } from '../base/ids.ts';
import { decodeOpen, decodeSealRecord } from '../format/control-records.ts';
import type { WholeRecord } from '../format/record.ts';
import {
  appendFromPeer,
  beginCopy,
  completeWithSeal,
  endCopy,
  putCopyRange,
  saveCopyProgress,
} from '../imageset/follower.ts';
import type { FrameChannel } from './channel.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import type { Frame } from './frame.ts';
import { decodeCopyEnd, decodePing, decodeRange } from './messages.ts';
import type { Hello, LagWord, SenderRun } from './messages.ts';
import { parseRecords } from './records.ts';
import type { ImageSet } from '../imageset/image-set.ts';

/** What a session needs of the secondary that it feeds. */
export interface SessionHome {
  readonly set: ImageSet;
  /** The sessions that are alive; one that ends takes itself out. */
  readonly sessions: Set<ReceiverSession>;
  sessionEnded(session: ReceiverSession): void;
  /** A copy begins: links of other senders are over. */
  onlySender(session: ReceiverSession): void;
  /** Runs `action` when nothing else changes the set's history. */
  exclusive<T>(action: () => Promise<T>): Promise<T>;
}

/** The lag of the primary, by its own clock, as it was told; `heardMs` is when, by this one. */
export interface HeardLag {
  readonly lag: LagWord;
  readonly heardMs: number;
}

/**
 * Where disks are slower than the link: how many progresses of a copy may come that a crash would
 * have repeated.
 */
const COPY_UNSAVED_MAX = 4;

/** One sender's link. Frames are worked off in order, one at a time. */
export class ReceiverSession {
  readonly peerSetId: string;
  readonly peerName: string;
  readonly run: SenderRun;
  /** When anything last came from it: milliseconds since 1970, by this machine's clock. */
  heardMs: number;
  /** What the primary said of its lag, and when that came. */
  lag: HeardLag | undefined;
  private readonly home: SessionHome;
  private readonly channel: FrameChannel;
  private readonly hello: Hello;
  private readonly frames: Frame[] = [];
  private waitingBytes = 0;
  private readonly signal = new Signal();
  private consumedBytes = 0;
  private copiedSinceSave = 0;
  /** The save of the copy's progress that is under way. */
  private saving: Promise<void> | undefined;
  private lastAcknowledgement = '';
  /** Something is to be told that the link cannot take yet. */
  private owesWord = false;
  private over = false;

  constructor(home: SessionHome, channel: FrameChannel, hello: Hello, run: SenderRun) {
    this.home = home;
    this.channel = channel;
    this.hello = hello;
    this.peerSetId = hello.setId;
    this.peerName = hello.name;
    this.run = run;
    this.heardMs = home.set.environment.clock.now();
  }

  start(): void {
    const { clock } = this.home.set.environment;
    this.channel.listen({
      frame: (frame) => {
        this.heardMs = clock.now();
        if (frame.type === 'ping') this.takePing(frame);
        else this.queue(frame);
      },
      ended: () => this.finish(),
      drained: () => {
        if (this.owesWord) this.acknowledge();
      },
    });
    this.work().catch((error: unknown) => this.failed(error));
  }

  /** Tells the sender what is here, when that has changed. */
  acknowledge(): void {
    if (this.over) return;
    // A sender that does not read must not make this end hold ever more words for it (R9).
    this.owesWord = !this.channel.isWritable;
    if (this.owesWord) return;
    const { set } = this.home;
    const message = {
      epochs: set.cursors(false).epochs.map((epoch) => ({
        epoch: epoch.epoch,
        durable: epoch.durable,
        sealed: epoch.sealedAt !== null,
      })),
      restored: { epoch: set.applied.epoch, sequence: set.applied.sequence },
      usable: set.usable,
      copy: set.copy,
      consumedBytes: this.consumedBytes,
    };
    const text = JSON.stringify(message);
    if (text === this.lastAcknowledgement) return;
    this.lastAcknowledgement = text;
    this.channel.post('acknowledgement', [Buffer.from(text, 'utf8')]);
  }

  /** The same sender came again: the newer link stays. Throws when that is this one. */
  giveWay(hello: Hello): void {
    const gone = new RcopyError('E_UNREACHABLE', 'a newer link of the same set took over');
    if (hello.bootId === this.hello.bootId && hello.link < this.hello.link) throw gone;
    this.fail(gone);
  }

  /** Ends the link and tells the sender why: it must not wait for what never comes. */
  fail(reason: RcopyError): void {
    this.channel.stop(reason);
    this.finish();
  }

  close(): void {
    this.channel.close();
    this.finish();
  }

  private failed(error: unknown): void {
    this.channel.stop(error);
    this.finish();
  }

  private queue(frame: Frame): void {
    this.waitingBytes += FRAME_HEADER_BYTES + frame.body.length;
    // More than a sender within its credit can have here, frame headers included (R9).
    const { creditBytes } = this.home.set.transfers;
    if (this.waitingBytes > 2 * creditBytes + FRAME_BODY_BYTES_MAX) {
      throw new RcopyError('E_PROTOCOL', `${this.hello.name} sends more than it has credit for`);
    }
    this.frames.push(frame);
    this.signal.notify();
  }

  private takePing(frame: Frame): void {
    const { lag } = decodePing(frame.body);
    if (lag && this.run.epoch === this.home.set.file.epoch) {
      this.lag = { lag, heardMs: this.heardMs };
    }
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.frames.length = 0;
    this.home.sessionEnded(this);
    this.signal.notify();
    this.home.set.changed(); // whoever waits for room for this sender's records stops
  }

  private async work(): Promise<void> {
    this.acknowledge();
    while (!this.over) {
      const frame = this.frames.shift();
      if (frame) {
        await this.take(frame);
        this.waitingBytes -= FRAME_HEADER_BYTES + frame.body.length;
      } else await this.signal.wait();
    }
  }

  private async take(frame: Frame): Promise<void> {
    const { set } = this.home;
    switch (frame.type) {
      case 'records':
        await this.takeRecords(frame.body);
        break;
      case 'copy-begin':
        await this.takeCopyBegin(frame.body);
        break;
      case 'range': {
        putCopyRange(set, decodeRange(frame.body));
        this.consumed(frame.body.length);
        this.copiedSinceSave += frame.body.length;
        const { progressBytes } = set.transfers;
        if (this.copiedSinceSave >= COPY_UNSAVED_MAX * progressBytes) await this.saving;
        if (this.copiedSinceSave >= progressBytes) this.saveBeside();
        break;
      }
      case 'copy-end': {
        const { asOf, marks } = decodeCopyEnd(frame.body);
        set.learnMarks(marks);
        endCopy(set, asOf);
        await this.saveProgress();
        break;
      }
      default:
        throw new RcopyError('E_PROTOCOL', `a sender sent a ${frame.type} frame`);
    }
  }

  private async takeRecords(body: Buffer): Promise<void> {
    const { set } = this.home;
    const records = parseRecords(body);
    const [first] = records;
    if (first?.header.kind === 'open') this.takeHead(first);
    const run = set.journal.run(this.run.epoch);
    if (!run || records.some((record) => record.header.epoch !== this.run.epoch)) {
      throw new RcopyError('E_PROTOCOL', `${this.hello.name} sent records of another epoch`);
    }
    while (!appendFromPeer(set, run, records)) await this.untilRoom();
    if (completeWithSeal(set)) set.changed();
    set.journal.sync().catch((error: unknown) => set.fail(error));
    this.consumed(body.length);
  }

  /** A new epoch begins: its open record must name the very seal that was shown (R4). */
  private takeHead(head: WholeRecord): void {
    const { set } = this.home;
    if (set.journal.run(head.header.epoch)) return;
    const open = decodeOpen(head.payload);
    const shown = this.hello.parentSeal;
    const chains =
      open.parent.kind === 'seal' &&
      open.parent.seal.toString('hex') === shown &&
      decodeSealRecord(open.parent.seal).record.header.ownChain === head.header.chain;
    if (
      !chains ||
      open.writer !== this.run.writer ||
      open.epochId !== this.run.id ||
      head.header.epoch !== this.run.epoch
    ) {
      throw new RcopyError(
        'E_SPLIT_BRAIN',
        `epoch ${head.header.epoch} of ${this.hello.name} does not follow from the seal it showed`,
      );
    }
    set.journal.startRun(head);
  }

  private async takeCopyBegin(body: Buffer): Promise<void> {
    const { set } = this.home;
    const [head] = parseRecords(body);
    // Who carries another set's epoch sends what that one owes, and nothing of its own.
    const allowed =
      head?.header.kind === 'rebase' &&
      head.header.epoch === this.run.epoch &&
      head.header.epoch >= set.file.epoch &&
      this.peerSetId === this.run.writer;
    if (!allowed) throw new RcopyError('E_PROTOCOL', `${this.hello.name} may not begin a copy`);
    this.home.onlySender(this);
    const { setId, name, address } = this.hello;
    const sender = { setId: setId as SetId, name, address };
    await this.home.exclusive(() => beginCopy(set, head, sender));
    this.acknowledge();
  }

  /** Makes durable what has come by now, while more comes. */
  private saveBeside(): void {
    this.saving ??= this.saveProgress()
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        this.saving = undefined;
      });
  }

  private async saveProgress(): Promise<void> {
    this.copiedSinceSave = 0;
    await this.home.exclusive(() => saveCopyProgress(this.home.set));
    this.home.set.changed();
  }

  private async untilRoom(): Promise<void> {
    const { set } = this.home;
    let moved = false;
    const stop = set.onChange(() => {
      moved = true;
    });
    try {
      if (this.home.sessions.has(this)) await set.drain();
      await set.until(() => moved || this.over);
    } finally {
      stop();
    }
    if (this.over) throw new RcopyError('E_UNREACHABLE', 'the link ended');
  }

  private consumed(bytes: number): void {
    this.consumedBytes += bytes;
    this.acknowledge();
  }
}
