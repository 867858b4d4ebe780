/**
 * A primary with two volumes on a simulated disk, beside plain buffers that must hold the same:
 * whatever hosts do to it, and however it is started again.
 */
import type { Completion, DeviceRequest } from '../../src/device/device.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import type { Label } from '../../src/sys/files.ts';
import type { Survival } from '../sim/disk.ts';
import { assertAtLeast, assertSame, assertVolumes } from './asserts.ts';
import { driven } from './driven.ts';
import {
  TINY_JOURNAL,
  TWO_VOLUMES,
  VolumesModel,
  newSet,
  openSet,
  rawImages,
  readAll,
  requestOf,
  slowWorld,
  write,
  zeroes,
} from './image-sets.ts';
import type { Change, World } from './image-sets.ts';

/** Where hosts do something; what reaches beyond its volume is cut there. */
export interface Range {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

/** How hosts want to have it. */
interface Manner {
  readonly fua: boolean;
  /** Nothing else is begun before it is answered. */
  readonly wait: boolean;
}

/** What befalls a set. */
export type SetStep =
  | ({ readonly do: 'write' | 'zeroes' | 'trim' } & Range & Manner)
  | ({ readonly do: 'read' } & Range)
  | { readonly do: 'flush'; readonly wait: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'mark' | 'drain' | 'reopen' }
  /** From now on operations with this label fail. */
  | { readonly do: 'fail'; readonly label: Label }
  /** The power goes so many operations later. */
  | ({ readonly do: 'crash'; readonly after: number } & Loss);

/** How the power goes. */
interface Loss {
  readonly survival: Survival;
  readonly seed: number;
  /** Before this operation of the start that follows it goes once more; 0 for never. */
  readonly again: number;
}

export class SetLife {
  private world: World;
  private set: ImageSet;
  private model = VolumesModel.blank(TWO_VOLUMES, TINY_JOURNAL);
  /** The newest number in an answer, and the newest that was promised to be durable. */
  private answered = 0;
  private flushed = 0;
  private changes = 0;
  /** What hosts wait for. */
  private waiting: Promise<void>[] = [];
  private loss: Loss = { survival: 'lose', seed: 1, again: 0 };

  static async begin(): Promise<SetLife> {
    const world = slowWorld(2);
    const set = await driven(world.clock, newSet(world, { journal: TINY_JOURNAL }));
    return new SetLife(world, set);
  }

  private constructor(world: World, set: ImageSet) {
    this.world = world;
    this.set = set;
  }

  async step(step: SetStep): Promise<void> {
    try {
      await this.perform(step);
    } catch (error) {
      if (!this.isOver) throw error;
    }
    if (this.world.disk.crashed) await this.restart(this.loss);
    else if (this.set.failure) await this.restart({ survival: 'keep', seed: 1, again: 0 });
  }

  /** Everything in order once more, then the power goes. */
  async end(): Promise<void> {
    await this.step({ do: 'reopen' });
    this.world.disk.crash();
    await this.restart({ survival: 'lose', seed: 1, again: 0 });
  }

  private get isOver(): boolean {
    return this.world.disk.crashed || this.set.failure !== undefined;
  }

  private async perform(step: SetStep): Promise<void> {
    const { disk, clock } = this.world;
    switch (step.do) {
      case 'write':
      case 'zeroes':
      case 'trim':
        return this.change(step);
      case 'mark':
        return this.mark();
      case 'flush':
        return this.flush(step.wait);
      case 'read':
        return this.read(fitted(step));
      case 'pass':
        return clock.pass(step.ms);
      case 'drain':
        await this.settle();
        await driven(this.world.clock, this.set.drain());
        return assertVolumes(this.images(), this.model.now);
      case 'reopen':
        return this.reopen();
      case 'fail':
        disk.hook = ({ label }) => (label === step.label ? 'fail' : undefined);
        return;
      case 'crash':
        disk.crashAt(disk.operations + step.after);
        this.loss = step;
    }
  }

