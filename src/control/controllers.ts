/**
 * Finds a path controller: at its address, or by its folder, whose lock says whether a process has
 * it. There is no way to work on the folder without that process.
 */
import { RcopyError, isRcopyError } from '../base/errors.ts';
import { HeldError, lockSet } from '../imageset/set-folder.ts';
import type { LockHolder, LockWait } from '../imageset/set-folder.ts';
import { readPathFile } from '../node/path-store.ts';
import type { Environment } from '../sys/environment.ts';
import { isAddress, meansAddress, parseAddress } from './addresses.ts';
import type { PathControl } from './controller-calls.ts';
import type { Endpoint } from './http-client.ts';

/** How somebody waits for a controller that is about to answer. */
export type ControllerWait = Pick<LockWait, 'lockWaitMs' | 'isStopped'>;

/**
 * The controller at an address (`rcopy://HOST:PORT`) or of a folder. Rejects with `E_UNREACHABLE`
 * when no process has the folder, with `E_HELD` when one has it and does not answer in time, with
 * `E_NOT_FOUND` when it is no controller's.
 */
export async function openController(
  environment: Environment,
  controller: string,
  wait: ControllerWait,
): Promise<PathControl> {
  const { RemotePath } = await import('./remote-path.ts');
  return new RemotePath(await endpointOf(environment, controller, wait));
}

/** The ids of controllers that are named as commands name them. Rejects as `openController`. */
export async function controllerIds(
  environment: Environment,
  controllers: readonly string[],
  wait: ControllerWait,
): Promise<string[]> {
  const ids = controllers.map(async (controller) => {
    return (await (await openController(environment, controller, wait)).identity()).id;
  });
  return Promise.all(ids);
}

const STARTER = 'rcopy path serve';

async function endpointOf(
  environment: Environment,
  controller: string,
  wait: ControllerWait,
): Promise<Endpoint> {
  if (isAddress(controller))
    return { name: controller, startedWith: STARTER, at: parseAddress(controller) };
  const { files } = environment;
  const folder = files.resolve(controller);
  if (files.status(folder, 'PATH:STATUS') === undefined) throw noFolder(controller);
  const { controllerId } = readPathFile(files, folder);
  let served: Endpoint | undefined;
  try {
    const isServed = async (holder: LockHolder): Promise<boolean> => {
      served = await servedBy(controller, holder, controllerId);
      return served !== undefined;
    };
    (await lockSet(environment, folder, { ...wait, isServed })).release();
  } catch (error) {
    if (error instanceof HeldError && served) return served;
    throw error;
  }
  throw new RcopyError('E_UNREACHABLE', `the path controller of ${controller} is not running`, {
    hint: `start it: \`rcopy path serve ${controller} --nbd HOST:PORT\``,
  });
}

function noFolder(controller: string): RcopyError {
  return new RcopyError('E_NOT_FOUND', `there is no folder ${controller}`, {
    hint: meansAddress(controller)
      ? `the address of a daemon is written rcopy://${controller}`
      : '`rcopy path serve` makes a path controller',
  });
}

/** Where the holder of a controller's folder answers, if it is this very controller. */
async function servedBy(
  controller: string,
  { control }: LockHolder,
  controllerId: string,
): Promise<Endpoint | undefined> {
  if (control === undefined) return undefined;
  const endpoint = { name: controller, startedWith: STARTER, at: { socketPath: control } };
  const { RemotePath } = await import('./remote-path.ts');
  try {
    const { id } = await new RemotePath(endpoint).identity();
    return id === controllerId ? endpoint : undefined;
  } catch (error) {
    if (isRcopyError(error)) return undefined; // it is about to start, or to end
    throw error;
  }
}
