/** One run: a plan lived through, and what came of it. */
import { createHash } from 'node:crypto';
import { messageOf } from '../../../src/base/errors.ts';
import { Broken } from './broken.ts';
import { Mishaps } from './mishaps.ts';
import { Lost, Operator } from './operator.ts';
import type { Plan, SimEvent } from './events.ts';
import { lookIfFlipped } from './what-if.ts';
import { GATES, World } from './world.ts';

export interface RunOutcome {
  readonly seed: number;
  /** What was broken; undefined when nothing was. */
  readonly failure: string | undefined;
  /** Damage was injected, seen and named, and nothing whole was left: the run ended early. */
  readonly lost: boolean;
  readonly trace: readonly string[];
  /** Of the trace: equal for equal runs. */
  readonly digest: string;
  readonly simulatedMs: number;
  /** Requests that hosts were answered. */
  readonly answered: number;
  readonly looks: number;
  /** Faults that struck, commands that were given, by kind. */
  readonly counts: Readonly<Record<string, number>>;
}

/** At which steps of simulated time everything is looked at, in milliseconds. */
const LOOK_MS = 25;
const LOOKS_OF_A_PAUSE = 40;
/** How often a host asks at the end: it may have to find its disk, or be told of a loss once. */
const LAST_TRIES = 8;
/** So long two sets of different histories have to find out. */
const SET_BACK_MS = 3000;

/** Lives through these events of a plan, all of them unless told, by their places in the list. */
export async function liveThrough(plan: Plan, only?: readonly number[]): Promise<RunOutcome> {
  const run = new Run(plan);
  let failure: string | undefined;
  let lost = false;
  try {
    await run.live(only ? only.flatMap((at) => plan.events[at] ?? []) : plan.events);
  } catch (error) {
    lost = error instanceof Lost;
    if (error instanceof Broken) failure = error.message;
    else if (!lost)
      failure = error instanceof Error ? (error.stack ?? messageOf(error)) : String(error);
  }
  return run.outcome(failure, lost);
}

class Run {
  private readonly plan: Plan;
  private readonly world: World;
  private readonly operator: Operator;
  private readonly mishaps: Mishaps;
  private readonly counts = new Map<string, number>();

  constructor(plan: Plan) {
    this.plan = plan;
    this.world = new World(plan.shape.seed, plan.shape);
    this.operator = new Operator(this.world);
    this.mishaps = new Mishaps(this.world, this.operator, (ms) => this.pass(ms));
  }

  async live(events: readonly SimEvent[]): Promise<void> {
    const { world } = this;
    await this.begin();
    for (const event of events) {
      if (event.kind !== 'pass') world.note(JSON.stringify(event));
      await this.happen(event);
      world.judge.lookDeep();
    }
    await this.end();
  }

  outcome(failure: string | undefined, lost: boolean): RunOutcome {
    const { world, operator, counts } = this;
    for (const { disk } of world.machines) {
      for (const [fault, count] of disk.struck) this.count(`disk ${fault}`, count);
    }
    for (const [name, count] of operator.outcomes) this.count(`command ${name}`, count);
    for (const { errors } of world.hosts) {
      for (const [code, count] of errors) this.count(`host error ${code}`, count);
    }
    const trace = [...world.trace];
    const digest = createHash('sha256').update(trace.join('\n')).digest('hex').slice(0, 16);
    return {
      seed: this.plan.shape.seed,
      failure,
      lost,
      trace,
      digest,
      simulatedMs: world.sites.clock.monotonicMs(),
      answered: world.hosts.reduce((sum, { answered }) => sum + answered, 0),
      looks: world.judge.looks,
      counts: Object.fromEntries(counts),
    };
  }

  private async begin(): Promise<void> {
    const { world } = this;
    const { sites, shape } = world;
    for (const { folder } of world.machines) await sites.drive(world.make(folder));
    const primary = world.node('/tokyo');
    if (!primary) throw new Broken('bug', 'a new set does not open');
    world.groupId = primary.set.file.groupId;
    await sites.drive(primary.createPair({ secondary: '/kyoto', ack: shape.ack }));
    for (const { name } of world.gates) {
      await sites.drive(world.startGate(name));
      const gate = world.gates.find((each) => each.name === name);
      await gate?.lead('/tokyo', ...sites.volumes.map((volume) => volume.name));
    }
    world.addHosts();
    await sites.clock.pass(20); // until they are connected
    if (shape.isFilled) {
      for (const { name } of sites.volumes) {
        const host = world.hosts.find(({ volume }) => volume === name);
        await sites.drive(host?.fill() ?? nothing());
      }
    }
    world.letHostsWork(true);
    await sites.clock.pass(200);
  }

