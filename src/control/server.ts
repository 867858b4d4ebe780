/**
 * The control interface of a daemon: HTTP with JSON, and the Upgrade by which a connection becomes
 * a link between image sets. fastify parses, routes and refuses; what is answered is the sets'.
 *
 * ```
 *   POST /v1/sets/SET/CALL      a call of calls.ts; JSON, or lines with progress
 *   POST /v1/sets/SET/write     ?offset=N&volume=NAME&length=N&sync=no, octets → JSON
 *   GET  /v1/sets/SET/read      ?offset=N&length=N&volume=NAME → octets
 *   POST /v1/sets/SET/import    ?size=N&volume=NAME, a sparse stream → JSON
 *   GET  /v1/sets/SET/export    ?volume=NAME → a sparse stream
 *   POST /v1/sets/SET/remake    gives the set a fresh life
 *   GET  /v1/sets/SET/link      Upgrade: rcopy-link/1
 * ```
 *
 * SET is `own`, the set that the daemon was started for, or the id of one that it has open.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RcopyError, messageOf } from '../base/errors.ts';
import { CONTROL_BODY_BYTES_MAX, CONTROL_CONNECTIONS_MAX } from '../base/limits.ts';
import type { SetService } from '../node/set-service.ts';
import type { Clock } from '../sys/clock.ts';
import type { FileSystem } from '../sys/files.ts';
import { streamOf } from '../sys/node-stream.ts';
import { socketPath } from '../sys/socket-path.ts';
import type { SocketPath } from '../sys/socket-path.ts';
import type { ByteStream } from '../sys/stream.ts';
import type { DaemonAddress } from './addresses.ts';
import { answerInLines } from './answer-lines.ts';
import { checkCaller } from './callers.ts';
import { ANSWER_LINES, API, LINK_PROTOCOL, calls, isCallName } from './calls.ts';
import { errorBody, errorStatus } from './http-errors.ts';
import { addBulkRoutes } from './bulk-routes.ts';
import { OCTETS, goneOf, parse } from './requests.ts';
import type { SetRoute } from './requests.ts';

/** The sets that a control interface speaks for. `set` is an id, or `own`. */
export interface SetHouse {
  /** Rejects with `E_NOT_FOUND` when no such set is open here; it stays open until `gone`. */
  find(set: string, gone: AbortSignal): Promise<SetService>;
  /** Takes a link that another set dialled. */
  acceptLink(set: string, stream: ByteStream, gone: AbortSignal): Promise<void>;
  /** Gives the set a fresh life and identity; what it holds is lost. */
  remake(set: string): Promise<void>;
}

export class ControlServer {
  private readonly house: SetHouse;
  private readonly clock: Clock;
  private readonly app: FastifyInstance;
  private readonly servers = new Set<Server>();
  private readonly sockets: SocketPath[] = [];
  /** Names by which this daemon may be called, beside addresses and localhost. */
  private readonly names = new Set<string>();

  constructor(house: SetHouse, clock: Clock) {
    this.house = house;
    this.clock = clock;
    this.app = fastify({
      bodyLimit: CONTROL_BODY_BYTES_MAX,
      exposeHeadRoutes: false,
      routerOptions: { maxParamLength: 128 },
    });
    this.addRoutes();
  }

