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
import type { SetService } from '../../node/set-service.ts';
import type { Environment } from '../../sys/environment.ts';
import type { FileHandle } from '../../sys/files.ts';
import type { Network } from '../../sys/network.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import { Board } from './board.ts';
import type { Daemon, Daemons } from './daemons.ts';
import { endStory } from './ending.ts';
import { DemoHost } from './host.ts';
import { HostPath } from './host-path.ts';
import { changesBetween, makeImages } from './images.ts';
import type { DemoImages } from './images.ts';
import type { RunProgram } from './programs.ts';
import { sceneOf } from './scene.ts';
import type { Cast } from './scene.ts';
import type { Stage } from './stage.ts';
import { Traffic } from './traffic.ts';
import { ALL_BYTES, DB, VOLUMES } from './volumes.ts';
import { Witness } from './witness.ts';
import { copiedText, owedText } from './words.ts';

const JOURNAL_BYTES = 256 * MIB;
const TIMEOUT_MS = 120_000;

/** When things happen, as parts of the time that the host writes. */
const AWAY_AT = 0.28;
const MOVE_AT = 0.36;
const MOVE_SHARE = 0.35;
const LIVE_LOOK_AT = 0.86;

/** What tokyo sends a second: slow enough to be seen, and more than the host writes. */
const TOKYO_RATE = 10 * MIB;
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

/** A set, its daemon, and the way to ask it. */
export interface Player extends Daemon {
  readonly folder: string;
  readonly set: SetService;
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
  private readonly startMs: number;
  private host: DemoHost | undefined;
  private hostStartMs = 0;
  private fetching: Cast['fetching'];
  private isCAway = false;
  private switchTold = false;

  constructor(options: StoryOptions, witness: Witness, board: Board) {
    this.options = options;
    this.witness = witness;
    this.board = board;
    this.startMs = options.environment.clock.monotonicMs();
  }

  async play(): Promise<DemoAnswer> {
    const { environment, stage } = this.options;
    const { witness, board, startMs } = this;
    const images = await this.makeImages();
    const { a, c } = await this.startPair();
    const imported = await this.importFirst(a, images);

    const later = environment.files.open(images.later, 'read', 'DEMO:READ');
    const host = await this.startHost(a, images, later);
    stage.draw(() => this.scene());
    const firstCopy = await this.during(host, this.firstCopy(a, c));
    const marks = [await this.during(host, this.serve(a, host))];
    const { b, migration } = await this.during(host, this.move({ a, c, host, imported }));
    marks.push(await this.during(host, this.serveOn(b, host)));
    await this.during(host, this.untilShare(LIVE_LOOK_AT));
    stage.now('comparing osaka with kyoto while the host writes');
    const comparedLive = await this.during(host, b.set.verifyAgainst(c.address));
    await this.during(host, this.untilShare(1));
    marks.push(await this.during(host, this.mark(b, host, 'the-end')));
    await host.stop();
    later.close();
    stage.draw(undefined);

    return endStory({
      ...this.options,
      ...{ witness, board, startMs, images, imported, host, marks, firstCopy, migration },
      ...{ a, b, c, comparedLive },
    });
  }

  private async makeImages(): Promise<DemoImages> {
    const { environment, folder, stage, run } = this.options;
    stage.now('making a volume with something in it');
    const images = await makeImages(environment.files, folder, run);
    const what =
      images.kind === 'ext4'
        ? `an ext4 file system with ${images.files} files, made by mke2fs`
        : 'an image without a file system, since mke2fs is not here';
    stage.tell(`volume db: ${formatSize(DB.sizeBytes)}, ${what}`);
    return images;
  }

  /** Makes both sets, and starts their daemons. */
  private async startPair(): Promise<{ a: Player; c: Player }> {
    const { site, stage } = this.options;
    stage.now('making tokyo and kyoto, and starting their daemons');
    const tokyo = this.place('tokyo');
    const volumes = VOLUMES;
    await site.create({ folder: tokyo, volumes, journalBytes: JOURNAL_BYTES, ifMissing: false });
    for (const { name, sizeBytes } of volumes) {
      await this.witness.tell(`volume ${name} ${sizeBytes}`);
    }
    await site.makeLike(this.place('kyoto'), tokyo);
    const [a, c] = await Promise.all([
      this.start('tokyo', { maxRate: TOKYO_RATE }),
      this.start('kyoto'),
    ]);
    return { a, c };
  }

  private async importFirst(a: Player, images: DemoImages): Promise<DemoAnswer['imported']> {
    const { site, stage } = this.options;
    const transfer = { volume: DB.name, file: images.first };
    const imported = await site.importImage(a.address, transfer);
    const { firstSequence, lastSequence, dataBytes } = imported;
    await this.witness.tell(`image tokyo ${firstSequence} ${lastSequence} db ${images.first}`);
    const data = formatSize(dataBytes);
    stage.tell(`tokyo is A, a daemon at ${a.address}: volumes db and log, ${data} imported`);
    return imported;
  }

