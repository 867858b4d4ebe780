/** Small words for tests of crashes: files as one letter a sector, outcomes over many seeds. */
import type { FileHandle } from '../../src/sys/files.ts';
import { SECTOR_BYTES } from './content.ts';
import { SimulatedDisk } from './disk.ts';

export const LABEL = 'TEST:DISK';
export const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);

/** As many sectors as letters, each full of its letter. */
export function sectors(text: string): Buffer {
  return Buffer.concat(Array.from(text, (letter) => Buffer.alloc(SECTOR_BYTES, letter)));
}

/** The first letter of each sector of a file; `.` for zeroes. */
export function letters(disk: SimulatedDisk, path = '/file'): string {
  const bytes = Buffer.from(disk.readFile(path));
  const count = Math.ceil(bytes.length / SECTOR_BYTES);
  const firsts = Array.from({ length: count }, (_, sector) => bytes[sector * SECTOR_BYTES] ?? 0);
  return Buffer.from(firsts).toString('latin1').replaceAll('\0', '.');
}

/** A disk with one durable file, open for writing. */
export function diskWith(content: string): { disk: SimulatedDisk; file: FileHandle } {
  const disk = new SimulatedDisk();
  disk.writeFile('/file', sectors(content));
  return { disk, file: disk.open('/file', 'write', LABEL) };
}

export function put(disk: SimulatedDisk, path: string): void {
  disk.open(path, 'create', LABEL).close();
}

/** What `see` finds after a crash, over all seeds; once each, sorted. */
export function outcomes(disk: SimulatedDisk, see: (survivor: SimulatedDisk) => string): string[] {
  const seen = new Set(SEEDS.map((seed) => see(disk.survivors('random', seed))));
  return [...seen].toSorted();
}

export function names(disk: SimulatedDisk, path = '/'): string {
  return disk.list(path, LABEL).join(' ');
}

export function exists(disk: SimulatedDisk, path: string): boolean {
  return disk.status(path, LABEL) !== undefined;
}
