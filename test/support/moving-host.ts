/** A host that never stops writing while its volumes move from one set to another. */
import { submitAndWait } from '../../src/device/device.ts';
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

  /** Goes on until it is stopped; then the last answer has come. */
  async run(): Promise<void> {
    while (!this.stopped) {
      await this.writeOnce();
      await this.sites.clock.sleep(1 + (this.id % 3));
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
        // Only A refuses, and only since it is sealed; then B is asked until it takes over.
        const { code } = error as { code?: string };
        if (code !== 'E_SEALED' && code !== 'E_ROLE') throw error;
      }
    }
    this.id -= 1;
  }
}
