/** The memory of processes, watched while jobs run. */
import { readFileSync } from 'node:fs';

const LOOK_AGAIN_MS = 50;

export class MemoryWatch {
  /** The most that each process held, in bytes. */
  readonly mostBytes = new Map<number, number>();
  private readonly timer: NodeJS.Timeout;

  constructor(pids: readonly number[]) {
    this.timer = setInterval(() => {
      for (const pid of pids) {
        const bytes = residentBytes(pid);
        this.mostBytes.set(pid, Math.max(bytes, this.mostBytes.get(pid) ?? 0));
      }
    }, LOOK_AGAIN_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

/** What a process holds in memory now, as Linux tells it; 0 when it is gone. */
function residentBytes(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
