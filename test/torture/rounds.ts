/** The kinds of rounds: what each needs of this machine, and how it is run from a seed. */
import { missing } from '../bench/programs.ts';
import { seededRandom } from '../sim/random.ts';
import { killOnce, measureMigration, wayOf } from '../shell/kills.ts';
import { VICTIMS, killDaemons } from '../shell/daemon-kills.ts';
import type { Victim } from '../shell/daemon-kills.ts';
import { mountProblem } from '../support/mount-problem.ts';
import { cutLinks } from './network.ts';
import { moveAround } from './moves.ts';
import type { Kind } from './options.ts';
import { losePower } from './power.ts';
import { DISK_PROGRAMS } from './power-disk.ts';
import { Scene } from './scene.ts';
import type { RoundCounts } from './scene.ts';

const KILLS_A_ROUND = 2;
const DAEMON_KILLS_A_ROUND = 8;
/** A little beyond the end, so that some commands live. */
const LATEST = 1.1;

/** A round that can be stopped from outside; its end comes when nothing of it runs any more. */
export interface RunningRound {
  readonly ended: Promise<RoundCounts>;
  /** What it came to so far. */
  readonly counts: RoundCounts;
  stop(): void;
}

/** Why rounds of this kind cannot be had here; undefined when they can. */
export function problemOf(kind: Kind): string | undefined {
  if (kind !== 'power') return undefined;
  const absent = missing(DISK_PROGRAMS);
  return absent.length > 0 ? `needs ${absent.join(', ')}` : mountProblem();
}

/** Begins the round of a seed; it rejects when anything is lost. */
export function beginRound(kind: Kind, seed: number, keep: boolean): RunningRound {
  switch (kind) {
    case 'power':
      // Every fourth time in a migration.
      return staged(seed, keep, (scene) =>
        scene.random.below(4) === 0 ? moveAround(scene, 'power') : losePower(scene),
      );
    case 'moves':
      return staged(seed, keep, (scene) => moveAround(scene, 'kill'));
    case 'network':
      return staged(seed, keep, (scene) =>
        scene.random.below(2) === 0 ? moveAround(scene, 'cut') : cutLinks(scene),
      );
    case 'daemon-kills':
      return unstaged(killSomeDaemons(seed));
    case 'kills':
      return unstaged(killSomeMigrations(seed));
  }
}

function staged(seed: number, keep: boolean, act: (scene: Scene) => Promise<void>): RunningRound {
  const scene = new Scene(seed);
  let stopped: () => void = () => undefined;
  const stop = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  const round = async (): Promise<RoundCounts> => {
    let good = false;
    const acting = act(scene);
    try {
      await Promise.race([acting, stop]);
      good = true;
    } finally {
      await scene.end();
      // Whatever it waits for is dead now; what it was making just then is ended as well.
      await acting.catch(() => undefined);
      await scene.end();
      if (good || !keep) scene.remove();
    }
    return scene.counts;
  };
  return {
    ended: round(),
    get counts() {
      return scene.counts;
    },
    stop: () => {
      scene.stop();
      stopped();
    },
  };
}

const NOTHING: RoundCounts = { faults: {}, answered: 0, flushes: 0, unanswered: 0, tornTails: 0 };

/** These campaigns have their own order; one is soon over, and is waited for. */
function unstaged(ended: Promise<RoundCounts>): RunningRound {
  return { ended, counts: NOTHING, stop: () => undefined };
}

async function killSomeDaemons(seed: number): Promise<RoundCounts> {
  const random = seededRandom(seed);
  const victims = Array.from(
    { length: DAEMON_KILLS_A_ROUND },
    (): Victim => VICTIMS[random.below(VICTIMS.length)] ?? 'a',
  );
  const { kills, answered, flushes, unanswered } = await killDaemons(seed, victims);
  const faults = { 'kill A': kills.a + kills.both, 'kill C': kills.c + kills.both };
  return { ...NOTHING, faults, answered, flushes, unanswered };
}

async function killSomeMigrations(seed: number): Promise<RoundCounts> {
  const random = seededRandom(seed);
  for (let kill = 0; kill < KILLS_A_ROUND; kill += 1) {
    const life = seed * KILLS_A_ROUND + kill;
    const wholeMs = await wholeMigration(life);
    await killOnce(life, wholeMs * LATEST * (random.below(1000) / 1000));
  }
  return { ...NOTHING, faults: { 'kill rcopy migrate': KILLS_A_ROUND } };
}

const measured = new Map<string, number>();

/** How long one takes that nobody kills, in its way; measured once. */
async function wholeMigration(life: number): Promise<number> {
  const { mode, copy } = wayOf(life);
  const way = `${mode} ${copy}`;
  const known = measured.get(way) ?? (await measureMigration(life));
  measured.set(way, known);
  return known;
}
