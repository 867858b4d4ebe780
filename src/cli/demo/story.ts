/**
 * The demo's story: a host writes to A, A copies to C, the primary moves to B while the host goes
 * on and C follows. Each set has a daemon in a process of its own; what is told here is done by the
 * same calls that the commands make.
 */
import { join } from 'node:path';
import { formatDuration } from '../../base/durations.ts';
import { MIB } from '../../base/limits.ts';
import { formatCount, formatSize } from '../../base/sizes.ts';
import type { Site } from '../../control/site.ts';
import type {
  MigrateAnswer,
  MigrationCopy,
  MigrationMode,
  Progress,
  ReplicateAnswer,
} from '../../node/answers.ts';
import type { Environment } from '../../sys/environment.ts';
import type { FileHandle } from '../../sys/files.ts';
import type { Network } from '../../sys/network.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import { Board } from './board.ts';
import type { Daemons } from './daemons.ts';
import { endStory } from './ending.ts';
import { DemoHost } from './host.ts';
import { HostPath } from './host-path.ts';
import { changesBetween } from './images.ts';
import type { DemoImages } from './images.ts';
import { openStory } from './opening.ts';
import { Pace } from './pace.ts';
import { Players } from './players.ts';
import type { Player } from './players.ts';
import type { RunProgram } from './programs.ts';
import { sceneOf } from './scene.ts';
import type { Cast } from './scene.ts';
import type { Stage } from './stage.ts';
import { Traffic } from './traffic.ts';
import { ALL_BYTES } from './volumes.ts';
import { Witness } from './witness.ts';
import { copiedText, owedText } from './words.ts';

const TIMEOUT_MS = 120_000;

/** When things happen, as parts of the time that the host writes. */
const AWAY_AT = 0.28;
const MOVE_AT = 0.36;
const MOVE_SHARE = 0.35;
const LIVE_LOOK_AT = 0.86;

/** What osaka fetches a second, at least. */
const MOVE_RATE_MIN = 7 * MIB;

/** What it is to owe when the move begins, and how long that may take. */
const OWED_BYTES = 10 * MIB;
const OWING_MS_MAX = 2_000;
const LOOK_MS = 50;

export interface StoryOptions {
  readonly environment: Environment;
  readonly network: Network;
  readonly site: Site;
  readonly daemons: Daemons;
  readonly stage: Stage;
  /** An empty folder. */
  readonly folder: string;
  /** Whether the folder is still there when the story has been told. */
  readonly kept: boolean;
  /** How long the host writes. */
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
  const board = new Board(environment.clock);
  try {
    return await new Story(options, witness, board).play();
  } finally {
    void board.stop();
    void witness.end();
  }
}

class Story {
  private readonly options: StoryOptions;
  private readonly witness: Witness;
  private readonly board: Board;
  private readonly players: Players;
  private readonly startMs: number;
  private host: DemoHost | undefined;
  private fetching: Cast['fetching'];
  private isCAway = false;
  private switchTold = false;

  constructor(options: StoryOptions, witness: Witness, board: Board) {
    this.options = options;
    this.witness = witness;
    this.board = board;
    this.players = new Players({ ...options, board });
    this.startMs = options.environment.clock.monotonicMs();
  }

  async play(): Promise<DemoAnswer> {
    const { environment, stage } = this.options;
    const { witness, board, startMs, options, players } = this;
    const { images, imported, a, c } = await openStory({ options, players, witness });

    const later = environment.files.open(images.later, 'read', 'DEMO:READ');
    const { host, pace } = await this.startHost(a, images, later);
    stage.draw(() => this.scene());
    const acts = this.acts({ a, c, host, pace, imported });
    acts.catch(() => undefined); // when the host has failed first, that is what is thrown
    const played = await Promise.race([acts, host.failed]);
    later.close();
    stage.draw(undefined);
    return endStory({
      ...options,
      ...played,
      ...{ witness, board, startMs, images, imported, host, a, c },
    });
  }

  /** All that happens while the host writes. */
  private async acts(acting: Acting) {
    const { c, host, pace } = acting;
    const { stage } = this.options;
    const firstCopy = await this.firstCopy(acting);
    const marks = [await this.serve(acting)];
    const { b, migration } = await this.move(acting);
    stage.now('osaka serves the host; kyoto follows as if nothing had happened');
    marks.push(await this.mark(b, host, 'after-the-move'));
    await pace.untilShare(LIVE_LOOK_AT);
    stage.now('comparing osaka with kyoto while the host writes');
    const comparedLive = await b.set.verifyAgainst(c.address);
    await pace.untilShare(1);
    marks.push(await this.mark(b, host, 'the-end'));
    await host.stop();
    return { b, firstCopy, marks, migration, comparedLive };
  }

  /** It comes over NBD, as any host would. */
  private async startHost(a: Player, images: DemoImages, later: FileHandle) {
    const { environment, network, seconds } = this.options;
    const { clock, random, files } = environment;
    const changes = changesBetween(files, images);
    const path = await HostPath.open({ network, clock }, a);
    const pace = new Pace(clock, seconds);
    const traffic = new Traffic({ random, changes, later, due: () => pace.share });
    const host = new DemoHost({ clock, path, traffic, witness: this.witness });
    this.host = host;
    return { host, pace };
  }

