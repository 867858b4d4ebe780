/**
 * What volumes should hold, kept by the test alone: no code of the program says what is right. Each
 * change goes to a set through a command, or through the library where no command makes it.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Site } from '../../src/control/site.ts';
import { submitAndWait } from '../../src/device/device.ts';
import { nodeEnvironment } from '../../src/sys/node-environment.ts';
import { rcopy, rcopyJson } from './harness.ts';

export class Model {
  private readonly folder: string;
  private readonly volumes = new Map<string, Buffer>();
  private writes = 0;

  /** `folder` is where files go that commands read and write. */
  constructor(folder: string, sizes: Readonly<Record<string, number>>) {
    this.folder = folder;
    for (const [name, bytes] of Object.entries(sizes)) this.volumes.set(name, Buffer.alloc(bytes));
  }

  /** The flags of `rcopy create` for these volumes. */
  get flags(): string[] {
    const volumes = [...this.volumes].flatMap(([name, { length }]) => [
      '--volume',
      `${name}=${length}`,
    ]);
    return [...volumes, '--journal-size', '128M'];
  }

  /** Writes something that no other write has. */
  async write(set: string, volume: string, offset: number, length: number): Promise<void> {
    this.writes += 1;
    const data = Buffer.alloc(length, `write ${this.writes} to ${volume} at ${offset}; `);
    const file = join(this.folder, 'to-write');
    writeFileSync(file, data);
    const where = ['--volume', volume, '--offset', String(offset)];
    await rcopyJson('write', set, ...where, '--file', file);
    data.copy(this.of(volume), offset);
  }

  /** Zeroes, as a host's discard or write-zeroes makes them: any offset, any length. */
  async zero(set: string, volume: string, offset: number, length: number): Promise<void> {
    const site = new Site(nodeEnvironment, { lockWaitMs: 10_000 });
    try {
      const node = await site.openHere(set);
      const device = node.set.volumes[[...this.volumes.keys()].indexOf(volume)];
      if (!device) throw new Error(`no volume ${volume}`);
      const request = { kind: 'zeroes', offset, length, fua: true, mayFree: true } as const;
      const done = await submitAndWait(device, request);
      if (!done.ok) throw done.error;
    } finally {
      await site.close();
    }
    this.of(volume).fill(0, offset, offset + length);
  }

  /** Reads all volumes of a set through the command: the first difference, if there is one. */
  async differs(set: string): Promise<string | undefined> {
    for (const [volume, expected] of this.volumes) {
      const output = join(this.folder, 'read-back');
      const range = ['--offset', '0', '--length', String(expected.length)];
      const read = await rcopy('read', set, '--volume', volume, ...range, '--output', output);
      if (read.code !== 0) throw new Error(read.stderr);
      const difference = firstDifference(readFileSync(output), expected);
      rmSync(output);
      if (difference !== undefined) return `${set}, ${volume} ${difference}`;
    }
    return undefined;
  }

  private of(volume: string): Buffer {
    const found = this.volumes.get(volume);
    if (!found) throw new Error(`no volume ${volume}`);
    return found;
  }
}

function firstDifference(found: Buffer, expected: Buffer): string | undefined {
  if (found.equals(expected)) return undefined;
  const at = expected.findIndex((byte, index) => byte !== found[index]);
  const text = (bytes: Buffer): string => bytes.toString('latin1', at, at + 40);
  return `at ${at}: ${text(found)} for ${text(expected)}`;
}
