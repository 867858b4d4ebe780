/**
 * HTTP Upgrades: a connection that becomes a stream of its own. Who is to have the stream may still
 * refuse it, with the same error as any call: the answer goes out when he has taken it, or writes.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { RcopyError } from '../base/errors.ts';
import { streamOf } from '../sys/node-stream.ts';
import type { ByteStream } from '../sys/stream.ts';
import { asRefusal, errorBody, errorStatus } from './http-errors.ts';
import { API } from './wire.ts';

/** Takes a stream that is its own from then on. Rejects to refuse it. */
export type Taker = (stream: ByteStream) => Promise<void>;

/** One protocol that connections can be upgraded to. */
export interface Upgrade {
  readonly protocol: string;
  /** What stands behind the version in the path; its groups are given to `find`. */
  readonly path: RegExp;
  /** Finds who takes the stream; `gone` is aborted when its connection ends. */
  find(asked: AskedUpgrade, gone: AbortSignal): Promise<Taker>;
}

export interface AskedUpgrade {
  readonly groups: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** A connection that asks to be upgraded. */
export interface AskedConnection {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What was read of the connection behind the request. */
  readonly head: Buffer;
}

/**
 * Upgrades the connection, or refuses; `check` throws what the caller is refused for. Resolves with
 * whether the stream was taken; never rejects.
 */
export async function upgrade(
  upgrades: readonly Upgrade[],
  { request, socket, head }: AskedConnection,
  check: (request: IncomingMessage) => void,
): Promise<boolean> {
  // Until it is a stream, nobody else hears of its errors.
  socket.on('error', () => undefined);
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  let answered: AnsweredStream | undefined;
  try {
    const [found, asked] = askedOf(upgrades, request);
    check(request);
    const take = await found.find(asked, gone.signal);
    if (socket.destroyed) return false;
    const stream = streamOf(socket, peerOf(request), head);
    answered = new AnsweredStream(stream, () => socket.write(agreement(found.protocol)));
    await take(answered);
    answered.answer();
    return true;
  } catch (error) {
    if (answered?.isAnswered === true) answered.destroy();
    else socket.end(refusal(asRefusal(error)));
    return false;
  }
}

function askedOf(
  upgrades: readonly Upgrade[],
  { url = '', headers }: IncomingMessage,
): [Upgrade, AskedUpgrade] {
  const [path = '', search = ''] = url.split('?');
  for (const each of upgrades) {
    const match = path.startsWith(API) ? each.path.exec(path.slice(API.length)) : null;
    if (!match || headers.upgrade !== each.protocol) continue;
    const query = Object.fromEntries(new URLSearchParams(search));
    return [each, { groups: match.slice(1), query }];
  }
  const spoken = ['HTTP', ...upgrades.map(({ protocol }) => protocol)].join(', ');
  throw new RcopyError('E_PROTOCOL', `only ${spoken} is spoken here`);
}

function agreement(protocol: string): string {
  const lines = ['HTTP/1.1 101 Switching Protocols', `upgrade: ${protocol}`, 'connection: Upgrade'];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function refusal(error: RcopyError): string {
  const body = JSON.stringify(errorBody(error));
  return (
    `HTTP/1.1 ${errorStatus(error)} Refused\r\ncontent-type: application/json\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  );
}

/** Who is at the other end, for people. */
function peerOf({ socket }: IncomingMessage): string {
  return socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : 'a local process';
}

/** A stream that begins with the answer to the request for it. */
class AnsweredStream implements ByteStream {
  readonly peer: string;
  isAnswered = false;
  private readonly stream: ByteStream;
  private readonly sendAnswer: () => void;

  constructor(stream: ByteStream, sendAnswer: () => void) {
    this.peer = stream.peer;
    this.stream = stream;
    this.sendAnswer = sendAnswer;
  }

  answer(): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.sendAnswer();
  }

  listen(listener: Parameters<ByteStream['listen']>[0]): void {
    this.stream.listen(listener);
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (!this.isAnswered) this.answer();
    return this.stream.write(parts);
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  end(): void {
    this.answer();
    this.stream.end();
  }

  destroy(error?: Error): void {
    this.stream.destroy(error);
  }
}
