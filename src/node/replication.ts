/** Runs the sender of a primary: one link at a time, its counts summed over links. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { FrameChannel } from '../link/channel.ts';
import { Sender } from '../link/sender.ts';
import type { SenderCounts } from '../link/sender.ts';
import type { PairEntry } from '../format/set-file.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { goOn } from '../imageset/lacking.ts';
import { isWithoutJournal } from '../imageset/pair-states.ts';
import { ensureEpoch } from '../imageset/succession.ts';
import type { Run } from '../journal/run.ts';
import type { Connector } from './connector.ts';

export interface ReplicationOptions {
  readonly set: ImageSet;
  readonly connector: Connector;
  readonly address: string;
  readonly bootId: string;
}

export class Replication {
  /** Milliseconds since 1970 of the last word from the secondary; undefined: none yet. */
  lastContactMs: number | undefined;
  /** Why the last link ended, if not in order. */
  failure: RcopyError | undefined;
  private readonly options: ReplicationOptions;
  private readonly done: SenderCounts[] = [];
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

  constructor(options: ReplicationOptions) {
    this.options = options;
  }

  get isUp(): boolean {
    return this.channel !== undefined && !this.channel.hasEnded;
  }

  /** The secondary holds everything up to this set's seal. */
  get isFinished(): boolean {
    return this.finished;
  }

  /** What all links have sent so far. */
  get counts(): SenderCounts {
    const sum = { sentRecords: 0, sentBytes: 0, copiedBytes: 0, passedBytes: 0, copiesBegun: 0 };
    for (const counts of [...this.done, ...(this.sender ? [this.sender.counts] : [])]) {
      for (const key of Object.keys(sum) as (keyof SenderCounts)[]) sum[key] += counts[key];
    }
    return sum;
  }

  /**
   * Begins to send if it does not yet; what goes wrong is kept in `failure`, and the set told. What
   * comes back is to be called when it is not wanted any more. A link that is up keeps its rate.
   */
  want(maxRate?: number, onProgress?: () => void): () => Promise<void> {
    this.wanted += 1;
    if (onProgress) this.listeners.add(onProgress);
    this.start(maxRate);
    let held = true;
    return async () => {
      if (!held) return;
      held = false;
      this.wanted -= 1;
      if (onProgress) this.listeners.delete(onProgress);
      if (this.wanted === 0) await this.stop();
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
    const { set, connector, address, bootId } = this.options;
    const { pair } = set.file;
    if (!pair) throw notPaired(set);
    this.links += 1;
    const channel = new FrameChannel(await connector.dial(pair.peer.address));
    if (this.stopping) {
      channel.close();
      return;
    }
    // What was full has the time to be sent now.
    if (pair.state === 'suspended') await goOn(set);
    if (this.sender) this.done.push(this.sender.counts);
    const sender = new Sender({
      set,
      run,
      channel,
      address,
      bootId,
      link: this.links,
      maxRate,
      onContact: () => {
        const isFirst = this.lastContactMs === undefined;
        this.lastContactMs = set.environment.clock.now();
        if (isFirst) set.changed();
      },
      onProgress: () => {
        for (const listener of this.listeners) listener();
      },
    });
    this.channel = channel;
    this.sender = sender;
    await sender.run();
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

/** The pair, unless nothing is sent to its secondary until an operator changes that. */
export function sendingPair(set: ImageSet): PairEntry {
  const { pair, seal, migration } = set.file;
  if (!pair) throw notPaired(set);
  if (seal && migration?.mode === 'bitmap') {
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