  private async change(step: Range & Manner & { do: 'write' | 'zeroes' | 'trim' }): Promise<void> {
    const { volume, offset, length } = fitted(step);
    this.changes += 1;
    const change =
      step.do === 'write'
        ? write(volume, offset, length, this.changes)
        : zeroes(volume, offset, length, step.do === 'trim');
    const expected = this.model.apply(change);
    const { fua, wait } = step;
    await this.submit(volume, requestOf(change, fua), wait, (answer) => {
      assertSame(answer.sequence, expected);
      this.answered = Math.max(this.answered, expected);
      if (fua) this.flushed = Math.max(this.flushed, expected);
    });
  }

  private async flush(wait: boolean): Promise<void> {
    const { answered } = this;
    await this.submit(0, { kind: 'flush' }, wait, () => {
      this.flushed = Math.max(this.flushed, answered);
    });
  }

  private async mark(): Promise<void> {
    await this.settle();
    const change: Change = { kind: 'mark', name: `mark-${this.changes}` };
    const expected = this.model.apply(change);
    assertSame(await driven(this.world.clock, this.set.mark(change.name)), expected);
    this.answered = expected;
    this.flushed = expected;
  }

  private async read({ volume, offset, length }: Range): Promise<void> {
    // What waits for room is not there yet.
    if (this.set.hosts.waitingRequests > 0) await this.settle();
    const expected = this.model.now[volume]?.subarray(offset, offset + length);
    await this.submit(volume, { kind: 'read', offset, length }, true, ({ data = [] }) => {
      assertVolumes([Buffer.concat(data)], expected ? [expected] : []);
    });
  }

  private async submit(
    volume: number,
    request: DeviceRequest,
    wait: boolean,
    done: (answer: Extract<Completion, { ok: true }>) => void,
  ): Promise<void> {
    const { set } = this;
    const completion = new Promise<Completion>((resolve) => {
      set.volumes[volume]?.submit(request, resolve);
    });
    const answer = completion.then((ended) => {
      if (!ended.ok) throw ended.error;
      if (set === this.set) done(ended);
    });
    answer.catch(() => undefined);
    this.waiting.push(answer);
    if (wait) await driven(this.world.clock, answer);
  }

  private async settle(): Promise<void> {
    await driven(this.world.clock, Promise.all(this.waiting));
    this.waiting = [];
  }

  /** Closed in order, the raw images are the truth for the eye, and nothing is to be told. */
  private async reopen(): Promise<void> {
    await this.settle();
    await driven(this.world.clock, this.set.close());
    this.world.disk.hook = undefined;
    this.flushed = this.model.newest;
    assertVolumes(this.images(), this.model.now);
    await this.open();
    assertSame(this.set.notices, []);
  }

  private async restart({ survival, seed, again }: Loss): Promise<void> {
    // Everyone who waits is told, whatever it is that has ended.
    await driven(this.world.clock, Promise.allSettled(this.waiting));
    this.loseTo(survival, seed);
    if (again > 0) {
      this.world.disk.crashAt(again - 1);
      try {
        await this.open();
        this.world.disk.crashAt(-1); // it is over: nothing strikes any more
        return;
      } catch (error) {
        if (!this.world.disk.crashed) throw error;
        this.loseTo('random', seed + 1);
      }
    }
    await this.open();
  }

  private loseTo(survival: Survival, seed: number): void {
    const { disk, clock, environment } = this.world;
    const left = disk.survivors(survival, seed);
    disk.crash(); // a process that is gone does nothing more
    this.world = { disk: left, clock, environment: { ...environment, files: left } };
  }

  /** Opens the set: it stands at the end of a request, at or behind what was promised. */
  private async open(): Promise<void> {
    const set = await driven(this.world.clock, openSet(this.world));
    await driven(this.world.clock, ensureEpoch(set));
    const { newest } = set;
    assertAtLeast(newest, this.flushed);
    assertVolumes(await driven(this.world.clock, readAll(set)), this.model.after(newest));
    this.set = set;
    this.waiting = [];
    this.model = this.model.from(newest);
    this.answered = newest;
    this.flushed = newest;
  }

  private images(): Buffer[] {
    return rawImages(this.world.disk);
  }
}

function fitted({ volume, offset, length }: Range): Range {
  const size = TWO_VOLUMES[volume]?.sizeBytes ?? 0;
  const start = offset % size;
  return { volume, offset: start, length: Math.min(length, size - start) };
}
