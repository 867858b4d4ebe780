/**
 * The middle of the demo's story: B takes over from A while the host goes on, commanded through the
 * path controller alone; then A is switched off.
 */
import { RcopyError, isRcopyError, messageOf } from '../../base/errors.ts';
import { formatDuration } from '../../base/durations.ts';
import { MIB } from '../../base/limits.ts';
import { formatCount } from '../../base/sizes.ts';
import { inspectSet } from '../../control/inspect.ts';
import type { InspectAnswer } from '../../control/inspect.ts';
import type { MigrateAnswer, Progress } from '../../node/answers.ts';
import { HostConnections } from './connections.ts';
import { gateSet } from './gate-facts.ts';
import { PATIENCE_MS } from './pace.ts';
import type { Player } from './players.ts';
import type { Refusal } from './proof.ts';
import type { Acting, StoryParts } from './story.ts';
import { ALL_BYTES, DB } from './volumes.ts';
import { copiedText, owedText } from './words.ts';

/** When it begins and how long it is to take, as parts of the time that the host writes. */
const MOVE_AT = 0.34;
const MOVE_SHARE = 0.3;

/** What osaka fetches a second, at least. */
const MOVE_RATE_MIN = 7 * MIB;

/** What tokyo is to owe when the move begins, and how long that may take. */
const OWED_BYTES = 8 * MIB;
const OWING_MS_MAX = 2_000;
const LOOK_MS = 50;

/** How the switch was felt. */
export interface Switch {
  /** The longest that the host waited for an answer around it, by its own clock. */
  readonly hostMs: number;
  /** The longest that it waited before. */
  readonly beforeMs: number;
  /** From hold to release, by the controller's clock; null when it held nobody. */
  readonly heldMs: number | null;
}

export interface Moved {
  readonly b: Player;
  readonly migration: MigrateAnswer;
  readonly switched: Switch;
}

/** A as it was left. */
export interface Left {
  /** Something would have been lost with it, by B's word. */
  readonly wasNeeded: boolean;
  readonly refusal: Refusal;
  readonly set: InspectAnswer;
  /** Its folder is deleted. */
  readonly deleted: boolean;
  /** Writes of the host that were answered before it was switched off. */
  readonly writesBefore: number;
}

export class Move {
  /** Contents that B fetches from A now. */
  fetching: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
  private readonly parts: StoryParts;
  private readonly acting: Acting;
  private beforeMs = 0;
  private switched: Promise<Switch> | undefined;

  constructor(parts: StoryParts, acting: Acting) {
    this.parts = parts;
    this.acting = acting;
  }

  /** C comes back where it was, and `b` takes over at once. */
  async play(b: Player): Promise<Moved> {
    const { players, options, board } = this.parts;
    const { c, host, gate, pace, imported } = this.acting;
    const { environment, stage, mode, copy } = options;
    await pace.untilShare(MOVE_AT);
    await this.untilOwing(OWED_BYTES);
    await players.startAgain('kyoto', c);
    stage.tell('kyoto was stopped and started again: it goes on where it was');

    stage.now('the path controller is told to move the volumes to osaka');
    this.beforeMs = await host.takeLongestMs();
    const startMs = environment.clock.monotonicMs();
    const dataBytes = Math.min(ALL_BYTES, imported.dataBytes + host.counts.writtenBytes);
    const migration = await gate.path.migrate({
      export: DB.name,
      to: b.address,
      mode,
      copy,
      maxRate: Math.max(MOVE_RATE_MIN, pace.rateFor(dataBytes, MOVE_SHARE)),
      detach: false,
      create: false,
      overwrite: false,
      onProgress: (progress) => this.show(b, progress),
    });
    const tookMs = environment.clock.monotonicMs() - startMs;
    this.fetching = undefined;
    const switched = await this.lookAtSwitch(b);
    const { nextSequence, journalCursor, copiedBytes } = migration;
    stage.tell(owedText(mode, nextSequence - journalCursor));
    stage.tell(`${copiedText(copy, copiedBytes)}, in ${formatDuration(tookMs)}`);
    await board.look();
    return { b, migration, switched };
  }

  /** A is asked for the last time, stopped, and its folder deleted unless everything is kept. */
  async leave({ b }: Moved): Promise<Left> {
    const { players, options } = this.parts;
    const { a, host } = this.acting;
    const { environment, kept, stage } = options;
    stage.now('tokyo is switched off');
    const { migration } = await b.set.status();
    const refusal = await this.refusalOf(a);
    await players.stop(a);
    const set = inspectSet(environment, a.folder);
    if (!kept) environment.files.remove(a.folder, 'DEMO:REMOVE');
    stage.tell(`tokyo is switched off${kept ? '' : ' and its folder deleted'}: the host goes on`);
    return {
      wasNeeded: migration?.sourceNeeded ?? true,
      refusal,
      set,
      deleted: !kept,
      writesBefore: host.counts.writes,
    };
  }

  private show(b: Player, { step, doneBytes, totalBytes = 0 }: Progress): void {
    const { stage } = this.parts.options;
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
    // When it fails, whoever asks for it in the end is told.
    this.lookAtSwitch(b).catch(() => undefined);
  }

  private lookAtSwitch(b: Player): Promise<Switch> {
    this.switched ??= this.measureSwitch(b);
    return this.switched;
  }

  /** Once the controller sends the host's requests to B: how long both say that it took. */
  private async measureSwitch(b: Player): Promise<Switch> {
    const { host, gate } = this.acting;
    const { clock } = this.parts.options.environment;
    const untilMs = clock.monotonicMs() + PATIENCE_MS;
    let set = gateSet(await gate.path.status());
    while (!(set?.set.name === b.name && set.state === 'open')) {
      if (clock.monotonicMs() > untilMs) {
        throw new RcopyError('E_TIMEOUT', `the controller sends nobody to ${b.name}`);
      }
      await clock.sleep(LOOK_MS);
      set = gateSet(await gate.path.status());
    }
    // The burst that is under way now, or else the next one, is the first at B.
    const hostMs = await host.takeLongestMs();
    const heldMs = set.lastPauseMs;
    const next = (await b.set.status()).migration?.nextSequence ?? 0;
    const waited = formatDuration(hostMs);
    this.parts.options.stage.tell(
      `the switch: osaka is B and numbers on at ${formatCount(next)}; the host waited ${waited}`,
    );
    return { hostMs, beforeMs: this.beforeMs, heldMs };
  }

  /** Asks the sealed set itself, past the controller. */
  private async refusalOf(a: Player): Promise<Refusal> {
    const { network, environment } = this.parts.options;
    const admitsHosts = await HostConnections.open({ ...environment, network }, a.nbd).then(
      (opened) => opened.close().then(() => true),
      () => false,
    );
    const data = [Buffer.from('too late')];
    const refusal = await a.set.write({ volume: 'log', offset: 0, data, sync: true }).then(
      () => ({ code: undefined, message: 'it took a write' }),
      (error: unknown) => ({
        code: isRcopyError(error) ? error.code : undefined,
        message: messageOf(error),
      }),
    );
    return { ...refusal, admitsHosts };
  }

  /** Until A owes C so much; on a machine that is too slow for it, not for ever. */
  private async untilOwing(bytes: number): Promise<void> {
    const { board, options } = this.parts;
    const { clock } = options.environment;
    const untilMs = clock.monotonicMs() + OWING_MS_MAX;
    const owed = () => board.status('tokyo')?.pair?.lag?.bytes ?? 0;
    while (owed() < bytes && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS);
  }
}
