/**
 * What the control interface of a storage daemon answers: everything that can be asked of sets.
 *
 * ```
 *   POST /v1/sets/SET/CALL      a call of calls.ts; JSON, or lines with progress
 *   POST /v1/sets/SET/write     ?offset=N&volume=NAME&length=N&sync=no, octets → JSON
 *   GET  /v1/sets/SET/read      ?offset=N&length=N&volume=NAME → octets
 *   POST /v1/sets/SET/import    ?size=N&volume=NAME, a sparse stream → JSON
 *   GET  /v1/sets/SET/export    ?volume=NAME → a sparse stream
 *   POST /v1/sets/SET/remake    gives the set a fresh life
 *   GET  /v1/sets/SET/link      Upgrade: rcopy-link/1
 *   GET  /v1/sets/SET/nbd       ?controller=ID&generation=N, Upgrade: rcopy-nbd/1
 * ```
 *
 * SET is `own`, the set that the daemon was started for, or the id of one that it has open.
 */
import type { FastifyInstance } from 'fastify';
import * as z from 'zod/mini';
import { RcopyError } from '../base/errors.ts';
import type { SetService } from '../node/set-service.ts';
import type { Clock } from '../sys/clock.ts';
import type { ByteStream } from '../sys/stream.ts';
import { answerCall } from './answer-call.ts';
import { addBulkRoutes } from './bulk-routes.ts';
import { calls, isCallName } from './calls.ts';
import { parse } from './requests.ts';
import type { SetRoute } from './requests.ts';
import type { Routes } from './server.ts';
import type { Upgrade } from './upgrades.ts';
import { API, LINK_PROTOCOL, NBD_PROTOCOL } from './wire.ts';

/** Who dials an NBD stream: a path controller, and which of its tries this is. */
export interface HostsCaller {
  readonly controllerId: string;
  /** A stream of a higher generation ends all of lower ones. */
  readonly generation: number;
}

/** The sets that a control interface speaks for. `set` is an id, or `own`. */
export interface SetHouse {
  /** Rejects with `E_NOT_FOUND` when no such set is open here; it stays open until `gone`. */
  find(set: string, gone: AbortSignal): Promise<SetService>;
  /** Takes a link that another set, or a path controller, dialled. */
  acceptLink(set: string, stream: ByteStream, gone: AbortSignal): Promise<void>;
  /** Takes the NBD stream of a path controller. Rejects with why the set refuses it. */
  acceptHosts(set: string, stream: ByteStream, as: HostsCaller, gone: AbortSignal): Promise<void>;
  /** Gives the set a fresh life and identity; what it holds is lost. */
  remake(set: string): Promise<void>;
}

const callerQuery = z.strictObject({
  controller: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  generation: z.string().check(z.regex(/^\d{1,15}$/)),
});

/** The routes to the sets of a house. */
export function setRoutes(house: SetHouse): Routes {
  return {
    addTo: (app, clock) => addRoutes(app, house, clock),
    upgrades: [linkUpgrade(house), hostsUpgrade(house)],
  };
}

function addRoutes(app: FastifyInstance, house: SetHouse, clock: Clock): void {
  refuseController(app);
  addBulkRoutes(app, (set, gone) => house.find(set, gone));
  app.post<SetRoute>(`${API}/sets/:set/remake`, async (request) => {
    await house.remake(request.params.set);
    return {};
  });
  app.post<SetRoute & { Params: { call: string } }>(
    `${API}/sets/:set/:call`,
    async (request, reply) => {
      const { set, call } = request.params;
      if (!isCallName(call)) throw new RcopyError('E_NOT_FOUND', `there is no call ${call}`);
      return answerCall<SetService>({ clock, request, reply }, calls[call], (gone) =>
        house.find(set, gone),
      );
    },
  );
}

/** Who asks a set for what only a controller has meant another address. */
function refuseController(app: FastifyInstance): void {
  app.post(`${API}/path/:call`, async () => {
    throw new RcopyError('E_NOT_FOUND', 'this is the daemon of a set, not a path controller', {
      hint: 'name the address of `rcopy path serve`',
    });
  });
}

function linkUpgrade(house: SetHouse): Upgrade {
  return {
    protocol: LINK_PROTOCOL,
    path: /^\/sets\/([0-9a-z]{1,32})\/link$/,
    find: async ({ groups: [set = ''] }, gone) => {
      await house.find(set, gone);
      return (stream) => house.acceptLink(set, stream, gone);
    },
  };
}

function hostsUpgrade(house: SetHouse): Upgrade {
  return {
    protocol: NBD_PROTOCOL,
    path: /^\/sets\/([0-9a-z]{1,32})\/nbd$/,
    find: async ({ groups: [set = ''], query }, gone) => {
      const { controller, generation } = parse(callerQuery, query);
      const as = { controllerId: controller, generation: Number(generation) };
      await house.find(set, gone);
      return (stream) => house.acceptHosts(set, stream, as, gone);
    },
  };
}
