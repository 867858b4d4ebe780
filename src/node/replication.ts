/** Runs the sender of a primary: one link at a time, its counts summed over links. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { FrameChannel } from '../link/channel.ts';
import { Sender } from '../link/sender.ts';
import type { SenderCounts } from '../link/sender.ts';
import type { ImageSet } from '../imageset/image-set.ts';
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

  constructor(options: ReplicationOptions) {
    this.options = options;
  }

  get isUp(): boolean {
    return this.channel !== undefined && !this.channel.hasEnded;
  }

  /** The secondary holds everything up to this set's seal. */
  get isFinished(): boolean {
    return this.sender?.finished ?? false;
  }

  /** What all links have sent so far. */
  get counts(): SenderCounts {
    const sum = { sentRecords: 0, sentBytes: 0, copiedBytes: 0, passedBytes: 0, copiesBegun: 0 };
    for (const counts of [...this.done, ...(this.sender ? [this.sender.counts] : [])]) {
      for (const key of Object.keys(sum) as (keyof SenderCounts)[]) sum[key] += counts[key];
    }
    return sum;
  }

  /** Begins to send if it does not yet; what goes wrong is kept in `failure`, and the set told. */
  start(maxRate?: number, onProgress?: () => void): void {
    if (this.running) return;
    this.failure = undefined;
    this.running = this.run(maxRate, onProgress)
      .catch((error: unknown) => {
        if (this.stopping) return;
        this.failure = isRcopyError(error)
          ? error
          : new RcopyError('E_INTERNAL', String(error), { cause: error });
      })
      .finally(() => {
        this.running = undefined;
        this.options.set.changed();
      });
  }

  /** Sends until the secondary holds everything up to this set's seal. */
  async finish(): Promise<void> {
    const { set } = this.options;
    if (!set.file.pair) throw notPaired(set);
    this.start();
    await set.until(() => {
      if (this.isFinished) return true;
      if (this.failure) throw this.failure;
      return false;
    });
  }

  /** Ends the link, also one that is just being dialled, and waits until it is ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.channel?.close();
    await this.running;
    this.stopping = false;
  }

  private async run(maxRate?: number, onProgress?: () => void): Promise<void> {
    const { set, connector, address, bootId } = this.options;
    const { pair } = set.file;
    if (!pair) throw notPaired(set);
    const channel = new FrameChannel(await connector.dial(pair.peer.address));
    if (this.stopping) {
      channel.close();
      return;
    }
    if (this.sender) this.done.push(this.sender.counts);
    const sender = new Sender({
      set,
      channel,
      address,
      bootId,
      maxRate,
      onProgress: () => {
        this.lastContactMs = set.environment.clock.now();
        onProgress?.();
      },
    });
    this.channel = channel;
    this.sender = sender;
    await sender.run();
    set.changed();
  }
}

/** The refusal of a command that needs a pair. */
export function notPaired(set: ImageSet): RcopyError {
  return new RcopyError('E_NOT_PAIRED', `${set.file.name} has no pair`, {
    hint: 'make one with `rcopy pair create PRIMARY SECONDARY`',
  });
}
