/**
 * Who gives the commands: now and then anything, as the plan says, and in the end whatever brings
 * the system to rest, by what status shows: the runbook of the README, and nothing that a person
 * at the terminal could not do.
 */
import { isRcopyError, messageOf } from '../../../src/base/errors.ts';
import type { MigrationCopy, MigrationMode } from '../../../src/node/answers.ts';
import type { StorageNode } from '../../../src/node/storage-node.ts';
import { Broken } from './broken.ts';
import type { Running } from './judge.ts';
import type { Role, SimEvent } from './events.ts';
import type { Gate } from '../../support/gates.ts';
import { FOLDERS } from './world.ts';
import type { Site, World } from './world.ts';

type Operation = Extract<SimEvent, { kind: 'operator' }>['what'];

/** How long a step towards rest may take before the next look, in milliseconds. */
const REST_STEP_MS = 5000;
/** Of a script that sets one for each small thing. */
const MANY_MARKS = 120;
/** Looks before it is said that the system does not come to rest. */
const REST_LOOKS = 120;

/** What a disk of the simulator says when it fails, or its machine has no power. */
const OF_THE_DISK = /failed by the test|has lost its power/;

export class Operator {
  /** Commands by name and outcome. */
  readonly outcomes = new Map<string, number>();
  private readonly world: World;
  private readonly underWay = new Set<string>();
  private marks = 0;
  /** Where the primary stood at the last look. */
  private newestBefore = Number.POSITIVE_INFINITY;
  /** How often the runbook came to this line. */
  private stuck = 0;

  constructor(world: World) {
    this.world = world;
  }

  get isIdle(): boolean {
    return this.underWay.size === 0;
  }

  /** The machine that is this now: by what the sets say, whether or not they run. */
  siteOf(role: Role): Site {
    const { machines, judge } = this.world;
    const primary = judge.primary?.site ?? this.lastPrimary ?? machines[0];
    this.lastPrimary = primary;
    const secondary = this.secondaryOf(primary);
    const rest = machines.filter((site) => site !== primary && site !== secondary);
    const found = { primary, secondary, spare: rest[0], other: rest[1] ?? rest[0] }[role];
    return found ?? (machines[0] as Site);
  }

  private lastPrimary: Site | undefined;

  private secondaryOf(primary: Site | undefined): Site | undefined {
    const { machines } = this.world;
    const address = primary?.machine.node?.set.file.pair?.peer.address;
    const known = machines.find(({ folder }) => folder === address);
    if (known) this.lastSecondary = known;
    return this.lastSecondary === primary ? undefined : this.lastSecondary;
  }

  private lastSecondary: Site | undefined;

  /** Gives a command and goes on; what it ends with is judged when it does. */
  give(
    name: string,
    site: Site | undefined,
    command: (node: StorageNode) => Promise<unknown>,
  ): void {
    const node = site?.machine.node;
    if (!node || this.underWay.has(name)) return;
    const { world } = this;
    world.note(`${site.folder}: ${name}`);
    this.underWay.add(name);
    const { disk } = site.machine;
    const ended = (outcome: string) => {
      this.underWay.delete(name);
      const key = `${name}: ${outcome}`;
      this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
    };
    command(node).then(
      () => {
        world.note(`${site.folder}: ${name}: done`);
        ended('done');
      },
      (error: unknown) => {
        world.note(`${site.folder}: ${name}: ${messageOf(error)}`);
        ended(isRcopyError(error) ? error.code : 'other');
        if (site.machine.disk === disk && site.machine.node === node)
          world.judge.failed(site, error);
      },
    );
  }

