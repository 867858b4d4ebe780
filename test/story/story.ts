/** The stories: each is one life of three sets, told to a world with one fault in it. */
import { isRcopyError } from '../../src/base/errors.ts';
import { A, B, C, Teller } from './teller.ts';
import type { How } from './teller.ts';
import type { StoryWorld } from './world.ts';

export interface StoryResult {
  /** Full copies that were begun. */
  readonly copies: number;
  readonly newest: number;
}

export type Plot = keyof typeof PLOTS;

export async function tellStory(world: StoryWorld, seed: number, plot: Plot): Promise<StoryResult> {
  const teller = new Teller(world, seed);
  await PLOTS[plot](teller);
  return { copies: teller.copies, newest: teller.model.newest };
}

const PLOTS = {
  'drain post': (teller: Teller) => moving(teller, { mode: 'drain', copy: 'post' }),
  'drain pre': (teller: Teller) => moving(teller, { mode: 'drain', copy: 'pre' }),
  'handoff post': (teller: Teller) => moving(teller, { mode: 'handoff', copy: 'post' }),
  'handoff pre': (teller: Teller) => moving(teller, { mode: 'handoff', copy: 'pre' }),
  'bitmap post': (teller: Teller) => moving(teller, { mode: 'bitmap', copy: 'post' }),
  'bitmap pre': (teller: Teller) => moving(teller, { mode: 'bitmap', copy: 'pre' }),
  'abort before': abortingBefore,
  'abort behind': (teller: Teller) => abortingBehind(teller, { mode: 'handoff', copy: 'post' }),
  'abort bitmap': (teller: Teller) => abortingBehind(teller, { mode: 'bitmap', copy: 'pre' }),
  resync,
  'takeover planned': (teller: Teller) => takingOver(teller, false),
  'takeover forced': (teller: Teller) => takingOver(teller, true),
};

export const PLOT_NAMES = Object.keys(PLOTS) as Plot[];

/** A pair with a history: copied, written to, and followed while hosts never stop. */
async function paired(teller: Teller): Promise<void> {
  await teller.create(A);
  await teller.write(4);
  await teller.create(C);
  await teller.command(async (site) => (await site.openHere(A)).createPair({ secondary: C }));
  await teller.replicate();
  await teller.write(5);
  await teller.replicate();
}

/** write → replicate → migrate → write: the main job. */
async function moving(teller: Teller, how: How): Promise<void> {
  await paired(teller);
  await teller.busy(6, (site) => teller.replicateOnce(site));
  await teller.write(3);
  await teller.create(B);
  if (how.copy === 'pre') {
    // Hosts write while blocks are copied ahead; they are done before the switch.
    await teller.busy(6, (site) => teller.migrateOnce(site, how, true, AHEAD_RATE));
  }
  await teller.migrate(how, true);
  await teller.write(4);
  await teller.readAll(B);
  await teller.busy(6, (site) => teller.migrateOnce(site, how, false));
  await teller.write(3);
  await teller.replicate();
  await teller.prove();
}

/** So slow that all that hosts write falls into it. */
const AHEAD_RATE = 6000;

/** A migration that is given up while blocks are copied ahead: hosts notice nothing. */
async function abortingBefore(teller: Teller): Promise<void> {
  let cameLate = false;
  await paired(teller);
  await teller.create(B);
  await teller.command(async (site) => {
    const how = { mode: 'drain', copy: 'pre' } as const;
    const migrating = teller.migrateOnce(site, how, true, COPY_RATE).catch(expectAborted);
    const aborting = async () => {
      await teller.clock.sleep(COPY_MS);
      await (await site.openHere(B)).abortMigration();
    };
    for (const ended of await Promise.allSettled([migrating, aborting()])) {
      if (ended.status === 'rejected') throw ended.reason;
    }
    // What was asked again after a fault may have come behind the switch.
    cameLate = (await site.openHere(B)).set.file.role === 'retired';
  });
  await teller.write(4);
  await teller.replicate();
  if (!cameLate) {
    // The target is blank again.
    await teller.migrate({ mode: 'drain', copy: 'post' }, false);
    await teller.write(2);
    await teller.replicate();
  }
  await teller.prove();
}

/** So slow that the copy is in its midst when it is given up. */
const COPY_RATE = 20_000;
const COPY_MS = 400;

function expectAborted(error: unknown): void {
  if (isRcopyError(error, 'E_STATE')) return;
  throw error;
}

/** The switch is taken back before hosts have written to the new place. */
async function abortingBehind(teller: Teller, how: How): Promise<void> {
  await paired(teller);
  await teller.write(3);
  await teller.create(B);
  await teller.migrate(how, true);
  await teller.command(async (site) => (await site.openHere(B)).abortMigration());
  teller.primary = A;
  await teller.refuses(B);
  await teller.write(4);
  await teller.busy(4, (site) => teller.replicateOnce(site));
  await teller.write(2);
  await teller.replicate();
  await teller.prove();
}

/** A pair is split, written to, and brought together by its maps, or by what the journal has. */
async function resync(teller: Teller): Promise<void> {
  await paired(teller);
  await teller.write(3);
  await teller.command(async (site) => (await site.openHere(A)).splitPair());
  // So much that the journal lets go what the secondary lacks.
  for (let times = 0; times < 5; times += 1) await teller.write(6, 1);
  await teller.command(async (site) => (await site.openHere(A)).resyncPair());
  await teller.busy(6, (site) => teller.replicateOnce(site));
  await teller.write(2);
  await teller.replicate();
  await teller.prove();
}

/** The secondary takes over, with all that the primary has, or with what it has itself. */
async function takingOver(teller: Teller, force: boolean): Promise<void> {
  await paired(teller);
  await teller.write(3);
  const { sequence } = await teller.command(async (site) =>
    (await site.openHere(C)).takeOver({ force }),
  );
  if (!force && sequence !== teller.model.newest) {
    throw new Error(`[R2] taken over at ${sequence} of ${teller.model.newest}`);
  }
  if (!force) await teller.refuses(A);
  teller.goOnFrom(C, sequence);
  await teller.write(4);
  await teller.readAll(C);
  await teller.write(2);
  await teller.prove('none');
}