  private async end(): Promise<void> {
    const { world, operator } = this;
    await this.heal();
    await this.rest();
    for (const host of world.hosts)
      await this.finalWord(() => host.flush(), `${host.name} flushes`);
    for (const host of world.hosts)
      await this.finalWord(() => host.readAll(), `${host.name} reads`);
    await operator.bringToRest();
    await this.compareAll();
    await this.closeAll();
    await this.openAll();
  }

  private async heal(): Promise<void> {
    const { world } = this;
    world.note('everything heals');
    world.wires.heal();
    for (const { disk } of world.machines) disk.heal();
    await this.operator.bringToRest();
  }

  /** Hosts rest, and the secondary gets there: nobody has to flush for that. */
  private async rest(): Promise<void> {
    const { world } = this;
    for (const host of world.hosts) host.isWorking = false;
    world.note('hosts rest');
    await world.sites.clock.run(() =>
      world.hosts.every(({ isIdle, isConnected }) => isIdle && isConnected),
    );
    await this.operator.bringToRest();
  }

  /** A host that was told of a loss is told once; then everything goes well. */
  private async finalWord(ask: () => Promise<boolean>, what: string): Promise<void> {
    const { sites, judge } = this.world;
    for (let times = 0; times < LAST_TRIES; times += 1) {
      if (await sites.drive(ask())) return;
      await sites.clock.pass(1000);
      judge.look();
    }
    throw new Broken('R9', `${what}, and is refused though all is well`);
  }

  /** Both ends of the pair hold what hosts were answered. */
  private async compareAll(): Promise<void> {
    const { world } = this;
    const { primary } = world.judge;
    const address = primary?.node.set.file.pair?.peer.address;
    for (const folder of [primary?.site.folder, address]) {
      if (folder === undefined) throw new Broken('R6', 'there is no pair at the end');
      const { set } = world.node(folder) ?? {};
      const found = await world.sites.contents(folder);
      const expected = world.log.at(set?.newest ?? 0, `the end of ${folder}`);
      for (const [volume, bytes] of expected.entries()) {
        const offset = bytes.findIndex((byte, at) => byte !== found[volume]?.[at]);
        if (offset < 0) continue;
        throw new Broken('R1', `${folder} at the end: volume ${volume} differs at ${offset}`);
      }
    }
  }

  private async closeAll(): Promise<void> {
    const { world } = this;
    for (const { name } of world.gates) {
      await world.sites.drive(world.gates.find((gate) => gate.name === name)?.stop() ?? nothing());
    }
    for (const { folder } of world.machines) await world.sites.drive(world.stop(folder));
    world.judge.look();
  }

  /** What was closed in order opens as it was, and is sound. */
  private async openAll(): Promise<void> {
    const { world } = this;
    for (const { folder } of world.machines) {
      void world.start(folder); // or somebody else just did
      await world.sites.clock.run(() => world.node(folder) !== undefined);
      const node = world.node(folder);
      if (!node) throw new Broken('R6', `${folder} does not open again`);
      const { ok, findings } = await world.sites.drive(node.verify());
      if (!ok) throw new Broken('R8', `${folder}: ${JSON.stringify(findings)}`);
    }
    world.judge.lookDeep();
  }

