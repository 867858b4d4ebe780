/**
 * The control interface of a daemon: HTTP with JSON, and the Upgrades by which a connection becomes
 * a stream of its own. fastify parses, routes and refuses; what can be asked is given: the routes
 * to sets (set-routes.ts) or to a path controller (path-routes.ts).
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { RcopyError, messageOf } from '../base/errors.ts';
import { CONTROL_BODY_BYTES_MAX, CONTROL_CONNECTIONS_MAX } from '../base/limits.ts';
import type { Clock } from '../sys/clock.ts';
import type { FileSystem } from '../sys/files.ts';
import { socketPath } from '../sys/socket-path.ts';
import type { SocketPath } from '../sys/socket-path.ts';
import type { DaemonAddress } from './addresses.ts';
import { checkCaller } from './callers.ts';
import { asRefusal, errorBody, errorStatus } from './http-errors.ts';
import { OCTETS } from './requests.ts';
import { upgrade } from './upgrades.ts';
import type { AskedConnection, Upgrade } from './upgrades.ts';

/** What a control interface answers. */
export interface Routes {
  /** Adds what is asked by a request and answered. */
  addTo(app: FastifyInstance, clock: Clock): void;
  /** What its connections can become. */
  readonly upgrades: readonly Upgrade[];
}

export class ControlServer {
  private readonly routes: Routes;
  private readonly app: FastifyInstance;
  private readonly servers = new Set<Server>();
  private readonly sockets: SocketPath[] = [];
  /** Names by which this daemon may be called, beside addresses and localhost. */
  private readonly names = new Set<string>();

  constructor(routes: Routes, clock: Clock) {
    this.routes = routes;
    this.app = fastify({
      bodyLimit: CONTROL_BODY_BYTES_MAX,
      exposeHeadRoutes: false,
      routerOptions: { maxParamLength: 128 },
    });
    this.addRoutes(clock);
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
    server.on('upgrade', (request, socket, head) => {
      void this.upgrade(server, { request, socket, head });
    });
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

  private addRoutes(clock: Clock): void {
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
    this.routes.addTo(app, clock);
  }

  /**
   * A stream that was taken is bounded by who took it, and leaves its place to others: however many
   * there are, commands get through.
   */
  private async upgrade(server: Server, asked: AskedConnection): Promise<void> {
    const { socket } = asked;
    const taken = await upgrade(this.routes.upgrades, asked, (request) => this.check(request));
    if (!taken || socket.destroyed) return;
    server.maxConnections += 1;
    socket.once('close', () => {
      server.maxConnections -= 1;
    });
  }

  private check({ headers, socket }: IncomingMessage): void {
    checkCaller({ headers, isLocal: socket.remoteAddress === undefined }, this.names);
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

function sendError(reply: FastifyReply, error: RcopyError): void {
  void reply.status(errorStatus(error)).send(errorBody(error));
}
