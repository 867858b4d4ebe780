/**
 * The secondary's end of its replication links: takes records and ranges from one sender, or from
 * two at once while a migration drains, and applies strictly by number, whoever sent them (R1, R4).
 */
import { RcopyError } from '../base/errors.ts';
import { FRAME_BODY_BYTES_MAX, LINK_CREDIT_BYTES, MIB } from '../base/limits.ts';
import { Signal } from '../base/signal.ts';
import { decodeOpen, decodeSealRecord } from '../format/control-records.ts';
import { decodeRecord } from '../format/record.ts';
import type { WholeRecord } from '../format/record.ts';
import type { PairEntry } from '../format/set-file.ts';
import {
  appendFromPeer,
  becomeUsable,
  beginCopy,
  completeWithSeal,
  endCopy,
  followJournal,
  putCopyRange,
  saveCopyProgress,
} from '../imageset/follower.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { FrameChannel } from './channel.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import type { Frame } from './frame.ts';
import { decodeCopyEnd, decodeRange, encodeJson } from './messages.ts';
import type { Hello, SenderRun, Welcome } from './messages.ts';

/** How much of a copy may be repeated after a crash. */
const COPY_PROGRESS_BYTES = 8 * MIB;

/** More than a sender within its credit can have here, frame headers included (R9). */
const WAITING_BYTES_MAX = 2 * LINK_CREDIT_BYTES + FRAME_BODY_BYTES_MAX;

export interface SecondaryOptions {
  /** A random number of this opening of the set. */
  readonly bootId: string;
  /** Applies what has come at once, instead of waiting for a quiet moment. */
  readonly eager: boolean;
}

/** Takes the links of one secondary set, and follows the journal they fill. */
export class Secondary {
  readonly set: ImageSet;
  readonly sessions = new Set<ReceiverSession>();
  private readonly options: SecondaryOptions;
  private readonly signal = new Signal();
  private turn: Promise<unknown> = Promise.resolve();
  private stopped = false;
  private readonly following: Promise<void>;
  private readonly stopListening: () => void;

  constructor(set: ImageSet, options: SecondaryOptions) {
    this.set = set;
    this.options = options;
    this.stopListening = set.onChange(() => {
      this.signal.notify();
      for (const session of this.sessions) {
        if (set.failure) session.fail(set.failure);
        else session.acknowledge();
      }
    });
    this.following = this.follow();
  }

  /** Takes a sender that said hello, or tells it why not. */
  accept(channel: FrameChannel, hello: Hello): void {
    try {
      const run = admit(this.set, hello);
      for (const other of this.sessions) {
        if (other.peerSetId === hello.setId) other.giveWay(hello);
      }
      channel.post('welcome', [encodeJson(this.welcome())]);
      const session = new ReceiverSession(this, channel, hello, run);
      this.sessions.add(session);
      session.start();
    } catch (error) {
      channel.stop(error);
    }
  }

  /** Runs `action` when nothing else changes the set's history. */
  exclusive<T>(action: () => Promise<T>): Promise<T> {
    const result = this.turn.then(action);
    this.turn = result.catch(() => undefined);
    return result;
  }

  /** Lets the links go, saying why if there is a reason, and waits for what is under way. */
  async stop(reason?: RcopyError): Promise<void> {
    this.stopped = true;
    this.stopListening();
    for (const session of this.sessions) {
      if (reason) session.fail(reason);
      else session.close();
    }
    this.signal.notify();
    await this.following;
    await this.turn;
  }

  private welcome(): Welcome {
    const { set } = this;
    return {
      setId: set.file.setId,
      name: set.file.name,
      bootId: this.options.bootId,
      usable: set.usable,
      copy: set.copy,
      epochs: set.cursors(false).epochs.map((epoch) => {
        const run = set.journal.run(epoch.epoch);
        const sealed = epoch.sealedAt !== null;
        // A seal that is here but not durable is to be sent again: it follows what came before it.
        const chain = run?.seal && !sealed ? run.seal.header.chain : run?.chain;
        return {
          epoch: epoch.epoch,
          id: epoch.id,
          next: run?.next ?? epoch.sealedAt ?? epoch.durable + 1,
          chain: chain ?? 0,
          durable: epoch.durable,
          sealed,
        };
      }),
    };
  }