  operate(what: Operation): void {
    const primary = this.siteOf('primary');
    const secondary = this.siteOf('secondary');
    const { judge } = this.world;
    switch (what) {
      case 'split':
        return this.give('split', primary, (node) => node.splitPair());
      case 'resync':
        return this.give('resync', primary, (node) => node.resyncPair());
      case 'copy anew':
        return this.give('copy anew', primary, async (node) => {
          if (secondary === primary) return;
          if (node.set.file.pair) await node.deletePair({ local: true });
          if (node.set.file.seal) return; // the other one has just taken over
          await this.world.replace(secondary.folder);
          await node.createPair({ secondary: secondary.folder, ack: this.world.shape.ack });
        });
      case 'replicate':
        return this.give('replicate', primary, (node) =>
          node.replicate({ timeoutMs: 20_000, maxRate: undefined }),
        );
      case 'mark':
        this.marks += 1;
        return this.give('mark', primary, (node) => node.mark(`mark-${this.marks}`));
      case 'many marks':
        return this.give('many marks', primary, async (node) => {
          const names = Array.from({ length: MANY_MARKS }, (_, at) => `many-${this.marks}-${at}`);
          this.marks += 1;
          await Promise.all(names.map((name) => node.mark(name)));
        });
      case 'status':
        return judge.look();
      case 'verify':
        return this.give('verify', primary, async (node) => {
          const { ok, findings } = await node.verify();
          const isSick = findings.some(({ problem }) => OF_THE_DISK.test(problem));
          if (!ok && !primary.flipped && !isSick)
            judge.tell(new Broken('R8', JSON.stringify(findings)));
        });
      case 'compare':
        return this.give('compare', primary, async (node) => {
          if (node.set.file.pair?.state !== 'paired') return;
          const { equal } = await node.verifyAgainst(secondary.folder);
          if (!equal) judge.tell(new Broken('R1', 'the pair differs, says verify --against'));
        });
    }
  }

  migrate(mode: MigrationMode, copy: MigrationCopy, detach: boolean): void {
    const from = this.siteOf('primary');
    const to = this.siteOf('spare');
    this.give('migrate', to, async (node) => {
      if (node.set.file.role === 'retired' || node.set.file.migration?.state === 'aborted') {
        await this.world.replace(to.folder);
      }
      const target = to.machine.node;
      const force = this.world.gates.length === 0;
      const how = { mode, copy, detach, force, maxRate: undefined };
      this.world.note(`  ${mode} ${copy}${detach ? ' detached' : ''} from ${from.folder}`);
      await target?.migrate({ from: from.folder, ...how });
    });
  }

  abort(role: Role): void {
    this.give('abort', this.siteOf(role), (node) => node.abortMigration());
  }

  takeOver(): void {
    this.give('takeover', this.siteOf('secondary'), (node) => node.takeOver({ force: false }));
  }

  /** The secondary burns, and an empty machine stands in its place. */
  async burnSecondary(): Promise<void> {
    const { world } = this;
    const site = this.siteOf('secondary');
    if (site.machine.node?.set.file.role !== 'secondary') return; // it may just have taken over
    await world.sites.drive(world.replace(site.folder));
  }

  private get isMoving(): boolean {
    return this.world.running.some(({ node }) => isMoving(node));
  }

  /** The primary burns, and what it moves to; its secondary takes over by force, if it can. */
  async takeOverFromAshes(): Promise<void> {
    const { world } = this;
    const { judge } = world;
    const primary = this.siteOf('primary');
    const secondary = this.siteOf('secondary');
    const node = secondary.machine.node;
    const canTake = node && node.set.file.role === 'secondary' && node.set.usable;
    if (!canTake || secondary === primary || node.set.failure) return;
    if (judge.outlawed.has(secondary.folder)) return;
    const others = world.machines.filter((site) => site !== secondary);
    for (const { folder } of this.isMoving ? others : [primary]) {
      world.note(`${folder} burns, ${secondary.folder} takes over`);
      await world.sites.drive(world.replace(folder));
    }
    // Its power went meanwhile, or its disk failed: it is looked for what is left, then.
    if (secondary.machine.node !== node || node.set.failure) return;
    secondary.disk.heal(); // whoever has one copy left makes room for it
    try {
      await world.sites.drive(this.takeByForce(secondary, node));
      this.lastPrimary = secondary;
      this.lastSecondary = primary;
    } catch (error) {
      judge.failed(secondary, error);
      // A copy had begun there before the primary burnt: the other one was the only whole one.
      if (!node.set.usable) throw new Lost(`${secondary.folder} was being copied to`);
      throw new Broken('R6', `nobody can take over: ${messageOf(error)}`);
    }
  }

