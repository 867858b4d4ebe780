/** What the commands on a path controller share: how they find it, and their arguments. */
import type { PathControl } from '../control/controller-calls.ts';
import { RcopyCommand } from './command.ts';
import { StoppedBySignal } from './failure.ts';
import { durationFlag, nameArg, setArg } from './flags.ts';
import { watchSignals } from './stop-signals.ts';

const START_WAIT_MS_DEFAULT = 10_000;

export const controllerArg = setArg({
  description: 'path controller: its folder, or its address rcopy://HOST:PORT',
});

export const exportArg = nameArg({ description: 'export of the controller, as hosts name it' });

/** A command that asks a path controller. */
export abstract class PathCommand extends RcopyCommand {
  /** What somebody who stopped the command in the middle has to know. */
  protected readonly stoppedHint: string | undefined = undefined;

  static override baseFlags = {
    ...RcopyCommand.baseFlags,
    'lock-wait': durationFlag({
      description: 'how long to wait for a controller that is starting',
      default: START_WAIT_MS_DEFAULT,
      defaultHelp: async () => '10s',
      helpGroup: 'GLOBAL',
    }),
  };

  /** Finds the controller, and runs `action`, which a signal ends. */
  protected async withController<T>(
    controller: string,
    lockWaitMs: number,
    action: (path: PathControl) => Promise<T>,
  ): Promise<T> {
    const { openController } = await import('../control/controllers.ts');
    const { nodeEnvironment } = await import('../sys/node-environment.ts');
    const signals = watchSignals(process);
    try {
      const asked = openController(nodeEnvironment, controller, { lockWaitMs }).then(action);
      return await Promise.race([asked, signals.stopped]);
    } catch (error) {
      if (!(error instanceof StoppedBySignal)) throw error;
      throw new StoppedBySignal(error.signal, this.stoppedHint);
    } finally {
      signals.release();
    }
  }
}
