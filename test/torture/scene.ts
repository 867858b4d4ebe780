/**
 * What a round of torture has: a folder, randomness from its seed, what must be taken away at its
 * end, and what it did. One that is stopped from outside ends at its next step.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../src/sys/random.ts';
import { seededRandom } from '../sim/random.ts';
import { VerifiedLoad } from '../support/verified-load.ts';

/** Longer than anything that a daemon waits for by itself. */
const PATIENCE_MS = 120_000;
const LOOK_AGAIN_MS = 50;
/** The load takes randomness as fast as answers come; what a round plans must not depend on it. */
const LOAD_SEED_OFFSET = 1_000_003;

/** What a round came to. */
export interface RoundCounts {
  /** How often each fault struck, by its name: `kill A`, `power C`, `cut`. */
  readonly faults: Readonly<Record<string, number>>;
  readonly answered: number;
  readonly flushes: number;
  readonly unanswered: number;
  /** Torn tails that a start had to cut. */
  readonly tornTails: number;
}

export class Scene {
  readonly seed: number;
  readonly random: Random;
  readonly folder: string;
  /** Torn tails that starts have cut. */
  tornTails = 0;
  private readonly faults: Record<string, number> = {};
  private readonly loads: VerifiedLoad[] = [];
  private readonly endings: (() => Promise<unknown>)[] = [];
  private stopped = false;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.folder = mkdtempSync(join(tmpdir(), 'rcopy-torture-'));
  }

  /** A host that counts for this round. */
  load(sizeBytes: number): VerifiedLoad {
    const load = new VerifiedLoad(seededRandom(this.seed + LOAD_SEED_OFFSET), sizeBytes);
    this.loads.push(load);
    return load;
  }

  struck(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  get counts(): RoundCounts {
    const sum = (key: 'answered' | 'flushes' | 'unanswered'): number =>
      this.loads.reduce((total, { counts }) => total + counts[key], 0);
    return {
      faults: { ...this.faults },
      answered: sum('answered'),
      flushes: sum('flushes'),
      unanswered: sum('unanswered'),
      tornTails: this.tornTails,
    };
  }

  /** What is to be done at the end, whatever happened; the last one first. */
  onEnd(action: () => Promise<unknown>): void {
    this.endings.push(action);
  }

  /** Nothing new begins from now on, and what waits here fails. */
  stop(): void {
    this.stopped = true;
  }

  /** Throws when the round was stopped. */
  goOn(): void {
    if (this.stopped) throw new Error('the round was stopped');
  }

  /** Waits for less than `belowMs`, by chance. */
  async pause(belowMs: number): Promise<void> {
    await sleep(this.random.below(belowMs));
    this.goOn();
  }

  /** Waits until something is so; fails, by its name, when it never is. */
  async until(name: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
      this.goOn();
      if (Date.now() > end) throw new Error(`waited in vain for ${name}`);
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** Ends what runs. */
  async end(): Promise<void> {
    this.stopped = true;
    for (let ending = this.endings.pop(); ending; ending = this.endings.pop()) {
      await ending().catch(() => undefined);
    }
  }

  /** Removes its folder. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
