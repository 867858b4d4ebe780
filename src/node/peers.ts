/** Other image sets as a node calls them: dials when needed, keeps the connection, dials again. */
import { isRcopyError } from '../base/errors.ts';
import type { Hello } from '../link/messages.ts';
import { PeerClient } from '../link/service.ts';
import type { Answered } from '../link/service.ts';
import type { AbsentSource } from '../imageset/contents.ts';
import { fetchedRange } from './block-reads.ts';
import type { ReadFrom } from './block-reads.ts';
import type { Dialler } from './links.ts';

/** A peer that is dialled at the first call and again after its connection ended. */
export class Peer {
  readonly address: string;
  private readonly links: Dialler;
  private readonly hello: () => Hello;
  private client: Promise<PeerClient> | undefined;

  constructor(address: string, links: Dialler, hello: () => Hello) {
    this.address = address;
    this.links = links;
    this.hello = hello;
  }

  async call<T>(name: string, parameters: unknown): Promise<T> {
    return (await this.ask(name, parameters)).value as T;
  }

  /** The whole answer to a call, with the bytes that came with it. */
  async ask(name: string, parameters: unknown): Promise<Answered> {
    const client = await this.connected();
    return client.call(name, parameters);
  }

  /** Blocks of this peer, as long as it is the set that `from` names. */
  blocks(from: () => ReadFrom): AbsentSource {
    return {
      fetch: async (volume, offset, length) =>
        fetchedRange(await this.ask('read', { volume, offset, length, from: from() })),
    };
  }

  async close(): Promise<void> {
    const client = await this.client?.catch(() => undefined);
    client?.close();
    this.client = undefined;
  }

  /** One connection, however many ask at the same time. */
  private connected(): Promise<PeerClient> {
    const before = this.client?.catch(() => undefined) ?? Promise.resolve(undefined);
    const connected = before.then(async (current) => {
      if (current && !current.hasEnded) return current;
      return new PeerClient(await this.links.dial(this.address), this.hello());
    });
    this.client = connected;
    return connected;
  }
}

/** Whether a call failed only because the peer is not there now. */
export function isAway(error: unknown): boolean {
  return isRcopyError(error, 'E_UNREACHABLE') || isRcopyError(error, 'E_TIMEOUT');
}
