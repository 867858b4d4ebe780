/**
 * The calls of a path controller, `POST /v1/path/CALL` with a JSON object: what each one takes, and
 * which method answers it.
 */
import * as z from 'zod/mini';
import type { MigrateAnswer, PrecheckAnswer } from '../node/answers.ts';
import type {
  PathAddRequest,
  PathChangeAnswer,
  PathIdentity,
  PathListAnswer,
  PathMigrateRequest,
  PathService,
  PathStatusAnswer,
} from '../node/path-service.ts';
import { callsTo, flag, migration, nothing } from './call-table.ts';

/** A controller with its daemon around it: what commands can ask of both. */
export interface PathControl extends PathService {
  /** Whether `migrate` could start now. */
  checkMigration(request: PathMigrateRequest): Promise<PrecheckAnswer>;
}

const call = callsTo<PathControl>();

const text = z.string().check(z.minLength(1), z.maxLength(4096));

const migrate = z.strictObject({
  export: text,
  to: text,
  create: z.boolean(),
  overwrite: z.boolean(),
  ...migration,
});

export const controllerCalls = {
  identity: call(nothing, (path): Promise<PathIdentity> => path.identity()),
  add: call(
    z.strictObject({ export: text, set: text, volume: z.optional(text), replace: flag }),
    (path, { volume, replace = false, ...rest }): Promise<PathChangeAnswer> => {
      const request: PathAddRequest = { ...rest, volume, replace };
      return path.add(request);
    },
  ),
  remove: call(z.strictObject({ export: text }), (path, request): Promise<PathChangeAnswer> =>
    path.remove(request),
  ),
  list: call(nothing, (path): Promise<PathListAnswer> => path.list()),
  status: call(nothing, (path): Promise<PathStatusAnswer> => path.status()),
  'migrate-check': call(migrate, (path, request): Promise<PrecheckAnswer> =>
    path.checkMigration({ ...request, maxRate: request.maxRate }),
  ),
  migrate: call(migrate, (path, request, { onProgress }): Promise<MigrateAnswer> =>
    path.migrate({ ...request, maxRate: request.maxRate, onProgress }),
  ),
} as const;

export type ControllerCallName = keyof typeof controllerCalls;
export type ControllerCallParameters<Name extends ControllerCallName> = z.infer<
  (typeof controllerCalls)[Name]['parameters']
>;

export function isControllerCallName(name: string): name is ControllerCallName {
  return Object.hasOwn(controllerCalls, name);
}
