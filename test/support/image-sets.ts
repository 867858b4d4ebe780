/**
 * Small image sets on simulated disks, the words in which tests write to them, and an independent
 * model of what their volumes must hold: plain buffers that know nothing of journals.
 */
import { KIB } from '../../src/base/limits.ts';
import type { JournalSizes } from '../../src/base/limits.ts';
import { readDevice, submitAndWait } from '../../src/device/device.ts';
import type { DeviceRequest } from '../../src/device/device.ts';
import type { VolumeEntry } from '../../src/format/set-file.ts';
import type { ImageSet } from '../../src/imageset/image-set.ts';
import { openImageSet } from '../../src/imageset/open-set.ts';
import type { OpenOptions } from '../../src/imageset/open-set.ts';
import { makeSetFolder } from '../../src/imageset/set-folder.ts';
import { ensureEpoch } from '../../src/imageset/succession.ts';
import type { Environment } from '../../src/sys/environment.ts';
import { SimulatedClock } from '../sim/clock.ts';
import { SimulatedDisk } from '../sim/disk.ts';
import type { DiskOptions } from '../sim/disk.ts';
import { seededRandom } from '../sim/random.ts';

export const SET = '/tokyo';

/** Room for eight segments of 64 KiB; a request of 32 KiB becomes eight records. */
export const SMALL_JOURNAL: JournalSizes = {
  segmentBytes: 64 * KIB,
  segmentsMax: 8,
  recordPayloadBytesMax: 4 * KIB,
  requestBytesMax: 32 * KIB,
};

/** So small that a few requests go through several segments, recycled ones too. */
export const TINY_JOURNAL: JournalSizes = {
  segmentBytes: 16 * KIB,
  segmentsMax: 6,
  recordPayloadBytesMax: 2 * KIB,
  requestBytesMax: 12 * KIB,
};

/** Two volumes that share one sequence; the first one ends in the midst of a block. */
export const TWO_VOLUMES: readonly VolumeEntry[] = [
  { name: 'alpha', sizeBytes: 40 * KIB + 512 },
  { name: 'beta', sizeBytes: 20 * KIB },
];

/** One machine: its disk, its clock, its randomness. */
export interface World {
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  readonly environment: Environment;
}

export function newWorld(seed = 1, options: DiskOptions = {}): World {
  return worldOn(new SimulatedDisk({ seed, ...options }), seed);
}

/** A machine that finds a disk as an earlier one left it. */
export function worldOn(disk: SimulatedDisk, seed = 1): World {
  const clock = new SimulatedClock();
  return { disk, clock, environment: { files: disk, clock, random: seededRandom(seed) } };
}

/** A machine whose disk takes `ms` for each sync. */
export function slowWorld(ms: number, seed = 1): World {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk({ seed, defer: (action) => void clock.after(ms, action) });
  return { disk, clock, environment: { files: disk, clock, random: seededRandom(seed) } };
}

export interface SetShape {
  readonly folder?: string;
  readonly volumes?: readonly VolumeEntry[];
  readonly journal?: JournalSizes;
}

export async function makeSet(world: World, shape: SetShape = {}): Promise<void> {
  const { folder = SET, volumes = TWO_VOLUMES, journal = SMALL_JOURNAL } = shape;
  await makeSetFolder(world.environment, folder, { name: folder.slice(1), volumes, journal });
}

export const OPTIONS: OpenOptions = { lockWaitMs: 0, roomWaitMs: 0, pid: 1 };

export async function openSet(
  world: World,
  folder = SET,
  options: Partial<OpenOptions> = {},
): Promise<ImageSet> {
  return openImageSet(world.environment, folder, { ...OPTIONS, ...options });
}

/** A new set that hosts may write to. */
export async function newSet(
  world: World,
  shape: SetShape = {},
  options: Partial<OpenOptions> = {},
): Promise<ImageSet> {
  await makeSet(world, shape);
  const set = await openSet(world, shape.folder, options);
  await ensureEpoch(set);
  return set;
}

/** Something that hosts do to volumes, and that takes numbers. */
export type Change = WriteChange | ZeroesChange | MarkChange;

export interface WriteChange {
  readonly kind: 'write';
  readonly volume: number;
  readonly offset: number;
  readonly data: Buffer;
}

export interface ZeroesChange {
  readonly kind: 'zeroes';
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly mayFree: boolean;
}

export interface MarkChange {
  readonly kind: 'mark';
  readonly name: string;
}

/** Bytes that tell which request they came from and where in it they stood. */
export function pattern(id: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index += 1) {
    bytes[index] = (id * 37 + index * 11 + (index >>> 8) * 5 + 1) & 0xff;
  }
  return bytes;
}

export function write(volume: number, offset: number, length: number, id: number): WriteChange {
  return { kind: 'write', volume, offset, data: pattern(id, length) };
}

export function zeroes(
  volume: number,
  offset: number,
  length: number,
  mayFree = true,
): ZeroesChange {
  return { kind: 'zeroes', volume, offset, length, mayFree };
}

