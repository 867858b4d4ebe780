/**
 * The demo's story: hosts write to A, A copies to C, the primary moves to B while hosts go on and C
 * follows. What is told here is done by the same calls that the commands make.
 */
import { join } from 'node:path';
import { RcopyError, isRcopyError, messageOf } from '../../base/errors.ts';
import { MIB } from '../../base/limits.ts';
import { inspectSet } from '../../control/inspect.ts';
import type { Site } from '../../control/site.ts';
import { setPaths } from '../../imageset/set-folder.ts';
import type {
  MigrateAnswer,
  MigrationCopy,
  MigrationMode,
  Progress,
  ReplicateAnswer,
} from '../../node/answers.ts';
import type { StorageNode } from '../../node/storage-node.ts';
import type { Environment } from '../../sys/environment.ts';
import { formatDuration } from '../../base/durations.ts';
import { counted, formatCount, formatSize } from '../../base/sizes.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import { Follow } from './follow.ts';
import { DemoHost } from './host.ts';
import { DB_BYTES, changesBetween, makeImages } from './images.ts';
import type { DemoImages } from './images.ts';
import type { RunProgram } from './programs.ts';
import { proofOf } from './proof.ts';
import type { Refusal } from './proof.ts';
import { emptyCast, sceneOf } from './scene.ts';
import type { Stage } from './stage.ts';
import { Witness } from './witness.ts';
import { copiedText, owedText } from './words.ts';

/** Not a multiple of a block: a volume may end anywhere. */
const LOG_BYTES = 48 * MIB + 1536;
const JOURNAL_BYTES = 256 * MIB;
const TIMEOUT_MS = 120_000;

/** When things happen, as parts of the time that hosts write. */
const MOVE_ANNOUNCED_AT = 0.3;
const MOVE_BEGINS_AT = 0.38;
const MOVE_SHARE = 0.35;

/** Copies are slow enough to be seen, and faster than hosts write. */
const FIRST_COPY_RATE = 16 * MIB;
const MOVE_RATE_MIN = 7 * MIB;

export interface StoryOptions {
  readonly environment: Environment;
  readonly site: Site;
  readonly stage: Stage;
  /** An empty folder. */
  readonly folder: string;
  /** Whether the folder is still there when the story has been told. */
  readonly kept: boolean;
  /** How long hosts write. */
  readonly seconds: number;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  /** Path of bin/witness.js. */
  readonly witnessProgram: string;
  readonly run: RunProgram;
}

/** Plays the story to its end and proves what came out of it. */
export async function playStory(options: StoryOptions): Promise<DemoAnswer> {
  const { environment, folder, witnessProgram } = options;
  const references = join(folder, 'witness');
  environment.files.makeFolder(references, 'DEMO:FOLDER');
  const witness = new Witness(witnessProgram, references);
  try {
    return await new Story(options, witness).play();
  } finally {
    void witness.end();
  }
}

class Story {
  private readonly options: StoryOptions;
  private readonly witness: Witness;
  private readonly folders: { readonly a: string; readonly b: string; readonly c: string };
  private readonly cast = emptyCast();
  private readonly startMs: number;
  private hostStartMs = 0;
  private switchTold = false;

  constructor(options: StoryOptions, witness: Witness) {
    this.options = options;
    this.witness = witness;
    const place = (name: string): string => join(options.folder, name);
    this.folders = { a: place('tokyo'), b: place('osaka'), c: place('kyoto') };
    this.startMs = options.environment.clock.monotonicMs();
  }

  async play(): Promise<DemoAnswer> {
    const { environment, stage } = this.options;
    const images = await this.makeImages();
    const imported = await this.makePrimary(images);
    await this.makePair();

    const later = environment.files.open(images.later, 'read', 'DEMO:READ');
    const changes = changesBetween(environment.files, images);
    const host = this.startHost(later, changes);
    stage.draw(() => sceneOf(this.cast));

    const marks: DemoMark[] = [];
    const firstCopy = await this.during(host, this.firstCopy());
    const before = await this.follow(this.node('a'), host, async () => {
      stage.now('tokyo serves the host; kyoto follows, in write order');
      await this.untilShare(MOVE_ANNOUNCED_AT);
      marks.push(await this.mark(host, 'before-the-move'));
    });
    const { migration, bothSentMs } = await this.during(host, this.move(host));
    const after = await this.follow(this.node('b'), host, async () => {
      stage.now('osaka serves the host; kyoto follows as if nothing had happened');
      await this.untilShare(1);
      marks.push(await this.mark(host, 'after-the-move'));
      await host.stop();
    });
    later.close();
    stage.tell(`osaka served the host; kyoto followed ${repeated(after)}`);
    stage.draw(undefined);

    const answers = [firstCopy, ...before, ...after, await this.lastReplication()];
    return this.prove({ images, imported, host, marks, answers, migration, bothSentMs });
  }

