/**
 * Who can be struck: a set with its daemon, or a path controller, on an ordinary folder or on a
 * disk that can lose its power. kill -9 leaves the page cache, power loss only what was synced.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/base/errors.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { parseAddress } from '../../src/sys/network.ts';
import type { Fault } from '../support/host-history.ts';
import { PathProcess, rcopyJson } from '../support/daemons.ts';
import { Station } from '../support/station.ts';
import { MOUNT_OPTIONS, PowerDisk } from './power-disk.ts';
import type { Scene } from './scene.ts';

/** How long a daemon may live on with a disk that is dead. */
const DEAD_DISK_MS = 300;

interface Place {
  readonly on: 'disk' | 'folder';
}

interface Runner {
  start(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<number | null | undefined>;
}

/** A path controller, found at the same places after each start. */
export class Gate implements Runner {
  readonly folder: string;
  private process: PathProcess | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(): Promise<void> {
    const places = ['--listen', '127.0.0.1:0', '--nbd', `unix:${this.folder}.sock`];
    this.process = new PathProcess(this.folder, ...places);
    await this.process.ready;
  }

  /** Hosts of `db` come to this set. */
  async lead(url: string): Promise<void> {
    await rcopyJson('path', 'add', this.folder, 'db', url);
  }

  async kill(): Promise<void> {
    await this.process?.kill();
  }

  async stop(): Promise<number | null | undefined> {
    return this.process?.stop();
  }

  async connect(): Promise<NbdClient> {
    const stream = await nodeNetwork.dial(parseAddress(`unix:${this.folder}.sock`));
    return NbdClient.open(stream, { clock: nodeClock, exportName: 'db' });
  }
}

export class Party<R extends Runner = Runner> {
  readonly name: string;
  readonly runner: R;
  readonly disk: PowerDisk | undefined;
  private readonly scene: Scene;

  private constructor(scene: Scene, name: string, runner: R, disk: PowerDisk | undefined) {
    this.scene = scene;
    this.name = name;
    this.runner = runner;
    this.disk = disk;
    scene.onEnd(async () => runner.kill());
  }

  /** A folder for it, on a disk of its own or beside the others. */
  static async place(scene: Scene, name: string, on: 'disk' | 'folder') {
    if (on === 'folder') return { folder: join(scene.folder, name), disk: undefined };
    scene.goOn();
    const options = MOUNT_OPTIONS[scene.random.below(MOUNT_OPTIONS.length)] ?? MOUNT_OPTIONS[0];
    const disk = await PowerDisk.make(join(scene.folder, `${name}-power`), options);
    scene.onEnd(() => disk.release());
    return { folder: join(disk.folder, name), disk };
  }

  /** A set with the volume `db`, made and served; `words` are more of its daemon's command line. */
  static async set(
    scene: Scene,
    name: string,
    how: Place & { readonly sizeBytes: number },
    ...words: readonly string[]
  ): Promise<Party<Station>> {
    const { folder, disk } = await Party.place(scene, name, how.on);
    const station = new Station(folder, ...words);
    await station.create(how.sizeBytes);
    const party = new Party(scene, name, station, disk);
    await party.start();
    return party;
  }

  /** A path controller, without exports. */
  static async gate(scene: Scene, name: string, on: 'disk' | 'folder'): Promise<Party<Gate>> {
    const { folder, disk } = await Party.place(scene, name, on);
    const party = new Party(scene, name, new Gate(folder), disk);
    await party.start();
    return party;
  }

  async start(): Promise<void> {
    this.scene.goOn();
    await this.runner.start();
  }

  /**
   * It dies, and with power loss its disk at the same time. `diskFirst`: its disk may also die a
   * little before it, and then it may tell hosts that it cannot write.
   */
  async strike(fault: Fault, diskFirst = false): Promise<void> {
    const { scene, disk, runner } = this;
    scene.goOn();
    scene.struck(`${fault} ${this.name}`);
    if (fault === 'kill') {
      await runner.kill();
      return;
    }
    if (!disk) throw new Error(`${this.name} has no disk of its own`);
    const together = scene.random.below(4) === 0 || !diskFirst;
    const livesOnMs = scene.random.below(2) * scene.random.below(DEAD_DISK_MS);
    if (together) {
      const dying = runner.kill();
      disk.fail();
      await dying;
      return;
    }
    disk.fail();
    await sleep(livesOnMs);
    await runner.kill();
  }

  /**
   * As {@link revive}, for a set that was being made anew: where it died in the midst of that,
   * there is none in its folder, and it has to be made again.
   */
  async reviveAnew(fault: Fault, make: () => Promise<void>): Promise<void> {
    try {
      await this.revive(fault);
    } catch (error) {
      if (!messageOf(error).includes('E_NOT_FOUND')) throw error;
      await make();
      await this.start();
    }
  }

  /** Serves again, at the same places; rejects with what the daemon said when it does not. */
  async revive(fault: Fault): Promise<void> {
    this.scene.goOn();
    if (fault === 'power') await this.disk?.powerOnAgain();
    await this.start();
    const { runner } = this;
    if (!(runner instanceof Station)) return;
    const { notices } = await runner.set.status();
    this.scene.tornTails += notices.filter((notice) => notice.includes('torn tail')).length;
  }
}
