/** What goes wrong with the disk of one machine. It outlives crashes, as a bad disk does. */
import type { Machine } from '../../support/sites.ts';
import type { Operation, OperationKind } from '../device.ts';
import type { Moment } from './events.ts';

export const DISK_FAULTS = ['full', 'slow', 'sync fails', 'write fails', 'read fails'] as const;
/** One that hangs ends no sync until it is sound again. */
export type DiskFault = (typeof DISK_FAULTS)[number] | 'hangs';

/** They change nothing. */
const IS_HARMLESS: ReadonlySet<OperationKind> = new Set(['read', 'list', 'status', 'size', 'lock']);

/** How long a sync takes at a disk that is slow, in milliseconds. */
const SLOW_MS = 400;

export class BadDisk {
  /** Faults that struck, by kind. */
  readonly struck = new Map<DiskFault, number>();
  private readonly machine: Machine;
  private readonly syncMs: number;
  /** While somebody looks who is no part of it all, nothing goes wrong. */
  isWatched = false;
  /** Operations that are still to fail. */
  private readonly due = { sync: 0, write: 0, read: 0 };
  /** Where the power is to go, and how many of its kind come before. */
  private moment: (Moment & { left: number }) | undefined;

  constructor(machine: Machine) {
    this.machine = machine;
    this.syncMs = machine.syncMs;
    this.attach();
  }

  /** To be called when the machine has another disk: what was left of the last one. */
  attach(): void {
    this.moment = undefined;
    this.release();
    this.machine.disk.hook = (operation) => this.verdict(operation);
  }

  /** The power goes in the midst of an operation that comes soon. */
  losePowerAt(moment: Moment): void {
    this.moment = { ...moment, left: moment.after };
  }

  strike(fault: DiskFault): void {
    const { disk } = this.machine;
    if (fault === 'full') disk.capacityBytes = disk.bytesAllocated;
    else if (fault === 'slow') this.machine.syncMs = SLOW_MS;
    else if (fault === 'hangs') this.machine.hung ??= [];
    else
      this.due[fault === 'sync fails' ? 'sync' : fault === 'write fails' ? 'write' : 'read'] += 1;
    if (fault === 'full' || fault === 'slow' || fault === 'hangs') this.count(fault);
  }

  heal(): void {
    this.machine.disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.machine.syncMs = this.syncMs;
    this.release();
    Object.assign(this.due, { sync: 0, write: 0, read: 0 });
  }

  get hangs(): boolean {
    return this.machine.hung !== undefined;
  }

  /** Ends the syncs that hang. */
  private release(): void {
    const hung = this.machine.hung ?? [];
    this.machine.hung = undefined;
    for (const end of hung) end();
  }

  private verdict({ kind, index }: Operation): void | 'fail' {
    if (this.isMoment(kind)) this.machine.disk.crashAt(index + 1);
    const isSync = kind === 'sync' || kind === 'syncFolder';
    const due = isSync ? 'sync' : kind === 'write' || kind === 'read' ? kind : undefined;
    if (!due || this.isWatched || this.due[due] === 0) return undefined;
    this.due[due] -= 1;
    this.count(`${due} fails`);
    return 'fail';
  }

  private isMoment(kind: OperationKind): boolean {
    const { moment } = this;
    if (!moment || this.isWatched || IS_HARMLESS.has(kind)) return false;
    if (moment.of !== 'any' && moment.of !== kind) return false;
    moment.left -= 1;
    return moment.left === -1;
  }

  private count(fault: DiskFault): void {
    this.struck.set(fault, (this.struck.get(fault) ?? 0) + 1);
  }
}
