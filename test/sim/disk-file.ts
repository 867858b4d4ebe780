/** One open file of a simulated disk. */
import type { Extent } from '../../src/base/extent.ts';
import type { FileHandle, Label, RangeWrite } from '../../src/sys/files.ts';
import { systemError } from '../../src/sys/system-error.ts';
import { SECTOR_BYTES } from './content.ts';
import type { CrashableDevice, OperationKind, Step } from './device.ts';
import type { FileNode } from './tree.ts';

/** What a file needs of its disk. */
export interface FileOwner {
  readonly device: CrashableDevice;
  /** Runs `action` a little later, before which a crash may come. */
  defer(action: () => void): void;
  /** A whole number below `bound`, for where a write tears. */
  pick(bound: number): number;
  /** The handle is closed. */
  closed(node: FileNode): void;
}

export class SimulatedFile implements FileHandle {
  readonly path: string;
  private readonly node: FileNode;
  private readonly writable: boolean;
  private readonly owner: FileOwner;
  private open = true;

  constructor(path: string, node: FileNode, writable: boolean, owner: FileOwner) {
    this.path = path;
    this.node = node;
    this.writable = writable;
    this.owner = owner;
  }

  read(target: Uint8Array, position: number, label: Label): number {
    return this.look('read', label, () => {
      const count = this.node.content.read(target, position);
      this.owner.device.bytesRead += count;
      return count;
    });
  }

  write(parts: readonly Uint8Array[], position: number, label: Label): void {
    this.change('write', label, this.writing({ parts, position }));
  }

  /** Others come in between, a close too: half of it at once, the rest a little later. */
  async writeRanges(ranges: readonly RangeWrite[], label: Label): Promise<void> {
    const half = Math.ceil(ranges.length / 2);
    for (const { parts, position } of ranges.slice(0, half)) this.write(parts, position, label);
    await new Promise<void>((resolve) => {
      this.owner.defer(resolve);
    });
    for (const range of ranges.slice(half)) {
      const { path } = this;
      const step = this.writing(range);
      this.owner.device.perform({ ...step, kind: 'write', label, path, mutating: true });
    }
  }

  zero(position: number, length: number, keepAllocated: boolean, label: Label): void {
    const zeroFirst = (count: number): void => {
      if (position + length > this.node.content.size) {
        throw systemError('EINVAL', `range beyond the end, zero ${this.path}`);
      }
      this.node.content.zero(position, count, keepAllocated);
    };
    this.change('zero', label, {
      whole: () => zeroFirst(length),
      partly: () => zeroFirst(this.tornLength(position, length)),
    });
  }

  nextExtent(position: number, end: number, label: Label): Extent {
    return this.look('extent', label, () => this.node.content.nextExtent(position, end));
  }

  size(label: Label): number {
    return this.look('size', label, () => this.node.content.size);
  }

  setSize(bytes: number, label: Label): void {
    this.change('setSize', label, { whole: () => this.node.content.setSize(bytes) });
  }

  async sync(label: Label): Promise<void> {
    const { content } = this.node;
    const upTo = content.newestChange;
    this.perform({
      kind: 'sync',
      label,
      path: this.path,
      mutating: true,
      whole: () => undefined,
      partly: () => {
        if (this.owner.pick(2) === 0) content.makeDurable(upTo);
      },
      failed: () => content.abandon(upTo),
    });
    await new Promise<void>((resolve) => {
      this.owner.defer(resolve);
    });
    this.owner.device.refuseIfCrashed();
    content.makeDurable(upTo);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.owner.closed(this.node);
  }

  private writing({ parts, position }: RangeWrite): Pick<Step<void>, 'whole' | 'partly'> {
    const bytes = Buffer.concat(parts);
    const writeFirst = (length: number): void => {
      this.node.content.write(bytes.subarray(0, length), position);
      this.owner.device.bytesWritten += length;
    };
    return {
      whole: () => writeFirst(bytes.length),
      partly: () => writeFirst(this.tornLength(position, bytes.length)),
    };
  }

  /** Some of the bytes, up to a sector's border; all or none of them now and then. */
  private tornLength(position: number, length: number): number {
    const first = Math.floor(position / SECTOR_BYTES);
    const end = Math.ceil((position + length) / SECTOR_BYTES);
    const cut = (first + this.owner.pick(end - first + 1)) * SECTOR_BYTES;
    return Math.max(0, Math.min(cut - position, length));
  }

  private look<Result>(kind: OperationKind, label: Label, whole: () => Result): Result {
    return this.perform({ kind, label, path: this.path, mutating: false, whole });
  }

  private change(
    kind: OperationKind,
    label: Label,
    ways: Pick<Step<void>, 'whole' | 'partly'>,
  ): void {
    if (!this.writable) throw systemError('EBADF', `opened for reading, ${kind} ${this.path}`);
    this.perform({ ...ways, kind, label, path: this.path, mutating: true });
  }

  private perform<Result>(step: Step<Result>): Result {
    if (!this.open) throw systemError('EBADF', `file is closed, ${step.kind} ${this.path}`);
    return this.owner.device.perform(step);
  }
}
