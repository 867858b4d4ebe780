/**
 * What goes wrong in a run: machines, wires and files. Each ends by itself after its time, and what
 * it did to a machine is over when that is up again.
 */
import { StorageNode } from '../../../src/node/storage-node.ts';
import type { Conditions } from '../../support/middleman.ts';
import { Broken } from './broken.ts';
import type { Operator } from './operator.ts';
import type { Awaited, Moment, SimEvent, WireFault } from './events.ts';
import type { Blow } from './scenes.ts';
import type { Site, World } from './world.ts';

/** How long one waits for a state. */
const STATE_MS = 5000;
/** How long one waits for a switch. */
const SWITCH_MS = 5000;
const SWITCH_STEP_MS = 2;
/** A weak wire breaks that often. */
const WEAK_MS = 700;
/** On a wire that lies, at most so many bytes pass before a bit is turned over. */
const LIE_BYTES_MAX = 24_000;
/** How long a crash inside an operation waits for it. */
const MEETING_MS = 250;
/** How long controllers may take to find a set that has come back. */
const GOING_ON_MS = 1500;
/** What each host writes at once when it goes on, and the power goes before it is synced. */
const BURST_WRITES = 6;
const BEFORE_SWITCH: ReadonlySet<string> = new Set(['prepared', 'precopying', 'switching']);
const SLOW_BYTES_PER_SECOND = 30_000;
const LATE_MS = 180;

export class Mishaps {
  private readonly world: World;
  private readonly operator: Operator;
  /** Lets time pass, and everything be looked at meanwhile. */
  private readonly pass: (ms: number) => Promise<void>;

  constructor(world: World, operator: Operator, pass: (ms: number) => Promise<void>) {
    this.world = world;
    this.operator = operator;
    this.pass = pass;
  }

  /** The power goes between two operations of a disk, or in the midst of one that comes soon. */
  async crash(
    site: Site,
    { survival, moment, downMs }: Extract<SimEvent, { kind: 'crash' }>,
  ): Promise<void> {
    const { world } = this;
    if (moment) await this.meet(site, moment);
    await world.crash(site.folder, survival);
    this.startLater(site, downMs);
  }

  /** Waits until some set is in this state; for a while only. */
  async awaitState(what: Awaited): Promise<void> {
    const { world } = this;
    const isSo = () => world.running.some(({ node }) => isIn(what, node));
    for (let ms = 0; ms < STATE_MS && !isSo(); ms += 4) await world.sites.clock.pass(4);
  }

  /** Waits until the power goes in this operation, or nothing of the kind comes. */
  private async meet(site: Site, moment: Moment): Promise<void> {
    const { disk } = site.machine;
    const { clock } = this.world.sites;
    site.disk.losePowerAt(moment);
    for (let ms = 0; ms < MEETING_MS && !disk.crashed; ms += 1) await clock.pass(1);
  }

  /** What is only durable since a moment, or is not and must not be taken for it, is struck. */
  async strikeTwice(
    site: Site,
    {
      kind,
      survival,
      ms,
      moment,
    }: Extract<SimEvent, { kind: 'crash twice' | 'failed sync and crash' }>,
  ): Promise<void> {
    const { world } = this;
    if (kind === 'failed sync and crash') site.disk.strike('sync fails');
    else {
      await world.crash(site.folder, survival);
      const started = world.start(site.folder);
      // It may be struck while it is opened.
      if (moment) await this.meet(site, moment);
      else await world.sites.drive(started);
    }
    if (!site.machine.disk.crashed) await this.pass(ms);
    await world.crash(site.folder, 'lose');
    this.startLater(site, 5);
  }

  /** Waits until a migration has come so far, and strikes while everybody moves. */
  async atTheSwitch(event: Extract<SimEvent, { kind: 'switch' }>): Promise<void> {
    const { world, operator } = this;
    const { clock } = world.sites;
    const { step, blow, afterMs, ms } = event;
    const before = new Set(this.movedTo(step));
    let target: Site | undefined;
    for (let passed = 0; passed < SWITCH_MS && !target && !operator.isIdle;) {
      await clock.pass(SWITCH_STEP_MS);
      passed += SWITCH_STEP_MS;
      target = this.movedTo(step).find((site) => !before.has(site));
    }
    const source = target?.machine.node?.set.file.migration?.source.address;
    if (!target || source === undefined) return;
    await clock.pass(afterMs);
    world.note(`${source} is ${step} to ${target.folder}: ${blow}`);
    const [one, fault] = BLOWS[blow];
    const site = one === 'source' ? world.at(source) : target;
    if (fault !== 'crash') return this.wireFor(site, fault, ms);
    await world.crash(site.folder, 'keep');
    this.startLater(site, ms);
  }

