/**
 * The damaged samples of fixtures/: one small set for each fault, and what inspection and opening
 * say of it. Each is made out of a sound set, by finding the place of the fault in its files.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { checksum } from '../../src/base/checksum.ts';
import { isRcopyError } from '../../src/base/errors.ts';
import { KIB } from '../../src/base/limits.ts';
import { CURSOR_SLOT_BYTES, chooseCursorSlot } from '../../src/format/cursors.ts';
import { RECORD_HEADER_BYTES, decodeRecord } from '../../src/format/record.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/format/segment.ts';
import { verifySet } from '../../src/node/verify.ts';
import type { SimulatedDisk } from '../sim/disk.ts';
import { SimulatedDisk as Disk } from '../sim/disk.ts';
import { flush, newSet, newWorld, openSet, perform, worldOn, write } from './image-sets.ts';
import { SAMPLES, describeFolder, dumpFile, filesIn } from './sample-sets.ts';

const FOLDER = '/nara';
const SEGMENT = 'journal/00000001-0000000000000001.rcj';
const VOLUMES = [{ name: 'db', sizeBytes: 8 * KIB }];

/** How the set ended before the fault came. */
type End = 'closed' | 'crashed';

export interface DamagedSample {
  readonly end: End;
  /** The file that is damaged, in the set's folder. */
  readonly file: string;
  readonly damage: (bytes: Buffer) => Buffer;
}

/** By the name of the fault, which is that of its folder. */
export const DAMAGED_SAMPLES: ReadonlyMap<string, DamagedSample> = new Map<string, DamagedSample>([
  ['torn-tail', { end: 'crashed', file: SEGMENT, damage: (bytes) => cutIn(bytes, 4) }],
  ['flipped-above-durable', { end: 'crashed', file: SEGMENT, damage: (bytes) => flipIn(bytes, 4) }],
  ['flipped-below-durable', { end: 'crashed', file: SEGMENT, damage: (bytes) => flipIn(bytes, 2) }],
  ['truncated-segment', { end: 'closed', file: SEGMENT, damage: (bytes) => cutIn(bytes, 2) }],
  ['bad-cursor-slot', { end: 'closed', file: 'cursors', damage: flipNewestSlot }],
  ['torn-cursor-slot', { end: 'crashed', file: 'cursors', damage: flipNewestSlot }],
  [
    'unknown-version',
    { end: 'closed', file: SEGMENT, damage: (bytes) => laterVersion(bytes, [0, 96]) },
  ],
  [
    'unknown-version-record',
    {
      end: 'closed',
      file: SEGMENT,
      damage: (bytes) => {
        const start = placeOf(bytes, 2);
        return laterVersion(bytes, [start, start + RECORD_HEADER_BYTES]);
      },
    },
  ],
  ['unknown-version-cursors', { end: 'closed', file: 'cursors', damage: laterCursors }],
  ['unknown-version-set-file', { end: 'closed', file: 'set.json', damage: laterSetFile }],
]);

/** Four writes; the last one was not flushed when the power went, if it did. */
async function makeSound(end: End): Promise<SimulatedDisk> {
  const world = newWorld(7);
  const set = await newSet(world, { folder: FOLDER, volumes: VOLUMES });
  for (const id of [1, 2, 3]) await perform(set, write(0, id * 1000, 40 * id, id));
  await flush(set);
  await perform(set, write(0, 4090, 100, 4));
  if (end === 'closed') await set.close();
  else world.disk.crash();
  return world.disk.survivors('keep', 0);
}

/** A damaged set, as its files. */
export async function makeDamaged(name: string): Promise<Map<string, Uint8Array>> {
  const sample = sampleOf(name);
  const files = filesIn(await makeSound(sample.end), FOLDER, VOLUMES);
  const sound = files.get(sample.file);
  if (!sound) throw new Error(`${name}: the set has ${sample.file}`);
  return files.set(sample.file, sample.damage(Buffer.from(sound)));
}

export function sampleOf(name: string): DamagedSample {
  const sample = DAMAGED_SAMPLES.get(name);
  if (!sample) throw new Error(`${name} is a damaged sample`);
  return sample;
}

export function damagedFolder(name: string): string {
  return join(SAMPLES, 'damaged', name);
}

