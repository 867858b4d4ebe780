/**
 * What is to happen in one run, all of it from the seed: the shape of the world, and a list of
 * events. Events are data, so that a failing list can be cut down and a shorter one repeated. Pure.
 */
import { seededRandom } from '../random.ts';
import { actOf } from './acts.ts';
import { CHANCES, TEMPERS, drawn } from './chances.ts';
import type { Dice, Plan, Shape, SimEvent } from './events.ts';
import { SCENES } from './scenes.ts';

/** Mostly short, so that events meet; now and then long enough for every patience to end. */
const PAUSES_MS = [8, 40, 40, 250, 250, 2000, 2000, 15_000, 70_000];
/** Every other time everything happens at once. */
const DENSE_PAUSES_MS = [3, 8, 40, 40, 250];
const EVENTS_MIN = 12;
const EVENTS_MORE = 28;

/** Every so many events comes a scene; so many runs end with another history. */
const SCENE_ONE_OF = 6;
const SET_BACK_ONE_OF = 16;

export function planOf(seed: number): Plan {
  const random = seededRandom(seed * 2_654_435 + 17);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const dice = { random, pick };
  const shape: Shape = {
    seed,
    journal: pick(['small', 'small', 'tiny', 'minute'] as const),
    whenFull: pick(['slow', 'map', 'map']),
    ack: random.below(4) === 0 ? 'remote' : 'local',
    gates: pick([0, 1, 2, 2, 2]),
    depth: 1 + random.below(4),
    isFilled: random.below(4) > 0,
    isLocal: random.below(2) === 0,
    syncMs: pick([0, 1, 3, 9, 30, 90]),
    linkBytesPerSecond: pick([undefined, 100_000, 40_000, 15_000]),
    patienceMs: pick([3000, 12_000, 60_000]),
    isQuiet: random.below(6) === 0,
  };
  const chances = CHANCES.map(({ weight, isFault = false, event }) => ({
    weight: weight * pick(TEMPERS),
    isFault,
    event,
  }));
  const events: SimEvent[] = [];
  const count = EVENTS_MIN + random.below(EVENTS_MORE);
  if (seed % 4 > 1) {
    const faults = chances.filter(({ isFault }) => isFault);
    while (events.length < count) {
      events.push(...actOf(dice, () => drawn(faults, dice).event(dice)));
    }
    return { shape, events: [...events, ...endOf(dice)] };
  }
  const pauses = seed % 2 === 0 ? DENSE_PAUSES_MS : PAUSES_MS;
  while (events.length < count) {
    const event = drawn(chances, dice).event(dice);
    events.push({ kind: 'pass', ms: random.below(pick(pauses)) });
    if (random.below(SCENE_ONE_OF) === 0) events.push(...pick(SCENES)(dice));
    // Small as the volumes are, copies of them would be over before anything could meet them.
    if (event.kind === 'migrate' && random.below(2) === 0) events.push(slowCopy(dice));
    events.push(event);
  }
  return { shape, events: [...events, ...endOf(dice)] };
}

/** Some runs end with another history. */
function endOf({ random }: Dice): readonly SimEvent[] {
  return random.below(SET_BACK_ONE_OF) === 0 ? [{ kind: 'set back' }] : [];
}

function slowCopy({ random, pick }: Dice): SimEvent {
  const one = pick(['spare', 'spare', 'secondary'] as const);
  return { kind: 'wire', fault: 'slow', one, other: 'primary', ms: random.below(6000) };
}
