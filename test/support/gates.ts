/** Path controllers between simulated sites, and hosts that remember what they were answered. */
import { RcopyError } from '../../src/base/errors.ts';
import type { ControllerId } from '../../src/base/ids.ts';
import { idFromBytes } from '../../src/base/ids.ts';
import { PATH_HOLD_MS } from '../../src/base/limits.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { Device } from '../../src/device/device.ts';
import { decodePathFile, encodePathFile } from '../../src/format/path-file.ts';
import type { PathFile } from '../../src/format/path-file.ts';
import type { MigrateAnswer } from '../../src/node/answers.ts';
import { PathNode } from '../../src/node/path-node.ts';
import type { PathEvent, PathStore } from '../../src/node/path-node.ts';
import type { Random } from '../../src/sys/random.ts';
import type { Sites } from './sites.ts';

/** Keeps the file as bytes; what is being saved when the power goes may be kept or not. */
class MemoryStore implements PathStore {
  readonly folder: string;
  private bytes: Buffer;
  private readonly later: () => Promise<void>;
  private turn: Promise<void> = Promise.resolve();
  isDead = false;
  /** There is no room on its disk. */
  isFull = false;

  constructor(folder: string, file: PathFile, later: () => Promise<void>) {
    this.folder = folder;
    this.bytes = encodePathFile(file);
    this.later = later;
  }

  get file(): PathFile {
    return decodePathFile(this.folder, this.bytes);
  }

  save(change: (file: PathFile) => PathFile): Promise<void> {
    const saved = this.turn.then(async () => {
      const next = encodePathFile(change(this.file));
      await this.later();
      if (this.isDead) throw new RcopyError('E_STOPPED', 'the power is gone');
      if (this.isFull) throw new RcopyError('E_NO_SPACE', 'the disk is full');
      this.bytes = next;
    });
    this.turn = saved.catch(() => undefined);
    return saved;
  }
}

export class Gate {
  readonly name: string;
  readonly sites: Sites;
  readonly events: PathEvent[] = [];
  holdMs = PATH_HOLD_MS;
  private store: MemoryStore;
  private running: PathNode | undefined;

  constructor(sites: Sites, name: string) {
    this.sites = sites;
    this.name = name;
    const controllerId = idFromBytes<'controller'>(sites.random.bytes(16));
    this.store = this.storeOf({
      format: 'rcopy path controller',
      version: 1,
      controllerId,
      name,
      starts: 0,
      ways: [],
    });
  }

  get id(): ControllerId {
    return this.store.file.controllerId;
  }

  /** Whether what it saves fails. */
  set diskIsFull(isFull: boolean) {
    this.store.isFull = isFull;
  }

  /** What would be found after a start. */
  get saved(): PathFile {
    return this.store.file;
  }

  get node(): PathNode {
    if (this.running) return this.running;
    throw new Error(`${this.name} does not run`);
  }

  /** It is being started. */
  private opening: Promise<void> | undefined;

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  start(): Promise<void> {
    return this.sites.drive(this.starting());
  }

  /** Starts while somebody else moves the clock. One process at a time has its state. */
  starting(): Promise<void> {
    this.opening ??= this.open().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async open(): Promise<void> {
    const { sites, name, store } = this;
    await store.save((file) => ({ ...file, starts: file.starts + 1 }));
    this.running = await PathNode.open({
      environment: sites.environment(name),
      store,
      connector: {
        dial: (address) => sites.dial(name, address),
        dialHosts: (address, as) => sites.dialHosts(name, address, as),
      },
      address: null,
      holdMs: this.holdMs,
      beatMs: 2_000,
      migrate: async (from, { to, ...request }): Promise<MigrateAnswer> =>
        (await sites.open(to)).migrate({ ...request, from }),
    });
    this.running.onEvent = (event) => this.events.push(event);
  }

  /** The process is gone, and everything that it did not save. */
  async kill(): Promise<void> {
    this.fell();
    await this.sites.clock.pass(0);
  }

  /** The same while somebody else moves the clock. */
  fell(): void {
    const { file } = this.store;
    this.store.isDead = true;
    this.store = this.storeOf(file);
    const { running } = this;
    this.running = undefined;
    this.sites.cutLinks(this.name);
    running?.close().catch(() => undefined);
  }

  async stop(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    if (running) await this.sites.drive(running.close());
  }

  /** Leads an export of the volume's name to a set. */
  async lead(set: string, ...volumes: readonly string[]): Promise<void> {
    for (const volume of volumes) {
      const request = { export: volume, set, volume, replace: false };
      await this.sites.drive(this.node.add(request));
    }
  }

  /** A new connection of a host. */
  connect(name: string): Device {
    const found = this.node.exports.find(name);
    if (!found || found instanceof RcopyError) throw new Error(`there is no export ${name}`);
    return found.device;
  }

  private storeOf(file: PathFile): MemoryStore {
    const later = () => this.sites.clock.sleep(this.sites.random.below(3));
    return new MemoryStore(`/${this.name}`, file, later);
  }
}

/**
 * A host that never changes what it has not been answered, and so knows at any time what it must
 * read: everything that it was answered, whatever happened to the sets.
 */
export class GateHost {
  readonly expected: Buffer;
  writes = 0;
  /** Errors that it was told, by their codes. */
  readonly errors: string[] = [];
  private device: Device;
  private readonly random: Random;
  /** Sectors from here on are this host's. */
  private readonly from: number;
  private readonly sectors: number;
  private stopping = false;
  private running: Promise<void> | undefined;

