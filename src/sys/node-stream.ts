/**
 * Sockets of this machine behind {@link ByteStream}: TCP, unix, TLS, and what an HTTP Upgrade
 * leaves behind. Nothing that a socket does is ever thrown into the process.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { RcopyError, messageOf } from '../base/errors.ts';
import { KIB } from '../base/limits.ts';
import type { ByteStream, StreamListener } from './stream.ts';

/** More than this waiting in a socket, and `write` says false. */
const HIGH_WATER_BYTES = 64 * KIB;

/** Up to here one copy is cheaper than one system call with many parts. */
const JOINED_BYTES_MAX = 8 * KIB;

/** After the peer's end: how long what is still queued may take without getting on. */
const FAREWELL_MS = 10_000;

/**
 * A stream over `socket`, which must be connected and belongs to the stream from now on. `peer` is
 * who is at the other end, for people; `head` is what was already read from the socket.
 */
export function streamOf(socket: Duplex, peer: string, head?: Uint8Array): ByteStream {
  return new SocketStream(socket, peer, head);
}

class SocketStream implements ByteStream {
  readonly peer: string;
  private readonly socket: Duplex;
  private listener: StreamListener | undefined;
  private drainOwed = false;
  /** Why the stream breaks, from the first sign on. */
  private reason: Error | undefined;
  /** How it ended; no more calls after the listener was told. */
  private outcome: { readonly error: Error | undefined } | undefined;

  constructor(socket: Duplex, peer: string, head: Uint8Array | undefined) {
    this.peer = peer;
    this.socket = socket;
    if (socket instanceof Socket) {
      socket.setNoDelay(true);
      socket.setTimeout(0);
      socket.on('timeout', () => socket.destroy());
    }
    if (head !== undefined && head.length > 0) socket.unshift(head);
    socket.on('error', (error: Error) => {
      this.reason ??= this.cut(error);
    });
    socket.on('drain', () => this.drained());
    socket.on('end', () => this.ended());
    socket.on('close', () => this.finish(this.reason ?? this.cut(undefined)));
    // Both may have happened before anybody listened here.
    if (socket.destroyed) setImmediate(() => this.finish(this.cut(socket.errored ?? undefined)));
  }

  listen(listener: StreamListener): void {
    this.listener = listener;
    const { outcome } = this;
    if (outcome) {
      setImmediate(() => listener.closed(outcome.error));
      return;
    }
    this.socket.on('data', (chunk: Buffer) => {
      if (!this.outcome && !this.reason) listener.data(chunk);
    });
  }

  write(parts: readonly Uint8Array[]): boolean {
    const { socket } = this;
    if (!socket.writable || this.reason) return true;
    const [only] = parts;
    if (only !== undefined && parts.length === 1) {
      socket.write(only);
    } else if (lengthOf(parts) <= JOINED_BYTES_MAX) {
      socket.write(Buffer.concat(parts));
    } else {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    if (socket.writableLength > HIGH_WATER_BYTES) this.drainOwed = true;
    return !this.drainOwed;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  destroy(error?: Error): void {
    if (this.outcome || this.reason) return;
    this.reason = error ?? new RcopyError('E_STOPPED', `connection to ${this.peer} was closed`);
    reset(this.socket);
  }

  private drained(): void {
    if (!this.drainOwed) return;
    this.drainOwed = false;
    if (!this.outcome && !this.reason) this.listener?.drained();
  }

  /** The peer is through. What is still queued goes out behind the scenes, for a while. */
  private ended(): void {
    this.finish(undefined);
    this.socket.end();
    if (this.socket instanceof Socket) this.socket.setTimeout(FAREWELL_MS);
  }

  private finish(error: Error | undefined): void {
    if (this.outcome) return;
    this.outcome = { error };
    this.listener?.closed(error);
  }

  private cut(cause: Error | undefined): RcopyError {
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`;
    return new RcopyError('E_UNREACHABLE', `connection to ${this.peer} was cut${why}`, { cause });
  }
}

/** Drops the connection so that the other end sees a cut, where the transport can tell it. */
function reset(socket: Duplex): void {
  if (!(socket instanceof Socket) || socket.remoteAddress === undefined) {
    socket.destroy();
    return;
  }
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy(); // TLS over something that is not TCP
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
