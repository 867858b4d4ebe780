/**
 * What the daemons of the demo say of themselves: they are asked for their status a few times a
 * second. The picture is drawn from it.
 */
import type { PathControl } from '../../control/controller-calls.ts';
import type { DaemonStatus, SentStatus, StatusAnswer } from '../../node/answers.ts';
import type { PathStatusAnswer } from '../../node/path-service.ts';
import type { SetService } from '../../node/set-service.ts';
import type { Clock } from '../../sys/clock.ts';

const ASK_EVERY_MS = 120;

/** The most that was ever seen of a daemon. */
export interface Usage {
  residentBytes: number;
  longestStallMs: number;
}

interface WatchedSet {
  set: SetService | undefined;
  status: StatusAnswer | undefined;
  /** Its last word on that: who is retired has no pair any more. */
  sent: SentStatus;
  readonly usage: Usage;
}

interface WatchedGate {
  readonly path: PathControl;
  status: PathStatusAnswer | undefined;
  readonly usage: Usage;
}

const NO_USAGE: Usage = { residentBytes: 0, longestStallMs: 0 };
const NOTHING_SENT: SentStatus = { records: 0, bytes: 0, copiedBytes: 0, copies: 0 };

export class Board {
  /** For how long both primaries owed the secondary records and were connected, as far as seen. */
  bothSentMs = 0;
  private readonly clock: Clock;
  private readonly sets = new Map<string, WatchedSet>();
  private readonly gates = new Map<string, WatchedGate>();
  private bothSinceMs: number | undefined;
  private stopping = false;
  private readonly running: Promise<void>;

  constructor(clock: Clock) {
    this.clock = clock;
    this.running = this.run();
  }

  /** From now on `set` answers for this name; undefined: nobody does. */
  watch(name: string, set: SetService | undefined): void {
    const known = this.sets.get(name);
    const { usage = { ...NO_USAGE }, sent = NOTHING_SENT } = known ?? {};
    this.sets.set(name, { set, status: undefined, sent, usage });
  }

  /** From now on this path controller is asked as well. */
  watchGate(name: string, path: PathControl): void {
    this.gates.set(name, { path, status: undefined, usage: { ...NO_USAGE } });
  }

  /** Its last word; undefined when it has none, or did not answer. */
  status(name: string): StatusAnswer | undefined {
    return this.sets.get(name)?.status;
  }

  /** A path controller's last word; undefined when it has none, or did not answer. */
  gateStatus(name: string): PathStatusAnswer | undefined {
    return this.gates.get(name)?.status;
  }

  usage(name: string): Usage {
    return (this.sets.get(name) ?? this.gates.get(name))?.usage ?? NO_USAGE;
  }

  /** What it has sent as a primary since its daemon was started. */
  sent(name: string): SentStatus {
    return this.sets.get(name)?.sent ?? NOTHING_SENT;
  }

  /** Asks all now: what is said of somebody who goes away next is his last word. */
  async look(): Promise<void> {
    await Promise.all([
      ...Array.from(this.sets.values(), (watched) => askSet(watched)),
      ...Array.from(this.gates.values(), (watched) => askGate(watched)),
    ]);
  }

  /** A last look, and no more. */
  async stop(): Promise<void> {
    if (!this.stopping) await this.look();
    this.stopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      await this.look();
      this.count();
      await this.clock.sleep(ASK_EVERY_MS);
    }
  }

  private count(): void {
    const nowMs = this.clock.monotonicMs();
    const areTwo = this.sendersOwing() > 1;
    // What was so at two looks was so between them.
    if (areTwo && this.bothSinceMs !== undefined) this.bothSentMs += nowMs - this.bothSinceMs;
    this.bothSinceMs = areTwo ? nowMs : undefined;
  }

  private sendersOwing(): number {
    const counts = Array.from(this.sets.values(), ({ status }) => {
      const sources = status?.pair?.sources ?? [];
      return sources.filter(({ from, to }) => to === null || from <= to).length;
    });
    return Math.max(0, ...counts);
  }
}

async function askSet(watched: WatchedSet): Promise<void> {
  const { set } = watched;
  if (!set) return;
  try {
    const status = await set.status();
    watched.status = status;
    watched.sent = status.pair?.sent ?? watched.sent;
    note(watched.usage, status.daemon);
  } catch {
    watched.status = undefined; // it is away, or about to be: its last word is not shown as news
  }
}

async function askGate(watched: WatchedGate): Promise<void> {
  try {
    watched.status = await watched.path.status();
    note(watched.usage, watched.status.daemon);
  } catch {
    watched.status = undefined;
  }
}

function note(usage: Usage, daemon: DaemonStatus | null): void {
  if (!daemon) return;
  usage.residentBytes = Math.max(usage.residentBytes, daemon.residentBytes);
  usage.longestStallMs = Math.max(usage.longestStallMs, daemon.longestStallMs);
}