  /** The targets of migrations that have come to this step. */
  private movedTo(step: Extract<SimEvent, { kind: 'switch' }>['step']): Site[] {
    const { world } = this;
    const hasCome = (node: StorageNode): boolean => {
      const { migration } = node.set.file;
      if (migration?.side !== 'target') return false;
      if (step !== 'sealed') return migration.state === step;
      const source = world.node(migration.source.address);
      return source?.set.file.seal?.migrationId === migration.id;
    };
    return world.running.filter(({ node }) => hasCome(node)).map(({ site }) => site);
  }

  /** All wires from a site to other sites. */
  private wireFor(site: Site, fault: 'hole' | 'cut', ms: number): void {
    const { world } = this;
    for (const { folder } of world.machines) {
      if (folder === site.folder) continue;
      if (fault === 'cut') world.wires.cut(site.folder, folder);
      else this.change(site.folder, folder, 'hole', ms);
    }
  }

  /** The power of a site goes as soon as hosts go on there, so many times. */
  async flap(site: Site, { times, downMs, behindMs }: Extract<SimEvent, { kind: 'flaps' }>) {
    const { world } = this;
    for (let left = times; left > 0; left -= 1) {
      await world.crash(site.folder, 'lose');
      await this.pass(downMs);
      await world.sites.drive(world.start(site.folder));
      if (left === 1) return;
      await this.hostsGoOn();
      for (const host of world.hosts) void host.burst(BURST_WRITES);
      await this.pass(behindMs);
    }
  }

  /** Waits until a migration that is under way has switched, and for `behindMs` more. */
  async atSwitch(behindMs: number): Promise<void> {
    const { world } = this;
    const moves = () =>
      world.running.some(({ node: { set } }) => {
        const { migration } = set.file;
        return migration?.side === 'target' && BEFORE_SWITCH.has(migration.state);
      });
    if (!moves()) return;
    for (let ms = 0; ms < SWITCH_MS && moves(); ms += 25) await this.pass(25);
    await this.pass(behindMs);
  }

  /** Resolves when a controller lets its hosts go on, or none does in time. */
  private async hostsGoOn(): Promise<void> {
    const { gates, sites } = this.world;
    const count = () => gates.reduce((sum, { events }) => sum + events.length, 0);
    const before = count();
    for (let ms = 0; ms < GOING_ON_MS && count() === before; ms += 1) await sites.clock.pass(1);
  }

  startLater(site: Site, downMs: number): void {
    const { disk } = site.machine;
    const { world } = this;
    world.sites.clock.after(downMs, () => {
      if (site.machine.disk === disk && site.down) void world.start(site.folder);
    });
  }

  wire({ fault, one, other, ms }: Extract<SimEvent, { kind: 'wire' }>): void {
    const { world, operator } = this;
    const gate = world.gates[ms % Math.max(1, world.gates.length)]?.name ?? 'host 1';
    const left = one === 'gate' ? gate : operator.siteOf(one).folder;
    const right = operator.siteOf(other).folder;
    if (left === right) return;
    if (fault === 'cut') return world.wires.cut(left, right);
    if (fault === 'lies') {
      // NBD has no checksums: hosts trust their network.
      if (one === 'gate') return;
      world.wires.lie(left, right, 1 + world.sites.random.below(LIE_BYTES_MAX));
      world.sites.clock.after(ms, () => world.wires.lie(left, right, undefined));
      return;
    }
    if (fault === 'weak') this.breakAgain(left, right, ms);
    if (fault === 'stale') {
      world.wires.stale(left, right);
      world.sites.clock.after(ms, () => world.wires.freshen(left, right));
      return;
    }
    this.change(left, right, fault, ms);
  }

  private change(left: string, right: string, fault: LastingFault, ms: number): void {
    const { wires, sites } = this.world;
    wires.change(left, right, conditionsOf(fault));
    sites.clock.after(ms, () => wires.mend(left, right));
  }

  /** Whatever is connected is cut now and then. */
  private breakAgain(left: string, right: string, ms: number): void {
    const { wires, sites } = this.world;
    for (let atMs = WEAK_MS; atMs < ms; atMs += WEAK_MS) {
      sites.clock.after(atMs + sites.random.below(WEAK_MS), () => wires.cut(left, right));
    }
  }

