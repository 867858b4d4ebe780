/** The real outside, for the compositions of the daemons and of the commands. */
import type { Environment } from './environment.ts';
import { nodeClock } from './node-clock.ts';
import { nodeFiles } from './node-files.ts';
import { nodeRandom } from './node-random.ts';

export const nodeEnvironment: Environment = {
  files: nodeFiles,
  clock: nodeClock,
  random: nodeRandom,
};
