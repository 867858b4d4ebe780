/**
 * Requests and answers between image sets: the calls that the rooms above register. Ids let many
 * requests be under way at once.
 */
import { RcopyError, fileError, isRcopyError } from '../base/errors.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { systemCode } from '../sys/system-error.ts';
import type { CallGate } from './call-gate.ts';
import type { FrameChannel } from './channel.ts';
import type { Frame } from './frame.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeFailure,
  encodeJson,
  encodeResponse,
} from './messages.ts';
import type { Hello, Request, Response } from './messages.ts';

/** What a call is answered with: a value, and bytes where there are many. */
export interface Answered {
  readonly value: unknown;
  readonly data?: Uint8Array;
}

/** Answers calls; rejects with what the caller is told. */
export type CallHandler = (name: string, parameters: unknown) => Promise<Answered>;

export interface ServingOptions {
  readonly handle: CallHandler;
  readonly gate: CallGate;
  /** Told when the link is over. */
  readonly ended?: () => void;
}

/** Serves one peer's requests about `set`, as many at once as `gate` lets it. */
export function serveRequests(
  set: ImageSet,
  channel: FrameChannel,
  { handle, gate, ended }: ServingOptions,
): void {
  const answer = async ({ id, name, parameters }: Request): Promise<void> => {
    let parts: Uint8Array[];
    try {
      const { value, data } = await handle(name, parameters);
      parts = encodeResponse(id, value, data);
    } catch (error) {
      parts = encodeFailure(id, told(set, error));
    }
    await channel.send('response', parts);
  };
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
      if (frame.type === 'ping') return;
      if (frame.type !== 'request') {
        throw new RcopyError('E_PROTOCOL', `a client sent a ${frame.type} frame`);
      }
      const request = decodeRequest(frame.body);
      gate.begin(channel);
      answer(request).then(
        () => gate.end(channel),
        (error: unknown) => {
          gate.end(channel);
          channel.stop(error);
        },
      );
    },
    ended: () => {
      gate.forget(channel);
      ended?.();
    },
  });
}

/** What the operating system refused is not called a bug of ours to who asked. */
function told({ folder }: ImageSet, error: unknown): unknown {
  const code = systemCode(error);
  const isSystem = code !== undefined && !isRcopyError(error) && !code.startsWith('ERR_');
  return isSystem ? fileError('working for another set', folder, error) : error;
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
