/**
 * Migrations under a live host behind a path controller, while somebody is struck at a random
 * moment: A, B, C or the controller by kill -9 or power loss, or their links by cuts. Each move
 * must come to its end, the host must find everything that it was answered, and C must follow.
 */
import type { NbdClient } from '../../src/nbd/client.ts';
import { isRcopyError } from '../../src/base/errors.ts';
import type { MigrationStatusAnswer } from '../../src/node/answers.ts';
import { MIB } from '../../src/base/limits.ts';
import type { Fault } from '../support/host-history.ts';
import { rcopyProgram } from '../support/daemons.ts';
import { WAYS } from '../support/sites.ts';
import type { Station } from '../support/station.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import type { VerifiedLoad } from '../support/verified-load.ts';
import { bother } from './bad-links.ts';
import { Party } from './party.ts';
import type { Gate } from './party.ts';
import { sound } from './power.ts';
import type { Scene } from './scene.ts';

const VOLUME_BYTES = 8 * MIB;
const SYNC_MS = 90_000;
const MOVES = { least: 3, more: 3 };
/** From when on somebody is struck; each of them as often as the others. */
const MOMENTS = ['the command', 'the migration', 'the switch'] as const;
const STRUCK_WITHIN_MS = { 'the command': 1_500, 'the migration': 600, 'the switch': 600 };
const RATES = ['6M', '16M', '48M', undefined] as const;

type Moment = (typeof MOMENTS)[number];
type SetParty = Party<Station>;
type Anyone = Party<Station> | Party<Gate>;

/** Rejects when anything is lost, or does not come to its end. */
export async function moveAround(scene: Scene, fault: Fault | 'cut'): Promise<void> {
  const world = await World.make(scene, fault);
  const moves = MOVES.least + scene.random.below(MOVES.more);
  for (let move = 0; move < moves; move += 1) await world.move();
  await world.end();
}

class World {
  private readonly scene: Scene;
  private readonly fault: Fault | 'cut';
  private readonly gate: Party<Gate>;
  private readonly c: SetParty;
  private readonly load: VerifiedLoad;
  /** What stands in front of each set, where links are cut. */
  private readonly proxies: ReadonlyMap<SetParty, TcpProxy>;
  private from: SetParty;
  private to: SetParty;
  private host: NbdClient | undefined;

  private constructor(
    scene: Scene,
    fault: Fault | 'cut',
    sets: {
      readonly a: SetParty;
      readonly b: SetParty;
      readonly c: SetParty;
      readonly gate: Party<Gate>;
    },
    proxies: ReadonlyMap<SetParty, TcpProxy>,
  ) {
    this.scene = scene;
    this.fault = fault;
    this.from = sets.a;
    this.to = sets.b;
    this.c = sets.c;
    this.gate = sets.gate;
    this.proxies = proxies;
    this.load = scene.load(VOLUME_BYTES);
  }

  static async make(scene: Scene, fault: Fault | 'cut'): Promise<World> {
    const { random } = scene;
    const disks = new Set<number>();
    // Two of the four, or one.
    if (fault === 'power') disks.add(random.below(4)).add(random.below(4));
    const on = (place: number) => (disks.has(place) ? 'disk' : 'folder');
    const sizeBytes = VOLUME_BYTES;
    const a = await Party.set(scene, 'A', { on: on(0), sizeBytes });
    const b = await Party.set(scene, 'B', { on: on(1), sizeBytes });
    const c = await Party.set(scene, 'C', { on: on(2), sizeBytes });
    const gate = await Party.gate(scene, 'controller', on(3));
    const proxies = new Map<SetParty, TcpProxy>();
    for (const set of fault === 'cut' ? [a, b, c] : []) {
      const proxy = await TcpProxy.start(set.runner.listens);
      scene.onEnd(() => proxy.close());
      proxies.set(set, proxy);
    }
    const world = new World(scene, fault, { a, b, c, gate }, proxies);
    await a.runner.set.createPair({ secondary: world.url(c) });
    await a.runner.set.wait({ until: { kind: 'synced' }, timeoutMs: SYNC_MS });
    await gate.runner.lead(world.url(a));
    world.host = await gate.runner.connect();
    world.load.start(world.host);
    return world;
  }

  /** One move, one blow in it, and everything is looked at. */
  async move(): Promise<void> {
    const { scene, load } = this;
    await this.more(50);
    const command = new MoveCommand(scene, this.url(this.from), this.url(this.to));
    command.give();
    const moment = MOMENTS[scene.random.below(MOMENTS.length)] ?? 'the command';
    const isThere = () => this.hasCome(moment, command);
    await scene.until(`${moment} of ${command.said}`, isThere);
    await scene.pause(STRUCK_WITHIN_MS[moment]);
    await this.blow();
    await scene.until(`the end of ${command.said}`, () => this.isMoved(command));
    await this.more(50);
    const failure = await load.stop();
    if (failure) throw new Error(`the host was told: ${failure.message}`, { cause: failure });
    await this.look();
    await this.follows();
    [this.from, this.to] = [this.to, this.from];
    if (this.host) load.start(this.host);
  }

