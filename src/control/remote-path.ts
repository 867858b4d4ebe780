/** A path controller in another process, as its client sees it. */
import type { MigrateAnswer, OnProgress, PrecheckAnswer } from '../node/answers.ts';
import type {
  PathAddRequest,
  PathChangeAnswer,
  PathIdentity,
  PathListAnswer,
  PathMigrateRequest,
  PathStatusAnswer,
} from '../node/path-service.ts';
import type {
  ControllerCallName,
  ControllerCallParameters,
  PathControl,
} from './controller-calls.ts';
import type { Endpoint } from './http-client.ts';
import { callDaemon } from './remote-call.ts';

export class RemotePath implements PathControl {
  readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  identity(): Promise<PathIdentity> {
    return this.call('identity', {});
  }

  add(request: PathAddRequest): Promise<PathChangeAnswer> {
    return this.call('add', request);
  }

  remove(request: { readonly export: string }): Promise<PathChangeAnswer> {
    return this.call('remove', request);
  }

  list(): Promise<PathListAnswer> {
    return this.call('list', {});
  }

  status(): Promise<PathStatusAnswer> {
    return this.call('status', {});
  }

  checkMigration(request: PathMigrateRequest): Promise<PrecheckAnswer> {
    return this.call('migrate-check', plain(request));
  }

  migrate(request: PathMigrateRequest): Promise<MigrateAnswer> {
    return this.call('migrate', plain(request), request.onProgress);
  }

  private call<T, Name extends ControllerCallName>(
    name: Name,
    parameters: ControllerCallParameters<Name>,
    onProgress?: OnProgress,
  ): Promise<T> {
    const question = { path: `/path/${name}`, parameters };
    return callDaemon(this.endpoint, question, { onProgress, lookAgain: 'rcopy path status' });
  }
}

/** What goes over the wire of a request: all but how it is followed. */
function plain({ onProgress: _onProgress, controllers, ...request }: PathMigrateRequest) {
  return { ...request, controllers: controllers && [...controllers] };
}
