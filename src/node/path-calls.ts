/**
 * What a path controller and a set say to each other, over a link of its own. The set tells what
 * is; the controller reports how far it is. Both are states, not events: what was lost on the way
 * is said again, and saying it twice changes nothing.
 *
 * ```
 *   controller                       set
 *     path.attach ──────────────────▶  ends streams of older generations
 *     path.watch  ──────────────────▶  answers when there is news: a PathWord
 *     path.report ──────────────────▶  prepared, held, lost, replayed; in this reign: notes the id
 *     NBD stream  ──(id, generation)▶  answers writes with their numbers
 *     path.detach ──────────────────▶  forgets the id, durably
 * ```
 */
import * as z from 'zod/mini';
import type { ControllerId, MigrationId, SetId } from '../base/ids.ts';
import type { Position } from '../base/position.ts';
import type { PeerIdentity } from '../format/set-file.ts';

const hex = /^[0-9a-f]{32}$/;
const id = <T extends string>() =>
  z.custom<T>((value) => typeof value === 'string' && hex.test(value));
const whole = z.number().check(z.int(), z.minimum(0));
const text = z.string().check(z.maxLength(4096));

/** Who speaks: a stream of generation g ends every one of a lower one. */
const speaker = { controllerId: id<ControllerId>(), generation: whole };

export const attachCall = z.strictObject({
  ...speaker,
  /** The set that it means: another one at the same address is not touched (R5). */
  setId: id<SetId>(),
  name: text,
  /** Where it can be commanded; null where it only serves the program that it is part of. */
  address: z.nullable(text),
});

export const watchCall = z.strictObject(speaker);
export const detachCall = z.strictObject(speaker);

export const reportCall = z.strictObject({
  ...speaker,
  /** The reign ({@link PathWord.reign}) that `lost` and `replayed` speak of. */
  reign: text,
  /** Numbers of answered writes that are lost in this reign, in order; null: not looked at yet. */
  lost: z.nullable(z.array(whole)),
  /** Of those: all up to here were written again. */
  replayedTo: whole,
  /** The migration that it has noted durably, with its target, which it can reach. */
  prepared: z.nullable(id<MigrationId>()),
  /** The migration for which its hosts wait: nothing is under way. */
  held: z.nullable(id<MigrationId>()),
});

export type AttachCall = z.infer<typeof attachCall>;
export type SpeakerCall = z.infer<typeof watchCall>;
export type ReportCall = z.infer<typeof reportCall>;

/** What a controller is to do now at a set. */
export type PathPhase =
  /** The set takes no hosts: it is not switched to yet, or is about to stop. */
  | { readonly kind: 'closed'; readonly reason: string }
  /** Others have to come, or to write again what was lost, before anybody goes on. */
  | { readonly kind: 'wait' }
  /** Write again what was lost and has a number of at most `upTo`. */
  | { readonly kind: 'replay'; readonly upTo: number }
  | { readonly kind: 'open' }
  /** Let hosts wait, and report when nothing is under way. */
  | { readonly kind: 'hold'; readonly migrationId: MigrationId }
  /** The set has ended its epoch at `nextSequence`: its hosts belong to the successor. */
  | {
      readonly kind: 'sealed';
      readonly epoch: number;
      readonly nextSequence: number;
      readonly successor: PeerIdentity;
    };

export interface PathWord {
  readonly phase: PathPhase;
  readonly groupId: string;
  readonly epoch: number;
  /** One opening of the set in one epoch: each number is given once in it. Empty before it. */
  readonly reign: string;
  /** The newest number that the set had when the reign began: what was answered behind is lost. */
  readonly recovered: number;
  /**
   * Behind which position the set went on without a seal, in whichever epoch: what the sets before
   * it answered with higher numbers is lost. Null when it never did.
   */
  readonly tookOverAt: Position | null;
  /** The set waits for this controller: what it lost is written again, else lost for good. */
  readonly expected: boolean;
  /** Lost writes of this controller that the set has taken again in this reign. */
  readonly replayed: number;
  /**
   * The newest number that is given, or will be to what waits for room: theirs are not higher. Null
   * when nothing is written again any more.
   */
  readonly newest: number | null;
  readonly durableSequence: number;
  /** A migration from here that is being prepared. */
  readonly upcoming: { readonly migrationId: MigrationId; readonly target: PeerIdentity } | null;
  /** The migration by which this set took over, if it did. */
  readonly accepted: MigrationId | null;
}

/** A controller as others see it. */
export interface ControllerStatus {
  readonly id: ControllerId;
  readonly name: string;
  readonly address: string | null;
  /** It speaks with this set now. */
  readonly attached: boolean;
  /** Its hosts wait for the migration that it is told to hold for. */
  readonly held: boolean;
  /** The migration that it is prepared for; null when for none. */
  readonly prepared: MigrationId | null;
}