  private async makeImages(): Promise<DemoImages> {
    const { environment, folder, stage, run } = this.options;
    stage.now('making a volume with something in it');
    const images = await makeImages(environment.files, folder, run);
    const what =
      images.kind === 'ext4'
        ? `an ext4 file system with ${images.files} files, made by mke2fs`
        : 'an image without a file system, since mke2fs is not here';
    stage.tell(`volume db: ${formatSize(DB_BYTES)}, ${what}`);
    return images;
  }

  private async makePrimary(images: DemoImages): Promise<DemoAnswer['imported']> {
    const { site, stage } = this.options;
    const { witness } = this;
    stage.now('making tokyo, the first storage');
    const volumes = [
      { name: 'db', sizeBytes: DB_BYTES },
      { name: 'log', sizeBytes: LOG_BYTES },
    ];
    const folder = this.folders.a;
    await site.create({ folder, volumes, journalBytes: JOURNAL_BYTES, ifMissing: false });
    for (const { name, sizeBytes } of volumes) await witness.tell(`volume ${name} ${sizeBytes}`);

    const tokyo = await site.openHere(folder);
    this.cast.a = tokyo;
    const imported = await site.importImage(folder, { volume: 'db', file: images.first });
    const { firstSequence, lastSequence, dataBytes } = imported;
    await witness.tell(`image tokyo ${firstSequence} ${lastSequence} db ${images.first}`);
    const data = formatSize(dataBytes);
    stage.tell(`tokyo is A: volumes db and log; imported ${data}, the rest is holes`);
    return imported;
  }

  private async makePair(): Promise<void> {
    const { site, stage } = this.options;
    await site.makeLike(this.folders.c, this.folders.a);
    await this.node('a').createPair({ secondary: this.folders.c });
    this.cast.c = await site.openHere(this.folders.c);
    stage.tell('kyoto is C: the secondary of the pair, empty as yet');
  }

  private startHost(later: HostFile, changes: Changes): DemoHost {
    const { environment } = this.options;
    const { witness } = this;
    this.hostStartMs = environment.clock.monotonicMs();
    const due = (): number => Math.min(1, this.share());
    const host = new DemoHost(this.node('a'), { environment, witness, changes, later, due });
    this.cast.host = host;
    return host;
  }

  private async firstCopy(): Promise<ReplicateAnswer> {
    const { stage } = this.options;
    stage.now('first copy from tokyo to kyoto, while the host writes');
    this.cast.aSends = true;
    const limits = { timeoutMs: TIMEOUT_MS, maxRate: FIRST_COPY_RATE };
    const answer = await this.node('a').replicate(limits);
    const copied = formatSize(answer.copiedBytes);
    const whole = formatSize(DB_BYTES + LOG_BYTES);
    stage.tell(`first copy: ${copied} of ${whole} went over, holes stayed holes`);
    return answer;
  }