/** What the volumes hold after each request, told by plain buffers. */
export class VolumesModel {
  /** The last number of each request so far, in order. */
  readonly ends: number[] = [];
  /** Contents before the first request, then after each one. */
  private readonly states: (readonly Buffer[])[];
  private readonly first: number;
  private readonly payloadBytesMax: number;

  /** `before` is what stood there when number `next` was the next one. */
  constructor(before: readonly Buffer[], next: number, payloadBytesMax: number) {
    this.states = [before];
    this.first = next;
    this.payloadBytesMax = payloadBytesMax;
  }

  static blank(volumes: readonly VolumeEntry[], journal: JournalSizes, next = 1): VolumesModel {
    const before = volumes.map(({ sizeBytes }) => Buffer.alloc(sizeBytes));
    return new VolumesModel(before, next, journal.recordPayloadBytesMax);
  }

  /** The last number given; the one before the first when there was none. */
  get newest(): number {
    return this.ends.at(-1) ?? this.first - 1;
  }

  /** The newest contents. */
  get now(): readonly Buffer[] {
    return this.states.at(-1) ?? [];
  }

  /** Takes the next request in; returns its last number. */
  apply(change: Change): number {
    const { newest } = this;
    const next = [...this.now];
    if (change.kind !== 'mark') {
      const volume = Buffer.from(next[change.volume] ?? Buffer.alloc(0));
      if (change.kind === 'write') volume.set(change.data, change.offset);
      else volume.fill(0, change.offset, change.offset + change.length);
      next[change.volume] = volume;
    }
    const records =
      change.kind === 'write' ? Math.ceil(change.data.length / this.payloadBytesMax) : 1;
    this.states.push(next);
    this.ends.push(newest + records);
    return newest + records;
  }

  /** Contents after number `sequence`; throws when no request ends there. */
  after(sequence: number): readonly Buffer[] {
    const index = sequence === this.first - 1 ? 0 : this.ends.indexOf(sequence) + 1;
    const state = index > 0 || sequence === this.first - 1 ? this.states[index] : undefined;
    if (!state) throw new Error(`no request ends at ${sequence}`);
    return state;
  }

  /** Contents after every request up to `sequence`, oldest first. */
  upTo(sequence: number): (readonly Buffer[])[] {
    return this.states.filter((_, index) => index === 0 || (this.ends[index - 1] ?? 0) <= sequence);
  }

  /** The model of what goes on after the requests behind `sequence` were lost. */
  from(sequence: number): VolumesModel {
    return new VolumesModel(this.after(sequence), sequence + 1, this.payloadBytesMax);
  }
}

/** The device request of a change that is no mark. */
export function requestOf(change: WriteChange | ZeroesChange, fua = false): DeviceRequest {
  if (change.kind === 'zeroes') {
    const { offset, length, mayFree } = change;
    return { kind: 'zeroes', offset, length, fua, mayFree };
  }
  const { offset, data } = change;
  // Two slices, as they may come from a socket.
  const cut = Math.floor(data.length / 3);
  const slices = [data.subarray(0, cut), data.subarray(cut)];
  return { kind: 'write', offset, data: slices, length: data.length, fua };
}

/** Does it to the set; resolves with the number in its answer. */
export async function perform(set: ImageSet, change: Change, fua = false): Promise<number> {
  if (change.kind === 'mark') return set.mark(change.name);
  const device = set.volumes[change.volume];
  if (!device) throw new Error('no such volume');
  const completion = await submitAndWait(device, requestOf(change, fua));
  return completion.ok ? (completion.sequence ?? 0) : 0;
}

export async function flush(set: ImageSet): Promise<void> {
  const [device] = set.volumes;
  if (device) await submitAndWait(device, { kind: 'flush' });
}

/** What hosts read of all volumes. */
export async function readAll(set: ImageSet): Promise<Buffer[]> {
  const contents: Buffer[] = [];
  for (const device of set.volumes) contents.push(await readDevice(device, 0, device.sizeBytes));
  return contents;
}

/** What set and overlay hold, for sets that refuse hosts. */
export function peekAll(set: ImageSet): Buffer[] {
  return set.file.volumes.map(({ sizeBytes }, volume) =>
    set.contents.readNow(volume, 0, sizeBytes),
  );
}

/** The raw image files, as someone sees them who looks with dd. */
export function rawImages(
  disk: SimulatedDisk,
  folder = SET,
  volumes: readonly VolumeEntry[] = TWO_VOLUMES,
): Buffer[] {
  return volumes.map(({ name }) => Buffer.from(disk.readFile(`${folder}/volumes/${name}.img`)));
}

/** Where two lists of volumes differ first, in words; undefined when they do not. */
export function difference(
  found: readonly Buffer[],
  expected: readonly Buffer[],
): string | undefined {
  for (const [volume, bytes] of expected.entries()) {
    const other = found[volume];
    if (other?.equals(bytes)) continue;
    if (other?.length !== bytes.length) return `volume ${volume} has ${other?.length} bytes`;
    const offset = bytes.findIndex((byte, index) => other[index] !== byte);
    const bytesThere = `${other[offset]}, not ${bytes[offset]}`;
    return `volume ${volume} differs from byte ${offset} on: ${bytesThere}`;
  }
  return undefined;
}
