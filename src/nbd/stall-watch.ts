/**
 * Finds the clients that hold memory and do not get on, while others wait for it (R9). Nobody is
 * looked at while nobody waits: a slow client alone harms no one.
 */

/** A connection, as the watch sees it. */
export interface Watched {
  /** Whether it holds memory that only its client can set free. */
  readonly holdsMemory: boolean;
  /** Bytes that its client sent or took so far. */
  readonly movedBytes: number;
}

interface Mark {
  readonly movedBytes: number;
  readonly atMs: number;
}

export class StallWatch<Client extends Watched> {
  private readonly stallMs: number;
  private readonly stallBytes: number;
  private marks = new Map<Client, Mark>();

  /** A client that holds memory must move `stallBytes` in `stallMs`. */
  constructor(stallMs: number, stallBytes: number) {
    this.stallMs = stallMs;
    this.stallBytes = stallBytes;
  }

  /** Others begin to wait: what was before does not count. */
  begin(): void {
    this.marks.clear();
  }

  /** Those who did not get on. To be asked several times in each `stallMs`. */
  stalled(clients: Iterable<Client>, nowMs: number): Client[] {
    const marks = new Map<Client, Mark>();
    const stalled: Client[] = [];
    for (const client of clients) {
      if (!client.holdsMemory) continue;
      const mark = this.marks.get(client);
      const moves = mark === undefined || client.movedBytes - mark.movedBytes >= this.stallBytes;
      if (!moves && nowMs - mark.atMs >= this.stallMs) stalled.push(client);
      marks.set(client, moves ? { movedBytes: client.movedBytes, atMs: nowMs } : mark);
    }
    this.marks = marks;
    return stalled;
  }
}