  /** B takes over while the host writes on; A goes into it owing C something. */
  private async move(host: DemoHost): Promise<{ migration: MigrateAnswer; bothSentMs: number }> {
    const { environment, site, stage, mode, copy } = this.options;
    const { a, b } = this.folders;
    this.cast.aSends = false;
    stage.now('the link to kyoto rests for a moment: tokyo will owe it something');
    await this.untilShare(MOVE_BEGINS_AT);
    await site.makeLike(b, a);
    const osaka = await site.openHere(b);
    this.cast.b = osaka;
    host.next = osaka;

    const both = this.watchBoth();
    const startMs = environment.clock.monotonicMs();
    const migration = await osaka.migrate({
      from: a,
      mode,
      copy,
      maxRate: Math.max(MOVE_RATE_MIN, this.rateFor(MOVE_SHARE)),
      detach: false,
      onProgress: (progress) => this.showMove(host, progress),
    });
    const tookMs = environment.clock.monotonicMs() - startMs;
    const bothSentMs = both.stop();
    this.cast.aSends = false;
    this.cast.fetching = undefined;

    this.tellSwitch(host, migration.nextSequence);
    const { nextSequence, journalCursor, copiedBytes } = migration;
    stage.tell(owedText(mode, nextSequence - journalCursor));
    stage.tell(`${copiedText(copy, copiedBytes)}, in ${formatDuration(tookMs)}`);
    return { migration, bothSentMs };
  }

  private showMove(host: DemoHost, { step, doneBytes, totalBytes = 0 }: Progress): void {
    const { stage } = this.options;
    if (step === 'copying ahead') {
      stage.now('tokyo serves the host still; osaka copies ahead');
      this.cast.fetching = { doneBytes, totalBytes };
      return;
    }
    if (step !== 'copying') {
      stage.now(`tokyo hands over to osaka: ${step}`);
      return;
    }
    stage.now('osaka serves the host, and fetches what it lacks from tokyo');
    this.cast.aSends = this.options.mode === 'drain';
    this.cast.bSends = true;
    this.cast.fetching = { doneBytes, totalBytes };
    const next = this.node('b').set.file.migration?.handover?.nextSequence;
    if (host.counts.pauseMs > 0 && next !== undefined) this.tellSwitch(host, next);
  }

  /** Told once, as soon as the host has had its first answer from B. */
  private tellSwitch(host: DemoHost, next: number): void {
    if (this.switchTold) return;
    this.switchTold = true;
    const waited = formatDuration(host.counts.pauseMs);
    this.options.stage.tell(
      `the switch: osaka is B and numbers on at ${formatCount(next)}; the host waited ${waited}`,
    );
  }

  /** Measures how long C was owed records by two senders that were both connected. */
  private watchBoth(): { stop(): number } {
    const { clock } = this.options.environment;
    const kyoto = this.node('c');
    let sinceMs: number | undefined;
    let sumMs = 0;
    const look = (): void => {
      const sources = kyoto.status().pair?.sources ?? [];
      const owing = sources.filter(({ from, to }) => to === null || from <= to);
      if (owing.length > 1) {
        sinceMs ??= clock.monotonicMs();
      } else if (sinceMs !== undefined) {
        sumMs += clock.monotonicMs() - sinceMs;
        sinceMs = undefined;
      }
    };
    const stop = kyoto.set.onChange(look);
    return {
      stop: () => {
        look();
        stop();
        return Math.round(sumMs * 10) / 10;
      },
    };
  }

  private async lastReplication(): Promise<ReplicateAnswer> {
    this.options.stage.now('the last records');
    return this.node('b').replicate({ timeoutMs: TIMEOUT_MS, maxRate: undefined });
  }

  private async prove(told: Told): Promise<DemoAnswer> {
    const { environment, site, stage, kept, run } = this.options;
    const { images, host, answers, migration } = told;
    const { a, b, c } = this.folders;
    stage.now('comparing osaka with kyoto, and reading everything');
    const compared = await this.node('b').verifyAgainst(c);
    const verified = [await this.node('b').verify(), await this.node('c').verify()];
    const copies = {
      tokyo: this.node('a').replication.counts.copiesBegun,
      osaka: this.node('b').replication.counts.copiesBegun,
    };
    await site.close();

    stage.now('the witness compares its own files with kyoto, byte by byte');
    const dbImage = setPaths.image(c, 'db');
    const comparisons = [
      await this.witness.compare('db', dbImage),
      await this.witness.compare('log', setPaths.image(c, 'log')),
    ];
    const report = await this.witness.report();
    const witnessExit = await this.witness.end();

    stage.now('checking the file system on kyoto');
    const fsck = images.kind === 'ext4' ? await run('e2fsck', ['-fn', dbImage]) : undefined;
    const sealed = await this.refusal(a);
    await site.close();

    const proof = proofOf({
      report,
      comparisons,
      witnessExit,
      compared,
      verified,
      copies,
      answers,
      migration,
      marks: told.marks,
      fsck,
      fileSystem: images.kind === 'ext4',
      sealed,
      sets: {
        a: inspectSet(environment, a),
        b: inspectSet(environment, b),
        c: inspectSet(environment, c),
      },
    });
    const firstCopy = answers[0];
    if (!firstCopy) throw new RcopyError('E_INTERNAL', 'there was a first copy');
    return {
      proved: proof.every(({ ok }) => ok !== false),
      proof,
      seconds: (environment.clock.monotonicMs() - this.startMs) / 1000,
      folder: kept ? this.options.folder : null,
      host: { ...host.counts },
      imported: told.imported,
      volumeBytes: DB_BYTES + LOG_BYTES,
      firstCopy,
      migration,
      bothSentMs: told.bothSentMs,
      restoredSequence: compared.sequence,
      marks: told.marks,
      compared,
      verified,
      witness: { report, images: comparisons },
    };
  }

