/**
 * A migration under live hosts behind two path controllers, with one fault at one step of it: a
 * site loses its power, a controller dies, links are cut. Whatever it was, the migration must come
 * to its end or be aborted, and hosts must find everything that they were answered.
 */
import { isRcopyError } from '../../src/base/errors.ts';
import type { MigrationCopy, MigrationMode } from '../../src/node/answers.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { Gate, GateHost } from '../support/gates.ts';
import { difference, peekAll } from '../support/image-sets.ts';
import { A, B, C, MIGRATE, Sites } from '../support/sites.ts';

export const BLOWS = [
  'crash A',
  'crash B',
  'crash C',
  'kill gate',
  'cut A',
  'cut B',
  'cut C',
  'cut gate',
] as const;

export type Blow = (typeof BLOWS)[number];

export interface LiveFault {
  readonly seed: number;
  readonly mode: MigrationMode;
  readonly copy: MigrationCopy;
  /** Undefined: nothing goes wrong. */
  readonly blow?: Blow;
  /** At which step of the simulated clock, counted from the start of the migration. */
  readonly step: number;
}

export interface LiveOutcome {
  /** How the migration ended. */
  readonly state: 'done' | 'aborted' | 'none';
  /** Steps of the clock from its start to its end. */
  readonly steps: number;
}

const HALF = 20 * 1024;

/** Two pairs of hosts, each pair on one volume, through two controllers. */
class LiveWorld {
  readonly sites: Sites;
  readonly gates: Gate[];
  readonly hosts: { readonly gate: Gate; readonly volume: string; readonly host: GateHost }[] = [];

  private constructor(sites: Sites) {
    this.sites = sites;
    this.gates = [new Gate(sites, 'north'), new Gate(sites, 'south')];
  }

  static async make(seed: number): Promise<LiveWorld> {
    const sites = new Sites({ seed, daemons: {}, syncMs: 1 });
    const world = new LiveWorld(sites);
    const a = await sites.create(A);
    const c = await sites.create(C);
    await sites.create(B);
    await sites.drive(a.createPair({ secondary: C }));
    await sites.clock.run(() => c.set.usable && a.set.file.pair?.state === 'paired');
    for (const [index, gate] of world.gates.entries()) {
      await gate.start();
      await gate.lead(A, ...sites.volumes.map(({ name }) => name));
      for (const { name, sizeBytes } of sites.volumes) {
        const range = index === 0 ? { from: 0, to: HALF / 2 } : { from: HALF / 2, to: sizeBytes };
        const host = new GateHost(gate.connect(name), sites.random, range);
        world.hosts.push({ gate, volume: name, host });
      }
    }
    return world;
  }

  run(): void {
    const pause = () => this.sites.clock.sleep(2 + this.sites.random.below(6));
    for (const { host } of this.hosts) host.run(pause);
  }

  async strike(blow: Blow): Promise<void> {
    const { sites } = this;
    const downMs = sites.random.below(3) === 0 ? 400 : sites.random.below(60);
    const [what, whom] = blow.split(' ') as [string, string];
    const site = { A, B, C }[whom];
    const [gate] = this.gates;
    if (what === 'crash' && site) {
      await sites.crash(site, sites.random.below(2) === 0 ? 'lose' : 'random');
      await sites.clock.pass(downMs);
      await sites.open(site);
    } else if (what === 'kill' && gate) {
      const mine = this.hosts.filter((each) => each.gate === gate);
      for (const { host } of mine) host.disconnected();
      await gate.kill();
      await sites.clock.pass(downMs);
      await gate.start();
      for (const { host, volume } of mine) host.reconnect(gate.connect(volume));
    } else sites.cutLinks(site ?? 'north');
  }
}

/** Counts the steps of the clock. */
class Steps {
  count = 0;
  private readonly until: number;

  constructor(until: number) {
    this.until = until;
  }

  readonly reached = (): boolean => {
    this.count += 1;
    return this.count > this.until;
  };
}

/** Throws when a rule is broken. */
export async function liveMigration(fault: LiveFault): Promise<LiveOutcome> {
  const { seed, mode, copy, blow, step } = fault;
  const world = await LiveWorld.make(seed);
  const { sites } = world;
  world.run();
  await sites.clock.pass(40);
  const b = await sites.open(B);
  let ended = false;
  const steps = new Steps(blow ? step : Number.POSITIVE_INFINITY);
  const settled = () => {
    ended = true;
  };
  b.migrate({ ...MIGRATE, mode, copy }).then(settled, settled);
  await sites.clock.run(() => ended || steps.reached());
  if (blow && !ended) await world.strike(blow);
  // What died is waited for no more; the migration goes on by itself.
  if (blow !== 'crash B') await patience(sites, () => ended, 20_000);
  const state = await ending(sites, mode, copy);
  await sites.clock.pass(100);
  await checkAll(world, state === 'done' ? B : A);
  await sites.closeAll();
  return { state, steps: steps.count };
}

/** The migration goes on by itself, or is asked for again, or ended by hand. */
async function ending(
  sites: Sites,
  mode: MigrationMode,
  copy: MigrationCopy,
): Promise<LiveOutcome['state']> {
  const stateOf = (node: StorageNode) => node.set.file.migration?.state ?? 'none';
  const b = await sites.open(B);
  await patience(sites, () => ['done', 'aborted', 'none'].includes(stateOf(b)), 20_000);
  if (stateOf(b) === 'none') return 'none';
  if (stateOf(b) !== 'done' && stateOf(b) !== 'aborted') {
    await sites.drive(
      b.migrate({ ...MIGRATE, mode, copy }).catch(async (error: unknown) => {
        if (!isRcopyError(error)) throw error;
        await b.abortMigration();
      }),
    );
  }
  const state = stateOf(b);
  if (state === 'done' || state === 'aborted' || state === 'none') return state;
  throw new Error(`the migration stands still in ${state}`);
}

async function patience(sites: Sites, holds: () => boolean, ms: number): Promise<void> {
  let late = false;
  const timer = sites.clock.after(ms, () => {
    late = true;
  });
  await sites.clock.run(() => late || holds());
  timer.cancel();
}

async function checkAll(world: LiveWorld, primary: string): Promise<void> {
  const { sites, hosts } = world;
  await sites.drive(Promise.all(hosts.map(({ host }) => host.stop())));
  for (const { host, volume, gate } of hosts) {
    await sites.drive(host.check());
    const told = host.errors.join(', ');
    if (told !== '') throw new Error(`a host of ${volume} at ${gate.name} was told ${told}`);
  }
  const { set } = await sites.open(primary);
  const found = await sites.contents(primary);
  const c = await sites.open(C);
  const upTo = set.newest;
  const isThere = () => c.set.file.epoch === set.file.epoch && c.set.applied.sequence >= upTo;
  await patience(sites, () => c.set.usable && isThere(), 120_000);
  if (!isThere()) throw new Error('C does not follow');
  const different = difference(peekAll(c.set), found);
  if (different !== undefined) throw new Error(`C differs: ${different}`);
}
