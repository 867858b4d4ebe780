/**
 * The secondary's end of its replication links: takes records and ranges from one sender, or from
 * two at once while a migration drains, and applies strictly by number, whoever sent them (R1, R4).
 */
import { RcopyError } from '../base/errors.ts';
import { Signal } from '../base/signal.ts';
import { becomeUsable, followJournal } from '../imageset/follower.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { admit } from './admission.ts';
import type { FrameChannel } from './channel.ts';
import { encodeJson } from './messages.ts';
import type { Hello, Welcome } from './messages.ts';
import { ReceiverSession } from './receiver-session.ts';
import type { HeardLag } from './receiver-session.ts';

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
  /** When the last sender went, milliseconds since 1970; undefined before the first one came. */
  downSinceMs: number | undefined;
  private readonly options: SecondaryOptions;
  private readonly signal = new Signal();
  private turn: Promise<unknown> = Promise.resolve();
  private stopped = false;
  private heard: { readonly atMs: number; readonly lag: HeardLag | undefined } | undefined;
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

  /** When a sender last said anything, milliseconds since 1970; undefined when none did yet. */
  get lastContactMs(): number | undefined {
    this.noteWords();
    return this.heard?.atMs;
  }

  /** The primary's lag, by its last word on it. */
  get lag(): HeardLag | undefined {
    this.noteWords();
    return this.heard?.lag;
  }

  private noteWords(): void {
    for (const { heardMs, lag } of this.sessions) {
      const latest = Math.max(heardMs, this.heard?.atMs ?? 0);
      const before = this.heard?.lag;
      const isNewer = lag && (!before || lag.heardMs >= before.heardMs);
      this.heard = { atMs: latest, lag: isNewer ? lag : before };
    }
  }

  /** A session is over; what it heard last is remembered. */
  sessionEnded(session: ReceiverSession): void {
    this.noteWords();
    this.sessions.delete(session);
    if (this.sessions.size === 0) this.downSinceMs = this.set.environment.clock.now();
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
      this.noteFollowing().catch((error: unknown) => this.set.fail(error));
    } catch (error) {
      channel.stop(error);
    }
  }

  onlySender(session: ReceiverSession): void {
    // They may be of the same history, and ahead of what is copied: each may come again, and is
    // told by the hello where it stands then (R5).
    const reason = new RcopyError(
      'E_UNREACHABLE',
      `${this.set.file.name} is copied anew from ${session.peerName}: links of others begin again`,
    );
    for (const other of [...this.sessions]) if (other !== session) other.fail(reason);
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

  /** A sender is there again: the pair is not split any more. */
  private async noteFollowing(): Promise<void> {
    if (this.set.file.pair?.state !== 'split') return;
    await this.set.identity.update((file) => ({
      ...file,
      pair: file.pair && { ...file.pair, state: 'paired' },
    }));
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