  /** Asks the sealed set once more, after it was closed and opened again. */
  private async refusal(folder: string): Promise<Refusal> {
    try {
      const node = await this.options.site.open(folder);
      await node.write({ volume: 'log', offset: 0, data: [Buffer.from('too late')], sync: true });
      return { code: undefined, message: 'it took a write' };
    } catch (error) {
      return { code: isRcopyError(error) ? error.code : undefined, message: messageOf(error) };
    }
  }

  private async mark(host: DemoHost, name: string): Promise<DemoMark> {
    return { name, sequence: await host.mark(name) };
  }

  /** Brings C up to date again and again while `action` runs; an error of either ends both. */
  private async follow(
    node: StorageNode,
    host: DemoHost,
    action: () => Promise<void>,
  ): Promise<ReplicateAnswer[]> {
    const follow = new Follow(node, this.options.environment.clock);
    await Promise.race([this.during(host, action()), follow.failed]);
    await follow.stop();
    return follow.answers;
  }

  /** Waits for a step; an error of the host ends the wait. */
  private during<T>(host: DemoHost, step: Promise<T>): Promise<T> {
    step.catch(() => undefined); // when the host has failed first, that is what is thrown
    return Promise.race([step, host.failed]);
  }

  /** The part of the hosts' time that has passed. */
  private share(): number {
    const { environment, seconds } = this.options;
    return (environment.clock.monotonicMs() - this.hostStartMs) / (seconds * 1000);
  }

  private async untilShare(share: number): Promise<void> {
    const { environment, seconds } = this.options;
    const leftMs = (share - this.share()) * seconds * 1000;
    if (leftMs > 0) await environment.clock.sleep(leftMs);
  }

  /** The rate at which all data of A takes a part of the hosts' time. */
  private rateFor(share: number): number {
    let dataBytes = 0;
    for (const device of this.node('a').set.volumes) {
      for (let offset = 0; offset < device.sizeBytes;) {
        const extent = device.nextExtent(offset, device.sizeBytes);
        if (extent.data) dataBytes += extent.length;
        offset += extent.length;
      }
    }
    return Math.ceil(dataBytes / (share * this.options.seconds));
  }

  private node(part: 'a' | 'b' | 'c'): StorageNode {
    const node = this.cast[part];
    if (!node) throw new RcopyError('E_INTERNAL', `${part} is not on the stage`);
    return node;
  }
}

type HostFile = ConstructorParameters<typeof DemoHost>[1]['later'];
type Changes = ConstructorParameters<typeof DemoHost>[1]['changes'];

/** What the acts before left for the proof. */
interface Told {
  readonly images: DemoImages;
  readonly imported: DemoAnswer['imported'];
  readonly host: DemoHost;
  readonly marks: readonly DemoMark[];
  readonly answers: readonly ReplicateAnswer[];
  readonly migration: MigrateAnswer;
  readonly bothSentMs: number;
}

function repeated(answers: readonly ReplicateAnswer[]): string {
  const records = answers.reduce((sum, { sentRecords }) => sum + sentRecords, 0);
  return `by ${counted(records, 'record')} in ${counted(answers.length, 'round')}`;
}