  /** It comes over NBD, as any host would. */
  private async startHost(a: Player, images: DemoImages, later: FileHandle): Promise<DemoHost> {
    const { environment, network } = this.options;
    const { clock, random, files } = environment;
    const changes = changesBetween(files, images);
    const traffic = new Traffic({ random, changes, later, due: () => Math.min(1, this.share()) });
    const path = await HostPath.open({ network, clock }, a);
    this.hostStartMs = clock.monotonicMs();
    const host = new DemoHost({ clock, path, traffic, witness: this.witness });
    this.host = host;
    return host;
  }

  /** The daemons do it by themselves, as soon as they are a pair. */
  private async firstCopy(a: Player, c: Player): Promise<ReplicateAnswer> {
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
  private async serve(a: Player, host: DemoHost): Promise<DemoMark> {
    const { stage, daemons } = this.options;
    stage.now('tokyo serves the host over NBD; kyoto follows, in write order');
    await this.untilShare(AWAY_AT);
    const mark = await this.mark(a, host, 'before-the-move');
    stage.now('kyoto is stopped for a moment; tokyo serves on, and will owe it something');
    this.isCAway = true;
    this.board.watch('kyoto', undefined);
    await daemons.stop('kyoto');
    return mark;
  }

  /** C comes back where it was, and B takes over at once. */
  private async move({
    a,
    c,
    host,
    imported,
  }: BeforeMove): Promise<{ b: Player; migration: MigrateAnswer }> {
    const { environment, site, stage, mode, copy } = this.options;
    const { clock } = environment;
    await site.makeLike(this.place('osaka'), a.folder);
    const b = await this.start('osaka');
    await this.untilShare(MOVE_AT);
    await this.untilOwing(OWED_BYTES);
    await this.start('kyoto', { listen: listenOf(c) });
    stage.tell('kyoto was stopped and started again: it goes on where it was');
    host.path.next = b;

    const startMs = clock.monotonicMs();
    const migration = await b.set.migrate({
      from: a.address,
      mode,
      copy,
      maxRate: Math.max(MOVE_RATE_MIN, this.rateFor(imported.dataBytes + host.counts.writtenBytes)),
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

  private async serveOn(b: Player, host: DemoHost): Promise<DemoMark> {
    this.options.stage.now('osaka serves the host; kyoto follows as if nothing had happened');
    return this.mark(b, host, 'after-the-move');
  }

  /** A moment when nothing of the host is under way. */
  private mark(at: Player, host: DemoHost, name: string): Promise<DemoMark> {
    return host.between(async () => {
      const { sequence } = await at.set.mark(name);
      await this.witness.tell(`mark ${at.name} ${sequence}`);
      return { name, sequence };
    });
  }

  /** Starts the daemon of a set; the board watches it from now on. */
  private async start(
    name: 'tokyo' | 'osaka' | 'kyoto',
    how: { readonly listen?: string; readonly maxRate?: number } = {},
  ): Promise<Player> {
    const { daemons, site } = this.options;
    const folder = this.place(name);
    const daemon = await daemons.start({ name, folder, ...how });
    const set = await site.open(daemon.address);
    this.board.watch(name, set);
    return { ...daemon, folder, set };
  }

  private place(name: string): string {
    return join(this.options.folder, name);
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

  /** Waits for a step; an error of the host ends the wait. */
  private during<T>(host: DemoHost, step: Promise<T>): Promise<T> {
    step.catch(() => undefined); // when the host has failed first, that is what is thrown
    return Promise.race([step, host.failed]);
  }

  /** The part of the host's time that has passed. */
  private share(): number {
    const { environment, seconds } = this.options;
    return (environment.clock.monotonicMs() - this.hostStartMs) / (seconds * 1000);
  }

  private async untilShare(share: number): Promise<void> {
    const { environment, seconds } = this.options;
    const leftMs = (share - this.share()) * seconds * 1000;
    if (leftMs > 0) await environment.clock.sleep(leftMs);
  }

  /** Until A owes C so much; on a machine that is too slow for it, not for ever. */
  private async untilOwing(bytes: number): Promise<void> {
    const { clock } = this.options.environment;
    const untilMs = clock.monotonicMs() + OWING_MS_MAX;
    const owed = () => this.board.status('tokyo')?.pair?.lag?.bytes ?? 0;
    while (owed() < bytes && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS);
  }

  /** The rate at which so much takes a part of the host's time. */
  private rateFor(dataBytes: number): number {
    return Math.ceil(Math.min(ALL_BYTES, dataBytes) / (MOVE_SHARE * this.options.seconds));
  }
}

interface BeforeMove {
  readonly a: Player;
  readonly c: Player;
  readonly host: DemoHost;
  readonly imported: DemoAnswer['imported'];
}

/** For a daemon that is to be where it was. */
function listenOf({ address }: Daemon): string {
  return address.slice(address.indexOf('//') + 2);
}
