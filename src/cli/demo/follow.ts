/** Keeps `replicate` going on a primary, as a daemon will, and keeps its answers. */
import type { ReplicateAnswer } from '../../node/answers.ts';
import type { StorageNode } from '../../node/storage-node.ts';
import type { Clock } from '../../sys/clock.ts';

const PAUSE_MS = 120;
const TIMEOUT_MS = 120_000;

export class Follow {
  readonly answers: ReplicateAnswer[] = [];
  /** Never resolves; rejects when the secondary could not be brought up to date. */
  readonly failed: Promise<never>;
  private readonly running: Promise<void>;
  private stopping = false;

  constructor(node: StorageNode, clock: Clock) {
    this.running = this.run(node, clock);
    this.failed = this.running.then(() => new Promise<never>(() => undefined));
    this.failed.catch(() => undefined);
  }

  /** Ends it behind the call that is under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async run(node: StorageNode, clock: Clock): Promise<void> {
    while (!this.stopping) {
      this.answers.push(await node.replicate({ timeoutMs: TIMEOUT_MS, maxRate: undefined }));
      await clock.sleep(PAUSE_MS);
    }
  }
}
