/**
 * What the demo's host writes and reads: the changes of a file system as they fall due, and
 * anything anywhere in another volume. No two requests of a burst overlap: nobody could tell which
 * of two that are under way at once came last.
 */
import { isZero } from '../../base/bytes.ts';
import { MIB } from '../../base/limits.ts';
import type { FileHandle } from '../../sys/files.ts';
import type { Random } from '../../sys/random.ts';
import type { ImageChange } from './images.ts';
import { DB, LOG } from './volumes.ts';
import type { DemoVolume, VolumeName } from './volumes.ts';

/** The longest random request. */
const LENGTH_MAX = 1 * MIB;
/** Requests for each volume that are under way at once. */
const BURST_MAX = 4;

export interface Place {
  readonly volume: VolumeName;
  readonly offset: number;
  readonly length: number;
}

export interface Change extends Place {
  /** Undefined for zeroes. */
  readonly data: Uint8Array | undefined;
  /** Not answered before it is durable. */
  readonly fua: boolean;
}

export interface TrafficParts {
  readonly random: Random;
  /** What the `db` volume becomes, in order. */
  readonly changes: readonly ImageChange[];
  /** Where its bytes are. */
  readonly later: FileHandle;
  /** How much of that is due now, from 0 to 1. */
  readonly due: () => number;
}

export class Traffic {
  private readonly parts: TrafficParts;
  private changesDone = 0;

  constructor(parts: TrafficParts) {
    this.parts = parts;
  }

  /** A few changes for one moment. */
  burst(): Change[] {
    return [...this.dueChanges(this.parts.due()), ...this.randomChanges()];
  }

  /** The next changes of `db` that are not written yet; none when all are. */
  rest(): Change[] {
    return this.dueChanges(1);
  }

  /** Whether the host asks for a flush now. */
  flushes(): boolean {
    return this.parts.random.below(16) === 0;
  }

  /** Somewhere to read: also where the next set has to fetch it first. */
  look(): Place {
    return this.somewhere(this.parts.random.below(2) === 0 ? DB : LOG);
  }

  private dueChanges(due: number): Change[] {
    const { changes, later } = this.parts;
    const wanted = Math.min(changes.length, Math.floor(changes.length * due));
    const taken = changes.slice(this.changesDone, Math.min(wanted, this.changesDone + BURST_MAX));
    this.changesDone += taken.length;
    return taken.map(({ offset, length }) => {
      const data = Buffer.alloc(length);
      later.read(data, offset, 'DEMO:READ');
      const bytes = isZero(data) ? undefined : data;
      return { volume: DB.name, offset, length, data: bytes, fua: this.isDurable() };
    });
  }

  private randomChanges(): Change[] {
    const { random } = this.parts;
    const places: Place[] = [];
    for (let count = 1 + random.below(BURST_MAX); count > 0; count -= 1) {
      const place = this.somewhere(LOG);
      if (!places.some((other) => overlap(place, other))) places.push(place);
    }
    return places.map(({ volume, offset, length }) => {
      const data = random.below(8) === 0 ? undefined : random.bytes(length);
      return { volume, offset, length, data, fua: this.isDurable() };
    });
  }

  private isDurable(): boolean {
    return this.parts.random.below(24) === 0;
  }

  /** From one byte to a mebibyte, at any offset; small ones come more often. */
  private somewhere({ name, sizeBytes }: DemoVolume): Place {
    const { random } = this.parts;
    const share = random.below(1_000_001) / 1_000_000;
    const length = Math.floor(LENGTH_MAX ** (share ** 1.5));
    return { volume: name, offset: random.below(sizeBytes - length + 1), length };
  }
}

function overlap(one: Place, other: Place): boolean {
  return one.offset < other.offset + other.length && other.offset < one.offset + one.length;
}
