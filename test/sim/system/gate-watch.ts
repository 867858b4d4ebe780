/** For how long path controllers have had no set: by what their status says at each look. */
import type { Gate } from '../../support/gates.ts';

interface Seen {
  readonly lookedMs: number;
  /** No request of a host had gone on from here: it was away from any set, or had none to write. */
  isAway: boolean;
  /** What had happened there so far, hosts going on among it. */
  readonly events: number;
  readonly heldUpMs: number;
}

/** Between looks that are further apart more may have happened than can be seen. */
const LOOKS_APART_MS = 300;

export class GateWatch {
  private readonly seen = new Map<string, Seen>();

  /** So many milliseconds, all in all, it was seen to have no set for its hosts. */
  heldUpMs(gate: string): number {
    return this.seen.get(gate)?.heldUpMs ?? 0;
  }

  look(gates: readonly Gate[], nowMs: number): void {
    for (const gate of gates) {
      const before = this.seen.get(gate.name);
      const { heldUpMs = 0, lookedMs = nowMs } = before ?? {};
      const sinceMs = nowMs - lookedMs;
      const events = gate.events.length;
      const isStill = before?.isAway && before.events === events && sinceMs <= LOOKS_APART_MS;
      const seen = { lookedMs: nowMs, isAway: false, events, heldUpMs };
      this.seen.set(gate.name, isStill ? { ...seen, heldUpMs: heldUpMs + sinceMs } : seen);
      if (gate.isRunning) void this.ask(gate, this.seen.get(gate.name));
    }
  }

  private async ask(gate: Gate, seen: Seen | undefined): Promise<void> {
    const { sets } = await gate.node.status();
    if (seen) seen.isAway = sets.every(({ state }) => state === 'away' || state === 'replaying');
  }
}