  /** What a sealed set has handed over to burns: it goes on where it was sealed. */
  async goBackToSealed(): Promise<void> {
    const { world } = this;
    const site = world.running.find(({ node }) => isSealed(node))?.site;
    const node = site?.machine.node;
    const successor = world.machines.find(
      ({ folder }) => folder === node?.set.file.seal?.successor.address,
    );
    if (!site || !node || !successor || node.set.failure) return;
    // What has moved on since then has nothing to do with this seal any more.
    if (successor !== this.siteOf('primary')) return;
    world.note(`${successor.folder} burns, ${site.folder} goes on where it was sealed`);
    await world.sites.drive(world.replace(successor.folder));
    if (site.machine.node !== node || !isSealed(node)) return; // its power went meanwhile
    site.disk.heal();
    try {
      await world.sites.drive(this.takeByForce(site, node));
    } catch (error) {
      world.judge.failed(site, error);
      return; // it is mended in the end
    }
    this.lastPrimary = site;
    // Whoever followed the one that is lost has a history that nobody goes on with.
    for (const { folder } of world.machines) {
      const epoch = world.node(folder)?.set.file.epoch ?? Number.POSITIVE_INFINITY;
      if (epoch >= node.set.file.epoch && folder !== site.folder) world.judge.outlawed.add(folder);
    }
    for (const gate of world.gates) {
      if (gate.isRunning) await this.leadsElsewhere(gate, { site, node }, true);
    }
  }

  /** The primary is lost, and whoever handed over to it has nothing any more: the secondary has. */
  private async takeWhatIsLeft(): Promise<void> {
    const { world } = this;
    const left = world.running.find(({ site, node: { set } }) => {
      const isOurs = set.file.groupId === world.groupId && !world.judge.outlawed.has(site.folder);
      return isOurs && set.file.role === 'secondary' && set.usable;
    });
    if (left)
      await world.sites.drive(this.takeByForce(left.site, left.node)).catch(() => undefined);
  }

  /** A set goes on from what it has. Hosts may be answered by it before who asked for that is. */
  private async takeByForce(site: Site, node: StorageNode): Promise<void> {
    const { world } = this;
    const { set } = node;
    world.judge.forced = true;
    const stop = set.onChange(() => {
      const { role, seal, takenOverAt } = set.file;
      if (role !== 'primary' || seal || !takenOverAt) return;
      stop();
      world.fallBackTo(takenOverAt.sequence, site.folder);
    });
    const { sequence } = await node.takeOver({ force: true }).finally(stop);
    world.note(`${site.folder} goes on behind ${sequence}`);
  }

  /** Brings everything to rest. Throws {@link Broken} when that cannot be. */
  async bringToRest(): Promise<void> {
    if (await this.mend(REST_LOOKS, REST_STEP_MS)) return;
    const states = this.world.running.map(({ site, node }) => stateOf(site, node)).join('; ');
    throw new Broken('R6', `it does not come to rest: ${states}`);
  }

  /** Does what is next, one look behind the other; whether everything is at rest. */
  async mend(looks: number, stepMs = REST_STEP_MS / 10): Promise<boolean> {
    const { clock } = this.world.sites;
    for (let look = 0; look < looks; look += 1) {
      this.world.judge.lookDeep();
      const lacks = this.isIdle ? await this.nextStep(look) : 'a command is under way';
      if (lacks === undefined) return true;
      if (look > REST_LOOKS - 10) this.world.note(`not at rest: ${lacks}`);
      await clock.pass(look < 10 ? REST_STEP_MS / 10 : stepMs);
    }
    return false;
  }

