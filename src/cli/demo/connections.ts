/**
 * The connections of the demo's host: one to each volume, at the path controller, made once.
 * Nothing here knows of image sets, and nothing is tried again: what a host would see as an error
 * is one.
 */
import { RcopyError, isRcopyError } from '../../base/errors.ts';
import { submitAndWait } from '../../device/device.ts';
import type { DeviceRequest } from '../../device/device.ts';
import { NbdClient } from '../../nbd/client.ts';
import type { Clock } from '../../sys/clock.ts';
import type { Network, NetworkAddress } from '../../sys/network.ts';
import { VOLUMES } from './volumes.ts';
import type { VolumeName } from './volumes.ts';

export interface ConnectionsParts {
  readonly network: Network;
  readonly clock: Clock;
}

type Clients = ReadonlyMap<VolumeName, NbdClient>;

const NOTHING = new Uint8Array();

export class HostConnections {
  private longest = 0;
  private readonly clock: Clock;
  private readonly clients: Clients;

  private constructor(clock: Clock, clients: Clients) {
    this.clock = clock;
    this.clients = clients;
  }

  /** Connects to all volumes. Rejects with what {@link NbdClient.open} and `dial` reject with. */
  static async open(
    { network, clock }: ConnectionsParts,
    at: NetworkAddress,
  ): Promise<HostConnections> {
    const clients = new Map<VolumeName, NbdClient>();
    const connections = new HostConnections(clock, clients);
    try {
      for (const { name } of VOLUMES) {
        const stream = await network.dial(at);
        clients.set(name, await NbdClient.open(stream, { clock, exportName: name }));
      }
    } catch (error) {
      connections.drop();
      throw error;
    }
    return connections;
  }

  /** What was read, once it is done. Rejects with the error that a host would see. */
  async ask(volume: VolumeName, request: DeviceRequest): Promise<Uint8Array> {
    const { clock, clients } = this;
    const client = clients.get(volume);
    if (!client) throw new RcopyError('E_INTERNAL', `there is no connection to volume ${volume}`);
    const startMs = clock.monotonicMs();
    try {
      const completion = await submitAndWait(client, request);
      const parts = completion.ok ? (completion.data ?? []) : [];
      return parts.length === 0 ? NOTHING : Buffer.concat(parts);
    } catch (error) {
      throw hostError(error, volume);
    } finally {
      this.longest = Math.max(this.longest, clock.monotonicMs() - startMs);
    }
  }

  /** The longest wait for an answer since that was taken last, in milliseconds; 0 without any. */
  get longestMs(): number {
    return this.longest;
  }

  takeLongestMs(): number {
    const { longest } = this;
    this.longest = 0;
    return longest;
  }

  /** Ends the connections, when all is answered. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.clients.values(), (client) => client.close()));
  }

  /** Ends them at once: what is under way fails. */
  drop(): void {
    const error = new RcopyError('E_STOPPED', 'the host left');
    for (const client of this.clients.values()) client.destroy(error);
  }
}

function hostError(error: unknown, volume: VolumeName): unknown {
  if (!isRcopyError(error)) return error;
  const isFull = error.code === 'E_NO_SPACE';
  return new RcopyError(error.code, `the host got an error on ${volume}: ${error.message}`, {
    hint: isFull ? 'the demo needs about 1 GiB in its folder' : error.hint,
    cause: error,
  });
}