  constructor(device: Device, random: Random, range?: { from: number; to: number }) {
    this.device = device;
    this.random = random;
    this.from = (range?.from ?? 0) / 512;
    this.sectors = Math.floor((range?.to ?? device.sizeBytes) / 512) - this.from;
    this.expected = Buffer.alloc(this.sectors * 512);
  }

  /** Begins to write, read and flush, one request at a time, until `stop`. */
  run(pauseMs: () => Promise<void>): void {
    this.stopping = false;
    this.running = (async () => {
      while (!this.stopping) {
        await this.step();
        await pauseMs();
      }
    })();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** Its controller is gone; what it had under way it does again when there is one. */
  disconnected(): void {
    this.connected = new Promise((resolve) => {
      this.reconnect = (device) => {
        this.device = device;
        resolve();
      };
    });
  }

  reconnect: (device: Device) => void = () => undefined;
  private connected: Promise<void> = Promise.resolve();

  async step(): Promise<void> {
    const at = this.random.below(this.sectors);
    const count = 1 + this.random.below(Math.min(24, this.sectors - at));
    const choice = this.random.below(10);
    const range = { offset: (this.from + at) * 512, length: count * 512 };
    if (choice < 6) await this.write(range, choice === 0);
    else if (choice === 6) await this.zero(range);
    else if (choice === 7) await this.submit({ kind: 'flush' });
    else await this.check(range.offset, range.length);
  }

  async write(range: { offset: number; length: number }, fua = false): Promise<void> {
    const bytes = this.random.bytes(range.length);
    const data = [Buffer.from(bytes)];
    if (await this.submit({ kind: 'write', ...range, data, fua })) {
      this.expected.set(bytes, range.offset - this.from * 512);
    }
    this.writes += 1;
  }

  async flush(): Promise<boolean> {
    return this.submit({ kind: 'flush' });
  }

  /** Throws when a range does not read as it was answered. */
  async check(offset = this.from * 512, length = this.sectors * 512): Promise<void> {
    const found = await this.again(() => readDevice(this.device, offset, length));
    const start = offset - this.from * 512;
    const wanted = this.expected.subarray(start, start + length);
    if (found.equals(wanted)) return;
    let differs = 0;
    while (found[differs] === wanted[differs]) differs += 1;
    throw new Error(
      `after ${this.writes} writes a host reads something else at ${offset + differs}`,
    );
  }

  private async zero(range: { offset: number; length: number }): Promise<void> {
    const request = { kind: 'zeroes', ...range, fua: false, mayFree: true } as const;
    if (!(await this.submit(request))) return;
    const start = range.offset - this.from * 512;
    this.expected.fill(0, start, start + range.length);
  }

  /** Until it is answered by a controller that lives. */
  private async again<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      const { connected } = this;
      await connected;
      try {
        return await request();
      } catch (error) {
        await this.connected;
        if (connected === this.connected) throw error;
      }
    }
  }

  private async submit(request: Parameters<Device['submit']>[0]): Promise<boolean> {
    try {
      await this.again(() => submitAndWait(this.device, request));
      return true;
    } catch (error) {
      this.errors.push(error instanceof RcopyError ? error.code : String(error));
      return false;
    }
  }
}
