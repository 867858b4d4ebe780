/** The routes that carry contents: writes, reads, and whole images, as streams of octets. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod/mini';
import { RcopyError } from '../base/errors.ts';
import type { SetService } from '../node/set-service.ts';
import { API } from './wire.ts';
import { errorBody, errorStatus } from './http-errors.ts';
import { OCTETS, goneOf, octetsOf, parse } from './requests.ts';
import type { SetRoute } from './requests.ts';
import { SparseReader, encodeEnd, encodeFailed, encodePiece } from './sparse-stream.ts';

type Find = (set: string, gone: AbortSignal) => Promise<SetService>;
type Request = FastifyRequest<SetRoute>;

const whole = z.pipe(z.coerce.number(), z.number().check(z.int(), z.minimum(0)));
const name = z.optional(z.string());
const writeQuery = z.strictObject({
  offset: whole,
  volume: name,
  length: z.optional(whole),
  sync: z.optional(z.enum(['yes', 'no'])),
});
const readQuery = z.strictObject({ offset: whole, length: whole, volume: name });
const importQuery = z.strictObject({ size: whole, volume: name });
const exportQuery = z.strictObject({ volume: name });

export function addBulkRoutes(app: FastifyInstance, find: Find): void {
  const path = (what: string) => `${API}/sets/:set/${what}`;
  app.post<SetRoute>(path('write'), (request, reply) => write(find, request, reply));
  app.get<SetRoute>(path('read'), (request, reply) => read(find, request, reply));
  app.post<SetRoute>(path('import'), (request, reply) => importImage(find, request, reply));
  app.get<SetRoute>(path('export'), (request, reply) => exportImage(find, request, reply));
}

async function write(find: Find, request: Request, reply: FastifyReply): Promise<unknown> {
  const { offset, volume, length, sync = 'yes' } = parse(writeQuery, request.query);
  const set = await find(request.params.set, goneOf(reply));
  const data = octetsOf(request, reply);
  return set.write({ volume, offset, length, data, sync: sync === 'yes' });
}

async function read(find: Find, request: Request, reply: FastifyReply): Promise<unknown> {
  const { offset, length, volume } = parse(readQuery, request.query);
  const bytes = (await find(request.params.set, goneOf(reply))).read({
    volume,
    offset,
    length,
  });
  // What is refused is refused before the first byte.
  const first = await bytes.next();
  reply.type(OCTETS).header('content-length', length);
  return reply.send(Readable.from(startingWith(first, bytes)));
}

async function importImage(find: Find, request: Request, reply: FastifyReply): Promise<unknown> {
  const { size, volume } = parse(importQuery, request.query);
  const set = await find(request.params.set, goneOf(reply));
  const reader = new SparseReader(octetsOf(request, reply), 'the client');
  return set.importImage({ volume, sizeBytes: size, pieces: reader.pieces() });
}

async function exportImage(find: Find, request: Request, reply: FastifyReply): Promise<unknown> {
  const { volume } = parse(exportQuery, request.query);
  const set = await find(request.params.set, goneOf(reply));
  const { raw } = reply;
  reply.hijack();
  const send = async (parts: readonly Uint8Array[]): Promise<void> => {
    let writable = true;
    for (const part of parts) writable = raw.write(part);
    if (raw.destroyed) throw new RcopyError('E_STOPPED', 'nobody takes the export any more');
    if (!writable) await takesMore(raw);
  };
  try {
    const begin = (sizeBytes: number): void => {
      const type = OCTETS;
      raw.writeHead(200, { 'content-type': type, 'x-rcopy-size': sizeBytes });
    };
    const take = (piece: Parameters<typeof encodePiece>[0]) => send(encodePiece(piece));
    const answer = await set.exportImage({ volume, begin, take });
    for (const part of encodeEnd(answer)) raw.write(part);
    raw.end();
  } catch (error) {
    if (raw.headersSent) for (const part of encodeFailed(error)) raw.write(part);
    else {
      raw.writeHead(errorStatus(error), { 'content-type': 'application/json' });
      raw.write(JSON.stringify(errorBody(error)));
    }
    raw.end();
  }
  return reply;
}

async function* startingWith(
  first: IteratorResult<Buffer>,
  rest: AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

function takesMore(raw: FastifyReply['raw']): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
  });
}