  /** Does what is next; undefined when nothing is left to do. */
  private async nextStep(look: number): Promise<string | undefined> {
    const { world } = this;
    for (const folder of FOLDERS) {
      const site = world.at(folder);
      if (site.flipped && isRcopyError(site.refusal, 'E_DAMAGED')) {
        await this.giveUp(site);
        return `${folder} is damaged`;
      }
      const { node } = site.machine;
      if (isRcopyError(site.refusal, 'E_NOT_FOUND') || isRcopyError(site.refusal, 'E_COPIED')) {
        await world.sites.drive(world.replace(folder)); // it was about to be made
        return `${folder} is made`;
      }
      if (!node) {
        void world.start(folder);
        return `${folder} is down`;
      }
      if (node.set.failure) {
        await world.crash(folder, 'keep');
        void world.start(folder);
        return `${folder} has stopped`;
      }
    }
    for (const gate of world.gates) if (!gate.isRunning) await sitesDrive(world, gate.name);
    return this.nextOfPair(look);
  }

  private async nextOfPair(look: number): Promise<string | undefined> {
    const { world } = this;
    const late = look % 12 === 11;
    const moving = world.running.find(({ node }) => isMoving(node));
    if (moving) {
      const { pair, seal } = moving.node.set.file;
      const isReturning = seal !== null && moving.node.set.file.migration?.side === 'target';
      if (late && isReturning) this.give('abort', moving.site, (node) => node.abortMigration());
      else if (pair && late && this.isLost(pair)) await this.pairAgain(moving.site);
      else if (late && look > 30) this.give('abort', moving.site, (node) => node.abortMigration());
      else if (late) {
        const how = { maxRate: undefined };
        this.give('resume', moving.site, (node) => node.resumeMigration(how));
      }
      return `${moving.site.folder} is moving`;
    }
    const { primary } = world.judge;
    if (!primary) {
      const seals = world.running.flatMap(({ node }) => node.set.file.seal ?? []);
      const last = seals.toSorted((one, other) => other.epoch - one.epoch)[0];
      const heir = world.machines.find(({ folder }) => folder === last?.successor.address);
      const isOld = heir && world.judge.rolledBack.has(heir.folder);
      const isGone = isOld || heir?.machine.node?.set.file.groupId !== world.groupId;
      const sealed = world.running.find(({ node }) => node.set.file.seal === last);
      const hasNothing = !last || sealed?.node.set.file.role === 'retired';
      if (late && isGone && hasNothing) {
        await this.takeWhatIsLeft();
      } else if (late && isGone && sealed) {
        // The successor is lost: the set goes on where it sealed.
        this.give('takeover', sealed.site, (node) => this.takeByForce(sealed.site, node));
      } else if (late) this.give('takeover', heir, (node) => node.takeOver({ force: false }));
      return 'nobody takes writes';
    }
    const { site, node } = primary;
    for (const gate of world.gates) {
      if (await this.leadsElsewhere(gate, primary, late)) return `${gate.name} leads elsewhere`;
    }
    const { pair } = node.set.file;
    if (!pair || pair.state === 'takeover') return this.pairAnew(site, node);
    const secondary = world.node(pair.peer.address);
    if (this.isLost(pair) || this.stuck > 40) {
      if (late) await this.pairAgain(site);
      return 'the secondary is another one';
    }
    if (pair.state === 'split' || pair.state === 'suspended') {
      this.give('resync', site, (each) => each.resyncPair());
      this.stuck += 1;
      return `the pair is ${pair.state}`;
    }
    const { set } = node;
    const isThere = pair.state === 'paired' && secondary?.set.usable;
    // While hosts write it follows; when they rest it gets there.
    const isQuiet = world.hosts.every(({ isWorking, isIdle }) => !isWorking && isIdle);
    const wanted = isQuiet ? set.newest : Math.min(set.newest, this.newestBefore);
    this.newestBefore = set.newest;
    if (isThere && secondary?.set.applied.sequence >= wanted && set.ownRun()) {
      const status = [node.status(), secondary.status()];
      const sick = status.find(({ health }) => !health.healthy);
      this.stuck = 0;
      // Its target is gone, and with it whoever would have driven the migration.
      const isLeft = set.file.migration?.side === 'source' && sick !== undefined;
      if (isLeft && late) this.give('abort', site, (each) => each.abortMigration());
      return sick && `${sick.set.name}: ${sick.health.word} ${sick.health.reason}`;
    }
    this.stuck += 1;
    return `${site.folder} ${pair.state}, secondary at ${secondary?.set.applied.sequence}`;
  }

