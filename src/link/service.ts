/**
 * Requests and answers between image sets: reading ranges (migration, verify) and whatever calls
 * the rooms above register. Ids let many requests be under way at once.
 */
import { RcopyError } from '../base/errors.ts';
import { COPY_RANGE_BYTES, MAP_BLOCK_BYTES } from '../base/limits.ts';
import type { FetchedRange } from '../imageset/contents.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { FrameChannel } from './channel.ts';
import type { Frame } from './frame.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeFailure,
  encodeJson,
  encodeResponse,
} from './messages.ts';
import type { Hello, Response } from './messages.ts';

/** Answers calls other than reads; rejects with what the caller is told. */
export type CallHandler = (name: string, parameters: unknown) => Promise<unknown>;

/** Serves one peer's requests about `set`. */
export function serveRequests(set: ImageSet, channel: FrameChannel, handle: CallHandler): void {
  channel.post('welcome', [
    encodeJson({
      setId: set.file.setId,
      name: set.file.name,
      bootId: '',
      usable: set.usable,
      epochs: [],
      copy: null,
    }),
  ]);
  channel.listen({
    frame: (frame) => {
      if (frame.type !== 'request') {
        throw new RcopyError('E_PROTOCOL', `a client sent a ${frame.type} frame`);
      }
      const request = decodeRequest(frame.body);
      answer(set, request.name, request.parameters, handle).then(
        ({ value, data }) => channel.post('response', encodeResponse(request.id, value, data)),
        (error: unknown) => channel.post('response', encodeFailure(request.id, error)),
      );
    },
    ended: () => undefined,
  });
}

/** A read of blocks that a migration's target lacks. */
export interface ReadParameters {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly from: ReadFrom;
}

/** Which set may answer; whoever else stands at the address refuses (R5). */
export type ReadFrom =
  /** The set that this migration sealed. */
  | { readonly kind: 'source'; readonly migrationId: string }
  /** The pair's secondary, once it follows this epoch: it has all of the one before then. */
  | { readonly kind: 'secondary'; readonly pairId: string; readonly epoch: number };

interface ReadAnswer {
  readonly asOf: number;
  readonly length: number;
  readonly hole: boolean;
}

async function answer(
  set: ImageSet,
  name: string,
  parameters: unknown,
  handle: CallHandler,
): Promise<{ value: unknown; data?: Uint8Array }> {
  if (name !== 'read') return { value: await handle(name, parameters) };
  const { volume, offset, length, from } = parameters as ReadParameters;
  if (from.kind === 'source') checkSource(set, from.migrationId);
  else checkFollows(set, from.pairId, from.epoch);
  const image = set.contents.image(volume);
  if (!(offset >= 0 && length > 0 && offset + length <= image.sizeBytes)) {
    throw new RcopyError('E_RANGE', `a read of ${length} bytes at ${offset} leaves ${image.name}`);
  }
  const read = await readBlocks(set, volume, offset, offset + length);
  const value: ReadAnswer = { asOf: read.asOf, length: read.length, hole: read.data === undefined };
  return read.data ? { value, data: read.data } : { value };
}

/**
 * Throws `E_UNREACHABLE` unless this is the set that the migration sealed: another one may stand at
 * the address by now, or an older copy of it, and its blocks are not the volume's (R5).
 */
export function checkSource(set: ImageSet, migrationId: string): void {
  if (set.file.seal?.migrationId === migrationId) return;
  throw new RcopyError(
    'E_UNREACHABLE',
    `${set.folder} is not the set that migration ${migrationId} sealed`,
    { hint: 'bring the source of the migration back to its address' },
  );
}

/** Throws `E_UNREACHABLE` unless this is the pair's secondary, usable, and in that epoch. */
function checkFollows(set: ImageSet, pairId: string, epoch: number): void {
  const { role, pair } = set.file;
  const follows = set.usable && set.feed.position.epoch >= epoch;
  if (role === 'secondary' && pair?.id === pairId && follows) return;
  throw new RcopyError('E_UNREACHABLE', `${set.folder} does not hold epoch ${epoch - 1} whole yet`);
}

/**
 * The beginning of a range in whole blocks: what lies in the overlay, and the file system's own
 * blocks, may begin and end anywhere.
 */
async function readBlocks(
  set: ImageSet,
  volume: number,
  offset: number,
  end: number,
): Promise<{ asOf: number; length: number; data: Buffer | undefined }> {
  const read = await set.readForPeer(volume, offset, end, COPY_RANGE_BYTES);
  const reached = offset + read.length;
  if (reached === end || reached % MAP_BLOCK_BYTES === 0) return read;
  const length = reached - (reached % MAP_BLOCK_BYTES) - offset;
  if (length > 0) return { ...read, length, data: read.data?.subarray(0, length) };
  const block = Buffer.alloc(Math.min(offset + MAP_BLOCK_BYTES, end) - offset);
  let { asOf } = read;
  for (let at = 0; at < block.length;) {
    const part = await set.readForPeer(volume, offset + at, offset + block.length, block.length);
    part.data?.copy(block, at);
    asOf = Math.max(asOf, part.asOf);
    at += part.length;
  }
  return { asOf, length: block.length, data: block };
}

/** The asking end. */
export class PeerClient {
  private readonly channel: FrameChannel;
  private readonly waiting = new Map<
    number,
    { resolve(response: Response): void; reject(error: Error): void }
  >();
  private nextId = 1;

  /** Says hello and asks from then on. */
  constructor(channel: FrameChannel, hello: Hello) {
    this.channel = channel;
    channel.post('hello', [encodeJson(hello)]);
    channel.listen({
      frame: (frame) => this.receive(frame),
      ended: (error) => this.failAll(error),
    });
  }

  get hasEnded(): boolean {
    return this.channel.hasEnded;
  }

  /** Asks for something by name. Rejects with the peer's error, or `E_UNREACHABLE`. */
  async call(name: string, parameters: unknown): Promise<{ value: unknown; data: Buffer }> {
    if (this.channel.hasEnded) throw gone(this.channel.peer);
    const id = this.nextId;
    this.nextId += 1;
    const response = await new Promise<Response>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.channel.post('request', [encodeJson({ id, name, parameters })]);
    });
    if (!response.ok) throw response.error;
    return { value: response.value, data: response.data };
  }

  /** Reads of the source of a migration, which that migration has sealed. */
  async fetch(request: ReadParameters): Promise<FetchedRange> {
    const { value, data } = await this.call('read', request);
    const read = value as ReadAnswer;
    return { length: read.length, data: read.hole ? undefined : data };
  }

  close(): void {
    this.channel.close();
  }

  private receive(frame: Frame): void {
    if (frame.type === 'welcome' || frame.type === 'ping') return;
    if (frame.type !== 'response') {
      throw new RcopyError('E_PROTOCOL', `a server sent a ${frame.type} frame`);
    }
    const response = decodeResponse(frame.body);
    this.waiting.get(response.id)?.resolve(response);
    this.waiting.delete(response.id);
  }

  private failAll(error: RcopyError | undefined): void {
    const reason = error ?? gone(this.channel.peer);
    for (const waiting of this.waiting.values()) waiting.reject(reason);
    this.waiting.clear();
  }
}

function gone(peer: string): RcopyError {
  return new RcopyError('E_UNREACHABLE', `the link to ${peer} has ended`);
}
