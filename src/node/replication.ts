/**
 * Runs the sender of a primary: one link at a time, its counts summed over links. A daemon keeps
 * the link: it is dialled again whenever it is gone, as long as there is a pair to send to.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { FRAME_BODY_BYTES_MAX } from '../base/limits.ts';
import { Sender } from '../link/sender.ts';
import type { SenderCounts } from '../link/sender.ts';
import type { FrameChannel } from '../link/channel.ts';
import type { PairEntry, SetFile } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { goOn } from '../imageset/lacking.ts';
import { isWithoutJournal } from '../imageset/pair-states.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { Run } from '../journal/run.ts';
import { Keeper, passesByItself } from './keeper.ts';
import { lagOf } from './lag.ts';
import type { Dialler } from './links.ts';

export interface ReplicationOptions {
  readonly set: ImageSet;
  readonly links: Dialler;
  readonly address: string;
  readonly bootId: string;
}

/** How a link is used that is kept. */
export interface KeepOptions {
  /** Bytes a second; undefined for as fast as it goes. */
  readonly maxRate?: number | undefined;
}

/** Since when the link is down, and why, as far as that is known. */
export interface LinkDown {
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  readonly reason: string;
}

export class Replication {
  /** Milliseconds since 1970 of the last word from the secondary; undefined: none yet. */
  lastContactMs: number | undefined;
  /** Why the latest try to send ended, if not in order; undefined once another one has begun. */
  failure: RcopyError | undefined;
  private readonly options: ReplicationOptions;
  /** What the links before this one have sent. */
  private before = NOTHING_SENT;
  private sender: Sender | undefined;
  private channel: FrameChannel | undefined;
  private running: Promise<void> | undefined;
  private stopping = false;
  private finished = false;
  private links = 0;
  /** Who wants the link; with the last one who lets go it ends. */
  private wanted = 0;
  private readonly listeners = new Set<() => void>();
  /** Somebody wanted it while it was being stopped. */
  private again: { readonly maxRate: number | undefined } | undefined;
  private keeper: Keeper | undefined;
  private stopLooking: (() => void) | undefined;
  private letKeptGo: (() => Promise<void>) | undefined;
  /** Undefined from the moment on that it came up until it has ended. */
  private down: LinkDown | undefined;
  /** When the cursor last moved, or the secondary lacked nothing, on the monotonic clock. */
  private movedMs: number;
  private cursor = -1;

  constructor(options: ReplicationOptions) {
    this.options = options;
    const { clock } = options.set.environment;
    this.down = { sinceMs: clock.now(), reason: '' };
    this.movedMs = clock.monotonicMs();
  }

  /** The secondary has answered on the link that is there. */
  get isUp(): boolean {
    return this.sender?.isUp === true;
  }

  /** What is known of the secondary is its own word, on the link that is there. */
  get hasHeard(): boolean {
    return this.sender?.hasHeard === true;
  }

  /** It can tell what the secondary lacks only when more of what it carries has come. */
  get lacksCarried(): boolean {
    return this.sender?.lacksCarried === true;
  }

  /** Since when it is down; undefined while it is up. */
  get isDown(): LinkDown | undefined {
    return this.isUp ? undefined : (this.down ?? this.downNow());
  }

  /** The link is dialled again by itself. */
  get isKept(): boolean {
    return this.keeper !== undefined;
  }

  /** Why nothing is sent, unless that is tried again by itself. */
  get trouble(): RcopyError | undefined {
    const { failure, isKept } = this;
    return isKept && passesByItself(failure) ? undefined : failure;
  }

  /** The secondary holds everything up to this set's seal. */
  get isFinished(): boolean {
    return this.finished;
  }

  /** For how long the secondary has lacked something and made nothing durable, in milliseconds. */
  get stalledMs(): number {
    return this.options.set.environment.clock.monotonicMs() - this.movedMs;
  }

  /** What the secondary has not taken in yet, in bytes; one frame comes on top of the credit. */
  get unacknowledged(): { readonly count: number; readonly max: number } {
    const { creditBytes } = this.options.set.transfers;
    const count = this.sender?.unacknowledgedBytes ?? 0;
    return { count, max: creditBytes + FRAME_BODY_BYTES_MAX };
  }

  /** What all links have sent so far. */
  get counts(): SenderCounts {
    return this.sender ? sumOf(this.before, this.sender.counts) : { ...this.before };
  }

  /**
   * From now on the link is wanted for ever: dialled again, soon at first, then after longer, and
   * at once when the pair, its address, its state or the role of this set becomes another. Refusals
   * that need a person are looked at again now and then. To be called once.
   */
  keep({ maxRate }: KeepOptions): void {
    const { set } = this.options;
    this.wanted += 1;
    set.remoteAck.linkWanted();
    const keeper = new Keeper(
      {
        purpose: () => sendingPurpose(set),
        attempt: async () => {
          this.start(maxRate);
          await this.running;
          if (this.failure) throw this.failure;
          if (!this.finished) throw new RcopyError('E_STOPPED', 'the link was ended here');
        },
      },
      set.environment,
    );
    this.keeper = keeper;
    let { file } = set;
    this.stopLooking = set.onChange(() => {
      if (set.file === file && set.failure === undefined) return;
      ({ file } = set);
      keeper.look();
    });
    this.letKeptGo = async () => {
      this.wanted -= 1;
      await this.stop();
      if (this.wanted === 0) set.remoteAck.linkUnwanted();
    };
    keeper.look();
  }

