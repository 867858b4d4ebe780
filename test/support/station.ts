/** One set and its daemon, found at the same place after each start. */
import { RemoteSet } from '../../src/control/remote-set.ts';
import { parseAddress } from '../../src/control/addresses.ts';
import { Site } from '../../src/control/site.ts';
import { JOURNAL_BYTES_MIN } from '../../src/base/limits.ts';
import { NbdClient } from '../../src/nbd/client.ts';
import { nodeClock } from '../../src/sys/node-clock.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { nodeNetwork } from '../../src/sys/node-network.ts';
import { parseAddress as parseNetworkAddress } from '../../src/sys/network.ts';
import { DaemonProcess } from './daemons.ts';

export class Station {
  readonly folder: string;
  private readonly words: readonly string[];
  private address = '127.0.0.1:0';
  private daemon: DaemonProcess | undefined;

  /** `words` are more of the daemon's command line. */
  constructor(folder: string, ...words: readonly string[]) {
    this.folder = folder;
    this.words = words;
  }

  /** Makes the set: one volume, `db`, and the smallest journal. */
  async create(volumeBytes: number, whenFull?: 'slow' | 'map'): Promise<void> {
    const site = new Site(nodeEnvironment, { lockWaitMs: 0 });
    await site.create({
      folder: this.folder,
      volumes: [{ name: 'db', sizeBytes: volumeBytes }],
      journalBytes: JOURNAL_BYTES_MIN,
      whenFull,
      ifMissing: false,
    });
    await site.close();
  }

  get set(): RemoteSet {
    return new RemoteSet({ name: this.folder, at: parseAddress(this.url) }, 'own');
  }

  get url(): string {
    return `rcopy://${this.address}`;
  }

  /** `HOST:PORT` of it. */
  get listens(): string {
    return this.address;
  }

  async start(): Promise<void> {
    const places = ['--listen', this.address, '--nbd', `unix:${this.folder}.sock`];
    this.daemon = new DaemonProcess(this.folder, ...places, ...this.words);
    const { address } = await this.daemon.ready;
    this.address = String(address).replace('rcopy://', '');
  }

  async kill(): Promise<void> {
    await this.daemon?.kill();
  }

  /** In order; resolves with the exit code. */
  async stop(): Promise<number | null | undefined> {
    return this.daemon?.stop();
  }

  /** A host at its volume. */
  async connect(): Promise<NbdClient> {
    const at = parseNetworkAddress(`unix:${this.folder}.sock`);
    const stream = await nodeNetwork.dial(at);
    return NbdClient.open(stream, { clock: nodeClock, exportName: 'db' });
  }
}
