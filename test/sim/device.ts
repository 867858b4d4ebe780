/**
 * What can go wrong with an operation on a simulated disk: a test counts, fails or interrupts it.
 */
import type { Label } from '../../src/sys/files.ts';
import type { Random } from '../../src/sys/random.ts';
import type { SystemError } from '../../src/sys/system-error.ts';
import { systemError } from '../../src/sys/system-error.ts';

export type OperationKind =
  | 'open'
  | 'read'
  | 'write'
  | 'zero'
  | 'size'
  | 'setSize'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'makeFolder'
  | 'list'
  | 'status'
  | 'syncFolder'
  | 'lock'
  | 'extent';

/** One labelled operation, as a hook is told of it. */
export interface Operation {
  /** How many mutating operations came before; of a mutating one it is the number. */
  readonly index: number;
  readonly label: Label;
  readonly kind: OperationKind;
  readonly path: string;
}

/** Lets an operation pass, fails it with EIO, or fails it with another code. */
export type Hook = (operation: Operation) => void | 'fail' | { readonly errno: string };

/** One operation with its ways to go. */
export interface Step<Result> {
  readonly kind: OperationKind;
  readonly label: Label;
  readonly path: string;
  /** Whether it changes what is on the disk, or what of it is durable. */
  readonly mutating: boolean;
  whole(): Result;
  /** What is done when the crash comes in its midst; without it: all or nothing, by the seed. */
  partly?(): void;
  /** What a failure ordered by the hook leaves behind. */
  failed?(): void;
}

/** A device that counts its operations, lets a hook fail them, and crashes at a chosen one. */
export class CrashableDevice {
  /** Called before each labelled operation. */
  hook: Hook | undefined;
  /** Mutating operations so far: write, zero, setSize, sync, rename, and so on. */
  operations = 0;
  crashed = false;
  bytesRead = 0;
  bytesWritten = 0;
  /** How often each label was met. */
  readonly labels = new Map<Label, number>();
  protected readonly random: Random;
  private crashIndex: number | undefined;

  constructor(random: Random) {
    this.random = random;
  }

  /**
   * Cuts the power in the midst of mutating operation `index` (the first one ever is 0). It may
   * take effect partly; from then on every operation fails with `ECRASHED`.
   */
  crashAt(index: number): void {
    this.crashIndex = index;
  }

  /** Cuts the power now, between two operations. */
  crash(): void {
    this.crashed = true;
  }

  /** Throws once the power is cut. */
  refuseIfCrashed(): void {
    if (this.crashed) throw crashError();
  }

  /** Lets one operation go its way: whole, partly with a crash, or not at all. */
  perform<Result>(step: Step<Result>): Result {
    this.refuseIfCrashed();
    this.labels.set(step.label, (this.labels.get(step.label) ?? 0) + 1);
    const index = this.operations;
    if (step.mutating) {
      this.operations += 1;
      if (index === this.crashIndex) throw this.crashDuring(step);
    }
    const { kind, label, path } = step;
    const verdict = this.hook?.({ index, label, kind, path });
    // The hook itself may have cut the power.
    this.refuseIfCrashed();
    if (verdict !== undefined) {
      step.failed?.();
      const code = verdict === 'fail' ? 'EIO' : verdict.errno;
      throw systemError(code, `failed by the test at ${label}, ${kind} ${path}`);
    }
    return step.whole();
  }

  private crashDuring<Result>(step: Step<Result>): SystemError {
    try {
      if (step.partly !== undefined) step.partly();
      else if (this.random.below(2) === 0) step.whole();
    } catch {
      // It would have failed anyway; nobody is left to be told.
    }
    this.crash();
    return crashError();
  }
}

function crashError(): SystemError {
  return systemError('ECRASHED', 'the simulated machine has lost its power');
}