  /** A set is closed in order, and one bit of a checksummed file turns over while it is. */
  async flip({
    role,
    at,
    bit,
  }: Extract<SimEvent, { kind: 'flip' | 'what if it flips' }>): Promise<void> {
    const { world, operator } = this;
    const site = operator.siteOf(role);
    if (!site.machine.node || !operator.isIdle) return;
    const wasSound = site.machine.disk;
    let closed = false;
    void world.stop(site.folder).finally(() => {
      closed = true;
    });
    await world.sites.clock.run(() => closed, { simulatedMsMax: 200_000 });
    const { disk } = site.machine;
    // What a crash left may be cut, flipped or not: only what was closed in order has to be seen.
    if (disk !== wasSound) return world.sites.drive(world.start(site.folder));
    const files = ['set.json', 'cursors', 'journal', 'maps']
      .flatMap((name) => filesIn(disk, `${site.folder}/${name}`))
      .filter((path) => disk.readFile(path).length > 0);
    const path = files[at % files.length];
    if (path !== undefined) {
      site.flipped = true;
      const offset = at % disk.readFile(path).length;
      world.note(`bit ${bit} of ${path} turns over at ${offset}`);
      disk.flipBit(path, offset, bit);
    }
    await world.sites.drive(world.start(site.folder));
  }

  /** R5: a copied folder is not the set that it was copied from. */
  async copied(site: Site): Promise<void> {
    const { disk } = site.machine;
    const { sites } = this.world;
    if (disk.crashed || !disk.status(site.folder, 'TEST:COPY')) return;
    const { capacityBytes } = disk;
    site.disk.isWatched = true;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    disk.remove('/copy', 'TEST:REMOVE');
    disk.copyFolder(site.folder, '/copy');
    disk.capacityBytes = capacityBytes;
    const refused = await sites.drive(openingCopy(this.world, site));
    site.disk.isWatched = false;
    if (disk.crashed) return;
    const wasMade = disk.status(`${site.folder}/set.json`, 'TEST:COPY') !== undefined;
    if (wasMade && !site.flipped && refused !== 'E_COPIED')
      throw new Broken('R5', `a copy of ${site.folder} opens: ${refused}`);
  }

  /** R5: a disk that went back in time. Nobody may take it for what it was. */
  async rollBack(site: Site): Promise<void> {
    const { world } = this;
    if (site.machine.node?.set.file.role !== 'secondary') return;
    const old = site.machine.disk.survivors('keep', 1);
    await this.pass(3000);
    // A primary that goes back has lost what was flushed: no rule can hold then.
    if (site.machine.node?.set.file.role !== 'secondary') return;
    await world.crash(site.folder, 'keep');
    site.machine.disk = old;
    site.disk.attach();
    world.judge.rolledBack.add(site.folder);
    world.judge.forced = true;
    this.startLater(site, 50);
  }
}

function isIn(what: Awaited, { set }: StorageNode): boolean {
  const { role, migration } = set.file;
  switch (what) {
    case 'copying':
      return migration?.side === 'target' && migration.state === 'copying';
    case 'copied to':
      return role === 'secondary' && set.copy !== null;
    case 'kept in maps':
      return role === 'primary' && set.contents.dirty.inUse;
  }
}

async function openingCopy(world: World, site: Site): Promise<string> {
  try {
    const node = await StorageNode.open(world.sites.environment(site.folder), '/copy', {
      lockWaitMs: 0,
      pid: 1,
      roomWaitMs: 0,
      connector: { dial: (address) => world.sites.dial(site.folder, address) },
      address: '/copy',
      eager: true,
    });
    await node.close();
    return 'no refusal';
  } catch (error) {
    return String((error as { code?: string }).code);
  }
}

function filesIn(disk: Site['machine']['disk'], path: string): string[] {
  const status = disk.status(path, 'TEST:LOOK');
  if (!status) return [];
  if (status.kind === 'file') return [path];
  return disk.list(path, 'TEST:LOOK').flatMap((name) => filesIn(disk, `${path}/${name}`));
}

type LastingFault = Exclude<WireFault, 'cut' | 'stale' | 'lies'>;

const BLOWS: Readonly<Record<Blow, readonly ['source' | 'target', 'crash' | 'hole' | 'cut']>> = {
  'the source dies': ['source', 'crash'],
  'the source is cut off': ['source', 'hole'],
  'the target dies': ['target', 'crash'],
  'links of the target break': ['target', 'cut'],
};

function conditionsOf(fault: LastingFault): Partial<Conditions> {
  switch (fault) {
    case 'weak':
    case 'slow':
      return { bytesPerSecond: SLOW_BYTES_PER_SECOND };
    case 'late':
      return { delayMs: LATE_MS };
    case 'hole':
      return { blackHole: true };
    case 'half':
      return { blackHole: 'from dialler' };
    case 'other half':
      return { blackHole: 'from acceptor' };
  }
}