  async end(): Promise<void> {
    const failure = await this.load.stop();
    if (failure) throw failure;
    await this.look();
    await this.host?.close();
    for (const party of [this.gate, this.from, this.to, this.c]) {
      const code = await party.runner.stop();
      if (code !== 0) throw new Error(`${party.name} ended with ${code}`);
    }
  }

  private async blow(): Promise<void> {
    const { scene, fault } = this;
    if (fault === 'cut') {
      await bother(scene, [...this.proxies.values()]);
      return;
    }
    const everyone: readonly Anyone[] = [this.from, this.to, this.c, this.gate];
    const victims = everyone.filter(({ disk }) => fault === 'kill' || disk);
    const victim = victims[scene.random.below(victims.length)];
    if (!victim) throw new Error('nobody can be struck');
    await victim.strike(fault);
    await scene.pause(300);
    const { to } = this;
    if (victim === to) await to.reviveAnew(fault, () => to.runner.create(VOLUME_BYTES));
    else await victim.revive(fault);
    if (victim === this.gate) await this.reconnect();
  }

  /** Its controller has died: what the host was answered is at the sets. */
  private async reconnect(): Promise<void> {
    await this.load.stop();
    this.host = await this.gate.runner.connect();
    await this.look();
    this.load.start(this.host);
  }

  private async hasCome(moment: Moment, command: MoveCommand): Promise<boolean> {
    if (moment === 'the command' || (await this.isMoved(command))) return true;
    const migration = await this.migration();
    if (migration?.side !== 'target') return false;
    return moment === 'the migration' || migration.state === 'copying';
  }

  private async isMoved(command: MoveCommand): Promise<boolean> {
    if (this.load.error) throw this.load.error;
    const migration = await this.migration();
    const isTarget = migration?.side === 'target';
    if (isTarget && migration.state === 'done') return true;
    // It goes on by itself once it has begun; a command that came to nothing is given again.
    if (migration !== undefined && (!isTarget || migration.state === 'aborted'))
      command.giveAgain();
    return false;
  }

  /** As the target has it; undefined while that is being made anew. */
  private async migration(): Promise<MigrationStatusAnswer['migration'] | undefined> {
    try {
      return (await this.to.runner.set.migrationStatus()).migration;
    } catch (error) {
      if (isRcopyError(error, 'E_STATE')) return undefined;
      throw error;
    }
  }

  private async look(): Promise<void> {
    if (!this.host) throw new Error('there is no host');
    const wrong = await this.load.check(this.host);
    if (wrong.length > 0) {
      throw new Error(`the host lost ${wrong.length}: ${wrong.slice(0, 5).join('; ')}`);
    }
  }

  /** C has all of it, and everyone is sound. */
  private async follows(): Promise<void> {
    const { set } = this.to.runner;
    await set.wait({ until: { kind: 'synced' }, timeoutMs: SYNC_MS });
    const compared = await set.verifyAgainst(this.url(this.c));
    if (!compared.equal) throw new Error(`C differs: ${JSON.stringify(compared.differences)}`);
    for (const party of [this.from, this.to, this.c]) await sound(party);
  }

  private async more(count: number): Promise<void> {
    const { counts } = this.load;
    const { answered } = counts;
    await this.scene.until('answers', () => {
      if (this.load.error) throw this.load.error;
      return counts.answered > answered + count;
    });
  }

  /** Where others find it. */
  private url(set: SetParty): string {
    const proxy = this.proxies.get(set);
    return proxy ? `rcopy://${proxy.address}` : set.runner.url;
  }
}

/** `rcopy migrate`, as often as it takes to be heard. */
class MoveCommand {
  readonly said: string;
  private readonly words: readonly string[];
  private underWay = false;

  constructor({ random }: Scene, from: string, to: string) {
    const { mode, copy } = WAYS[random.below(WAYS.length)] ?? { mode: 'drain', copy: 'post' };
    const rate = RATES[random.below(RATES.length)];
    const how = ['--mode', mode, '--copy', copy, ...(rate ? ['--max-rate', rate] : [])];
    this.words = ['migrate', from, to, '--overwrite', ...how];
    this.said = `the move (${mode}, ${copy}, ${rate ?? 'as fast as it goes'})`;
  }

  give(): void {
    this.underWay = true;
    const ended = (): void => {
      this.underWay = false;
    };
    rcopyProgram(...this.words).then(ended, ended);
  }

  giveAgain(): void {
    if (!this.underWay) this.give();
  }
}
