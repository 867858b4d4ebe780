/** How the demo's story ends: everything is stopped in order, and what is left is looked at. */
import { inspectSet } from '../../control/inspect.ts';
import { setPaths } from '../../imageset/set-folder.ts';
import type { CompareAnswer, ReplicateAnswer, VerifyAnswer } from '../../node/answers.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import type { DemoImages } from './images.ts';
import type { Left, Moved } from './move.ts';
import { PATIENCE_MS } from './pace.ts';
import { proofOf } from './proof.ts';
import type { Acting, StoryParts } from './story.ts';
import { ALL_BYTES, VOLUMES } from './volumes.ts';

/** What the acts before have left. */
export interface Told extends StoryParts, Omit<Acting, 'pace'>, Moved {
  readonly images: DemoImages;
  readonly left: Left;
  readonly marks: readonly DemoMark[];
  readonly firstCopy: ReplicateAnswer;
  readonly comparedLive: CompareAnswer;
  /** Who was connected to the controller. */
  readonly connectedAtFirst: readonly string[];
  readonly connectedAtLast: readonly string[];
}

export async function endStory(told: Told): Promise<DemoAnswer> {
  const { options, images, left, host, b, c } = told;
  const { environment, stage, run } = options;
  const { nextSequence, sent } = await stopInOrder(told);
  stage.now('the witness compares its own files with kyoto, byte by byte');
  const [testimony, fsck] = await Promise.all([
    testimonyOf(told),
    images.kind === 'ext4' ? run('e2fsck', ['-fn', setPaths.image(c.folder, 'db')]) : undefined,
  ]);
  const { report, comparisons } = testimony;
  const sets = {
    a: left.set,
    b: inspectSet(environment, b.folder),
    c: inspectSet(environment, c.folder),
  };
  stage.now('comparing osaka with kyoto, and reading everything');
  const { compared, verified } = await readClosed(told);

  const writesWithoutA = host.counts.writes - left.writesBefore;
  const proof = proofOf({
    ...told,
    ...testimony,
    ...{ compared, verified, sent, nextSequence, fsck, sets, writesWithoutA },
    fileSystem: images.kind === 'ext4',
  });
  return {
    ...answerOf(told),
    proved: proof.every(({ ok }) => ok !== false),
    proof,
    sent,
    writesWithoutA,
    restoredSequence: compared.sequence,
    compared,
    verified,
    witness: { report, images: comparisons },
  };
}

/** Kyoto gets the last mark, then the daemons end, the controller before the set that it needs. */
async function stopInOrder({ options, board, marks, a, gate, b, c }: Told): Promise<{
  readonly nextSequence: number;
  readonly sent: DemoAnswer['sent'];
}> {
  const { stage, daemons } = options;
  stage.now('kyoto gets the last mark; then all daemons are stopped');
  const name = marks.at(-1)?.name ?? '';
  await c.set.wait({ until: { kind: 'mark', name }, timeoutMs: PATIENCE_MS });
  const { journal } = await b.set.status();
  await board.stop();
  await daemons.stop(gate.name);
  await Promise.all([b, c].map(({ name: player }) => daemons.stop(player)));
  return {
    nextSequence: journal.nextSequence,
    sent: { tokyo: board.sent(a.name), osaka: board.sent(b.name) },
  };
}

/** No daemon is there: this process opens the sets itself. */
async function readClosed({ options: { site }, b, c }: Told): Promise<{
  readonly compared: CompareAnswer;
  readonly verified: readonly VerifyAnswer[];
}> {
  const osaka = await site.open(b.folder);
  const compared = await osaka.verifyAgainst(c.folder);
  const verified = [await osaka.verify(), await (await site.open(c.folder)).verify()];
  await site.close();
  return { compared, verified };
}

/** What the witness says of kyoto's images, and of all that it was told. */
async function testimonyOf({ witness, c }: Told) {
  const comparisons = [];
  for (const { name } of VOLUMES) {
    comparisons.push(await witness.compare(name, setPaths.image(c.folder, name)));
  }
  const report = await witness.report();
  return { comparisons, report, witnessExit: await witness.end() };
}

type Ending =
  | 'proved'
  | 'proof'
  | 'sent'
  | 'writesWithoutA'
  | 'restoredSequence'
  | 'compared'
  | 'verified'
  | 'witness';

/** The part of the answer that was known before the end. */
function answerOf(told: Told): Omit<DemoAnswer, Ending> {
  const { options, host, board, startMs, switched, left } = told;
  const { imported, firstCopy, migration, marks, comparedLive, a, b, c, gate } = told;
  const { environment, kept, folder } = options;
  const { hostMs, beforeMs, heldMs } = switched;
  const afterMs = host.longestSinceMs;
  return {
    seconds: (environment.clock.monotonicMs() - startMs) / 1000,
    folder: kept ? folder : null,
    host: {
      ...host.counts,
      pauseMs: tenths(hostMs),
      slowestMs: tenths(Math.max(beforeMs, afterMs)),
    },
    controller: {
      heldMs: heldMs === null ? null : tenths(heldMs),
      connections: told.connectedAtLast,
    },
    daemons: [gate, a, b, c].map(({ name }) => Object.assign({ name }, board.usage(name))),
    imported,
    volumeBytes: ALL_BYTES,
    firstCopy,
    migration,
    bothSentMs: tenths(board.bothSentMs),
    sourceDeleted: left.deleted,
    marks,
    comparedLive,
  };
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
