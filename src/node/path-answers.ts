/** One controller's link to a set: its calls, by name. */
import { CONTROLLER_CALLS_MAX } from '../base/limits.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import { CallGate } from '../link/call-gate.ts';
import type { FrameChannel } from '../link/channel.ts';
import { serveRequests } from '../link/service.ts';
import { parameters, unknownCall } from './calls.ts';
import type { Controllers } from './controllers.ts';
import { attachCall, detachCall, reportCall, watchCall } from './path-calls.ts';
import type { SpeakerCall } from './path-calls.ts';

/** Answers a controller until its link ends; its calls are bounded apart from those of sets. */
export function serveController(
  set: ImageSet,
  channel: FrameChannel,
  controllers: Controllers,
): void {
  let speaker: SpeakerCall | undefined;
  const answer = async (name: string, value: unknown): Promise<unknown> => {
    switch (name) {
      case 'path.attach': {
        const call = parameters(attachCall, value);
        speaker = { controllerId: call.controllerId, generation: call.generation };
        return controllers.attach(call);
      }
      case 'path.watch':
        return controllers.watch(parameters(watchCall, value));
      case 'path.report':
        return controllers.report(parameters(reportCall, value));
      case 'path.detach':
        return controllers.detach(parameters(detachCall, value));
      default:
        throw unknownCall(name);
    }
  };
  serveRequests(set, channel, {
    gate: new CallGate(CONTROLLER_CALLS_MAX, CONTROLLER_CALLS_MAX),
    handle: async (name, value) => ({ value: await answer(name, value) }),
    ended: () => speaker && controllers.left(speaker),
  });
}