  private async follow(): Promise<void> {
    // Only a secondary follows: a primary's overlay is ahead of its journal.
    while (!this.stopped && !this.set.failure && this.set.file.role === 'secondary') {
      try {
        await this.exclusive(async () => {
          await followJournal(this.set);
          if (this.options.eager) await this.set.drain();
          await becomeUsable(this.set);
        });
      } catch (error) {
        this.set.fail(error);
        return;
      }
      if (!this.stopped) await this.signal.wait();
    }
  }
}

/** The pair of a secondary. Throws `E_ROLE` when it is none: nobody may send to it. */
export function checkSecondary({ file }: ImageSet): PairEntry {
  if (file.role === 'secondary' && file.pair) return file.pair;
  throw new RcopyError('E_ROLE', `${file.name} is no secondary`, {
    hint: 'make the pair with `rcopy pair create PRIMARY SECONDARY`',
  });
}

/** The run that this sender may send, after checking who it is (R4, R5). */
function admit(set: ImageSet, hello: Hello): SenderRun {
  const { file } = set;
  const pair = checkSecondary(set);
  if (hello.pairId !== pair.id || hello.groupId !== file.groupId) {
    throw new RcopyError('E_NOT_PAIRED', `${file.name} belongs to another pair than ${hello.name}`);
  }
  if (!hello.run) throw new RcopyError('E_PROTOCOL', 'a sender named no epoch');
  if (hello.setId === pair.peer.setId || isFormer(set, hello)) return hello.run;
  if (hello.parentSeal !== null && isSuccessor(set, hello, hello.parentSeal)) return hello.run;
  throw new RcopyError(
    'E_SPLIT_BRAIN',
    `${hello.name} is not the primary of ${file.name}, nor the successor that its seal names`,
    { hint: `its primary is ${pair.peer.name} at ${pair.peer.address}` },
  );
}

/** Wrote an epoch that this set holds: may complete it, and hear that it is complete. */
function isFormer(set: ImageSet, hello: Hello): boolean {
  const epoch = set.epochCursor(hello.run?.epoch ?? -1);
  return epoch !== undefined && epoch.writer === hello.setId && epoch.id === hello.run?.id;
}

function isSuccessor(set: ImageSet, hello: Hello, parentSeal: string): boolean {
  const { record, seal } = decodeSealRecord(Buffer.from(parentSeal, 'hex'));
  const sealed = set.epochCursor(record.header.epoch);
  return (
    seal.group === set.file.groupId &&
    seal.successor === hello.setId &&
    record.header.epoch + 1 === hello.run?.epoch &&
    sealed !== undefined &&
    sealed.id === seal.epochId &&
    sealed.writer === seal.set &&
    isTheSeal(set, record) &&
    isTheEpoch(set, hello)
  );
}

/** No other seal of that epoch is here. */
function isTheSeal(set: ImageSet, shown: WholeRecord): boolean {
  const held = set.journal.run(shown.header.epoch)?.seal;
  return held === undefined || held.bytes.equals(shown.bytes);
}

/** No other set's epoch stands here in the place of the one that is offered. */
function isTheEpoch(set: ImageSet, { run }: Hello): boolean {
  const known = set.epochCursor(run?.epoch ?? -1);
  return known === undefined || known.id === run?.id;
}

/** One sender's link. Frames are worked off in order, one at a time. */
export class ReceiverSession {
  readonly peerSetId: string;
  readonly peerName: string;
  readonly run: SenderRun;
  private readonly secondary: Secondary;
  private readonly channel: FrameChannel;
  private readonly hello: Hello;
  private readonly frames: Frame[] = [];
  private waitingBytes = 0;
  private readonly signal = new Signal();
  private consumedBytes = 0;
  private copiedSinceSave = 0;
  private lastAcknowledgement = '';
  private over = false;

