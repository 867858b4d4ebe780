/**
 * Acts: something is begun while all is well, things go wrong while it is under way, and the
 * operator mends what is left. What takes a sound pair to begin with is met that way, and not by
 * events that come as they like. Pure.
 */
import type { Dice, SimEvent } from './events.ts';

/** How long it takes until the next thing goes wrong, at most. */
const BETWEEN_MS = [3, 20, 100, 400, 1500];
/** How long a controller takes to give a stream up, and to go on with a new one, at most. */
const GIVEN_UP_MS = 13_000;
const FAULTS_MAX = 4;
const LOOKS_MIN = 16;
const LOOKS_MORE = 16;

const STATES = ['copying', 'copying', 'copied to', 'kept in maps'] as const;
const MODES = ['drain', 'handoff', 'bitmap'] as const;

const BEGINNINGS: readonly ((dice: Dice) => readonly SimEvent[])[] = [
  migration,
  migration,
  migration,
  migration,
  (dice) => [...migration(dice), pause(dice), { kind: 'abort', role: 'spare' }],
  () => [{ kind: 'operator', what: 'copy anew' }],
  () => [{ kind: 'operator', what: 'copy anew' }],
  (dice) => [
    { kind: 'operator', what: 'split' },
    { kind: 'pass', ms: 100 + dice.random.below(2000) },
    { kind: 'operator', what: 'resync' },
  ],
  () => [{ kind: 'takeover' }],
  () => [{ kind: 'burn', role: 'primary', behindMs: 0 }],
  burningSwitch,
  staleStream,
  (dice) => [
    {
      kind: 'crash',
      role: 'primary',
      survival: dice.pick(['lose', 'random'] as const),
      downMs: dice.random.below(1000),
      moment: undefined,
    },
  ],
];

/** One act; `fault` gives what goes wrong. */
export function actOf(dice: Dice, fault: () => SimEvent): readonly SimEvent[] {
  const { random, pick } = dice;
  const events = [...pick(BEGINNINGS)(dice)];
  if (random.below(2) === 0) events.push({ kind: 'await', what: pick(STATES) });
  const faults = 1 + random.below(FAULTS_MAX);
  for (let count = 0; count < faults; count += 1) events.push(pause(dice), fault());
  events.push({ kind: 'mend', looks: LOOKS_MIN + random.below(LOOKS_MORE) });
  return events;
}

function pause({ random, pick }: Dice): SimEvent {
  return { kind: 'pass', ms: random.below(pick(BETWEEN_MS)) };
}

/** What it moves from, or to, burns as soon as it has moved, and its secondary lacks some. */
function burningSwitch(dice: Dice): readonly SimEvent[] {
  const { random, pick } = dice;
  const slow = { kind: 'wire', fault: pick(['slow', 'late', 'hole'] as const) } as const;
  const role = pick(['primary', 'spare'] as const);
  return [
    ...(random.below(4) > 0
      ? [{ ...slow, one: 'secondary', other: 'primary', ms: 1000 + random.below(9000) } as const]
      : []),
    ...migration(dice),
    pause(dice),
    { kind: 'burn', role, behindMs: random.below(pick([5, 60, 400])) },
  ];
}

/** A controller has to give its stream up; hosts go on, and the old bytes come behind. */
function staleStream({ random }: Dice): readonly SimEvent[] {
  const ms = GIVEN_UP_MS + random.below(5000);
  const one = { kind: 'wire', fault: 'stale', one: 'gate', other: 'primary', ms } as const;
  return [one, { kind: 'pass', ms: ms + 500 }];
}

function migration({ random, pick }: Dice): readonly SimEvent[] {
  const copy = pick(['post', 'pre'] as const);
  return [{ kind: 'migrate', mode: pick(MODES), copy, detach: random.below(2) === 0 }];
}
