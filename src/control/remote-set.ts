/** An image set that a daemon has open, as its client sees it. */
import { RcopyError } from '../base/errors.ts';
import type { SetFile } from '../format/set-file.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type {
  CompareAnswer,
  ExportAnswer,
  ImportAnswer,
  MarkAnswer,
  MigrateAnswer,
  MigrationStatusAnswer,
  OnProgress,
  PairAnswer,
  PrecheckAnswer,
  ReplicateAnswer,
  StatusAnswer,
  TakeoverAnswer,
  VerifyAnswer,
  WaitAnswer,
  WriteAnswer,
} from '../node/answers.ts';
import type {
  ExportRequest,
  ImagePiece,
  ImportRequest,
  MigrateRequest,
  MoveRequest,
  PairRequest,
  ReadRequest,
  ReplicateRequest,
  ResumeRequest,
  TakeoverRequest,
  WaitRequest,
  WriteRequest,
} from '../node/requests.ts';
import type { SetService } from '../node/set-service.ts';
import type { CallName, CallParameters } from './calls.ts';
import { ask, jsonOf } from './http-client.ts';
import type { Endpoint } from './http-client.ts';
import { errorOf } from './http-errors.ts';
import { callDaemon } from './remote-call.ts';
import { SparseReader, encodeEnd, encodePiece } from './sparse-stream.ts';

export class RemoteSet implements SetService {
  readonly endpoint: Endpoint;
  /** The id of the set there, or `own`. */
  readonly id: string;

  constructor(endpoint: Endpoint, id: string) {
    this.endpoint = endpoint;
    this.id = id;
  }

  identity(): Promise<SetFile> {
    return this.call('identity', {});
  }

  status(): Promise<StatusAnswer> {
    return this.call('status', {});
  }

  async write({ volume, offset, data, length, sync }: WriteRequest): Promise<WriteAnswer> {
    const query = { volume, offset, length, sync: sync ? 'yes' : 'no' };
    return this.send<WriteAnswer>('write', query, octets(data));
  }

  async *read({ volume, offset, length }: ReadRequest): AsyncGenerator<Buffer> {
    const response = await ask(this.endpoint, {
      method: 'GET',
      path: `/sets/${this.id}/read`,
      query: { volume, offset, length },
    });
    let got = 0;
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        got += part.length;
        yield part;
      }
    } catch (error) {
      throw new RcopyError('E_UNREACHABLE', `${this.endpoint.name} broke off`, { cause: error });
    }
    if (got !== length) throw new RcopyError('E_UNREACHABLE', `${this.endpoint.name} broke off`);
  }

  async importImage(request: ImportRequest): Promise<ImportAnswer> {
    const { volume, sizeBytes, pieces } = request;
    const report = (doneBytes: number): void =>
      request.onProgress?.({ step: 'importing', doneBytes, totalBytes: sizeBytes });
    return this.send<ImportAnswer>('import', { volume, size: sizeBytes }, framed(pieces, report));
  }

  async exportImage(request: ExportRequest): Promise<ExportAnswer> {
    const response = await ask(this.endpoint, {
      method: 'GET',
      path: `/sets/${this.id}/export`,
      query: { volume: request.volume },
    });
    const totalBytes = Number(response.headers['x-rcopy-size']);
    if (!Number.isSafeInteger(totalBytes)) throw errorOf(undefined, this.endpoint.name);
    const reader = new SparseReader(response, this.endpoint.name);
    request.begin(totalBytes);
    let doneBytes = 0;
    for await (const piece of reader.pieces()) {
      await request.take(piece);
      doneBytes += piece.length;
      request.onProgress?.({ step: 'exporting', doneBytes, totalBytes });
    }
    return reader.answer as ExportAnswer;
  }

  mark(name: string): Promise<MarkAnswer> {
    return this.call('mark', { name });
  }

  wait({ until, timeoutMs }: WaitRequest): Promise<WaitAnswer> {
    return this.call('wait', { until, timeoutMs });
  }

  createPair(request: PairRequest): Promise<PairAnswer> {
    return this.call('pair-create', request);
  }

  checkPairWith(secondary: PartyFacts): Promise<void> {
    return this.call('pair-check', { secondary });
  }

  deletePair({ local }: { readonly local?: boolean }): Promise<PairAnswer> {
    return this.call('pair-delete', { local });
  }

  splitPair(): Promise<PairAnswer> {
    return this.call('pair-split', {});
  }

  resyncPair(): Promise<PairAnswer> {
    return this.call('pair-resync', {});
  }

  movePeer(address: string): Promise<PairAnswer> {
    return this.call('pair-address', { address });
  }

  takeOver({ force }: TakeoverRequest): Promise<TakeoverAnswer> {
    return this.call('takeover', { force });
  }

  replicate({ timeoutMs, maxRate, onProgress }: ReplicateRequest): Promise<ReplicateAnswer> {
    return this.call('replicate', { timeoutMs, maxRate }, onProgress);
  }

  checkMigration(request: MigrateRequest): Promise<PrecheckAnswer> {
    return this.call('migrate-check', plain(request));
  }

  checkMoveTo(target: PartyFacts, how: MoveRequest): Promise<PrecheckAnswer> {
    const { mode, controllers, force } = how;
    const ids = controllers && [...controllers];
    return this.call('migrate-check-to', { target, mode, controllers: ids, force });
  }

  migrate(request: MigrateRequest): Promise<MigrateAnswer> {
    return this.call('migrate', plain(request), request.onProgress);
  }

  migrationStatus(): Promise<MigrationStatusAnswer> {
    return this.call('migrate-status', {});
  }

  resumeMigration({ sourceLost, maxRate, onProgress }: ResumeRequest): Promise<MigrateAnswer> {
    return this.call('migrate-resume', { sourceLost, maxRate }, onProgress);
  }

  abortMigration(): Promise<MigrateAnswer> {
    return this.call('migrate-abort', {});
  }

  verify(): Promise<VerifyAnswer> {
    return this.call('verify', {});
  }

  verifyAgainst(address: string): Promise<CompareAnswer> {
    return this.call('verify-against', { address });
  }

  /** Gives the set a fresh life and identity; what it holds is lost. */
  async remake(): Promise<void> {
    await this.send('remake', {}, undefined);
  }

  private async send<T>(
    what: string,
    query: Readonly<Record<string, string | number | undefined>>,
    body: AsyncIterable<Uint8Array> | undefined,
  ): Promise<T> {
    const response = await ask(this.endpoint, {
      method: 'POST',
      path: `/sets/${this.id}/${what}`,
      query,
      body: body ? { octets: body } : { json: {} },
    });
    return (await jsonOf(response, this.endpoint)) as T;
  }

  private call<T, Name extends CallName>(
    name: Name,
    parameters: CallParameters<Name>,
    onProgress?: OnProgress,
  ): Promise<T> {
    const question = { path: `/sets/${this.id}/${name}`, parameters };
    return callDaemon(this.endpoint, question, { onProgress, lookAgain: 'rcopy status' });
  }
}

function plain({ onProgress: _onProgress, controllers, ...request }: MigrateRequest) {
  return { ...request, controllers: controllers && [...controllers] };
}

async function* octets(
  data: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const part of data) if (part.length > 0) yield part;
}

async function* framed(
  pieces: AsyncIterable<ImagePiece> | Iterable<ImagePiece>,
  report: (doneBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let doneBytes = 0;
  for await (const piece of pieces) {
    yield* encodePiece(piece);
    doneBytes += piece.length;
    report(doneBytes);
  }
  yield* encodeEnd({});
}
