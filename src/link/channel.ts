/** Frames over a byte stream: sends with back-pressure, delivers whole frames, ends once. */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import type { ByteStream } from '../sys/stream.ts';
import { FrameReader, encodeFrameHeader } from './frame.ts';
import type { Frame, FrameType } from './frame.ts';
import { decodeStop, encodeStop } from './messages.ts';

export interface ChannelListener {
  frame(frame: Frame): void;
  /** The channel ended; undefined when the peer ended it in order. Called once, last. */
  ended(error: RcopyError | undefined): void;
}

export class FrameChannel {
  readonly peer: string;
  /** Bytes that went out, frame headers included. */
  sentBytes = 0;
  private readonly stream: ByteStream;
  private readonly reader = new FrameReader();
  private listener: ChannelListener | undefined;
  private readonly undelivered: Frame[] = [];
  private writable = true;
  private end: { readonly error: RcopyError | undefined } | undefined;
  private drainWaiters: (() => void)[] = [];

  constructor(stream: ByteStream) {
    this.stream = stream;
    this.peer = stream.peer;
    stream.listen({
      data: (chunk) => this.receive(chunk),
      closed: (error) => this.finish(error && unreachable(this.peer, error)),
      drained: () => this.drained(),
    });
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /** Sets who gets the frames; those that came before are delivered now. */
  listen(listener: ChannelListener): void {
    this.listener = listener;
    for (const frame of this.undelivered.splice(0)) {
      if (this.end === undefined) this.deliver(frame);
    }
    if (this.end) listener.ended(this.end.error);
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

  /** Queues one small frame without waiting. */
  post(type: FrameType, parts: readonly Uint8Array[]): void {
    if (this.end) return;
    const header = encodeFrameHeader(type, parts);
    this.sentBytes += header.length;
    for (const part of parts) this.sentBytes += part.length;
    this.writable = this.stream.write([header, ...parts]);
  }

  /** Tells the peer why, then ends. */
  stop(error: unknown): void {
    if (this.end) return;
    this.post('stop', [encodeStop(error)]);
    this.stream.end();
    this.finish(isRcopyError(error) ? error : undefined);
  }

  /** Ends in order. */
  close(): void {
    if (this.end) return;
    this.stream.end();
    this.finish(undefined);
  }

  private receive(chunk: Uint8Array): void {
    if (this.end) return;
    try {
      this.reader.push(chunk);
      for (let frame = this.reader.next(); frame; frame = this.reader.next()) {
        if (frame.type === 'stop') {
          this.stream.end();
          this.finish(decodeStop(frame.body));
          return;
        }
        if (this.listener) this.deliver(frame);
        else this.undelivered.push(frame);
        if (this.end) return;
      }
    } catch (error) {
      this.stop(error);
    }
  }

  private deliver(frame: Frame): void {
    try {
      this.listener?.frame(frame);
    } catch (error) {
      this.stop(error);
    }
  }

  private finish(error: RcopyError | undefined): void {
    if (this.end) return;
    this.end = { error };
    this.drained();
    this.listener?.ended(error);
  }

  private drained(): void {
    this.writable = true;
    for (const resolve of this.drainWaiters.splice(0)) resolve();
  }
}

function unreachable(peer: string, error: Error): RcopyError {
  if (isRcopyError(error)) return error;
  return new RcopyError('E_UNREACHABLE', `the link to ${peer} broke: ${error.message}`, {
    cause: error,
  });
}