  /** Ends what `keep` began. */
  async unkeep(): Promise<void> {
    this.stopLooking?.();
    this.keeper?.stop();
    this.keeper = undefined;
    const { letKeptGo } = this;
    this.letKeptGo = undefined;
    await letKeptGo?.();
  }

  /**
   * Runs `action`, which may stop the link and change who sends what to whom; a link that is kept
   * is not dialled meanwhile.
   */
  async quietly<T>(action: () => Promise<T>): Promise<T> {
    const letGo = this.keeper?.hold();
    try {
      return await action();
    } finally {
      letGo?.();
    }
  }

  /**
   * Begins to send if it does not yet; what goes wrong is kept in `failure`, and the set told. What
   * comes back is to be called when it is not wanted any more. A link that is up keeps its rate,
   * and one that is kept has the rate that it is kept with: `maxRate` changes neither.
   */
  want(maxRate?: number, onProgress?: () => void): () => Promise<void> {
    const { remoteAck } = this.options.set;
    this.wanted += 1;
    remoteAck.linkWanted();
    if (onProgress) this.listeners.add(onProgress);
    this.keeper?.tryNow();
    this.start(maxRate);
    let held = true;
    return async () => {
      if (!held) return;
      held = false;
      this.wanted -= 1;
      if (onProgress) this.listeners.delete(onProgress);
      if (this.wanted > 0) return;
      await this.stop();
      if (this.wanted === 0) remoteAck.linkUnwanted();
    };
  }

  private start(maxRate: number | undefined): void {
    if (this.stopping) this.again = { maxRate };
    if (this.running) return;
    this.failure = undefined;
    this.finished = false;
    this.running = this.run(maxRate)
      .catch((error: unknown) => {
        if (this.stopping) return;
        this.failure = isRcopyError(error)
          ? error
          : new RcopyError('E_INTERNAL', String(error), { cause: error });
      })
      .finally(() => {
        this.running = undefined;
        this.stopping = false;
        this.noteDown();
        const { again } = this;
        this.again = undefined;
        if (again && this.wanted > 0) this.start(again.maxRate);
        this.options.set.changed();
      });
  }

  /** Sends until the secondary holds everything up to this set's seal. */
  async finish(): Promise<void> {
    const { set } = this.options;
    if (!set.file.pair) throw notPaired(set);
    const letGo = this.want();
    try {
      await set.until(() => {
        if (this.isFinished) return true;
        sendingPair(set); // it may be split meanwhile
        if (this.failure) throw this.failure;
        return false;
      });
    } finally {
      await letGo();
    }
  }

  /** Ends the link, also one that is just being dialled, and waits until it is ended. */
  async stop(): Promise<void> {
    const { running } = this;
    if (!running) return;
    this.stopping = true;
    this.channel?.close();
    await running;
  }

  /**
   * One epoch behind the other: what this set still has of those before its own, then its own. Only
   * the last one goes on until somebody ends it.
   */
  private async run(maxRate: number | undefined): Promise<void> {
    const { set } = this.options;
    for (;;) {
      const { fallBacks } = set;
      try {
        return await this.sendAll(maxRate);
      } catch (error) {
        // A journal that became full meanwhile has left it to maps: these are sent at once.
        const becameFull = isRcopyError(error, 'E_STATE') && set.fallBacks !== fallBacks;
        if (this.stopping || !becameFull) throw error;
      }
    }
  }

  private async sendAll(maxRate: number | undefined): Promise<void> {
    const { set } = this.options;
    await readyToSend(set);
    for (let run = this.firstOwed(); run; run = this.runBehind(run)) {
      if (this.stopping) return;
      await this.send(run, maxRate);
      set.changed();
    }
    this.finished = true;
  }

  private async send(run: Run, maxRate: number | undefined): Promise<void> {
    const { set, links, address, bootId } = this.options;
    const { pair } = set.file;
    if (!pair) throw notPaired(set);
    this.links += 1;
    const channel = await links.dial(pair.peer.address);
    // Whoever stops closes it, from now on.
    this.channel = channel;
    // What was full has the time to be sent now.
    if (!this.stopping && pair.state === 'suspended') await goOn(set);
    if (this.stopping) {
      channel.close();
      return;
    }
    const sender = new Sender({
      set,
      run,
      channel,
      address,
      bootId,
      link: this.links,
      maxRate,
      lag: () => lagOf(set),
      onContact: () => this.noteContact(),
      onUp: () => {
        this.down = undefined;
        this.keeper?.reached();
        set.remoteAck.linkUp();
      },
      onProgress: () => {
        for (const listener of this.listeners) listener();
      },
    });
    this.before = this.counts;
    this.sender = sender;
    try {
      await sender.run();
    } finally {
      this.down ??= this.downNow();
    }
  }

