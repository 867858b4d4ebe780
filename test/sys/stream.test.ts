// The contract of streams, held by those in memory and by every kind of socket that we use.
import { createServer as createHttpServer, request } from 'node:http';
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { expect, test } from '@jest/globals';
import { memoryStreamPair } from '../../src/sys/memory-stream.ts';
import { streamOf } from '../../src/sys/node-stream.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { seededRandom } from '../sim/random.ts';
import { describeStreams } from './stream.contract.ts';
import type { StreamsUnderTest } from './stream.contract.ts';

describeStreams('memory', async () => {
  const clock = new SimulatedClock();
  const ends = memoryStreamPair(clock, seededRandom(1));
  return {
    ends,
    tellsCuts: true,
    until: (condition) => clock.run(condition),
    settle: () => clock.pass(0),
    dispose: async () => undefined,
  };
});

/** Real time, for what goes through the system. */
const realTime = {
  until: async (condition: () => boolean) => {
    for (let waitedMs = 0; !condition(); waitedMs += 2) {
      if (waitedMs > 20_000) throw new Error('it did not come about');
      await sleep(2);
    }
  },
  settle: () => sleep(20),
};

type Listened = { readonly path: string } | { readonly port: number; readonly host: string };

/** Both ends of a connection that `connect` makes to `server`. */
async function socketPair(
  server: Server,
  at: { readonly path: string } | { readonly port: 0; readonly host: string },
  event: 'connection' | 'secureConnection',
  connect: (at: Listened) => Promise<Duplex>,
): Promise<[ByteStream, ByteStream]> {
  await new Promise<void>((resolve) => {
    server.listen(at, resolve);
  });
  const accepted = new Promise<Duplex>((resolve) => {
    server.once(event, resolve);
  });
  const where = 'path' in at ? at : { ...at, port: (server.address() as AddressInfo).port };
  const dialled = await connect(where);
  return [streamOf(dialled, 'server'), streamOf(await accepted, 'client')];
}

async function dial(at: Listened): Promise<Duplex> {
  const socket = createConnection(at);
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  return socket;
}

function underTest(
  ends: readonly [ByteStream, ByteStream],
  server: Server,
  tellsCuts: boolean,
  dispose = () => undefined as void,
): StreamsUnderTest {
  return {
    ends,
    tellsCuts,
    ...realTime,
    dispose: async () => {
      server.close();
      dispose();
    },
  };
}

const LOCAL = { port: 0, host: '127.0.0.1' } as const;

describeStreams('TCP', async () => {
  const server = createServer();
  return underTest(await socketPair(server, LOCAL, 'connection', dial), server, true);
});

describeStreams('unix sockets', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rcopy-stream-'));
  const server = createServer();
  const ends = await socketPair(server, { path: join(folder, 's') }, 'connection', dial);
  return underTest(ends, server, false, () => rmSync(folder, { recursive: true }));
});

describeStreams('TLS', async () => {
  const secret = { key: Buffer.alloc(32, 7), identity: 'tokyo' };
  const options = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;
  const server = createTlsServer({ ...options, pskCallback: () => secret.key });
  const ends = await socketPair(server, LOCAL, 'secureConnection', async (at) => {
    const socket = connectTls({
      ...at,
      ...options,
      pskCallback: () => ({ psk: secret.key, identity: secret.identity }),
      checkServerIdentity: () => undefined,
    });
    await new Promise((resolve) => {
      socket.once('secureConnect', resolve);
    });
    return socket;
  });
  return underTest(ends, server, false);
});

interface Upgraded {
  readonly socket: Duplex;
  readonly head: Buffer;
}

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

/** Both sockets of an HTTP Upgrade; `greeting` comes in one piece with the answer to it. */
async function upgrade(server: Server, greeting = ''): Promise<[Upgraded, Upgraded]> {
  await new Promise<void>((resolve) => {
    server.listen(LOCAL, resolve);
  });
  const accepted = new Promise<Upgraded>((resolve) => {
    server.once('upgrade', (_request, socket: Duplex, head: Buffer) => {
      socket.write(SWITCHING + greeting);
      resolve({ socket, head });
    });
  });
  const headers = { Connection: 'Upgrade', Upgrade: 'x' };
  const asking = request({ ...LOCAL, port: (server.address() as AddressInfo).port, headers });
  const dialled = new Promise<Upgraded>((resolve) => {
    asking.once('upgrade', (_response, socket: Duplex, head: Buffer) => resolve({ socket, head }));
  });
  asking.end();
  return Promise.all([dialled, accepted]);
}

describeStreams('an HTTP Upgrade', async () => {
  const server = createHttpServer();
  const [dialled, accepted] = await upgrade(server);
  const ends = [
    streamOf(dialled.socket, 'server', dialled.head),
    streamOf(accepted.socket, 'client', accepted.head),
  ] as const;
  return underTest(ends, server, true);
});

test('what came together with an Upgrade comes first', async () => {
  const server = createHttpServer();
  const [dialled, accepted] = await upgrade(server, 'greetings ');
  expect(dialled.head.toString()).toBe('greetings ');
  const stream = streamOf(dialled.socket, 'server', dialled.head);
  const other = streamOf(accepted.socket, 'client', accepted.head);
  let heard = '';
  let closed = false;
  stream.listen({
    data: (chunk) => {
      heard += Buffer.from(chunk).toString();
    },
    closed: () => {
      closed = true;
    },
    drained: () => undefined,
  });
  other.write([Buffer.from('from the other end')]);
  other.end();
  await realTime.until(() => closed);
  expect(heard).toBe('greetings from the other end');
  server.close();
});
