/**
 * An NBD server: devices for clients on streams. It bounds what all its clients together can cost
 * (R9), and says who they are and what they do. Where streams come from, and who may connect, is
 * its owner's matter.
 */
import { RcopyError } from '../base/errors.ts';
import {
  NBD_CONNECTIONS_MAX,
  NBD_HANDSHAKES_MAX,
  NBD_MEMORY_BYTES,
  NBD_REQUESTS_IN_FLIGHT_MAX,
  NBD_REQUEST_OVERHEAD_BYTES,
  NBD_STALL_BYTES,
  NBD_STALL_MS,
  NBD_STOP_MS,
  REQUEST_BYTES_MAX,
} from '../base/limits.ts';
import type { Clock } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { MemoryBudget } from './budget.ts';
import { Connection } from './connection.ts';
import type { NbdExports } from './exports.ts';
import { StallWatch } from './stall-watch.ts';
import type { Transmission } from './transmission.ts';

/** What a user can set. */
export interface NbdLimits {
  /** For payloads of all clients, beside room for one largest request. */
  readonly memoryBytes: number;
  readonly connectionsMax: number;
  /** On each connection. */
  readonly requestsInFlightMax: number;
}

export const NBD_LIMITS: NbdLimits = {
  memoryBytes: NBD_MEMORY_BYTES,
  connectionsMax: NBD_CONNECTIONS_MAX,
  requestsInFlightMax: NBD_REQUESTS_IN_FLIGHT_MAX,
};

/** For the log. */
export type NbdEvent =
  | { readonly kind: 'refused'; readonly peer: string; readonly reason: string }
  | {
      readonly kind: 'connected';
      readonly peer: string;
      readonly export: string;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: 'disconnected';
      readonly peer: string;
      /** Undefined when none was chosen. */
      readonly export: string | undefined;
      /** Undefined when it ended in order. */
      readonly error: Error | undefined;
    };

export interface NbdServerOptions {
  readonly clock: Clock;
  readonly exports: NbdExports;
  readonly limits?: Partial<NbdLimits>;
  readonly onEvent?: (event: NbdEvent) => void;
}

/** A client that is a path controller: it has exports of its own, and is told numbers. */
export interface AttachedClient {
  readonly exports: NbdExports;
}

/** One client that chose an export. */
export interface NbdConnectionStatus {
  readonly address: string;
  readonly export: string;
  readonly readOnly: boolean;
  /** It is a path controller. */
  readonly attached: boolean;
  /** Answered so far. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Under way in the device now. */
  readonly requestsInFlight: number;
}

/** What is in use of what is limited. */
export interface NbdUsage {
  readonly memory: {
    readonly usedBytes: number;
    readonly limitBytes: number;
    /** Connections that wait for some now. */
    readonly waiting: number;
    /** The longest that one ever waited, those included that wait now. */
    readonly longestWaitMs: number;
  };
  readonly connections: { readonly count: number; readonly limit: number };
  /** Of the connections: those that have not chosen an export. */
  readonly handshakes: { readonly count: number; readonly limit: number };
}

/** How often those who hold memory are looked at while others wait. */
const WATCH_MS = 1000;

export class NbdServer {
  private readonly clock: Clock;
  private readonly exports: NbdExports;
  private readonly limits: NbdLimits;
  private readonly onEvent: (event: NbdEvent) => void;
  private readonly budget: MemoryBudget;
  private readonly watch = new StallWatch<Transmission>(NBD_STALL_MS, NBD_STALL_BYTES);
  private watching = false;
  private readonly clients = new Set<Connection>();
  private stopping = false;
  private emptied: (() => void) | undefined;

  constructor({ clock, exports, limits, onEvent }: NbdServerOptions) {
    this.clock = clock;
    this.exports = exports;
    this.limits = { ...NBD_LIMITS, ...limits };
    this.onEvent = onEvent ?? (() => undefined);
    this.budget = new MemoryBudget(
      this.limits.memoryBytes + REQUEST_BYTES_MAX + NBD_REQUEST_OVERHEAD_BYTES,
      () => clock.monotonicMs(),
      () => this.beginWatch(),
    );
  }

