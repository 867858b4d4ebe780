/**
 * System calls that node:fs does not have. The two packages behind them are loaded at the first
 * use, since most commands need neither, and every start would pay for them.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import type { Extent } from '../base/extent.ts';
import { systemCode } from './system-error.ts';

/** What is used of fs-native-extensions, which ships no types. */
interface NativeExtensions {
  /** An open-file-description lock on the whole file; false when another descriptor has it. */
  tryLock(descriptor: number): boolean;
  /** On Linux `fallocate` with PUNCH_HOLE and KEEP_SIZE. */
  trimSync(descriptor: number, position: number, length: number): void;
}

/** What is used of koffi, an optional package: types of its own would make it a required one. */
interface ForeignFunctions {
  load(library: null): { func(prototype: string): Seek };
  errno(): number;
  sizeof(type: string): number;
}

interface Packages {
  'fs-native-extensions': NativeExtensions;
  koffi: ForeignFunctions;
}

const load: <Name extends keyof Packages>(name: Name) => Packages[Name] = createRequire(
  import.meta.url,
);

type Seek = (descriptor: number, offset: number, whence: number) => number;

/** Linux' numbers, the same on every architecture. */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

let extensions: NativeExtensions | undefined;

function nativeExtensions(): NativeExtensions {
  extensions ??= load('fs-native-extensions');
  return extensions;
}

/** Locks the file behind a descriptor; the lock goes with the descriptor or its process. */
export function lockDescriptor(descriptor: number): boolean {
  return nativeExtensions().tryLock(descriptor);
}

/** Frees the blocks of a range, so that it reads as zeroes; false where that is not supported. */
export function punchHole(descriptor: number, position: number, length: number): boolean {
  try {
    nativeExtensions().trimSync(descriptor, position, length);
    return true;
  } catch (error) {
    // libuv gives EOPNOTSUPP the name ENOTSUP.
    const unsupported = ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
    if (unsupported.includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}

/** `lseek`, with a way to learn why it failed. */
interface Seeker {
  readonly seek: Seek;
  readonly errno: () => number;
}

/** `null` once it is known that there is none here. */
let seeker: Seeker | null | undefined;

function loadSeeker(): Seeker | null {
  if (process.platform !== 'linux') return null;
  try {
    const foreign = load('koffi');
    // Where long has 32 bits, so has this lseek's offset: too few for a volume.
    if (foreign.sizeof('long') !== 8) return null;
    const seek = foreign.load(null).func('long lseek(int, long, int)');
    return { seek, errno: () => foreign.errno() };
  } catch {
    return null;
  }
}

/**
 * What SEEK_DATA and SEEK_HOLE know about the file from `position` on, up to `end`; `undefined`
 * where they cannot be asked. Moves the descriptor's own offset, which nothing here relies on.
 */
export function seekExtent(descriptor: number, position: number, end: number): Extent | undefined {
  if (seeker === undefined) seeker = loadSeeker();
  if (seeker === null) return undefined;
  const dataStart = seeker.seek(descriptor, position, SEEK_DATA);
  if (dataStart < 0) {
    // ENXIO: no data at or after this position. Anything else: not supported here.
    if (seeker.errno() !== constants.errno.ENXIO) return undefined;
    return { offset: position, length: end - position, data: false };
  }
  if (dataStart > position) {
    return { offset: position, length: Math.min(dataStart, end) - position, data: false };
  }
  const holeStart = seeker.seek(descriptor, position, SEEK_HOLE);
  if (holeStart <= position) return undefined;
  return { offset: position, length: Math.min(holeStart, end) - position, data: true };
}
