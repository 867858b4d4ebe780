/** Everything outside the program, in one bundle that is handed down from the composition. */
import type { Clock } from './clock.ts';
import type { FileSystem } from './files.ts';
import type { Random } from './random.ts';

export interface Environment {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
}
