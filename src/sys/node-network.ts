/** The network of this machine behind {@link Network}. */
import { existsSync, lstatSync, unlinkSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, NetConnectOpts, Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import { RcopyError, messageOf } from '../base/errors.ts';
import { formatAddress } from './network.ts';
import type { Listening, Network, NetworkAddress, UnixAddress } from './network.ts';
import { streamOf } from './node-stream.ts';
import type { ByteStream } from './stream.ts';
import { systemCode } from './system-error.ts';

/** How long a connection may take to come about. */
const DIAL_MS_MAX = 10_000;

/** A peer that vanished without a word is noticed by probes, which begin after so much silence. */
const KEEP_ALIVE_MS = 30_000;

/** Connections that wait to be accepted: as many as hosts may open at once after a restart. */
const BACKLOG = 511;

export const nodeNetwork: Network = { dial, listen };

async function dial(address: NetworkAddress): Promise<ByteStream> {
  const peer = formatAddress(address);
  try {
    return streamOf(await connect(address), peer);
  } catch (error) {
    throw new RcopyError('E_UNREACHABLE', `nobody answers at ${peer}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A connected socket. Rejects with the system's error. */
function connect(address: NetworkAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(connectOptions(address));
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection within ${DIAL_MS_MAX / 1000} s`));
    }, DIAL_MS_MAX);
    const failed = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      resolve(socket);
    });
  });
}

function connectOptions(address: NetworkAddress): NetConnectOpts {
  if (address.kind === 'unix') return { path: address.path };
  const { host, port } = address;
  return { host, port, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
}

async function listen(
  address: NetworkAddress,
  onStream: (stream: ByteStream) => void,
): Promise<Listening> {
  const server = createServer(
    { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    (socket) => {
      onStream(streamOf(socket, peerName(socket, address)));
    },
  );
  try {
    await bind(server, address);
  } catch (error) {
    if (address.kind !== 'unix' || systemCode(error) !== 'EADDRINUSE') {
      throw listenError(address, error);
    }
    await removeStaleSocket(address);
    await bind(server, address).catch((again: unknown) => {
      throw listenError(address, again);
    });
  }
  // Out of descriptors, for one: that connection is refused, the next one may be taken.
  server.on('error', () => undefined);
  return {
    address: boundAddress(server, address),
    close: () =>
      new Promise((resolve) => {
        // The address is free at once; the callback would wait for every stream that is open.
        server.close();
        setImmediate(resolve);
      }),
  };
}

function bind(server: Server, address: NetworkAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = () => {
      server.off('error', reject);
      resolve();
    };
    if (address.kind === 'unix') server.listen({ path: address.path, backlog: BACKLOG }, listening);
    else server.listen({ host: address.host, port: address.port, backlog: BACKLOG }, listening);
  });
}

/**
 * Removes the socket that a killed process left behind, and nothing else: a file that is no socket
 * and a socket at which someone answers stay, and `E_STATE` says so.
 */
async function removeStaleSocket(address: UnixAddress): Promise<void> {
  const { path } = address;
  const before = lstatSync(path, { throwIfNoEntry: false });
  if (before === undefined) return;
  if (!before.isSocket()) {
    throw new RcopyError('E_STATE', `listen: ${path} is there already, and it is not a socket`, {
      hint: 'name another path, or move that file away',
    });
  }
  try {
    (await connect(address)).destroy();
  } catch (error) {
    const after = lstatSync(path, { throwIfNoEntry: false });
    if (after === undefined) return;
    const isStale = systemCode(error) === 'ECONNREFUSED' && after.ino === before.ino;
    if (!isStale) throw inUse(address, error);
    unlinkSync(path);
    return;
  }
  throw inUse(address);
}

function boundAddress(server: Server, asked: NetworkAddress): NetworkAddress {
  if (asked.kind === 'unix') return asked;
  return { ...asked, port: (server.address() as AddressInfo).port };
}

/** Who is at the other end of an accepted socket: processes behind unix sockets have no name. */
function peerName(socket: Socket, at: NetworkAddress): string {
  const { remoteAddress: host, remotePort: port } = socket;
  if (host === undefined || port === undefined) return formatAddress(at);
  return formatAddress({ kind: 'tcp', host: host.replace(/^::ffff:(?=[0-9.]+$)/, ''), port });
}

function inUse(address: NetworkAddress, cause?: unknown): RcopyError {
  const message = `listen: ${formatAddress(address)} is in use by another process`;
  return new RcopyError('E_STATE', message, {
    hint: 'end that process, or name another address',
    cause,
  });
}

function listenError(address: NetworkAddress, error: unknown): RcopyError {
  const where = formatAddress(address);
  // The system's own word for a missing folder is one of missing rights.
  const lost = address.kind === 'unix' && !existsSync(dirname(address.path));
  switch (lost ? 'ENOENT' : systemCode(error)) {
    case 'EADDRINUSE':
      return inUse(address, error);
    case 'ENOENT':
    case 'ENOTFOUND':
    case 'EADDRNOTAVAIL':
      return new RcopyError('E_NOT_FOUND', `listen: there is no ${where} on this machine`, {
        hint: 'check the address; the folder of a unix socket must exist',
        cause: error,
      });
    default:
      return new RcopyError('E_IO', `listen: ${where}: ${messageOf(error)}`, { cause: error });
  }
}