  /** Another set stands where the secondary was, or one from an earlier day. */
  private isLost({
    id,
    peer,
  }: {
    readonly id: string;
    readonly peer: { address: string };
  }): boolean {
    const { world } = this;
    const there = world.node(peer.address)?.set.file.pair?.id;
    return there !== id || world.judge.rolledBack.has(peer.address);
  }

  /** The primary has no pair: an empty set becomes its secondary. */
  private async pairAnew(site: Site, node: StorageNode): Promise<string> {
    const { world } = this;
    if (node.set.file.pair) {
      this.give('pair delete', site, (each) => each.deletePair({ local: true }));
      return 'the pair of before is over';
    }
    const other = world.machines.find((each) => each !== site);
    if (!other) throw new Error('there is one machine only');
    await world.sites.drive(world.replace(other.folder));
    const { ack } = world.shape;
    this.give('pair create', site, (each) => each.createPair({ secondary: other.folder, ack }));
    return 'there is no pair';
  }

  /** The secondary is lost, or is what it was before: the pair ends here, and is made anew. */
  private async pairAgain(site: Site): Promise<void> {
    this.stuck = 0;
    this.give('pair delete', site, (each) => each.deletePair({ local: true }));
  }

  /** A controller follows by itself; after a takeover by force an operator says where to. */
  private async leadsElsewhere(
    gate: Gate,
    { site, node }: Running,
    late: boolean,
  ): Promise<boolean> {
    const { exports } = await gate.node.list();
    const to = site.folder;
    // It may be led to the set that stood there before: another one is not taken for it (R5).
    const isThere = (set: { id: string; address: string }) =>
      set.address === to && set.id === node.set.file.setId;
    const astray = exports.filter(({ set }) => !isThere(set));
    for (const { export: exported, volume } of late ? astray : []) {
      this.world.note(`${gate.name}: ${exported} is led to ${to}`);
      const request = { export: exported, set: to, volume, replace: true };
      await this.world.sites.drive(gate.node.add(request).catch(() => undefined));
    }
    return astray.length > 0;
  }

  /** A damaged set is lost: if others have what it had, they go on without it. */
  private async giveUp(site: Site): Promise<void> {
    const { world } = this;
    world.note(`${site.folder} is given up: ${messageOf(site.refusal)}`);
    if (site === this.siteOf('primary')) throw new Lost(`${site.folder} was the primary`);
    await world.sites.drive(world.replace(site.folder));
  }
}

/** The run ends here, in order: damage was seen and named, and no other copy is whole. */
export class Lost extends Error {}

function isMoving({ set }: StorageNode): boolean {
  const { migration } = set.file;
  if (migration?.side !== 'target') return false;
  return migration.state !== 'done' && migration.state !== 'aborted';
}

function isSealed({ set }: StorageNode): boolean {
  return set.file.role === 'primary' && set.file.seal !== null;
}

function stateOf(site: Site, node: StorageNode): string {
  const { role, epoch, seal, pair, migration } = node.set.file;
  const at = `${role} ${epoch}${seal ? ' sealed' : ''} at ${node.set.newest}`;
  const moves = migration ? `, ${migration.side} ${migration.mode} ${migration.state}` : '';
  const status = node.status().pair;
  const link = pair ? `, ${pair.state} ${status?.link} ${status?.reason ?? ''}` : '';
  return `${site.folder} ${at}${link}${moves}`;
}

async function sitesDrive(world: World, gate: string): Promise<void> {
  await world.sites.drive(world.startGate(gate));
}
