/** Streams to and from other sets: how they are opened, how many are taken, who has said hello. */
import { RcopyError } from '../base/errors.ts';
import {
  CONTROLLERS_MAX,
  LINKS_ASKING_MAX,
  LINKS_WITHOUT_HELLO_MAX,
  LINK_DIAL_MS,
  LINK_HELLO_MS,
  NODE_CALLS_MAX,
} from '../base/limits.ts';
import { CallGate } from '../link/call-gate.ts';
import { FrameChannel } from '../link/channel.ts';
import { decodeHello } from '../link/messages.ts';
import type { Hello } from '../link/messages.ts';
import type { Clock } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import type { Connector } from './connector.ts';

/** Opens a channel to the set at an address. */
export interface Dialler {
  dial(address: string): Promise<FrameChannel>;
}

export interface LinksOptions {
  readonly clock: Clock;
  readonly connector: Connector;
  /**
   * One beat of a link over a network, in milliseconds ({@link FrameChannel}); undefined where both
   * ends are in one process and neither can vanish unseen.
   */
  readonly beatMs?: number | undefined;
  /** Takes a link whose first frame has come. Throws to refuse it. */
  greet(channel: FrameChannel, hello: Hello): void;
}

/** What other sets hold here, and how much they may (R9). */
export interface LinkUsage {
  /** Streams on which nobody has said hello yet. */
  readonly waiting: { readonly count: number; readonly max: number };
  /** Links that ask for something: joining, moving, verifying. */
  readonly asking: { readonly count: number; readonly max: number };
  /** Path controllers, those that look at a migration's target included. */
  readonly controllers: { readonly count: number; readonly max: number };
  /** Links that bring records. */
  readonly sending: number;
  /** Calls under way, until their answers have gone out. */
  readonly calls: { readonly count: number; readonly max: number };
  /** Links that are not read now, for there are enough calls. */
  readonly heldLinks: number;
}

export class Links implements Dialler {
  readonly gate = new CallGate();
  private readonly options: LinksOptions;
  private readonly waiting = new Set<FrameChannel>();
  private readonly asking = new Set<FrameChannel>();
  private readonly controllers = new Set<FrameChannel>();
  private readonly sending = new Set<FrameChannel>();
  /** Ends each dial that is under way over a network. */
  private readonly dialling = new Set<() => void>();
  private stopped = false;

  constructor(options: LinksOptions) {
    this.options = options;
  }

  get usage(): LinkUsage {
    this.forgetEnded();
    return {
      waiting: { count: this.waiting.size, max: LINKS_WITHOUT_HELLO_MAX },
      asking: { count: this.asking.size, max: LINKS_ASKING_MAX },
      controllers: { count: this.controllers.size, max: CONTROLLERS_MAX },
      sending: this.sending.size,
      calls: { count: this.gate.calls, max: NODE_CALLS_MAX },
      heldLinks: this.gate.heldLinks,
    };
  }

  /** Rejects with `E_UNREACHABLE`, over a network also when that takes too long. */
  async dial(address: string): Promise<FrameChannel> {
    const dialled = this.options.connector.dial(address);
    return this.open(
      await (this.options.beatMs === undefined ? dialled : this.within(dialled, address)),
    );
  }

  /** Takes a stream that another set dialled; it has to say hello soon. */
  accept(stream: ByteStream): void {
    this.forgetEnded();
    const channel = this.open(stream);
    if (this.waiting.size >= LINKS_WITHOUT_HELLO_MAX) return refuse(channel);
    this.waiting.add(channel);
    const timer = this.options.clock.after(LINK_HELLO_MS, () =>
      channel.stop(new RcopyError('E_TIMEOUT', 'nobody said hello on this link')),
    );
    channel.listen({
      frame: (frame) => {
        if (frame.type === 'ping') return; // whoever dialled has something to do before it speaks
        timer.cancel();
        this.waiting.delete(channel);
        if (frame.type !== 'hello') {
          throw new RcopyError('E_PROTOCOL', 'the link began without hello');
        }
        this.greet(channel, decodeHello(frame.body));
      },
      ended: () => {
        timer.cancel();
        this.waiting.delete(channel);
      },
    });
  }

  /** Over a network nobody is dialled any more: an end must not wait for who does not answer. */
  stopDialling(): void {
    this.stopped = true;
    for (const stop of this.dialling) stop();
  }

  /** Ends every link that was taken. */
  close(): void {
    for (const links of this.all) {
      for (const channel of links) channel.close();
    }
  }

  private greet(channel: FrameChannel, hello: Hello): void {
    const [links, max] = this.linksFor(hello.purpose);
    if (links.size >= max) return refuse(channel);
    this.options.greet(channel, hello);
    links.add(channel);
  }

  private linksFor(purpose: Hello['purpose']): [Set<FrameChannel>, max: number] {
    switch (purpose) {
      case 'service':
        return [this.asking, LINKS_ASKING_MAX];
      case 'path':
        return [this.controllers, CONTROLLERS_MAX];
      case 'replicate':
        return [this.sending, Number.POSITIVE_INFINITY];
    }
  }

  private open(stream: ByteStream): FrameChannel {
    const { clock, beatMs } = this.options;
    return new FrameChannel(stream, beatMs === undefined ? undefined : { clock, beatMs });
  }

  private within(dialled: Promise<ByteStream>, address: string): Promise<ByteStream> {
    return new Promise((resolve, reject) => {
      let over = false;
      const end = (why: string) => {
        over = true;
        reject(new RcopyError('E_UNREACHABLE', why));
      };
      const stop = () => end(`nobody is dialled any more, nor ${address}`);
      const seconds = LINK_DIAL_MS / 1000;
      const timer = this.options.clock.after(LINK_DIAL_MS, () =>
        end(`${address} did not answer within ${seconds} s`),
      );
      const settled = () => {
        timer.cancel();
        this.dialling.delete(stop);
      };
      this.dialling.add(stop);
      if (this.stopped) stop();
      dialled.then(
        (stream) => {
          settled();
          if (over) stream.destroy();
          else resolve(stream);
        },
        (error: Error) => {
          settled();
          reject(error);
        },
      );
    });
  }

  private get all(): Set<FrameChannel>[] {
    return [this.waiting, this.asking, this.controllers, this.sending];
  }

  private forgetEnded(): void {
    for (const links of this.all) {
      for (const channel of links) if (channel.hasEnded) links.delete(channel);
    }
  }
}

/** It comes again when there may be room. */
function refuse(channel: FrameChannel): void {
  channel.stop(new RcopyError('E_UNREACHABLE', 'it has as many links as it takes'));
}
