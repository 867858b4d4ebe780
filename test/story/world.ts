/**
 * One machine on which commands are run one after the other, as a shell runs them, on a simulated
 * disk and over in-memory links. A fault strikes once: a crash at one labelled file operation (all
 * process state is dropped and what survives on disk is opened anew), or a cut at one message of
 * one link. A command that a fault ended is given again, as its user would.
 */
import { isRcopyError } from '../../src/base/errors.ts';
import { Site } from '../../src/control/site.ts';
import type { Random } from '../../src/sys/random.ts';
import type { ByteStream } from '../../src/sys/stream.ts';
import type { Environment } from '../../src/sys/environment.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { Survival } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';

export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'crash'; readonly at: number; readonly survival: Survival }
  /** The link breaks at its message number `at`, which is lost or still arrives. */
  | { readonly kind: 'cut'; readonly at: number; readonly arrives: boolean };

const TRIES = 4;

export class StoryWorld {
  disk: SimulatedDisk;
  readonly clock = new SimulatedClock();
  /** Mutating file operations so far, over all lives of the machine. */
  operations = 0;
  /** Messages that went over links so far. */
  messages = 0;
  /** Whether the fault has struck. */
  struck = false;
  private readonly fault: Fault;
  private readonly seed: number;
  private readonly random: Random;

  constructor(fault: Fault, seed: number) {
    this.fault = fault;
    this.seed = seed;
    const chances = seededRandom(seed);
    const ids = seededRandom(seed + 1_000_000);
    // Identifiers stay the same when what is said on links comes in other pieces.
    this.random = { bytes: (length) => ids.bytes(length), below: (bound) => chances.below(bound) };
    this.disk = new SimulatedDisk({ seed });
    if (fault.kind === 'crash') this.disk.crashAt(fault.at);
  }

  get environment(): Environment {
    return { files: this.disk, clock: this.clock, random: this.random };
  }

  /** Runs one command; a fault in it is followed by a restart and `again`, or the same command. */
  async command<T>(action: (site: Site) => Promise<T>, again = action): Promise<T> {
    let attempt = action;
    for (let left = TRIES; ; left -= 1) {
      try {
        return await this.drive(this.inSite(attempt));
      } catch (error) {
        if (!this.isFault(error) || left === 0) throw error;
        if (this.disk.crashed) this.restart();
      }
      attempt = again;
    }
  }

  /** Waits for `work` while simulated time goes on. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    work.then(done, done);
    await this.clock.run(() => settled);
    return work;
  }

  private async inSite<T>(action: (site: Site) => Promise<T>): Promise<T> {
    const site = new StorySite(this);
    try {
      const result = await action(site);
      await site.close();
      return result;
    } catch (error) {
      await site.close().catch(() => undefined);
      throw error;
    }
  }

  private isFault(error: unknown): boolean {
    if (this.disk.crashed) return true;
    return this.fault.kind === 'cut' && this.struck && isRcopyError(error, 'E_UNREACHABLE');
  }

  private restart(): void {
    if (this.fault.kind !== 'crash') throw new Error('only a crash needs a restart');
    this.struck = true;
    this.operations += this.disk.operations;
    this.disk = this.disk.survivors(this.fault.survival, this.seed);
  }

  /** Lets a stream break at the message where this world's fault strikes. */
  watch(stream: ByteStream): ByteStream {
    const write = (parts: readonly Uint8Array[]): boolean => {
      this.messages += 1;
      const { fault } = this;
      if (fault.kind !== 'cut' || fault.at !== this.messages - 1) return stream.write(parts);
      this.struck = true;
      if (fault.arrives) {
        stream.write(parts);
        stream.end();
      } else {
        stream.destroy(new Error('the story cut the link here'));
      }
      return true;
    };
    return {
      peer: stream.peer,
      listen: (listener) => stream.listen(listener),
      write,
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      end: () => stream.end(),
      destroy: (error) => stream.destroy(error),
    };
  }
}

/** A site whose links are watched on both ends. */
class StorySite extends Site {
  private readonly world: StoryWorld;

  constructor(world: StoryWorld) {
    super(world.environment, { lockWaitMs: 0 });
    this.world = world;
  }

  override async dial(address: string): Promise<ByteStream> {
    return this.world.watch(await super.dial(address));
  }

  protected override wrapAccepted(stream: ByteStream): ByteStream {
    return this.world.watch(stream);
  }
}
