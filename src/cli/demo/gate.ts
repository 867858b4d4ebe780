/**
 * The demo's path controller: a daemon without a set of its own. The host connects to it and to
 * nothing else, and it is what moves the volumes.
 */
import { join } from 'node:path';
import { openController } from '../../control/controllers.ts';
import type { PathControl } from '../../control/controller-calls.ts';
import type { Environment } from '../../sys/environment.ts';
import type { Board } from './board.ts';
import type { Daemon, Daemons } from './daemons.ts';
import { VOLUMES } from './volumes.ts';

export const GATE_NAME = 'gate';

const WAIT_MS = 10_000;

export interface Gate extends Daemon {
  readonly path: PathControl;
}

export interface GateParts {
  readonly environment: Environment;
  readonly daemons: Daemons;
  readonly board: Board;
  /** Where its own folder is made. */
  readonly folder: string;
}

/** Starts it; the board watches it from now on. It serves nothing yet. */
export async function startGate(parts: GateParts): Promise<Gate> {
  const { environment, daemons, board, folder } = parts;
  const words = ['path', 'serve', join(folder, GATE_NAME)];
  const daemon = await daemons.start({ name: GATE_NAME, words });
  const path = await openController(environment, daemon.address, { lockWaitMs: WAIT_MS });
  board.watchGate(GATE_NAME, path);
  return { ...daemon, path };
}

/** Serves all volumes of a set to hosts, each under its own name. */
export async function leadTo({ path }: Gate, set: string): Promise<void> {
  for (const { name } of VOLUMES) {
    await path.add({ export: name, set, volume: name, replace: false });
  }
}
