/**
 * The demo's story: a host writes through a path controller to A, A copies to C, the primary moves
 * to B while the host goes on and C follows, and A is switched off. Each set has a daemon in a
 * process of its own, and so has the controller; what is told here is done by the same calls that
 * the commands make.
 */
import { join } from 'node:path';
import { formatSize } from '../../base/sizes.ts';
import type { Site } from '../../control/site.ts';
import type { MigrationCopy, MigrationMode, ReplicateAnswer } from '../../node/answers.ts';
import type { Environment } from '../../sys/environment.ts';
import type { FileHandle } from '../../sys/files.ts';
import type { Network } from '../../sys/network.ts';
import type { DemoAnswer, DemoMark } from './answer.ts';
import { Board } from './board.ts';
import { HostConnections } from './connections.ts';
import type { Daemons } from './daemons.ts';
import { endStory } from './ending.ts';
import { GATE_NAME } from './gate.ts';
import type { Gate } from './gate.ts';
import { connectionsOf } from './gate-facts.ts';
import { DemoHost } from './host.ts';
import { changesBetween } from './images.ts';
import { Move } from './move.ts';
import { openStory } from './opening.ts';
import type { Opened } from './opening.ts';
import { PATIENCE_MS, Pace } from './pace.ts';
import { Players } from './players.ts';
import type { Player } from './players.ts';
import type { RunProgram } from './programs.ts';
import { sceneOf } from './scene.ts';
import type { Stage } from './stage.ts';
import { Traffic } from './traffic.ts';
import { ALL_BYTES } from './volumes.ts';
import { Witness } from './witness.ts';

/** When things happen, as parts of the time that the host writes. */
const AWAY_AT = 0.26;
const LIVE_LOOK_AT = 0.8;

/** How often the host writes at least when A is off. */
const WRITES_WITHOUT_A = 20;

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
  /** Never resolves; rejects when the demo is to end before it is over. */
  readonly stopped: Promise<never>;
}

/** What there is from the beginning. */
export interface StoryParts {
  readonly options: StoryOptions;
  readonly players: Players;
  readonly witness: Witness;
  readonly board: Board;
  /** On the monotonic clock. */
  readonly startMs: number;
}

/** Who plays in all acts. */
export interface Acting {
  readonly a: Player;
  readonly c: Player;
  readonly gate: Gate;
  readonly host: DemoHost;
  readonly pace: Pace;
  readonly imported: DemoAnswer['imported'];
}

/** Plays the story to its end and proves what came out of it. */
export async function playStory(options: StoryOptions): Promise<DemoAnswer> {
  const { environment, folder, witnessProgram } = options;
  const references = join(folder, 'witness');
  environment.files.makeFolder(references, 'DEMO:FOLDER');
  const witness = new Witness(witnessProgram, references);
  const board = new Board(environment.clock);
  const players = new Players({ ...options, board });
  const startMs = environment.clock.monotonicMs();
  const story = new Story({ options, players, witness, board, startMs });
  try {
    return await Promise.race([story.play(), options.daemons.failed, options.stopped]);
  } finally {
    story.drop();
    void board.stop();
    void witness.end();
  }
}

class Story {
  private readonly parts: StoryParts;
  private connections: HostConnections | undefined;
  private host: DemoHost | undefined;
  private moving: Move | undefined;
  private isAOff = false;
  private isCAway = false;

  constructor(parts: StoryParts) {
    this.parts = parts;
  }

  async play(): Promise<DemoAnswer> {
    const { environment, stage } = this.parts.options;
    const opened = await openStory(this.parts);
    const { images, imported, a, c, gate } = opened;

    const later = environment.files.open(images.later, 'read', 'DEMO:READ');
    const { host, pace } = await this.startHost(opened, later);
    stage.draw(() => this.scene());
    const acting = { a, c, gate, host, pace, imported };
    const acts = this.acts(acting);
    acts.catch(() => undefined); // when the host has failed first, that is what is thrown
    const played = await Promise.race([acts, host.failed]);
    later.close();
    stage.draw(undefined);
    return endStory({ ...this.parts, ...acting, ...played, images });
  }

  /** The host leaves at once: nobody has to wait for it. */
  drop(): void {
    this.connections?.drop();
  }

