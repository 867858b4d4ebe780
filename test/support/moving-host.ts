/** A host that never stops writing while its volumes move from one set to another. */
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { StorageNode } from '../../src/node/storage-node.ts';
import { pattern } from './image-sets.ts';
import type { Sites } from './sites.ts';

/** A host that writes one request after the other to whoever takes it, and never stops. */
export class MovingHost {
  /** Where each answered request went. */
  readonly answered: string[] = [];
  wrong: string | undefined;
  stopped = false;
  private readonly sites: Sites;
  private readonly a: StorageNode;
  private readonly b: StorageNode;
  private id = 0;

  constructor(sites: Sites, a: StorageNode, b: StorageNode) {
    this.sites = sites;
    this.a = a;
    this.b = b;
  }

  /** Writes and reads until it is stopped; then the last answers have come. */
  async run(): Promise<void> {
    await Promise.all([this.write(), this.read()]);
  }

  private async write(): Promise<void> {
    while (!this.stopped) {
      await this.writeOnce();
      await this.sites.clock.sleep(1 + (this.id % 3));
    }
  }

  /** From the beginning of a volume on, as fast as answers come: also what is just being moved. */
  private async read(): Promise<void> {
    for (let turn = 0; !this.stopped; turn += 1) {
      for (const node of [this.a, this.b]) await this.readFrom(node, turn % 2);
      await this.sites.clock.sleep(1);
    }
  }

  private async readFrom(node: StorageNode, volume: number): Promise<void> {
    const device = node.set.volumes[volume];
    try {
      if (device) await readDevice(device, 0, 20_000);
    } catch (error) {
      if (!isRefusal(error)) this.wrong ??= `a read was refused: ${String(error)}`;
    }
  }

  private async writeOnce(): Promise<void> {
    this.id += 1;
    const { id } = this;
    const volume = id % 2;
    const data = pattern(id, [600, 4096, 9000, 1][id % 4] ?? 1);
    const offset = (id * 1700) % (20_000 - data.length);
    for (const node of [this.a, this.b]) {
      const device = node.set.volumes[volume];
      if (!device) throw new Error('no such volume');
      const request = { kind: 'write', offset, data: [data], length: data.length } as const;
      try {
        const answer = await submitAndWait(device, { ...request, fua: id % 5 === 0 });
        const expected = this.sites.model.apply({ kind: 'write', volume, offset, data });
        if (!answer.ok || answer.sequence !== expected) {
          this.wrong ??= `expected number ${expected}, got ${JSON.stringify(answer)}`;
        }
        this.answered.push(node.set.file.name);
        return;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }
    this.id -= 1;
  }
}

/** Only A refuses, and only since it is sealed; then B is asked until it takes over. */
function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'E_SEALED' || code === 'E_ROLE';
}
