/**
 * What the control interface of a path controller answers: `POST /v1/path/CALL`, a call of
 * controller-calls.ts; JSON, or lines with progress.
 */
import { RcopyError } from '../base/errors.ts';
import { answerCall } from './answer-call.ts';
import { controllerCalls, isControllerCallName } from './controller-calls.ts';
import type { PathControl } from './controller-calls.ts';
import type { Routes } from './server.ts';
import { API } from './wire.ts';

/** The routes to a controller; `find` waits until it is open. */
export function pathRoutes(find: () => Promise<PathControl>): Routes {
  return {
    addTo: (app, clock) => {
      app.all(`${API}/sets/*`, async () => {
        throw new RcopyError('E_NOT_FOUND', 'this is a path controller, not the daemon of a set', {
          hint: 'name the address of the daemon; `rcopy path list` shows those behind a controller',
        });
      });
      app.post<{ Params: { call: string } }>(`${API}/path/:call`, async (request, reply) => {
        const { call } = request.params;
        if (!isControllerCallName(call)) {
          throw new RcopyError('E_NOT_FOUND', `there is no call ${call}`);
        }
        return answerCall<PathControl>({ clock, request, reply }, controllerCalls[call], find);
      });
    },
    upgrades: [],
  };
}
