/**
 * The calls of the control interface, `POST /v1/sets/SET/CALL` with a JSON object: what each one
 * takes, and which method of the set answers it. The server runs this table; the client's types are
 * drawn from it.
 */
import * as z from 'zod/mini';
import type { PartyFacts } from '../migration/ports.ts';
import type { SetService } from '../node/set-service.ts';
import { callsTo, flag, migration, move, nothing, positive, whole } from './call-table.ts';

const call = callsTo<SetService>();
const address = z.strictObject({ address: z.string().check(z.minLength(1)) });

/** A set that describes itself; nothing is built on it but refusals. */
const facts = z.custom<PartyFacts>(
  (value) => typeof value === 'object' && value !== null && 'identity' in value,
);

const until = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('synced') }),
  z.strictObject({ kind: z.literal('sequence'), sequence: whole }),
  z.strictObject({ kind: z.literal('mark'), name: z.string() }),
]);

const migrate = z.strictObject({ from: z.string(), ...migration });

export const calls = {
  identity: call(nothing, (set) => set.identity()),
  status: call(nothing, (set) => set.status()),
  mark: call(z.strictObject({ name: z.string() }), (set, { name }) => set.mark(name)),
  wait: call(
    z.strictObject({ until, timeoutMs: z.optional(positive) }),
    (set, { until: what, timeoutMs }, { signal }) => set.wait({ until: what, timeoutMs, signal }),
  ),
  'pair-create': call(
    z.strictObject({ secondary: z.string(), ack: z.optional(z.enum(['local', 'remote'])) }),
    (set, { secondary, ack }) => set.createPair({ secondary, ack }),
  ),
  'pair-check': call(z.strictObject({ secondary: facts }), (set, { secondary }) =>
    set.checkPairWith(secondary),
  ),
  'pair-delete': call(z.strictObject({ local: flag }), (set, { local = false }) =>
    set.deletePair({ local }),
  ),
  'pair-split': call(nothing, (set) => set.splitPair()),
  'pair-resync': call(nothing, (set) => set.resyncPair()),
  'pair-address': call(address, (set, to) => set.movePeer(to.address)),
  takeover: call(z.strictObject({ force: z.boolean() }), (set, request) => set.takeOver(request)),
  replicate: call(
    z.strictObject({ timeoutMs: z.optional(positive), maxRate: z.optional(positive) }),
    (set, { timeoutMs, maxRate }, following) => set.replicate({ timeoutMs, maxRate, ...following }),
  ),
  'migrate-check': call(migrate, (set, request) =>
    set.checkMigration({ ...request, maxRate: request.maxRate }),
  ),
  'migrate-check-to': call(z.strictObject({ target: facts, ...move }), (set, { target, ...how }) =>
    set.checkMoveTo(target, how),
  ),
  migrate: call(migrate, (set, request, { onProgress }) =>
    set.migrate({ ...request, maxRate: request.maxRate, onProgress }),
  ),
  'migrate-status': call(nothing, (set) => set.migrationStatus()),
  'migrate-resume': call(
    z.strictObject({ sourceLost: flag, maxRate: z.optional(positive) }),
    (set, { sourceLost, maxRate }, { onProgress }) =>
      set.resumeMigration({ sourceLost, maxRate, onProgress }),
  ),
  'migrate-abort': call(nothing, (set) => set.abortMigration()),
  verify: call(nothing, (set) => set.verify()),
  'verify-against': call(address, (set, other) => set.verifyAgainst(other.address)),
} as const;

export type CallName = keyof typeof calls;
export type CallParameters<Name extends CallName> = z.infer<(typeof calls)[Name]['parameters']>;
export type CallAnswer<Name extends CallName> = Awaited<ReturnType<(typeof calls)[Name]['handle']>>;

export function isCallName(name: string): name is CallName {
  return Object.hasOwn(calls, name);
}

/** The set that a daemon was started for, where others are named by their id. */
export const OWN_SET = 'own';