  constructor(secondary: Secondary, channel: FrameChannel, hello: Hello, run: SenderRun) {
    this.secondary = secondary;
    this.channel = channel;
    this.hello = hello;
    this.peerSetId = hello.setId;
    this.peerName = hello.name;
    this.run = run;
  }

  start(): void {
    this.channel.listen({
      frame: (frame) => {
        this.queue(frame);
        this.signal.notify();
      },
      ended: () => this.finish(),
    });
    this.work().catch((error: unknown) => {
      this.channel.stop(error);
      this.finish();
    });
  }

  /** Tells the sender what is here, when that has changed. */
  acknowledge(): void {
    if (this.over) return;
    const { set } = this.secondary;
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

  private queue(frame: Frame): void {
    this.waitingBytes += FRAME_HEADER_BYTES + frame.body.length;
    if (this.waitingBytes > WAITING_BYTES_MAX) {
      throw new RcopyError('E_PROTOCOL', `${this.hello.name} sends more than it has credit for`);
    }
    this.frames.push(frame);
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.frames.length = 0;
    this.secondary.sessions.delete(this);
    this.signal.notify();
    this.secondary.set.changed(); // whoever waits for room for this sender's records stops
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
    const { set } = this.secondary;
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
        if (this.copiedSinceSave >= COPY_PROGRESS_BYTES) await this.saveProgress();
        break;
      }
      case 'copy-end': {
        endCopy(set, decodeCopyEnd(frame.body).asOf);
        await this.saveProgress();
        break;
      }
      case 'ping':
        break;
      default:
        throw new RcopyError('E_PROTOCOL', `a sender sent a ${frame.type} frame`);
    }
  }

  private async takeRecords(body: Buffer): Promise<void> {
    const { set } = this.secondary;
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
    const { set } = this.secondary;
    if (set.journal.run(head.header.epoch)) return;
    const open = decodeOpen(head.payload);
    const shown = this.hello.parentSeal;
    const chains =
      open.parent.kind === 'seal' &&
      open.parent.seal.toString('hex') === shown &&
      decodeSealRecord(open.parent.seal).record.header.ownChain === head.header.chain;
    if (
      !chains ||
      open.writer !== this.hello.setId ||
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
    const { set } = this.secondary;
    const [head] = parseRecords(body);
    const allowed =
      head?.header.kind === 'rebase' &&
      head.header.epoch === this.run.epoch &&
      this.peerSetId === set.file.pair?.peer.setId;
    if (!allowed) throw new RcopyError('E_PROTOCOL', `${this.hello.name} may not begin a copy`);
    await this.secondary.exclusive(() => beginCopy(set, head));
    this.acknowledge();
  }

  private async saveProgress(): Promise<void> {
    this.copiedSinceSave = 0;
    await this.secondary.exclusive(() => saveCopyProgress(this.secondary.set));
    this.secondary.set.changed();
  }

  private async untilRoom(): Promise<void> {
    const { set } = this.secondary;
    let moved = false;
    const stop = set.onChange(() => {
      moved = true;
    });
    try {
      if (this.secondary.sessions.has(this)) await set.drain();
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

/** The whole records in one frame, each checked; their order is the journal's to check. */
function parseRecords(body: Buffer): WholeRecord[] {
  const records: WholeRecord[] = [];
  for (let at = 0; at < body.length;) {
    const check = decodeRecord(body, at);
    if (check.found !== 'record') {
      const reason = 'reason' in check ? check.reason : check.found;
      throw new RcopyError('E_PROTOCOL', `a frame of records is broken at ${at}: ${reason}`);
    }
    records.push(check.record);
    at += check.record.bytes.length;
  }
  return records;
}
