/**
 * What can be asked of an image set, wherever it is open: in this process as a `StorageNode`, or in
 * a daemon that is reached over HTTP. Commands are written against this alone, so that they answer
 * the same both ways.
 */
import type { SetFile } from '../format/set-file.ts';
import type {
  CompareAnswer,
  ExportAnswer,
  ImportAnswer,
  MarkAnswer,
  MigrateAnswer,
  MigrationStatusAnswer,
  PairAnswer,
  PrecheckAnswer,
  ReplicateAnswer,
  StatusAnswer,
  TakeoverAnswer,
  VerifyAnswer,
  WaitAnswer,
  WriteAnswer,
} from './answers.ts';
import type { PartyFacts } from '../migration/ports.ts';
import type {
  ExportRequest,
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
} from './requests.ts';

/** Each method rejects with an `RcopyError` that is the same near and far. */
export interface SetService {
  /** Who the set is: what set.json says. */
  identity(): Promise<SetFile>;
  status(): StatusAnswer | Promise<StatusAnswer>;

  write(request: WriteRequest): Promise<WriteAnswer>;
  read(request: ReadRequest): AsyncGenerator<Buffer>;
  importImage(request: ImportRequest): Promise<ImportAnswer>;
  exportImage(request: ExportRequest): Promise<ExportAnswer>;
  mark(name: string): Promise<MarkAnswer>;
  wait(request: WaitRequest): Promise<WaitAnswer>;

  createPair(request: PairRequest): Promise<PairAnswer>;
  /** Throws when this set and a secondary that is not made yet could not become a pair. */
  checkPairWith(secondary: PartyFacts): Promise<void>;
  deletePair(how: { readonly local?: boolean }): Promise<PairAnswer>;
  splitPair(): Promise<PairAnswer>;
  resyncPair(): Promise<PairAnswer>;
  movePeer(address: string): Promise<PairAnswer>;
  takeOver(request: TakeoverRequest): Promise<TakeoverAnswer>;
  replicate(request: ReplicateRequest): Promise<ReplicateAnswer>;

  checkMigration(request: MigrateRequest): Promise<PrecheckAnswer>;
  /** Whether this set could move to a target that is not made yet. */
  checkMoveTo(target: PartyFacts, how: MoveRequest): Promise<PrecheckAnswer>;
  migrate(request: MigrateRequest): Promise<MigrateAnswer>;
  migrationStatus(): MigrationStatusAnswer | Promise<MigrationStatusAnswer>;
  resumeMigration(request: ResumeRequest): Promise<MigrateAnswer>;
  abortMigration(): Promise<MigrateAnswer>;

  verify(): Promise<VerifyAnswer>;
  verifyAgainst(other: string): Promise<CompareAnswer>;
}