/** What inspection says of a kept set: the golden text beside it. */
export function describeDamaged(name: string): unknown {
  const folder = join(damagedFolder(name), 'set');
  const text = JSON.stringify(describeFolder(folder));
  return JSON.parse(text.replaceAll(folder, FOLDER));
}

/** The damaged file, as `rcopy inspect file` prints it. */
export function dumpDamaged(name: string): string {
  return dumpFile(join(damagedFolder(name), 'set', sampleOf(name).file));
}

/** What opening a kept set comes to, and what `verify` finds then. */
export async function openDamaged(name: string): Promise<unknown> {
  const disk = new Disk();
  for (const path of (await makeDamaged(name)).keys()) {
    disk.writeFile(`${FOLDER}/${path}`, readFileSync(join(damagedFolder(name), 'set', path)));
  }
  disk.makeFolder(`${FOLDER}/maps`, 'TEST:FOLDER');
  try {
    const set = await openSet(worldOn(disk), FOLDER, { adoptCopy: true });
    const { notices, newest } = set;
    const { findings } = await verifySet(set);
    await set.close();
    return { notices, newest, findings };
  } catch (error) {
    if (!isRcopyError(error)) throw error;
    return { refused: error.code, message: error.message };
  }
}

/** Writes the samples where they are kept, and what is said of them. */
export async function writeDamaged(): Promise<void> {
  rmSync(join(SAMPLES, 'damaged'), { recursive: true, force: true });
  for (const name of DAMAGED_SAMPLES.keys()) {
    const folder = damagedFolder(name);
    for (const [path, bytes] of await makeDamaged(name)) {
      const file = join(folder, 'set', path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
    const golden = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
    writeFileSync(join(folder, 'dump.txt'), dumpDamaged(name));
    writeFileSync(join(folder, 'inspect.json'), golden(describeDamaged(name)));
    writeFileSync(join(folder, 'opening.json'), golden(await openDamaged(name)));
  }
}

/** Where write number `sequence` begins in a segment. */
function placeOf(bytes: Buffer, sequence: number): number {
  for (let at = SEGMENT_HEADER_BYTES; ;) {
    const check = decodeRecord(bytes, at);
    if (check.found !== 'record') throw new Error(`number ${sequence} is there`);
    const { header } = check.record;
    if (header.kind === 'write' && header.sequence === sequence) return at;
    at += check.record.bytes.length;
  }
}

/** Flips a bit in the payload of a write. */
function flipIn(bytes: Buffer, sequence: number): Buffer {
  const at = placeOf(bytes, sequence) + RECORD_HEADER_BYTES + 17;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
  return bytes;
}

/** Ends the file in the midst of a write's payload. */
function cutIn(bytes: Buffer, sequence: number): Buffer {
  return bytes.subarray(0, placeOf(bytes, sequence) + RECORD_HEADER_BYTES + 20);
}

function newestSlot(bytes: Buffer): Buffer {
  const slots = [0, 1].map((slot) => bytes.subarray(slot * CURSOR_SLOT_BYTES).subarray(0, 4096));
  const [first = bytes, second = bytes] = slots;
  const { generation } = chooseCursorSlot('cursors', first, second);
  return generation % 2 === 0 ? first : second;
}

function flipNewestSlot(bytes: Buffer): Buffer {
  const slot = newestSlot(bytes);
  slot.writeUInt8(slot.readUInt8(100) ^ 1, 100);
  return bytes;
}

/** Version 2 in a structure whose version is at 4 and whose checksum, at 8, is right again. */
function laterVersion(bytes: Buffer, [start, end]: readonly [start: number, end: number]): Buffer {
  const part = bytes.subarray(start, end);
  part.writeUInt8(2, 4);
  part.writeUInt32LE(0, 8);
  part.writeUInt32LE(checksum(part), 8);
  return bytes;
}

function laterCursors(bytes: Buffer): Buffer {
  const slot = newestSlot(bytes);
  laterVersion(slot, [0, 32 + slot.readUInt32LE(12)]);
  return bytes;
}

function laterSetFile(bytes: Buffer): Buffer {
  const later = bytes.toString().replace('"version": 1', '"version": 2');
  const zeroed = later.replace(/"[0-9a-f]{8}"\n}\n$/, '"00000000"\n}\n');
  const sum = checksum(Buffer.from(zeroed)).toString(16).padStart(8, '0');
  return Buffer.from(zeroed.replace(/"00000000"\n}\n$/, `"${sum}"\n}\n`));
}
