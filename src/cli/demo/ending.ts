/** How the demo's story ends: everything is stopped in order, and what is left is looked at. */
import { isRcopyError, messageOf } from '../../base/errors.ts';
import { inspectSet } from '../../control/inspect.ts';
import { setPaths } from '../../imageset/set-folder.ts';
import type {
  CompareAnswer,
  MigrateAnswer,
  ReplicateAnswer,
  VerifyAnswer,
} from '../../node/answers.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import type { Board } from './board.ts';
import type { DemoHost } from './host.ts';
import { HostPath } from './host-path.ts';
import type { DemoImages } from './images.ts';
import { proofOf } from './proof.ts';
import type { Refusal } from './proof.ts';
import type { Player } from './players.ts';
import type { StoryOptions } from './story.ts';
import { ALL_BYTES, VOLUMES } from './volumes.ts';
import type { Witness } from './witness.ts';

const TIMEOUT_MS = 120_000;

/** What the acts before have left. */
export interface Told extends StoryOptions {
  readonly witness: Witness;
  readonly board: Board;
  /** On the monotonic clock. */
  readonly startMs: number;
  readonly images: DemoImages;
  readonly imported: DemoAnswer['imported'];
  readonly host: DemoHost;
  readonly marks: readonly DemoMark[];
  readonly firstCopy: ReplicateAnswer;
  readonly migration: MigrateAnswer;
  readonly comparedLive: CompareAnswer;
  readonly a: Player;
  readonly b: Player;
  readonly c: Player;
}

export async function endStory(told: Told): Promise<DemoAnswer> {
  const { environment, stage, run, images, a, b, c } = told;
  const { nextSequence, sent } = await stopInOrder(told);
  stage.now('comparing osaka with kyoto, and reading everything');
  const { compared, verified } = await readClosed(told);

  stage.now('the witness compares its own files with kyoto, byte by byte');
  const [testimony, fsck, sealed] = await Promise.all([
    testimonyOf(told),
    images.kind === 'ext4' ? run('e2fsck', ['-fn', setPaths.image(c.folder, 'db')]) : undefined,
    refusalOf(told),
  ]);
  const { report, comparisons } = testimony;

  const proof = proofOf({
    ...told,
    ...testimony,
    ...{ compared, verified, sent, nextSequence, fsck, sealed },
    fileSystem: images.kind === 'ext4',
    sets: {
      a: inspectSet(environment, a.folder),
      b: inspectSet(environment, b.folder),
      c: inspectSet(environment, c.folder),
    },
  });
  return {
    ...answerOf(told),
    proved: proof.every(({ ok }) => ok !== false),
    proof,
    sent,
    restoredSequence: compared.sequence,
    compared,
    verified,
    witness: { report, images: comparisons },
  };
}

/** Kyoto gets the last records, then the daemons end, the sender first. */
async function stopInOrder({ stage, board, daemons, a, b, c }: Told): Promise<{
  readonly nextSequence: number;
  readonly sent: DemoAnswer['sent'];
}> {
  stage.now('the last records; then all daemons are stopped');
  await b.set.replicate({ timeoutMs: TIMEOUT_MS, maxRate: undefined });
  const { journal } = await b.set.status();
  await board.stop();
  for (const { name } of [b, a, c]) await daemons.stop(name);
  return {
    nextSequence: journal.nextSequence,
    sent: { tokyo: board.sent(a.name), osaka: board.sent(b.name) },
  };
}

/** No daemon is there: this process opens the sets itself. */
async function readClosed({ site, b, c }: Told): Promise<{
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

/** Asks the sealed set once more, when its daemon was started again. */
async function refusalOf({ daemons, site, network, environment, a }: Told): Promise<Refusal> {
  const daemon = await daemons.start({ name: a.name, folder: a.folder });
  const path = HostPath.open({ network, clock: environment.clock }, daemon);
  const admitsHosts = await path.then(
    (opened) => opened.close().then(() => true),
    () => false,
  );
  const data = [Buffer.from('too late')];
  const set = await site.open(daemon.address);
  const refusal = await set.write({ volume: 'log', offset: 0, data, sync: true }).then(
    () => ({ code: undefined, message: 'it took a write' }),
    (error: unknown) => ({
      code: isRcopyError(error) ? error.code : undefined,
      message: messageOf(error),
    }),
  );
  await daemons.stop(a.name);
  return { ...refusal, admitsHosts };
}

type Ending =
  | 'proved'
  | 'proof'
  | 'sent'
  | 'restoredSequence'
  | 'compared'
  | 'verified'
  | 'witness';

/** The part of the answer that was known before the end. */
function answerOf(told: Told): Omit<DemoAnswer, Ending> {
  const { environment, kept, folder, host, board, startMs } = told;
  const { imported, firstCopy, migration, marks, comparedLive, a, b, c } = told;
  const { pauseMs, slowestMs } = host.path;
  return {
    seconds: (environment.clock.monotonicMs() - startMs) / 1000,
    folder: kept ? folder : null,
    host: { ...host.counts, pauseMs: tenths(pauseMs), slowestMs: tenths(slowestMs) },
    daemons: [a, b, c].map(({ name }) => Object.assign({ name }, board.usage(name))),
    imported,
    volumeBytes: ALL_BYTES,
    firstCopy,
    migration,
    bothSentMs: tenths(board.bothSentMs),
    marks,
    comparedLive,
  };
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