  /**
   * R5: the disk of the primary goes back in time, and other records get the numbers that were lost
   * with that, before its secondary can be reached again. Both have as many then, and only the
   * chain says that they are not the same. What hosts were answered is lost, so the run ends here.
   */
  private async setBack(): Promise<never> {
    const { world, operator } = this;
    const { sites, judge } = world;
    await this.heal();
    await this.rest();
    const primary = operator.siteOf('primary');
    const secondary = operator.siteOf('secondary');
    const old = primary.machine.disk.survivors('keep', 1);
    for (const host of world.hosts) host.isWorking = true;
    await this.pass(1000);
    const marked = primary.machine.node?.mark('of-before').then(nothing);
    await sites.drive(marked ?? nothing());
    await this.rest();
    for (const { name } of world.gates) world.killGate(name);
    world.wires.change(primary.folder, secondary.folder, { blackHole: true });
    await world.crash(primary.folder, 'keep');
    primary.machine.disk = old;
    primary.disk.attach();
    judge.outlawed.add(primary.folder);
    world.note(`${primary.folder} is what it was before`);
    await sites.drive(world.start(primary.folder));
    const { node } = primary.machine;
    const there = secondary.machine.node;
    if (!node || !there) throw new Broken('R6', 'what was closed nowhere does not open');
    for (let at = 0; node.set.newest < there.set.newest; at += 1) {
      await sites.drive(node.mark(`another-${at}`));
    }
    world.wires.heal();
    await this.pass(SET_BACK_MS);
    judge.lookDeep();
    const { pair, health } = node.status();
    if (health.healthy || pair?.link === 'up') {
      throw new Broken('R5', `${primary.folder} takes what another history left for its own`);
    }
    throw new Lost('the history of before is in the secondary only');
  }

  private async happen(event: SimEvent): Promise<void> {
    const { world, operator } = this;
    if (event.kind !== 'pass' && event.kind !== 'operator') this.count(nameOf(event));
    switch (event.kind) {
      case 'pass':
        return this.pass(event.ms);
      case 'crash':
        return this.mishaps.crash(operator.siteOf(event.role), event);
      case 'crash twice':
      case 'failed sync and crash':
        return this.mishaps.strikeTwice(operator.siteOf(event.role), event);
      case 'flaps':
        return this.mishaps.flap(operator.siteOf('primary'), event);
      case 'stop': {
        const site = operator.siteOf(event.role);
        void world.stop(site.folder).then(() => this.mishaps.startLater(site, event.downMs));
        return;
      }
      case 'kill gate': {
        const name = GATES[event.gate] ?? 'north';
        world.killGate(name);
        world.sites.clock.after(event.downMs, () => void world.startGate(name));
        return;
      }
      case 'wire':
        return this.mishaps.wire(event);
      case 'disk': {
        const { disk } = operator.siteOf(event.role);
        disk.strike(event.fault);
        world.sites.clock.after(event.ms, () => disk.heal());
        return;
      }
      case 'flip':
        return this.mishaps.flip(event);
      case 'what if it flips':
        return world.sites.drive(lookIfFlipped(world, operator.siteOf(event.role), event));
      case 'migrate':
        return operator.migrate(event.mode, event.copy, event.detach);
      case 'switch':
        return this.mishaps.atTheSwitch(event);
      case 'abort':
        return operator.abort(event.role);
      case 'operator':
        return operator.operate(event.what);
      case 'await':
        return this.mishaps.awaitState(event.what);
      case 'mend':
        await operator.mend(event.looks);
        return;
      case 'takeover':
        return operator.takeOver();
      case 'burn':
        await this.mishaps.atSwitch(event.behindMs);
        if (event.role === 'primary') return operator.takeOverFromAshes();
        if (event.role === 'spare') return operator.goBackToSealed();
        return operator.burnSecondary();
      case 'copied':
        return this.mishaps.copied(operator.siteOf(event.role));
      case 'rolled back':
        return this.mishaps.rollBack(operator.siteOf('secondary'));
      case 'clock':
        world.clockJumped = true;
        return world.sites.clock.jump(event.ms);
      case 'hosts':
        world.letHostsWork(event.work);
        return;
      case 'set back':
        return this.setBack();
    }
  }

  /** Time passes, and is looked at on the way. */
  private async pass(ms: number): Promise<void> {
    const { sites, judge } = this.world;
    const step = Math.max(LOOK_MS, ms / LOOKS_OF_A_PAUSE);
    for (let left = ms; left > 0; left -= step) {
      await sites.clock.pass(Math.min(step, left));
      judge.look();
    }
  }

  private count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }
}

async function nothing(): Promise<void> {}

function nameOf(event: SimEvent): string {
  switch (event.kind) {
    case 'crash':
      return `crash, ${event.survival}`;
    case 'wire':
      return `wire ${event.fault}`;
    case 'disk':
      return `disk ${event.fault} ordered`;
    case 'migrate':
      return `migrate ${event.mode} ${event.copy}`;
    default:
      return event.kind;
  }
}