  /**
   * Serves a client on `stream`, which is the server's from now on: on what this server offers, or,
   * a path controller, on what it is given. Returns how to drop it at once, unread bytes included.
   */
  accept(stream: ByteStream, attached?: AttachedClient): (error: RcopyError) => void {
    const refusal = this.refusal();
    if (refusal !== undefined) {
      stream.listen({ data: ignore, drained: ignore, closed: ignore });
      stream.destroy(new RcopyError('E_STATE', `refused: ${refusal}`));
      this.onEvent({ kind: 'refused', peer: stream.peer, reason: refusal });
      return ignore;
    }
    const { peer } = stream;
    const connection: Connection = new Connection({
      stream,
      clock: this.clock,
      exports: attached?.exports ?? this.exports,
      numbered: attached !== undefined,
      budget: this.budget,
      requestsInFlightMax: this.limits.requestsInFlightMax,
      chosen: ({ export: { name }, readOnly }) => {
        this.onEvent({ kind: 'connected', peer, export: name, readOnly });
      },
      closed: (error) => this.closed(connection, error),
    });
    this.clients.add(connection);
    return (error) => connection.drop(error);
  }

  /** The clients that chose an export, in the order in which they came. */
  connections(): NbdConnectionStatus[] {
    const found: NbdConnectionStatus[] = [];
    for (const { peer, session, transmission } of this.clients) {
      if (!session || !transmission) continue;
      const { readBytes, writtenBytes, requestsInFlight } = transmission;
      found.push({
        address: peer,
        export: session.export.name,
        readOnly: session.readOnly,
        attached: session.numbered,
        readBytes,
        writtenBytes,
        requestsInFlight,
      });
    }
    return found;
  }

  usage(): NbdUsage {
    const { usedBytes, limitBytes, waiting, longestWaitMs } = this.budget;
    return {
      memory: { usedBytes, limitBytes, waiting, longestWaitMs },
      connections: { count: this.clients.size, limit: this.limits.connectionsMax },
      handshakes: { count: this.handshakes(), limit: NBD_HANDSHAKES_MAX },
    };
  }

  /**
   * Takes no new client and no new request: those get ESHUTDOWN. Resolves when what was under way
   * is answered and every client has gone; who has not by then is dropped after 10 s.
   */
  async stop(): Promise<void> {
    this.stopping = true;
    if (this.clients.size === 0) return;
    const gone = new Promise<void>((resolve) => {
      this.emptied = resolve;
    });
    for (const client of [...this.clients]) client.stop();
    const timer = this.clock.after(NBD_STOP_MS, () => {
      const error = new RcopyError('E_STOPPED', 'the server stopped');
      for (const client of [...this.clients]) client.drop(error);
    });
    await gone;
    timer.cancel();
  }

  private refusal(): string | undefined {
    const { connectionsMax } = this.limits;
    if (this.stopping) return 'the server is stopping';
    if (this.clients.size >= connectionsMax) return `there are ${connectionsMax} connections`;
    const waiting = `${NBD_HANDSHAKES_MAX} connections have not chosen an export yet`;
    return this.handshakes() >= NBD_HANDSHAKES_MAX ? waiting : undefined;
  }

  private handshakes(): number {
    let count = 0;
    for (const { isInHandshake } of this.clients) if (isInHandshake) count += 1;
    return count;
  }

  private closed(connection: Connection, error: Error | undefined): void {
    this.clients.delete(connection);
    const { peer, session } = connection;
    this.onEvent({ kind: 'disconnected', peer, export: session?.export.name, error });
    if (this.clients.size === 0) this.emptied?.();
  }

  /** Somebody waits for memory: from now on, those who hold some must get on. */
  private beginWatch(): void {
    if (this.watching) return;
    this.watching = true;
    this.watch.begin();
    this.look();
  }

  private look(): void {
    if (this.budget.waiting === 0) {
      this.watching = false;
      return;
    }
    const holders = new Map<Transmission, Connection>();
    for (const client of this.clients) {
      if (client.transmission) holders.set(client.transmission, client);
    }
    for (const stalled of this.watch.stalled(holders.keys(), this.clock.monotonicMs())) {
      const reason = 'it held memory and did not get on, while others waited';
      holders.get(stalled)?.drop(new RcopyError('E_TIMEOUT', reason));
    }
    this.clock.after(WATCH_MS, () => this.look());
  }
}

function ignore(): void {
  // The stream is on its way out.
}