  /** All that happens while the host writes. */
  private async acts(acting: Acting) {
    const { a, c, gate, host, pace } = acting;
    const { stage } = this.parts.options;
    const connectedAtFirst = connectionsOf(await gate.path.status());
    const firstCopy = await this.firstCopy(acting);
    const marks = [await this.serve(acting)];
    const [b] = await Promise.all([this.startTarget(a), this.stopForAWhile(c)]);
    const move = new Move(this.parts, acting);
    this.moving = move;
    const moved = await move.play(b);
    marks.push(await this.markBetween(b, host, 'after-the-move'));
    const left = await move.leave(moved);
    this.isAOff = true;
    stage.now(`${a.name} is gone; osaka serves the host, and kyoto follows it`);
    await host.untilWritten(WRITES_WITHOUT_A);
    await pace.untilShare(LIVE_LOOK_AT);
    stage.now('comparing osaka with kyoto while the host writes');
    const comparedLive = await b.set.verifyAgainst(c.address);
    await pace.untilShare(1);
    await host.finish();
    const connectedAtLast = connectionsOf(await gate.path.status());
    await host.leave();
    marks.push(await this.mark(b, 'the-end'));
    return { ...moved, left, firstCopy, marks, comparedLive, connectedAtFirst, connectedAtLast };
  }

  /** It comes over NBD, as any host would, and knows nobody but the controller. */
  private async startHost({ gate, images }: Opened, later: FileHandle) {
    const { options, witness } = this.parts;
    const { environment, network, seconds } = options;
    const { clock, random, files } = environment;
    const changes = changesBetween(files, images);
    const connections = await HostConnections.open({ network, clock }, gate.nbd);
    this.connections = connections;
    const pace = new Pace(clock, seconds);
    const traffic = new Traffic({ random, changes, later, due: () => pace.share });
    const host = new DemoHost({ clock, connections, traffic, witness });
    this.host = host;
    return { host, pace };
  }

  /** The daemons do it by themselves, as soon as they are a pair. */
  private async firstCopy({ a, c }: Acting): Promise<ReplicateAnswer> {
    const { stage } = this.parts.options;
    await a.set.createPair({ secondary: c.address });
    stage.tell(`kyoto is C, a daemon at ${c.address}: the secondary of the pair`);
    const doing = 'first copy from tokyo to kyoto, while the host writes';
    stage.now(doing);
    const answer = await a.set.replicate({
      timeoutMs: PATIENCE_MS,
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

  /** Everything runs by itself. */
  private async serve({ a, host, pace }: Acting): Promise<DemoMark> {
    const { stage } = this.parts.options;
    stage.now('tokyo serves the host; kyoto follows, in write order');
    await pace.untilShare(AWAY_AT);
    return this.markBetween(a, host, 'before-the-move');
  }

  /** C goes away, so that A owes it something. */
  private async stopForAWhile(c: Player): Promise<void> {
    const { options, players } = this.parts;
    options.stage.now('kyoto is stopped for a moment; tokyo serves on, and will owe it something');
    this.isCAway = true;
    await players.stop(c);
  }

  private async startTarget(a: Player): Promise<Player> {
    const { options, players } = this.parts;
    await options.site.makeLike(players.place('osaka'), a.folder);
    return players.start('osaka');
  }

  /** A mark at a moment when nothing of the host is under way. */
  private markBetween(at: Player, host: DemoHost, name: string): Promise<DemoMark> {
    return host.between(() => this.mark(at, name));
  }

  private async mark(at: Player, name: string): Promise<DemoMark> {
    const { sequence } = await at.set.mark(name);
    await this.parts.witness.tell(`mark ${sequence}`);
    return { name, sequence };
  }

  private scene() {
    const { host, moving, isAOff, isCAway } = this;
    const { board } = this.parts;
    return sceneOf({
      host: host && { writes: host.counts.writes, bytes: host.counts.writtenBytes },
      gate: board.gateStatus(GATE_NAME),
      a: board.status('tokyo'),
      b: board.status('osaka'),
      c: board.status('kyoto'),
      isAOff,
      isCAway,
      fetching: moving?.fetching,
    });
  }
}
