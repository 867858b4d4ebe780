/** Sets the demo up, plays it, and takes everything down again, however it ended. */
import { Site } from '../../control/site.ts';
import type { MigrationCopy, MigrationMode } from '../../node/answers.ts';
import type { Environment } from '../../sys/environment.ts';
import type { Network } from '../../sys/network.ts';
import type { DemoAnswer } from './answer.ts';
import { Daemons } from './daemons.ts';
import { GATE_NAME } from './gate.ts';
import type { RunProgram } from './programs.ts';
import { openScratch } from './scratch.ts';
import { openStage } from './stage.ts';
import type { StageOptions } from './stage.ts';
import { playStory } from './story.ts';

export interface DemoOptions extends Omit<StageOptions, 'clock'> {
  readonly environment: Environment;
  readonly network: Network;
  /** The folder to keep; undefined for one that goes. */
  readonly keep: string | undefined;
  readonly seconds: number;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  /** Path of bin/run.js, which is what the daemons run. */
  readonly program: string;
  readonly witnessProgram: string;
  readonly run: RunProgram;
  /** Never resolves; rejects when the demo is to end before it is over. */
  readonly stopped: Promise<never>;
}

/** How long this process waits for a set that a daemon has just let go, in milliseconds. */
const LOCK_WAIT_MS = 10_000;

/** Plays the demo. The answer says whether everything was proved. */
export async function playDemo(options: DemoOptions): Promise<DemoAnswer> {
  const { environment } = options;
  const scratch = openScratch(environment, options.keep);
  const stage = await openStage({ ...options, clock: environment.clock });
  const daemons = new Daemons(options.program, environment.clock);
  const site = new Site(environment, { lockWaitMs: LOCK_WAIT_MS });
  try {
    const { folder, kept } = scratch;
    return await playStory({ ...options, site, daemons, stage, folder, kept });
  } finally {
    stage.close();
    // Each in turn, whatever becomes of the one before: what went wrong first is what is told.
    await site.close().catch(() => undefined);
    // The controller first: what the host was answered is made durable where it leads to.
    await daemons.close(GATE_NAME);
    scratch.close();
  }
}
