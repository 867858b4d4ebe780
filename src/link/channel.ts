/**
 * Frames over a byte stream: sends with back-pressure, delivers whole frames, ends once. On a link
 * over a network it says something now and then, and ends when nothing comes from the other end.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { LINK_END_MS, LINK_SILENT_BEATS, LINK_STUCK_BEATS } from '../base/limits.ts';
import type { Clock, Timer } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { FrameReader, encodeFrameHeader } from './frame.ts';
import type { Frame, FrameType } from './frame.ts';
import { decodeStop, encodePing, encodeStop } from './messages.ts';
import type { LagWord } from './messages.ts';

export interface ChannelListener {
  frame(frame: Frame): void;
  /** The channel ended; undefined when the peer ended it in order. Called once, last. */
  ended(error: RcopyError | undefined): void;
  /** What was queued is on its way: more may be posted. */
  drained?(): void;
}

/** How a link over a network is kept alive, and found dead. */
export interface Heartbeat {
  readonly clock: Clock;
  /**
   * One beat, in milliseconds. Where nothing was sent during one, a ping is; a link that brought
   * nothing for {@link LINK_SILENT_BEATS} of them is over, as is one that takes nothing for
   * {@link LINK_STUCK_BEATS}.
   */
  readonly beatMs: number;
}

export class FrameChannel {
  readonly peer: string;
  /** Bytes that went out, frame headers included. */
  sentBytes = 0;
  /** What each ping says of the sender's lag; with it there is a ping in every beat. */
  lag: (() => LagWord | null) | undefined;
  private readonly stream: ByteStream;
  private readonly heartbeat: Heartbeat | undefined;
  private readonly reader = new FrameReader();
  private listener: ChannelListener | undefined;
  private writable = true;
  /** Nothing is delivered now: nobody listens yet, or the listener asked for that. */
  private held = true;
  private end: { readonly error: RcopyError | undefined } | undefined;
  private drainWaiters: (() => void)[] = [];
  private beat: Timer | undefined;
  private hasHeard = false;
  private hasSent = false;
  private silentBeats = 0;
  private stuckBeats = 0;
  private streamClosed = false;

  constructor(stream: ByteStream, heartbeat?: Heartbeat) {
    this.stream = stream;
    this.heartbeat = heartbeat;
    this.peer = stream.peer;
    stream.listen({
      data: (chunk) => this.receive(chunk),
      closed: (error) => {
        this.streamClosed = true;
        this.finish(error && unreachable(this.peer, error));
      },
      drained: () => this.drained(),
    });
    this.planBeat();
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /** Whether more may be posted; false while the stream has as much queued as it should. */
  get isWritable(): boolean {
    return this.writable;
  }

  /** Sets who gets the frames; those that came before are delivered now. */
  listen(listener: ChannelListener): void {
    this.listener = listener;
    if (this.end) listener.ended(this.end.error);
    else if (this.held) this.resume();
  }

  /** Delivers nothing until `resume`; the peer is slowed. Bounded: one frame and one chunk. */
  pause(): void {
    if (this.held) return;
    this.held = true;
    this.stream.pause();
  }

  resume(): void {
    if (!this.held) return;
    this.held = false;
    this.silentBeats = 0;
    this.deliverAll();
    if (!this.held) this.stream.resume();
  }

  /** Queues one frame. Resolves when the stream can take more. */
  async send(type: FrameType, parts: readonly Uint8Array[]): Promise<void> {
    this.post(type, parts);
    while (!this.writable && !this.end) {
      await new Promise<void>((resolve) => {
        this.drainWaiters.push(resolve);
      });
    }
  }

  /** Queues one small frame without waiting: for what is bounded otherwise. */
  post(type: FrameType, parts: readonly Uint8Array[]): void {
    if (this.end) return;
    const header = encodeFrameHeader(type, parts);
    this.sentBytes += header.length;
    for (const part of parts) this.sentBytes += part.length;
    this.hasSent = true;
    this.writable = this.stream.write([header, ...parts]);
  }

  /** Tells the peer why, then ends. */
  stop(error: unknown): void {
    if (this.end) return;
    this.post('stop', [encodeStop(error)]);
    this.endStream();
    this.finish(isRcopyError(error) ? error : undefined);
  }

  /** Ends in order. */
  close(): void {
    if (this.end) return;
    this.endStream();
    this.finish(undefined);
  }

  private receive(chunk: Uint8Array): void {
    if (this.end) return;
    this.hasHeard = true;
    this.reader.push(chunk);
    if (this.listener) this.deliverAll();
    else this.stream.pause();
  }

  private deliverAll(): void {
    try {
      while (!this.held && !this.end) {
        const frame = this.reader.next();
        if (!frame) return;
        if (frame.type === 'stop') {
          this.endStream();
          this.finish(decodeStop(frame.body));
        } else this.listener?.frame(frame);
      }
    } catch (error) {
      this.stop(error);
    }
  }

  private finish(error: RcopyError | undefined): void {
    if (this.end) return;
    this.end = { error };
    this.beat?.cancel();
    this.drained();
    this.listener?.ended(error);
  }

  private drained(): void {
    this.writable = true;
    this.stuckBeats = 0;
    for (const resolve of this.drainWaiters.splice(0)) resolve();
    if (!this.end) this.listener?.drained?.();
  }

  /** What is queued goes out first; a peer that does not take it is not waited for for ever. */
  private endStream(): void {
    this.stream.end();
    // What still comes is nobody's: it must be read, or the end behind it is never seen.
    this.stream.resume();
    this.heartbeat?.clock.after(LINK_END_MS, () => {
      if (!this.streamClosed) this.stream.destroy();
    });
  }

  private planBeat(): void {
    if (!this.heartbeat) return;
    const { clock, beatMs } = this.heartbeat;
    this.beat = clock.after(beatMs, () => {
      this.passBeat();
      if (!this.end) this.planBeat();
    });
  }

  /** Beats are counted, not times compared: a process that stood still has not missed anything. */
  private passBeat(): void {
    const { hasHeard, hasSent } = this;
    this.hasHeard = false;
    this.hasSent = false;
    this.silentBeats = hasHeard || this.held ? 0 : this.silentBeats + 1;
    this.stuckBeats = this.writable ? 0 : this.stuckBeats + 1;
    if (this.silentBeats >= LINK_SILENT_BEATS) return this.giveUp('nothing came from it');
    if (this.stuckBeats >= LINK_STUCK_BEATS) return this.giveUp('it took nothing');
    if (this.writable && (this.lag || !hasSent)) {
      const timeMs = this.heartbeat?.clock.now() ?? 0;
      this.post('ping', [encodePing({ timeMs, lag: this.lag?.() ?? null })]);
      this.hasSent = false;
    }
  }

  /** The other end may not be there any more: there is no use in an orderly end. */
  private giveUp(what: string): void {
    const beats = what === 'it took nothing' ? LINK_STUCK_BEATS : LINK_SILENT_BEATS;
    const seconds = (beats * (this.heartbeat?.beatMs ?? 0)) / 1000;
    const error = new RcopyError(
      'E_UNREACHABLE',
      `the link to ${this.peer} is dead: ${what} for ${seconds} s`,
    );
    this.stream.destroy(error);
    this.finish(error);
  }
}

function unreachable(peer: string, error: Error): RcopyError {
  if (isRcopyError(error)) return error;
  return new RcopyError('E_UNREACHABLE', `the link to ${peer} broke: ${error.message}`, {
    cause: error,
  });
}
