/** What `rcopy replicate` does: everything that is numbered now is brought to the secondary. */
import type { ImageSet } from '../imageset/image-set.ts';
import type { ReplicateAnswer } from './answers.ts';
import type { MigrationControl } from './migration-control.ts';
import { sendingPair } from './replication.ts';
import type { Replication } from './replication.ts';
import type { ReplicateRequest } from './requests.ts';
import { sealedError } from '../imageset/refusals.ts';
import { RcopyError } from '../base/errors.ts';
import { stateOf } from './set-state.ts';
import { withTimeout } from './wait.ts';

export async function replicate(
  set: ImageSet,
  replication: Replication,
  migrations: MigrationControl,
  request: ReplicateRequest,
): Promise<ReplicateAnswer> {
  checkRole(set);
  const { clock } = set.environment;
  const startMs = clock.monotonicMs();
  const sequence = set.newest;
  const totalBytes = set.contents.images.reduce((sum, image) => sum + image.sizeBytes, 0);
  const before = replication.counts;
  const letGo = replication.want(request.maxRate, () => {
    const { passedBytes, sentBytes } = replication.counts;
    const copying = set.file.pair?.state === 'copying';
    request.onProgress?.(
      copying
        ? { step: 'copying', doneBytes: passedBytes - before.passedBytes, totalBytes }
        : { step: 'sending', doneBytes: sentBytes - before.sentBytes, totalBytes: undefined },
    );
  });
  let sourceFailure: Error | undefined;
  migrations.letSourceGive().catch((error: Error) => {
    sourceFailure = error;
    set.changed();
  });
  try {
    await withTimeout(set, request, `number ${sequence} restored`, () => {
      // What it said before may not be so any more: it has to answer (R10).
      const isRestored = replication.isUp && isThere(set, sequence);
      if (isRestored || replication.isFinished) return true;
      sendingPair(set); // it may be split or gone meanwhile
      const failure = replication.failure ?? sourceFailure;
      if (failure) throw failure;
      return false;
    });
  } finally {
    await letGo();
  }
  const { sentRecords, sentBytes, copiedBytes, copiesBegun } = replication.counts;
  return {
    sentRecords: sentRecords - before.sentRecords,
    sentBytes: sentBytes - before.sentBytes,
    copiedBytes: copiedBytes - before.copiedBytes,
    copies: copiesBegun - before.copiesBegun,
    restoredSequence: set.secondary?.restored.sequence ?? 0,
    nextSequence: set.newest + 1,
    state: stateOf(set),
    seconds: (clock.monotonicMs() - startMs) / 1000,
  };
}

/** A sealed set may still bring what it owes; a secondary or a retired set has nothing to send. */
function checkRole(set: ImageSet): void {
  const { file } = set;
  if (file.role === 'retired') throw sealedError(file);
  if (file.role !== 'primary') {
    throw new RcopyError('E_ROLE', `${file.name} is no primary but a ${file.role}`, {
      hint: file.pair ? `rcopy replicate ${file.pair.peer.address}` : undefined,
    });
  }
  sendingPair(set);
}

function isThere(set: ImageSet, sequence: number): boolean {
  const { secondary, file } = set;
  if (!secondary || file.pair?.state === 'copying') return false;
  return (
    secondary.durable.epoch === file.epoch &&
    secondary.restored.epoch >= file.epoch &&
    secondary.restored.sequence >= sequence
  );
}
