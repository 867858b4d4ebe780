/**
 * The way of the demo's host to its volumes: NBD connections to the set that serves them now. When
 * that set is sealed it refuses (ESHUTDOWN), and what it refused is asked again at the next set, as
 * soon as that one lets hosts in. A path controller will do this for hosts that know of one address
 * only; this host does it itself.
 */
import { RcopyError, isRcopyError } from '../../base/errors.ts';
import { submitAndWait } from '../../device/device.ts';
import type { DeviceRequest } from '../../device/device.ts';
import { NbdClient } from '../../nbd/client.ts';
import type { Clock } from '../../sys/clock.ts';
import type { Network, NetworkAddress } from '../../sys/network.ts';
import { VOLUMES } from './volumes.ts';
import type { VolumeName } from './volumes.ts';

/** How often the next set is asked again while the switch is under way, and for how long. */
const RETRY_MS = 1;
const HELD_MS_MAX = 60_000;

/** Where a set serves hosts. */
export interface Exports {
  /** The set's name. */
  readonly name: string;
  readonly nbd: NetworkAddress;
}

export interface PathParts {
  readonly network: Network;
  readonly clock: Clock;
}

/** A request that was done. */
export interface Answered {
  /** The name of the set that did it. */
  readonly at: string;
  /** What was read. */
  readonly data: Uint8Array;
}

type Clients = ReadonlyMap<VolumeName, NbdClient>;

const NOTHING = new Uint8Array();

export class HostPath {
  /** Where to go when the set that serves now is sealed. */
  next: Exports | undefined;
  /** When the first of the requests was made that wait for the next set; else undefined. */
  heldSinceMs: number | undefined;
  /** For how long that was, until the next set answered; 0 before. */
  pauseMs = 0;
  /** The longest that a request waited for its answer, those aside that waited for the switch. */
  slowestMs = 0;
  private readonly parts: PathParts;
  private current: Exports;
  private clients: Clients;
  private moving: Promise<void> | undefined;

  private constructor(parts: PathParts, current: Exports, clients: Clients) {
    this.parts = parts;
    this.current = current;
    this.clients = clients;
  }

  /** Connects to a set. Rejects with what {@link NbdClient.open} and `dial` reject with. */
  static async open(parts: PathParts, at: Exports): Promise<HostPath> {
    return new HostPath(parts, at, await connect(parts, at));
  }

  /** The name of the set that takes the host's requests, as far as the host knows. */
  get at(): string {
    return this.current.name;
  }

  /** Resolves when it was done, wherever. Rejects with the error that a host would see. */
  async ask(volume: VolumeName, request: DeviceRequest): Promise<Answered> {
    const { clock } = this.parts;
    const startMs = clock.monotonicMs();
    for (let isHeld = false; ; isHeld = true) {
      const { current } = this;
      try {
        const completion = await submitAndWait(clientOf(this.clients, volume), request);
        if (isHeld) this.released();
        else this.slowestMs = Math.max(this.slowestMs, clock.monotonicMs() - startMs);
        const parts = completion.ok ? (completion.data ?? []) : [];
        return { at: current.name, data: parts.length === 0 ? NOTHING : Buffer.concat(parts) };
      } catch (error) {
        const isSealed = isRcopyError(error, 'E_STOPPED');
        if (!isSealed || !this.next || current === this.next) throw hostError(error, current);
        // Who was refused meanwhile is refused once more by the new set, or not at all.
        if (current === this.current) await this.move(this.next, startMs);
      }
    }
  }

  /** Ends the connections, when all is answered. */
  async close(): Promise<void> {
    await closeAll(this.clients);
  }

  /** All requests that were refused wait for one move. */
  private move(next: Exports, sinceMs: number): Promise<void> {
    this.moving ??= this.moveTo(next, sinceMs);
    return this.moving;
  }

  private async moveTo(next: Exports, sinceMs: number): Promise<void> {
    this.heldSinceMs = sinceMs;
    const left = this.clients;
    this.clients = await this.admitted(next);
    this.current = next;
    // Its connections end when it has refused whatever is still under way there.
    void closeAll(left);
  }

  /** Connects as soon as the set lets hosts in: it refuses until it has taken over. */
  private async admitted(next: Exports): Promise<Clients> {
    const { clock } = this.parts;
    const untilMs = clock.monotonicMs() + HELD_MS_MAX;
    for (;;) {
      try {
        return await connect(this.parts, next);
      } catch (error) {
        if (!isRcopyError(error, 'E_STATE') || clock.monotonicMs() > untilMs) throw error;
        await clock.sleep(RETRY_MS);
      }
    }
  }

  /** The first answer after the switch ends the pause. */
  private released(): void {
    if (this.heldSinceMs === undefined) return;
    this.pauseMs = this.parts.clock.monotonicMs() - this.heldSinceMs;
    this.heldSinceMs = undefined;
  }
}

/** What a host would see, and whose answer it was. */
function hostError(error: unknown, { name }: Exports): unknown {
  if (!isRcopyError(error)) return error;
  const isFull = error.code === 'E_NO_SPACE';
  return new RcopyError(error.code, `the host at ${name} got an error: ${error.message}`, {
    hint: isFull ? 'the demo needs about 1 GiB in its folder' : error.hint,
    cause: error,
  });
}

async function connect({ network, clock }: PathParts, { nbd }: Exports): Promise<Clients> {
  const clients = new Map<VolumeName, NbdClient>();
  try {
    for (const { name } of VOLUMES) {
      clients.set(name, await NbdClient.open(await network.dial(nbd), { clock, exportName: name }));
    }
  } catch (error) {
    await closeAll(clients);
    throw error;
  }
  return clients;
}

async function closeAll(clients: Clients): Promise<void> {
  await Promise.all(Array.from(clients.values(), (client) => client.close()));
}

function clientOf(clients: Clients, volume: VolumeName): NbdClient {
  const client = clients.get(volume);
  if (!client) throw new RcopyError('E_INTERNAL', `there is no way to volume ${volume}`);
  return client;
}
