/** HTTP as the client of a daemon needs it: over TCP or a unix socket, streams both ways. */
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RcopyError, messageOf } from '../base/errors.ts';
import { MIB } from '../base/limits.ts';
import { streamOf } from '../sys/node-stream.ts';
import { socketPath } from '../sys/socket-path.ts';
import type { ByteStream } from '../sys/stream.ts';
import { API, LINK_PROTOCOL, NBD_PROTOCOL, SILENCE_MS } from './wire.ts';
import { errorOf } from './http-errors.ts';

/** Where a daemon answers. */
export interface Endpoint {
  /** For people: the address as it was typed, or the folder of the set. */
  readonly name: string;
  /** The command that starts it; `rcopy daemon` unless told. */
  readonly startedWith?: string;
  readonly at: { readonly host: string; readonly port: number } | { readonly socketPath: string };
}

/** How long a connection may take to come about, in milliseconds. */
const CONNECT_MS = 10_000;
/** An answer that is longer than this is none. */
const JSON_BYTES_MAX = 16 * MIB;

export interface Question {
  readonly method: 'GET' | 'POST';
  /** Behind the version: `/sets/own/status`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or octets in order. */
  readonly body?: { readonly json: unknown } | { readonly octets: AsyncIterable<Uint8Array> };
}

/** Asks, and resolves with the answer's stream. Rejects with the daemon's error. */
export async function ask(endpoint: Endpoint, question: Question): Promise<IncomingMessage> {
  const { body } = question;
  const headers: Record<string, string> = { ...question.headers };
  if (body) headers['content-type'] = 'json' in body ? 'application/json' : OCTETS;
  // Kept open, a connection lets an early answer be read to its end.
  if (body && 'octets' in body) Object.assign(headers, { expect: '100-continue', ...KEPT_OPEN });
  const request = requestTo(endpoint, question, headers);
  const answered = answerOf(request, endpoint);
  if (body && 'octets' in body) return sendOctets(request, body.octets, { answered, endpoint });
  request.end(body ? JSON.stringify(body.json) : undefined);
  return checked(await answered, endpoint);
}

const KEPT_OPEN = { connection: 'keep-alive' };
const OCTETS = 'application/octet-stream';

/**
 * What is refused is refused before the first byte goes: the body waits for "100 Continue". An
 * answer that comes in the midst of the body is a refusal too, and the rest is not sent.
 */
async function sendOctets(
  request: ClientRequest,
  octets: AsyncIterable<Uint8Array>,
  { answered, endpoint }: { answered: Promise<IncomingMessage>; endpoint: Endpoint },
): Promise<IncomingMessage> {
  const goesOn = new Promise<'continue'>((resolve) => {
    request.once('continue', () => resolve('continue'));
  });
  // It takes as long as the body comes in: only a connection that is dead ends it.
  request.setSocketKeepAlive(true, SILENCE_MS);
  request.once('socket', (socket) => socket.once('connect', () => socket.setTimeout(0)));
  request.flushHeaders();
  const first = await Promise.race([goesOn, answered]);
  if (first !== 'continue') return checked(first, endpoint);
  const sent = pipeline(Readable.from(octets), request).then(() => answered);
  sent.catch(() => undefined);
  const failed = sent.catch((error: unknown) => Promise.reject(asUnreachable(endpoint, error)));
  return checked(await Promise.race([answered, failed]), endpoint);
}

/** All of an answer that is JSON. */
export async function jsonOf(response: IncomingMessage, endpoint: Endpoint): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > JSON_BYTES_MAX) break;
      parts.push(part);
    }
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw errorOf(undefined, endpoint.name);
    throw asUnreachable(endpoint, error);
  }
}

/** The lines of an answer as they come. */
export async function* linesOf(response: IncomingMessage, endpoint: Endpoint): AsyncGenerator {
  let rest = '';
  response.setEncoding('utf8');
  try {
    for await (const part of response as AsyncIterable<string>) {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield JSON.parse(line);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw errorOf(undefined, endpoint.name);
    throw asUnreachable(endpoint, error);
  }
}

/** Dials a link to a set: the connection is its own from then on. */
export function dialLink(endpoint: Endpoint, set: string): Promise<ByteStream> {
  const question: Question = { method: 'GET', path: `/sets/${set}/link` };
  return dialUpgrade(endpoint, question, LINK_PROTOCOL);
}

/** Dials an NBD stream to a set, as a path controller. Rejects with why the set refuses it. */
export function dialHosts(
  endpoint: Endpoint,
  set: string,
  { controllerId, generation }: { readonly controllerId: string; readonly generation: number },
): Promise<ByteStream> {
  const query = { controller: controllerId, generation };
  return dialUpgrade(endpoint, { method: 'GET', path: `/sets/${set}/nbd`, query }, NBD_PROTOCOL);
}

async function dialUpgrade(
  endpoint: Endpoint,
  question: Question,
  protocol: string,
): Promise<ByteStream> {
  const headers = { connection: 'Upgrade', upgrade: protocol };
  const request = requestTo(endpoint, question, headers);
  const upgraded = new Promise<ByteStream>((resolve) => {
    request.once('upgrade', (_, socket, head) => resolve(streamOf(socket, endpoint.name, head)));
  });
  const refused = answerOf(request, endpoint).then(async (response) => {
    await checked(response, endpoint);
    throw errorOf(undefined, endpoint.name);
  });
  request.end();
  return Promise.race([upgraded, refused]);
}

function requestTo(
  { at }: Endpoint,
  { method, path, query = {} }: Question,
  headers: Readonly<Record<string, string>>,
): ClientRequest {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) words.set(key, String(value));
  }
  const search = words.size > 0 ? `?${words.toString()}` : '';
  const options = { method, path: `${API}${path}${search}`, timeout: CONNECT_MS, headers };
  if (!('socketPath' in at)) return httpRequest({ ...options, ...at, agent: false });
  const short = socketPath(at.socketPath);
  const request = httpRequest({ ...options, socketPath: short.path, agent: false });
  request.once('close', () => short.release());
  return request;
}

function answerOf(request: ClientRequest, endpoint: Endpoint): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.setNoDelay(true);
    request.once('socket', (socket) => {
      // The first time-out is for the connection, later ones for silence.
      socket.once('connect', () => socket.setTimeout(SILENCE_MS));
    });
    request.on('timeout', () => {
      request.destroy(new RcopyError('E_UNREACHABLE', `${endpoint.name} does not answer`));
    });
    request.once('response', resolve);
    request.on('error', (error) => reject(asUnreachable(endpoint, error)));
  });
}

/** Throws what the daemon says went wrong. */
async function checked(response: IncomingMessage, endpoint: Endpoint): Promise<IncomingMessage> {
  if (response.statusCode === 200) return response;
  throw errorOf(await jsonOf(response, endpoint), endpoint.name);
}

function asUnreachable(endpoint: Endpoint, error: unknown): RcopyError {
  if (error instanceof RcopyError) return error;
  return new RcopyError('E_UNREACHABLE', `${endpoint.name}: ${messageOf(error)}`, {
    cause: error,
    hint: `is its daemon running? start it with \`${endpoint.startedWith ?? 'rcopy daemon'}\``,
  });
}
