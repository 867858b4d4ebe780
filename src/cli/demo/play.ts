/** Sets the demo up, plays it, and takes everything down again, however it ended. */
import type { Site } from '../../control/site.ts';
import type { MigrationCopy, MigrationMode } from '../../node/answers.ts';
import type { Environment } from '../../sys/environment.ts';
import type { DemoAnswer } from './answer.ts';
import type { RunProgram } from './programs.ts';
import { openScratch } from './scratch.ts';
import { openStage } from './stage.ts';
import type { StageOptions } from './stage.ts';
import { playStory } from './story.ts';

export interface DemoOptions extends Omit<StageOptions, 'clock'> {
  readonly environment: Environment;
  /** The folder to keep; undefined for one that goes. */
  readonly keep: string | undefined;
  readonly seconds: number;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  readonly witnessProgram: string;
  readonly run: RunProgram;
  /** Gives the sets a place to be open in; closes them however `action` ends. */
  readonly withSite: (action: (site: Site) => Promise<DemoAnswer>) => Promise<DemoAnswer>;
}

/** Plays the demo. The answer says whether everything was proved. */
export async function playDemo(options: DemoOptions): Promise<DemoAnswer> {
  const { keep, withSite, ...how } = options;
  const { environment } = how;
  const scratch = openScratch(environment, keep);
  try {
    const stage = await openStage({ ...options, clock: environment.clock });
    try {
      const { folder, kept } = scratch;
      return await withSite((site) => playStory({ ...how, site, stage, folder, kept }));
    } finally {
      stage.close();
    }
  } finally {
    scratch.close();
  }
}