  /** Answers on a host and port; 0 takes a free one. Resolves with the port. */
  async listen(where: DaemonAddress, advertised?: DaemonAddress): Promise<number> {
    for (const { host } of advertised ? [where, advertised] : [where]) {
      this.names.add(host.toLowerCase());
    }
    const address = (await this.listenAt(where)).address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Answers on a unix socket, for the processes of this user; what lies in its place goes. */
  async listenOnSocket(path: string, files: FileSystem): Promise<void> {
    files.remove(path, 'CONTROL:REMOVE');
    const socket = socketPath(path);
    this.sockets.push(socket);
    await this.listenAt({ path: socket.path });
  }

  private async listenAt(where: DaemonAddress | { path: string }): Promise<Server> {
    await this.app.ready();
    const server = createServer({ requestTimeout: 0, headersTimeout: 10_000 }, (request, reply) =>
      this.app.routing(request, reply),
    );
    server.maxConnections = CONTROL_CONNECTIONS_MAX;
    // Whoever reads the body says when: see octetsOf.
    server.on('checkContinue', (request, reply) => {
      if (request.headers['content-type'] !== OCTETS) reply.writeContinue();
      this.app.routing(request, reply);
    });
    server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(cannotListen(where, error)));
      server.listen(where, resolve);
    });
    this.servers.add(server);
    return server;
  }

  /** Nothing new is taken; what is under way is cut, links excepted. */
  async close(): Promise<void> {
    for (const server of this.servers) {
      // Its callback would wait for links as well, and those end with their sets, later.
      server.close();
      server.closeAllConnections();
    }
    this.servers.clear();
    for (const socket of this.sockets.splice(0)) socket.release();
    await this.app.close();
  }

  private addRoutes(): void {
    const { app } = this;
    app.addHook('onRequest', async (request) => this.check(request.raw));
    // A body of octets is read by its handler, at the pace of the set.
    app.addContentTypeParser(OCTETS, (_, payload, done) => {
      done(null, payload);
    });
    app.setErrorHandler((error, _, reply) => sendError(reply, asRefusal(error)));
    app.setNotFoundHandler((request, reply) =>
      sendError(reply, new RcopyError('E_NOT_FOUND', `${request.method} ${request.url}: no such`)),
    );
    addBulkRoutes(app, (set, gone) => this.house.find(set, gone));
    app.post<SetRoute>(`${API}/sets/:set/remake`, async (request) => {
      await this.house.remake(request.params.set);
      return {};
    });
    app.post<SetRoute & { Params: { call: string } }>(`${API}/sets/:set/:call`, (request, reply) =>
      this.call(request, reply),
    );
  }

  private async call(
    request: FastifyRequest<SetRoute & { Params: { call: string } }>,
    reply: FastifyReply,
  ): Promise<unknown> {
    const { set: id, call } = request.params;
    if (!isCallName(call)) throw new RcopyError('E_NOT_FOUND', `there is no call ${call}`);
    const { parameters, handle } = calls[call];
    const checked = parse<unknown>(parameters, request.body ?? {}) as never;
    const signal = goneOf(reply);
    const set = await this.house.find(id, signal);
    if (request.headers.accept === ANSWER_LINES) {
      reply.hijack();
      await answerInLines(reply.raw, this.clock, (onProgress) =>
        Promise.resolve(handle(set, checked, { onProgress, signal })),
      );
      return reply;
    }
    const following = { onProgress: () => undefined, signal };
    return (await handle(set, checked, following)) ?? {};
  }

  private check({ headers, socket }: IncomingMessage): void {
    checkCaller({ headers, isLocal: socket.remoteAddress === undefined }, this.names);
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until it is a stream, nobody else hears of its errors.
    socket.on('error', () => undefined);
    const refuse = (error: RcopyError): void => {
      const body = JSON.stringify(errorBody(error));
      socket.end(
        `HTTP/1.1 ${errorStatus(error)} Refused\r\ncontent-type: application/json\r\n` +
          `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    };
    const path = new RegExp(`^${API}/sets/([0-9a-z]{1,32})/link$`).exec(request.url ?? '');
    if (!path?.[1] || request.headers.upgrade !== LINK_PROTOCOL) {
      refuse(new RcopyError('E_PROTOCOL', `only ${LINK_PROTOCOL} is spoken here`));
      return;
    }
    const set = path[1];
    try {
      this.check(request);
    } catch (error) {
      refuse(asRefusal(error));
      return;
    }
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    this.house.find(set, gone.signal).then(
      () => {
        if (socket.destroyed) return;
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${LINK_PROTOCOL}\r\n` +
            'connection: Upgrade\r\n\r\n',
        );
        const peer = peerOf(request);
        const stream = streamOf(socket, peer, head);
        this.house.acceptLink(set, stream, gone.signal).catch(() => stream.destroy());
      },
      (error: unknown) => refuse(asRefusal(error)),
    );
  }
}

function cannotListen(where: DaemonAddress | { path: string }, error: Error): RcopyError {
  const at = 'path' in where ? where.path : `${where.host}:${where.port}`;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new RcopyError('E_STATE', `listen: ${at} is in use by another process`, {
        cause: error,
        hint: 'end that process, or name another port; port 0 takes a free one',
      });
    case 'ENOTFOUND':
    case 'EADDRNOTAVAIL':
      return new RcopyError('E_NOT_FOUND', `listen: there is no ${at} on this machine`, {
        cause: error,
        hint: 'name an address of this machine, such as 127.0.0.1',
      });
    case 'EACCES':
      return new RcopyError('E_USAGE', `listen: ${at} is not for this user`, {
        cause: error,
        hint: 'take a port above 1023',
      });
    default:
      return new RcopyError('E_IO', `listen: ${at}: ${messageOf(error)}`, { cause: error });
  }
}

/** Who is at the other end, for people. */
function peerOf({ socket }: IncomingMessage): string {
  return socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : 'a local process';
}

/** fastify's own refusals (too long, not JSON) have a status of their own. */
function asRefusal(error: unknown): RcopyError {
  if (error instanceof RcopyError) return error;
  const { statusCode = 500 } = error as { statusCode?: number };
  const code = statusCode < 500 ? 'E_PROTOCOL' : 'E_INTERNAL';
  return new RcopyError(code, messageOf(error), { cause: error });
}

function sendError(reply: FastifyReply, error: RcopyError): void {
  void reply.status(errorStatus(error)).send(errorBody(error));
}