  private downNow(): LinkDown {
    return { sinceMs: this.options.set.environment.clock.now(), reason: '' };
  }

  private noteContact(): void {
    const { set } = this.options;
    const { clock } = set.environment;
    const isFirst = this.lastContactMs === undefined;
    this.lastContactMs = clock.now();
    if (this.sender?.hasProgressed) this.keeper?.succeeded();
    const durable = set.secondary?.durable.sequence ?? -1;
    if (durable !== this.cursor || durable >= set.newest) this.movedMs = clock.monotonicMs();
    this.cursor = durable;
    if (isFirst) set.changed();
  }

  /** A try has ended: that it is down is older than this one, if it never came up. */
  private noteDown(): void {
    const reason = this.failure?.message ?? '';
    const { sinceMs } = this.down ?? this.downNow();
    this.down = { sinceMs, reason };
    this.options.set.remoteAck.linkDown(reason || 'the link was ended here');
  }

  /** The oldest epoch of which the secondary may lack something; a copy replaces all before it. */
  private firstOwed(): Run | undefined {
    const { set } = this.options;
    const own = set.ownRun();
    const { pair } = set.file;
    if (pair && (pair.state === 'copying' || isWithoutJournal(pair))) return own;
    const from = set.secondary?.durable.epoch ?? set.file.epoch;
    return set.journal.runs.find(({ epoch }) => epoch >= from && epoch <= set.file.epoch);
  }

  private runBehind({ epoch }: Run): Run | undefined {
    const { set } = this.options;
    return set.journal.runs.find((run) => run.epoch > epoch && run.epoch <= set.file.epoch);
  }
}

const NOTHING_SENT: SenderCounts = {
  sentRecords: 0,
  sentBytes: 0,
  copiedBytes: 0,
  passedBytes: 0,
  copiesBegun: 0,
};

function sumOf(one: SenderCounts, other: SenderCounts): SenderCounts {
  return {
    sentRecords: one.sentRecords + other.sentRecords,
    sentBytes: one.sentBytes + other.sentBytes,
    copiedBytes: one.copiedBytes + other.copiedBytes,
    passedBytes: one.passedBytes + other.passedBytes,
    copiesBegun: one.copiesBegun + other.copiesBegun,
  };
}

/**
 * What a daemon sends, and to whom, as text; undefined when this set has nothing to send, or must
 * not. A set that was sealed in a drain, or for a takeover, still owes what is in its journal.
 */
export function sendingPurpose({ file, failure, isClosed }: ImageSet): string | undefined {
  const { pair, role, seal, epoch, migration } = file;
  if (failure || isClosed || role !== 'primary' || !pair || epoch === 0) return undefined;
  if (pair.state === 'split' || pair.state === 'takeover') return undefined;
  const { mode } = sealedFor({ seal, migration }) ?? {};
  if (mode && mode !== 'drain') return undefined;
  return [pair.id, pair.peer.address, epoch, seal ? 'sealed' : 'open'].join(' ');
}

/** The migration for which a set is sealed; one that it had its part in before says nothing. */
function sealedFor({ seal, migration }: Pick<SetFile, 'seal' | 'migration'>) {
  return seal !== null && migration?.id === seal.migrationId ? migration : undefined;
}

/** The pair, unless nothing is sent to its secondary until an operator changes that. */
export function sendingPair(set: ImageSet): PairEntry {
  const { pair, seal } = set.file;
  if (!pair) throw notPaired(set);
  if (seal && sealedFor(set.file)?.mode === 'bitmap') {
    throw new RcopyError(
      'E_STATE',
      `${set.file.name} sends nothing: ${seal.successor.name} has what it owed, as a map`,
      { hint: `rcopy replicate ${seal.successor.address}` },
    );
  }
  if (pair.state === 'split') throw isSplit(set);
  if (pair.state === 'takeover') {
    throw new RcopyError(
      'E_STATE',
      `${set.file.name} took over: ${pair.peer.name} follows no more`,
      {
        hint: `end the old pair: \`rcopy pair delete ${set.folder} --local\`, then make a new one`,
      },
    );
  }
  return pair;
}

/** Throws when this set has nothing to send, or must not. */
async function readyToSend(set: ImageSet): Promise<void> {
  sendingPair(set);
  if (!set.file.seal) await ensureEpoch(set);
}

/** The refusal of a command that needs a pair that is not split. */
function isSplit({ file, folder }: ImageSet): RcopyError {
  return new RcopyError('E_STATE', `the pair of ${file.name} is split: nothing is sent`, {
    hint: `go on with \`rcopy pair resync ${folder}\``,
  });
}

/** The refusal of a command that needs a pair. */
export function notPaired(set: ImageSet): RcopyError {
  return new RcopyError('E_NOT_PAIRED', `${set.file.name} has no pair`, {
    hint: 'make one with `rcopy pair create PRIMARY SECONDARY`',
  });
}