  /** The daemons do it by themselves, as soon as they are a pair. */
  private async firstCopy({ a, c }: Acting): Promise<ReplicateAnswer> {
    const { stage } = this.options;
    await a.set.createPair({ secondary: c.address });
    stage.tell(`kyoto is C, a daemon at ${c.address}: the secondary of the pair`);
    const doing = 'first copy from tokyo to kyoto, while the host writes';
    stage.now(doing);
    const answer = await a.set.replicate({
      timeoutMs: TIMEOUT_MS,
      maxRate: undefined,
      onProgress: ({ step, doneBytes }) => {
        if (step !== 'copying') return;
        stage.now(`${doing}: ${Math.min(100, Math.floor((100 * doneBytes) / ALL_BYTES))}%`);
      },
    });
    const status = await a.set.status();
    const copied = formatSize(status.pair?.sent?.copiedBytes ?? 0);
    stage.tell(`first copy: ${copied} of ${formatSize(ALL_BYTES)} went over, holes stayed holes`);
    return answer;
  }

  /** Everything runs by itself; then C goes away for a while, so that A owes it something. */
  private async serve({ a, c, host, pace }: Acting): Promise<DemoMark> {
    const { stage } = this.options;
    stage.now('tokyo serves the host over NBD; kyoto follows, in write order');
    await pace.untilShare(AWAY_AT);
    const mark = await this.mark(a, host, 'before-the-move');
    stage.now('kyoto is stopped for a moment; tokyo serves on, and will owe it something');
    this.isCAway = true;
    await this.players.stop(c);
    return mark;
  }

  /** C comes back where it was, and B takes over at once. */
  private async move(acting: Acting): Promise<{ b: Player; migration: MigrateAnswer }> {
    const { a, c, host, pace, imported } = acting;
    const { environment, site, stage, mode, copy } = this.options;
    const { clock } = environment;
    await site.makeLike(this.players.place('osaka'), a.folder);
    const b = await this.players.start('osaka');
    await pace.untilShare(MOVE_AT);
    await this.untilOwing(OWED_BYTES);
    await this.players.startAgain('kyoto', c);
    stage.tell('kyoto was stopped and started again: it goes on where it was');
    host.path.next = b;

    const startMs = clock.monotonicMs();
    const dataBytes = Math.min(ALL_BYTES, imported.dataBytes + host.counts.writtenBytes);
    const migration = await b.set.migrate({
      from: a.address,
      mode,
      copy,
      maxRate: Math.max(MOVE_RATE_MIN, pace.rateFor(dataBytes, MOVE_SHARE)),
      detach: false,
      onProgress: (progress) => this.showMove(host, progress),
    });
    const tookMs = clock.monotonicMs() - startMs;
    this.fetching = undefined;
    this.tellSwitch(host, migration.nextSequence);
    const { nextSequence, journalCursor, copiedBytes } = migration;
    stage.tell(owedText(mode, nextSequence - journalCursor));
    stage.tell(`${copiedText(copy, copiedBytes)}, in ${formatDuration(tookMs)}`);
    return { b, migration };
  }

  private showMove(host: DemoHost, { step, doneBytes, totalBytes = 0 }: Progress): void {
    const { stage } = this.options;
    if (step === 'copying ahead') {
      stage.now('tokyo serves the host still; osaka copies ahead');
      this.fetching = { doneBytes, totalBytes };
      return;
    }
    if (step !== 'copying') {
      stage.now(`tokyo hands over to osaka: ${step}`);
      return;
    }
    stage.now('osaka serves the host, and fetches what it lacks from tokyo');
    this.fetching = { doneBytes, totalBytes };
    const next = this.board.status('osaka')?.migration?.nextSequence ?? 0;
    if (host.path.pauseMs > 0 && next > 0) this.tellSwitch(host, next);
  }

  /** Told once, as soon as the host has had its first answer from B. */
  private tellSwitch(host: DemoHost, next: number): void {
    if (this.switchTold) return;
    this.switchTold = true;
    const waited = formatDuration(host.path.pauseMs);
    this.options.stage.tell(
      `the switch: osaka is B and numbers on at ${formatCount(next)}; the host waited ${waited}`,
    );
  }

  /** A moment when nothing of the host is under way. */
  private mark(at: Player, host: DemoHost, name: string): Promise<DemoMark> {
    return host.between(async () => {
      const { sequence } = await at.set.mark(name);
      await this.witness.tell(`mark ${at.name} ${sequence}`);
      return { name, sequence };
    });
  }

  private scene() {
    const { board, host, fetching, isCAway } = this;
    const at: 'tokyo' | 'osaka' = host?.path.at === 'osaka' ? 'osaka' : 'tokyo';
    return sceneOf({
      host: host && {
        writes: host.counts.writes,
        bytes: host.counts.writtenBytes,
        at: host.path.heldSinceMs === undefined ? at : 'held',
      },
      a: board.status('tokyo'),
      b: board.status('osaka'),
      c: board.status('kyoto'),
      isCAway,
      fetching,
    });
  }

  /** Until A owes C so much; on a machine that is too slow for it, not for ever. */
  private async untilOwing(bytes: number): Promise<void> {
    const { clock } = this.options.environment;
    const untilMs = clock.monotonicMs() + OWING_MS_MAX;
    const owed = () => this.board.status('tokyo')?.pair?.lag?.bytes ?? 0;
    while (owed() < bytes && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS);
  }
}

/** Who plays in all acts. */
interface Acting {
  readonly a: Player;
  readonly c: Player;
  readonly host: DemoHost;
  readonly pace: Pace;
  readonly imported: DemoAnswer['imported'];
}
