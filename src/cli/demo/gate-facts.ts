/** What the demo reads out of a path controller's status. Pure. */
import type { PathSetStatus, PathStatusAnswer } from '../../node/path-service.ts';

/** The one set that the demo's volumes are in now; undefined before there is any. */
export function gateSet({ sets }: PathStatusAnswer): PathSetStatus | undefined {
  return sets[0];
}

/** Who is connected to what, in the order of the volumes: the same host twice is the same text. */
export function connectionsOf({ hosts }: PathStatusAnswer): string[] {
  return hosts.map((host) => `${host.export} from ${host.address}`).sort();
}
